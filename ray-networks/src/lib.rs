//! The network of the article about Ray whose programs are in `ray-examples`: linear layers with a ReLU between each two of
//! them. It is available as ray-train's [`Mlp`](ray_train::model::Mlp) and, with the feature `burn`, as a module of burn.
//!
//! The example `train_parity`, the tests of ray-train and ray-bench train it. ray-train uses this crate as a dev-dependency
//! without a version, which its published package does not contain. The example `train_fashion_mnist` has a network of its
//! own, because it shows the article's code line by line.

#[cfg(feature = "burn")]
mod module;
mod network;

#[cfg(feature = "burn")]
pub use module::{Burned, Net};
pub use network::Network;

/// The sizes of the layers in the article: the pixels of an image, two hidden layers, and the classes.
pub const ARTICLE: [usize; 4] = [784, 512, 512, 10];
