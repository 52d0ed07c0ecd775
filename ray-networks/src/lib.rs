//! The article's network, a stack of linear layers with a ReLU between two of them: as ray-train's
//! [`Mlp`](ray_train::model::Mlp) and, with the feature `burn`, as a module of burn.
//!
//! The example `train_parity`, the tests of ray-train and ray-bench train it. ray-train does so by a dev-dependency, which its
//! package in the registry does not have. The example `train_fashion_mnist` shows the article's code line by line, so it has a
//! network of its own.

#[cfg(feature = "burn")]
mod module;
mod network;

#[cfg(feature = "burn")]
pub use module::{Burned, Net};
pub use network::Network;

/// The article's sizes: the pixels of an image, two hidden layers, and the classes.
pub const ARTICLE: [usize; 4] = [784, 512, 512, 10];
