//! A data set of labelled images of one size, in memory, as bytes.

use std::fmt;
use std::sync::Arc;

use super::dataset::Dataset;
use crate::error::failed;

/// Labelled images of one size in memory, one byte for each pixel. Clones share the memory.
///
/// Pixels are converted to numbers from 0 to 1 when a batch is made, so a set takes a quarter of the memory of `f32`.
///
/// ```
/// use ray_train::data::{Dataset, Images};
/// let images = Images::new(28, 28, vec![0; 2 * 784], vec![3, 9])?;
/// assert_eq!((images.len(), images.rows(), images.columns()), (2, 28, 28));
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone)]
pub struct Images {
    storage: Arc<Storage>,
    len: usize,
}

struct Storage {
    rows: usize,
    columns: usize,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Images {
    /// Images of `rows` times `columns` pixels, one after the other, each row by row, and a label for each.
    ///
    /// # Errors
    /// The number of pixels does not match the size and the number of labels.
    ///
    /// ```
    /// use ray_train::data::Images;
    /// assert!(Images::new(2, 2, vec![0; 8], vec![1, 2]).is_ok());
    /// let error = Images::new(2, 2, vec![0; 8], vec![1]).unwrap_err();
    /// assert!(error.to_string().contains("8 pixels"), "{error}");
    /// ```
    pub fn new(rows: usize, columns: usize, pixels: Vec<u8>, labels: Vec<u8>) -> ray::Result<Images> {
        let size = rows.checked_mul(columns).filter(|size| *size > 0);
        if size.and_then(|size| size.checked_mul(labels.len())) != Some(pixels.len()) {
            return Err(failed(format!(
                "{} pixels do not make {} images of {rows} x {columns} pixels, one for each label",
                pixels.len(),
                labels.len()
            )));
        }
        Ok(Images { len: labels.len(), storage: Arc::new(Storage { rows, columns, pixels, labels }) })
    }

    /// The first `len` images, or all if there are fewer.
    ///
    /// ```
    /// use ray_train::data::{Dataset, Images};
    /// assert_eq!(Images::new(1, 1, vec![0; 5], vec![0; 5])?.prefix(2).len(), 2);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn prefix(mut self, len: usize) -> Images {
        self.len = self.len.min(len);
        self
    }

    /// The number of pixel rows of an image.
    ///
    /// ```
    /// assert_eq!(ray_train::data::Images::new(3, 1, vec![0; 3], vec![0])?.rows(), 3);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn rows(&self) -> usize {
        self.storage.rows
    }

    /// The number of pixel columns of an image.
    ///
    /// ```
    /// assert_eq!(ray_train::data::Images::new(1, 3, vec![0; 3], vec![0])?.columns(), 3);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn columns(&self) -> usize {
        self.storage.columns
    }

    /// The pixels of all images, as bytes.
    ///
    /// ```
    /// assert_eq!(ray_train::data::Images::new(1, 2, vec![0, 255], vec![0])?.pixels(), [0, 255]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn pixels(&self) -> &[u8] {
        &self.storage.pixels[..self.len * self.size()]
    }

    /// The labels of all images.
    ///
    /// ```
    /// assert_eq!(ray_train::data::Images::new(1, 1, vec![0; 2], vec![3, 4])?.labels(), [3, 4]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn labels(&self) -> &[u8] {
        &self.storage.labels[..self.len]
    }

    fn size(&self) -> usize {
        self.storage.rows * self.storage.columns
    }
}

impl Dataset for Images {
    type Batch = ImageBatch;

    fn len(&self) -> usize {
        self.len
    }

    fn fill(&self, items: &[usize], batch: &mut ImageBatch) -> ray::Result<()> {
        let size = self.size();
        batch.size = size;
        batch.labels.clear();
        batch.labels.extend(items.iter().map(|&item| self.labels()[item]));
        batch.pixels.resize(items.len() * size, 0.0);
        let pixels = self.pixels();
        for (&item, into) in items.iter().zip(batch.pixels.chunks_exact_mut(size)) {
            for (number, &byte) in into.iter_mut().zip(&pixels[item * size..][..size]) {
                *number = f32::from(byte) / 255.0;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Images({} of {} x {})", self.len, self.rows(), self.columns())
    }
}

/// A batch of [`Images`].
///
/// ```
/// use ray_train::data::{Dataset, ImageBatch, Images};
/// let mut batch = ImageBatch::default();
/// Images::new(1, 2, vec![0, 255, 255, 0], vec![4, 5])?.fill(&[1], &mut batch)?;
/// assert_eq!((batch.len(), batch.pixels(), batch.labels()), (1, &[1.0, 0.0][..], &[5][..]));
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ImageBatch {
    size: usize,
    pixels: Vec<f32>,
    labels: Vec<u8>,
}

impl ImageBatch {
    /// The number of images.
    ///
    /// ```
    /// assert_eq!(ray_train::data::ImageBatch::default().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    ///
    /// ```
    /// assert!(ray_train::data::ImageBatch::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels from 0 to 1, image by image, each row by row.
    #[cfg_attr(feature = "burn", doc = "Empty after [`tensors`](ImageBatch::tensors) has moved them out.")]
    ///
    /// ```
    /// assert!(ray_train::data::ImageBatch::default().pixels().is_empty());
    /// ```
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    /// The label of each image.
    ///
    /// ```
    /// assert!(ray_train::data::ImageBatch::default().labels().is_empty());
    /// ```
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }
}

#[cfg(feature = "burn")]
impl ImageBatch {
    /// Images and labels as burn's tensors on a device, of the shapes `[images, pixels]` and `[images]`. The pixels are moved out of
    /// the batch, not copied.
    ///
    /// # Panics
    /// If an earlier call has moved the pixels out.
    ///
    /// ```
    /// use ray_train::data::{DataLoader, Images};
    /// let images = Images::new(2, 2, vec![255; 12], vec![1, 2, 3])?;
    /// let device = ray_train::Device::Cpu.burn();
    /// for batch in DataLoader::new(images).batch_size(3).epoch(0) {
    ///     let (x, y) = batch?.tensors(&device);
    ///     assert_eq!((x.dims(), y.dims()), ([3, 4], [3]));
    /// }
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn tensors(
        &mut self,
        device: &burn::tensor::Device,
    ) -> (burn::tensor::Tensor<2>, burn::tensor::Tensor<1, burn::tensor::Int>) {
        use burn::tensor::{Tensor, TensorData};

        assert!(
            self.pixels.len() == self.len() * self.size,
            "an earlier call of `tensors` has moved the images out of this batch: call it once"
        );
        let pixels = std::mem::take(&mut self.pixels);
        let labels: Vec<i64> = self.labels.iter().map(|label| i64::from(*label)).collect();
        let images = Tensor::from_data(TensorData::new(pixels, [self.len(), self.size]), device);
        (images, Tensor::from_data(TensorData::new(labels, [self.len()]), device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_refilled() {
        let images = Images::new(1, 2, (0..20).collect(), (0..10).collect()).unwrap();
        let mut batch = ImageBatch::default();
        images.fill(&[9, 0, 3], &mut batch).unwrap();
        images.fill(&[1, 2], &mut batch).unwrap();
        assert_eq!(batch.labels(), [1, 2]);
        assert_eq!(batch.pixels(), [2.0, 3.0, 4.0, 5.0].map(|byte: f32| byte / 255.0));
    }

    #[test]
    fn clones_share_their_pixels() {
        let images = Images::new(1, 2, (0..20).collect(), (0..10).collect()).unwrap();
        assert!(std::ptr::eq(images.pixels().as_ptr(), images.clone().prefix(3).pixels().as_ptr()));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for (rows, columns, pixels, labels) in [(0, 5, 0, 3), (usize::MAX, 2, 4, 2), (2, 2, 9, 2)] {
            assert!(Images::new(rows, columns, vec![0; pixels], vec![0; labels]).is_err());
        }
    }
}
