//! Data sets, the share of each rank, and batches.
//!
//! A [`Dataset`] has a number of items, and fills batches with them. [`Images`] is a data set of images in memory; [`FashionMnist`]
//! loads or generates such images. A [`DataLoader`] makes the batches of each epoch, from the share of one rank.
//!
//! ```no_run
//! use ray_train::data::{DataLoader, FashionMnist};
//!
//! let data = FashionMnist::find(None)?; // FASHION_MNIST_DIR, the cache, or a download
//! println!("{}", data.source());
//! let loader = DataLoader::new(data.train).batch_size(64).shuffle(true);
//! # Ok::<(), ray::Error>(())
//! ```

mod dataset;
mod fashion_mnist;
pub(crate) mod idx;
mod images;
mod loader;
mod prepare;
pub(crate) mod random;
mod sampler;
mod synthetic;

pub use dataset::Dataset;
pub use fashion_mnist::{FashionMnist, Source};
pub use images::{ImageBatch, Images};
pub use loader::{DataLoader, Epoch, Loaded};
pub use sampler::{Indices, Sampler};
