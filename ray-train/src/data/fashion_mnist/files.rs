//! The names of the files of Fashion-MNIST.

use std::path::{Path, PathBuf};

/// The files, as the download names them: training images and labels, test images and labels.
pub(super) const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// The path of a file in a folder, gzipped or not, if it exists.
pub(super) fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(format!("{name}.gz")), folder.join(name)].into_iter().find(|path| path.is_file())
}
