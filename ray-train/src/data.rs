//! Data sets, which rank takes what of them, and batches.
//!
//! A [`Dataset`] is a number of items of which batches are made; [`Images`] is one, of images in memory, and [`FashionMnist`] is
//! where such images come from. A [`DataLoader`] makes the batches of each epoch, of a rank's share.
//!
//! ```no_run
//! use ray_train::data::{DataLoader, FashionMnist};
//!
//! let data = FashionMnist::find(None)?; // FASHION_MNIST_DIR, the cache, or a download
//! println!("{}", data.source());
//! let loader = DataLoader::new(data.train).batch_size(64).shuffle(true);
//! # Ok::<(), ray::Error>(())
//! ```

#[cfg(feature = "download")]
mod download;
mod fashion_mnist;
pub(crate) mod idx;
mod images;
mod loader;
mod prepare;
pub(crate) mod random;
mod sampler;
mod synthetic;

pub use fashion_mnist::{FashionMnist, Source};
pub use images::{ImageBatch, Images};
pub use loader::{DataLoader, Epoch, Loaded};
pub use sampler::{Indices, Sampler};

use std::sync::Arc;

/// A number of items of which batches are made.
///
/// All ranks read one data set at the same time, so it is `Sync`; what lies in memory is shared by an `Arc`, not copied.
///
/// ```
/// use ray_train::data::{DataLoader, Dataset};
///
/// /// The points of a parabola.
/// struct Parabola(usize);
///
/// #[derive(Default)]
/// struct Points {
///     x: Vec<f32>,
///     y: Vec<f32>,
/// }
///
/// impl Dataset for Parabola {
///     type Batch = Points;
///
///     fn len(&self) -> usize {
///         self.0
///     }
///
///     fn fill(&self, items: &[usize], batch: &mut Points) -> ray::Result<()> {
///         batch.x.clear(); // the memory of a former batch
///         batch.x.extend(items.iter().map(|&item| item as f32 / self.0 as f32));
///         batch.y.clear();
///         batch.y.extend(batch.x.iter().map(|x| x * x));
///         Ok(())
///     }
/// }
///
/// let first = DataLoader::new(Parabola(4)).batch_size(3).epoch(0).next().unwrap()?;
/// assert_eq!((&first.x[..], &first.y[..]), (&[0.0, 0.25, 0.5][..], &[0.0, 0.0625, 0.25][..]));
/// # Ok::<(), ray::Error>(())
/// ```
pub trait Dataset: Send + Sync {
    /// What a step takes: buffers, which start empty and are filled again and again.
    type Batch: Default;

    /// The number of items.
    ///
    /// ```
    /// # use ray_train::data::{Dataset, Images};
    /// assert_eq!(Images::new(1, 1, vec![0; 6], vec![0; 6])?.len(), 6);
    /// # Ok::<(), ray::Error>(())
    /// ```
    fn len(&self) -> usize;

    /// Puts the items of these numbers, each below [`len`](Dataset::len), in this order into a batch that may hold others.
    ///
    /// # Errors
    /// What is wrong with them; it ends the rank's loop unless the loop says otherwise.
    ///
    /// ```
    /// # use ray_train::data::{Dataset, ImageBatch, Images};
    /// let images = Images::new(1, 1, vec![0, 51, 255], vec![0, 1, 2])?;
    /// let mut batch = ImageBatch::default();
    /// images.fill(&[2, 1], &mut batch)?;
    /// assert_eq!((batch.pixels(), batch.labels()), (&[1.0, 0.2][..], &[2, 1][..]));
    /// # Ok::<(), ray::Error>(())
    /// ```
    fn fill(&self, items: &[usize], batch: &mut Self::Batch) -> ray::Result<()>;

    /// Whether there is none.
    ///
    /// ```
    /// # use ray_train::data::{Dataset, Images};
    /// assert!(!Images::new(1, 1, vec![0], vec![0])?.is_empty());
    /// # Ok::<(), ray::Error>(())
    /// ```
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<D: Dataset> Dataset for Arc<D> {
    type Batch = D::Batch;

    fn len(&self) -> usize {
        D::len(self)
    }

    fn fill(&self, items: &[usize], batch: &mut Self::Batch) -> ray::Result<()> {
        D::fill(self, items, batch)
    }
}
