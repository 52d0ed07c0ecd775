//! Batches of a data set, epoch by epoch, in reused buffers.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, PoisonError};

use super::dataset::Dataset;
use super::sampler::{Indices, Sampler};

/// Makes batches of a data set, epoch by epoch.
///
/// [`TrainContext::prepare_data_loader`](crate::TrainContext::prepare_data_loader) gives each rank its share, as [`Sampler`] divides
/// the items. The batch size is that of one rank: four ranks with batches of 64 take 256 items in one step. Only seed and epoch
/// determine the order of a shuffled epoch, so there is no `set_epoch`, and a resumed run finds its position:
///
/// ```
/// # use ray_train::data::{DataLoader, Images};
/// # let images = Images::new(2, 2, (0..40).collect(), (0..10).collect())?;
/// let loader = DataLoader::new(images).batch_size(4).shuffle(true);
/// for epoch in loader.epochs(0..3) {
///     for batch in epoch {
///         let batch = batch?;
///         assert!(batch.len() <= 4 && batch.pixels().len() == 4 * batch.len());
///     }
/// }
///
/// let resumed = loader.epoch(2).skip(1); // continues after the first step of epoch 2
/// assert_eq!((resumed.step(), resumed.steps()), (1, 3));
/// # Ok::<(), ray::Error>(())
/// ```
pub struct DataLoader<D: Dataset> {
    dataset: Arc<D>,
    batch_size: usize,
    shuffle: bool,
    seed: Option<u64>,
    drop_last: bool,
    rank: usize,
    world: usize,
    buffers: Buffers<D::Batch>,
}

/// Batches that were dropped, to be filled again.
type Buffers<B> = Arc<Mutex<Vec<B>>>;

impl<D: Dataset> DataLoader<D> {
    /// A loader of all items in their order, for a single rank, in batches of one item.
    ///
    /// To share one data set in memory among the ranks, pass an `Arc` of it, or a data set whose clones share their memory, such as
    /// [`Images`](super::Images).
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 3], vec![0; 3])?;
    /// assert_eq!(DataLoader::new(images).epoch(0).count(), 3);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn new(dataset: impl Into<Arc<D>>) -> DataLoader<D> {
        DataLoader {
            dataset: dataset.into(),
            batch_size: 1,
            shuffle: false,
            seed: None,
            drop_last: false,
            rank: 0,
            world: 1,
            buffers: Buffers::default(),
        }
    }

    /// The number of items that each rank takes in a step. The last batch of an epoch may be smaller.
    ///
    /// # Panics
    /// If `items` is 0.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 5], vec![0; 5])?;
    /// let sizes = DataLoader::new(images).batch_size(2).epoch(0).map(|batch| Ok(batch?.len()));
    /// assert_eq!(sizes.collect::<ray::Result<Vec<_>>>()?, [2, 2, 1]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn batch_size(mut self, items: usize) -> Self {
        assert!(items > 0, "the batch size is 0: a batch has at least one item");
        self.batch_size = items;
        self
    }

    /// Whether each epoch is shuffled, in an order of its own.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, (0..50).collect(), vec![0; 50])?;
    /// let loader = DataLoader::new(images).batch_size(50).shuffle(true);
    /// let pixels = |epoch| Ok::<_, ray::Error>(loader.epoch(epoch).next().unwrap()?.pixels().to_vec());
    /// assert!(pixels(0)? == pixels(0)? && pixels(0)? != pixels(1)?);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// The seed of shuffled orders; by default the run's seed, or 0 outside of a run. All ranks need the same seed.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, (0..50).collect(), vec![0; 50])?;
    /// let loader = DataLoader::new(images).shuffle(true).seed(42);
    /// # let _ = loader;
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether items are dropped if they do not divide evenly among the ranks, see [`Sampler::drop_last`]. Otherwise some items are
    /// used twice.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 5], vec![0; 5])?;
    /// let half = DataLoader::new(images).drop_last(true).rank(1, 2);
    /// assert_eq!(half.steps(), 2);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// Restricts the loader to the share of one rank. In a run [`prepare_data_loader`](crate::TrainContext::prepare_data_loader) calls
    /// it.
    ///
    /// # Panics
    /// If `rank` is not below `world`.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 6], vec![0, 1, 2, 3, 4, 5])?;
    /// let mine = DataLoader::new(images).batch_size(3).rank(1, 2);
    /// assert_eq!(mine.epoch(0).next().unwrap()?.labels(), [1, 3, 5]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn rank(mut self, rank: usize, world: usize) -> Self {
        assert!(rank < world, "rank {rank} of {world}: a rank is below the number of ranks");
        (self.rank, self.world) = (rank, world);
        self
    }

    /// Sets the seed of shuffled orders, unless it is set already.
    pub(super) fn seed_or(mut self, seed: u64) -> Self {
        self.seed.get_or_insert(seed);
        self
    }

    /// The data set.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Dataset, Images};
    /// # let images = Images::new(1, 1, vec![0; 6], vec![0; 6])?;
    /// assert_eq!(DataLoader::new(images).dataset().len(), 6);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// The sampler, which gives the indices of this rank in their order.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 4], vec![0; 4])?;
    /// assert!(DataLoader::new(images).rank(0, 2).sampler().indices(0).eq([0, 2]));
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn sampler(&self) -> Sampler {
        let sampler = Sampler::new(self.dataset.len()).rank(self.rank, self.world).drop_last(self.drop_last);
        if self.shuffle { sampler.shuffle(self.seed.unwrap_or(0)) } else { sampler }
    }

    /// The number of batches in an epoch; it is the same for all ranks.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 5], vec![0; 5])?;
    /// assert_eq!(DataLoader::new(images).batch_size(2).steps(), 3);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn steps(&self) -> usize {
        self.sampler().len().div_ceil(self.batch_size)
    }

    /// The batches of one epoch.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 5], vec![0; 5])?;
    /// assert_eq!(DataLoader::new(images).epoch(7).number(), 7);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn epoch(&self, number: u64) -> Epoch<D> {
        Epoch {
            dataset: Arc::clone(&self.dataset),
            buffers: Arc::clone(&self.buffers),
            batch_size: self.batch_size,
            indices: self.sampler().indices(number),
            items: Vec::with_capacity(self.batch_size.min(self.dataset.len())),
            number,
            step: 0,
            steps: self.steps(),
        }
    }

    /// An iterator over epochs.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 5], vec![0; 5])?;
    /// let loader = DataLoader::new(images);
    /// assert!(loader.epochs(2..5).map(|epoch| epoch.number()).eq(2..5));
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn epochs(&self, numbers: Range<u64>) -> impl Iterator<Item = Epoch<D>> {
        numbers.map(|number| self.epoch(number))
    }
}

impl<D: Dataset> Clone for DataLoader<D> {
    fn clone(&self) -> Self {
        DataLoader { dataset: Arc::clone(&self.dataset), buffers: Buffers::default(), ..*self }
    }
}

impl<D: Dataset> fmt::Debug for DataLoader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataLoader")
            .field("batch_size", &self.batch_size)
            .field("sampler", &self.sampler())
            .finish_non_exhaustive()
    }
}

/// The remaining batches of one epoch, see [`DataLoader::epoch`].
///
/// ```
/// # use ray_train::data::{DataLoader, Epoch, Images};
/// # let images = Images::new(1, 1, vec![0; 5], vec![0; 5])?;
/// let mut epoch: Epoch<Images> = DataLoader::new(images).batch_size(2).epoch(0);
/// epoch.next().unwrap()?;
/// assert_eq!(epoch.len(), 2); // batches to come
/// # Ok::<(), ray::Error>(())
/// ```
pub struct Epoch<D: Dataset> {
    dataset: Arc<D>,
    buffers: Buffers<D::Batch>,
    batch_size: usize,
    indices: Indices,
    items: Vec<usize>,
    number: u64,
    step: usize,
    steps: usize,
}

impl<D: Dataset> Epoch<D> {
    /// The number of the epoch.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 5], vec![0; 5])?;
    /// assert_eq!(DataLoader::new(images).epoch(1).number(), 1);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The number of batches in the whole epoch, the batches that were taken included.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 5], vec![0; 5])?;
    /// assert_eq!(DataLoader::new(images).batch_size(2).epoch(0).skip(2).steps(), 3);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The index of the next batch, counted from 0. A checkpoint stores this number, and a resumed run passes it to
    /// [`skip`](Epoch::skip).
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 5], vec![0; 5])?;
    /// let mut epoch = DataLoader::new(images).epoch(0);
    /// epoch.next().unwrap()?;
    /// assert_eq!(epoch.step(), 1);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn step(&self) -> usize {
        self.step
    }

    /// Skips this number of batches, without making them.
    ///
    /// ```
    /// # use ray_train::data::{DataLoader, Images};
    /// # let images = Images::new(1, 1, vec![0; 5], vec![0, 1, 2, 3, 4])?;
    /// let rest = DataLoader::new(images).batch_size(2).epoch(0).skip(1);
    /// assert_eq!(rest.step(), 1);
    /// let labels: Vec<u8> = rest.flat_map(|batch| batch.unwrap().labels().to_vec()).collect();
    /// assert_eq!(labels, [2, 3, 4]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn skip(mut self, batches: usize) -> Self {
        if let Some(last) = batches.saturating_mul(self.batch_size).checked_sub(1) {
            self.indices.nth(last);
        }
        self.step = self.step.saturating_add(batches).min(self.steps);
        self
    }
}

impl<D: Dataset> Iterator for Epoch<D> {
    /// The batch, or the error of the data set.
    type Item = ray::Result<Loaded<D::Batch>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.items.clear();
        self.items.extend(self.indices.by_ref().take(self.batch_size));
        if self.items.is_empty() {
            return None;
        }
        self.step += 1;
        let batch = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let mut batch = Loaded { batch: Some(batch), buffers: Arc::clone(&self.buffers) };
        Some(self.dataset.fill(&self.items, &mut batch).map(|()| batch))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.indices.len().div_ceil(self.batch_size);
        (left, Some(left))
    }
}

impl<D: Dataset> ExactSizeIterator for Epoch<D> {}

impl<D: Dataset> fmt::Debug for Epoch<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({}, step {} of {})", self.number, self.step, self.steps)
    }
}

/// A batch that belongs to its loader: when it is dropped, the loader reuses its memory.
///
/// ```
/// # use ray_train::data::{DataLoader, ImageBatch, Images, Loaded};
/// # let images = Images::new(1, 1, vec![255], vec![7])?;
/// let batch: Loaded<ImageBatch> = DataLoader::new(images).epoch(0).next().unwrap()?;
/// assert_eq!((batch.pixels(), batch.labels()), (&[1.0][..], &[7][..]));
/// # Ok::<(), ray::Error>(())
/// ```
pub struct Loaded<B> {
    /// Present until it is dropped.
    batch: Option<B>,
    buffers: Buffers<B>,
}

impl<B> Deref for Loaded<B> {
    type Target = B;

    fn deref(&self) -> &B {
        self.batch.as_ref().expect("a batch is present until it is dropped")
    }
}

impl<B> DerefMut for Loaded<B> {
    fn deref_mut(&mut self) -> &mut B {
        self.batch.as_mut().expect("a batch is present until it is dropped")
    }
}

impl<B> Drop for Loaded<B> {
    fn drop(&mut self) {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).extend(self.batch.take());
    }
}

impl<B: fmt::Debug> fmt::Debug for Loaded<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
