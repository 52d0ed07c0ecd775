//! The trait of data sets.

use std::sync::Arc;

/// A number of items, from which batches are made.
///
/// All ranks read one data set at the same time, so it is `Sync`. Ranks share a data set in memory through an `Arc`, without copies.
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
///         batch.x.clear(); // keeps the memory of an earlier batch
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
    /// The input of one step: buffers, which start empty and are refilled for each batch.
    type Batch: Default;

    /// The number of items.
    ///
    /// ```
    /// # use ray_train::data::{Dataset, Images};
    /// assert_eq!(Images::new(1, 1, vec![0; 6], vec![0; 6])?.len(), 6);
    /// # Ok::<(), ray::Error>(())
    /// ```
    fn len(&self) -> usize;

    /// Fills a batch with the items of these indices, in this order. Each index is below [`len`](Dataset::len). The batch may still
    /// hold earlier items.
    ///
    /// # Errors
    /// An item cannot be read. [`DataLoader`](super::DataLoader) passes the error on to the loop.
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

    /// Whether there are no items.
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
