//! Labelled images of one size, in memory, as bytes.

use std::fmt;
use std::sync::Arc;

use super::Dataset;
use crate::faults::failed;

/// Labelled images of one size in memory, one byte a pixel; clones share them.
///
/// Pixels become numbers from 0 to 1 when a batch is made, so a set takes a quarter of what it would as `f32`.
///
/// ```
/// use ray_train::data::{Dataset, Images};
/// let images = Images::new(28, 28, vec![0; 2 * 784], vec![3, 9])?;
/// assert_eq!((images.len(), images.rows(), images.columns()), (2, 28, 28));
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone)]
pub struct Images {
    all: Arc<Stored>,
    len: usize,
}

struct Stored {
    rows: usize,
    columns: usize,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Images {
    /// Images of `rows` times `columns` pixels, one after the other, each row by row, and a label for each.
    ///
    /// # Errors
    /// If they are not equally many.
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
                "{} pixels are not {} images of {rows} x {columns}, which is how many labels there are",
                pixels.len(),
                labels.len()
            )));
        }
        Ok(Images { len: labels.len(), all: Arc::new(Stored { rows, columns, pixels, labels }) })
    }

    /// The first `len` of them, or all if there are no more.
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

    /// Pixels from top to bottom.
    ///
    /// ```
    /// assert_eq!(ray_train::data::Images::new(3, 1, vec![0; 3], vec![0])?.rows(), 3);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn rows(&self) -> usize {
        self.all.rows
    }

    /// Pixels from left to right.
    ///
    /// ```
    /// assert_eq!(ray_train::data::Images::new(1, 3, vec![0; 3], vec![0])?.columns(), 3);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn columns(&self) -> usize {
        self.all.columns
    }

    /// All pixels, as they were read.
    ///
    /// ```
    /// assert_eq!(ray_train::data::Images::new(1, 2, vec![0, 255], vec![0])?.pixels(), [0, 255]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn pixels(&self) -> &[u8] {
        &self.all.pixels[..self.len * self.size()]
    }

    /// All labels.
    ///
    /// ```
    /// assert_eq!(ray_train::data::Images::new(1, 1, vec![0; 2], vec![3, 4])?.labels(), [3, 4]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn labels(&self) -> &[u8] {
        &self.all.labels[..self.len]
    }

    fn size(&self) -> usize {
        self.all.rows * self.all.columns
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
    /// How many images it holds.
    ///
    /// ```
    /// assert_eq!(ray_train::data::ImageBatch::default().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether it holds none.
    ///
    /// ```
    /// assert!(ray_train::data::ImageBatch::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels from 0 to 1, image by image, each row by row.
    #[cfg_attr(feature = "burn", doc = "None once [`tensors`](ImageBatch::tensors) has taken them.")]
    ///
    /// ```
    /// assert!(ray_train::data::ImageBatch::default().pixels().is_empty());
    /// ```
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    /// A label for each image.
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
    /// Images and labels as burn takes them, on a device: `[images, pixels]` and `[images]`. The pixels are moved out, not
    /// copied.
    ///
    /// # Panics
    /// If they were taken before.
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

        assert!(self.pixels.len() == self.len() * self.size, "the images of this batch were taken before: call `tensors` once");
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
    fn a_batch_is_filled_again() {
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
    fn sizes_that_cannot_be() {
        for (rows, columns, pixels, labels) in [(0, 5, 0, 3), (usize::MAX, 2, 4, 2), (2, 2, 9, 2)] {
            assert!(Images::new(rows, columns, vec![0; pixels], vec![0; labels]).is_err());
        }
    }
}
