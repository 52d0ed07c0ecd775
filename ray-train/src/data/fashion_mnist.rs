//! Fashion-MNIST: finds, downloads and validates its files.

#[cfg(feature = "download")]
mod download;
mod files;

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use super::images::Images;
use super::{idx, synthetic};
use crate::error::failed;
use files::FILES;

/// The environment variable that names the folder of the files.
const VARIABLE: &str = "FASHION_MNIST_DIR";

/// Images of 28 x 28 pixels, of ten kinds of clothing. The complete set has 60,000 training images and 10,000 test images.
///
/// ```no_run
/// use ray_train::data::FashionMnist;
/// let data = FashionMnist::find(None)?;
/// println!("{}", data.source());
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FashionMnist {
    /// The images to train with.
    pub train: Images,
    /// The images to test the trained model with.
    pub test: Images,
    source: Source,
}

/// The origin of the images, see [`FashionMnist::source`].
///
/// ```
/// use ray_train::data::{FashionMnist, Source};
/// assert_eq!(*FashionMnist::synthetic(10, 10, 1).source(), Source::Synthetic { seed: 1 });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A folder that the caller named.
    Folder(PathBuf),
    /// The folder that `FASHION_MNIST_DIR` names.
    Variable(PathBuf),
    /// The cache, which an earlier download filled.
    Cache(PathBuf),
    /// A download into the cache, by this call.
    Download(PathBuf),
    /// Generated images, which the caller asked for.
    Synthetic {
        /// The seed that determines the images.
        seed: u64,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Folder(path) => write!(f, "Fashion-MNIST from {}", path.display()),
            Source::Variable(path) => write!(f, "Fashion-MNIST from {} ({VARIABLE})", path.display()),
            Source::Cache(path) => write!(f, "Fashion-MNIST from the cache, {}", path.display()),
            Source::Download(path) => write!(f, "Fashion-MNIST, downloaded to {}", path.display()),
            Source::Synthetic { seed } => write!(f, "synthetic images (seed {seed}), not Fashion-MNIST"),
        }
    }
}

impl FashionMnist {
    /// Reads the set from a folder that holds the four files under their original names, with or without `.gz`.
    ///
    /// # Errors
    /// A file is missing, cannot be read, is truncated, is too long or is not an IDX file; the images do not have 28 x 28 pixels; the
    /// number of labels differs from the number of images; or a label is above 9. The error names the file and the reason.
    ///
    /// ```
    /// let error = ray_train::data::FashionMnist::open("/nowhere").unwrap_err();
    /// assert!(error.to_string().contains("train-images-idx3-ubyte"), "{error}");
    /// ```
    pub fn open(folder: impl AsRef<Path>) -> ray::Result<FashionMnist> {
        let folder = folder.as_ref();
        FashionMnist::read(folder, Source::Folder(folder.to_path_buf()))
    }

    /// Reads the set from the first of these places: `folder` if it is given; the folder that `FASHION_MNIST_DIR` names if it is
    /// set; the cache (`ray-train/fashion-mnist` in `$XDG_CACHE_HOME` or `~/.cache`) if it holds the files; otherwise a download of
    /// 30 MB into the cache, with verified checksums (feature `download`). It never returns generated images.
    ///
    /// # Errors
    /// Those of [`open`](FashionMnist::open). If a named folder cannot be read, no other place is tried. If the download fails, the
    /// error lists the other ways to get the data.
    ///
    /// ```no_run
    /// # use ray_train::data::FashionMnist;
    /// let data = FashionMnist::find(std::env::args_os().nth(1).as_deref().map(AsRef::as_ref))?;
    /// println!("{}: {:?}", data.source(), data.train);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn find(folder: Option<&Path>) -> ray::Result<FashionMnist> {
        if let Some(folder) = folder {
            return FashionMnist::open(folder);
        }
        let named = env::var_os(VARIABLE).filter(|value| !value.is_empty());
        let cache = cache(|variable| env::var_os(variable).map(PathBuf::from));
        FashionMnist::look(named.map(PathBuf::from), cache, download)
    }

    fn look(
        named: Option<PathBuf>,
        cache: Option<PathBuf>,
        download: impl FnOnce(&Path) -> ray::Result<()>,
    ) -> ray::Result<FashionMnist> {
        if let Some(folder) = named {
            return FashionMnist::read(&folder, Source::Variable(folder.clone()))
                .map_err(|error| failed(format!("the folder that {VARIABLE} names has no usable Fashion-MNIST: {error}")));
        }
        let ways = format!(
            "pass a folder that holds {}[.gz] and the three other files, or name it in {VARIABLE}; or ask for synthetic images",
            FILES[0]
        );
        let cache = cache.ok_or_else(|| {
            failed(format!("Fashion-MNIST was not found, and there is no home folder to download it to: {ways}"))
        })?;
        if FILES.iter().all(|name| files::find(&cache, name).is_some()) {
            return FashionMnist::read(&cache, Source::Cache(cache.clone()))
                .map_err(|error| failed(format!("the Fashion-MNIST files in the cache are damaged, delete them: {error}")));
        }
        download(&cache)
            .map_err(|error| failed(format!("Fashion-MNIST was not found, and the download failed: {error}. {ways}")))?;
        FashionMnist::read(&cache, Source::Download(cache.clone()))
    }

    /// Generates images that a network can learn to classify: ten patterns, each shifted, dimmed and covered with noise. The same
    /// seed gives the same images.
    ///
    /// ```
    /// use ray_train::data::{Dataset, FashionMnist};
    /// let data = FashionMnist::synthetic(100, 20, 7);
    /// assert_eq!((data.train.len(), data.test.len()), (100, 20));
    /// assert!(data.source().to_string().contains("synthetic"));
    /// ```
    pub fn synthetic(train: usize, test: usize, seed: u64) -> FashionMnist {
        let (train, test) = synthetic::images(train, test, seed);
        FashionMnist { train, test, source: Source::Synthetic { seed } }
    }

    /// The origin of the images. A program should print it, so that its user knows which set it trains with.
    ///
    /// ```
    /// let data = ray_train::data::FashionMnist::synthetic(10, 10, 3);
    /// assert_eq!(data.source().to_string(), "synthetic images (seed 3), not Fashion-MNIST");
    /// ```
    pub fn source(&self) -> &Source {
        &self.source
    }

    fn read(folder: &Path, source: Source) -> ray::Result<FashionMnist> {
        let [train_images, train_labels, test_images, test_labels] = FILES;
        let train = read_labelled(folder, train_images, train_labels)?;
        Ok(FashionMnist { train, test: read_labelled(folder, test_images, test_labels)?, source })
    }
}

/// Reads a file of images and the file of their labels.
fn read_labelled(folder: &Path, images: &str, labels: &str) -> ray::Result<Images> {
    let path = |name| {
        files::find(folder, name)
            .ok_or_else(|| failed(format!("{} does not exist, with or without .gz", folder.join(name).display())))
    };
    let (images, labels) = (path(images)?, path(labels)?);
    let idx::Images { rows, columns, pixels } = idx::images(&images)?;
    if (rows, columns) != (28, 28) {
        return Err(failed(format!("{}: the images have {rows} x {columns} pixels, expected 28 x 28", images.display())));
    }
    let read = idx::labels(&labels)?;
    if let Some(at) = read.iter().position(|label| *label > 9) {
        return Err(failed(format!("{}: label {at} is {}, expected 0 to 9", labels.display(), read[at])));
    }
    let (found, expected) = (read.len(), pixels.len() / (rows * columns));
    if found != expected {
        return Err(failed(format!("{}: {found} labels for {expected} images", labels.display())));
    }
    Images::new(rows, columns, pixels, read)
}

/// The folder of the cache, from the environment variables that `variable` returns.
fn cache(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let named = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let base = named.or_else(|| variable("HOME").map(|home| home.join(".cache"))).or_else(|| variable("LOCALAPPDATA"));
    Some(base?.join("ray-train").join("fashion-mnist"))
}

#[cfg(feature = "download")]
use download::download;

#[cfg(not(feature = "download"))]
fn download(_cache: &Path) -> ray::Result<()> {
    Err(failed("this program was built without ray-train's feature `download`"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::Dataset;

    /// Writes a set with this number of images, and these labels.
    fn write(folder: &Path, side: u32, images: u32, labels: &[u8]) {
        fs::create_dir_all(folder).unwrap();
        for kind in [0, 2] {
            let mut bytes: Vec<u8> = [0x803, images, side, side].into_iter().flat_map(u32::to_be_bytes).collect();
            bytes.resize(16 + (images * side * side) as usize, 9);
            fs::write(folder.join(FILES[kind]), bytes).unwrap();
            let mut bytes: Vec<u8> = [0x801, labels.len() as u32].into_iter().flat_map(u32::to_be_bytes).collect();
            bytes.extend(labels);
            fs::write(folder.join(FILES[kind + 1]), bytes).unwrap();
        }
    }

    fn no_network(_: &Path) -> ray::Result<()> {
        Err(failed("no network"))
    }

    #[test]
    fn a_named_folder_comes_first_and_is_not_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let [named, cache] = ["named", "cache"].map(|name| folder.path().join(name));
        write(&cache, 28, 2, &[0, 9]);
        let error = FashionMnist::look(Some(named.clone()), Some(cache.clone()), no_network).unwrap_err().to_string();
        assert!(error.contains(VARIABLE) && error.contains("does not exist"), "{error}");
        write(&named, 28, 1, &[5]);
        let found = FashionMnist::look(Some(named.clone()), Some(cache.clone()), no_network).unwrap();
        assert_eq!((found.train.len(), found.source()), (1, &Source::Variable(named)));
        let found = FashionMnist::look(None, Some(cache.clone()), no_network).unwrap();
        assert_eq!((found.train.len(), found.source()), (2, &Source::Cache(cache)));
    }

    #[test]
    fn the_download_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let error = FashionMnist::look(None, Some(cache.clone()), no_network).unwrap_err().to_string();
        assert!(error.contains("no network") && error.contains("synthetic"), "{error}");
        assert!(FashionMnist::look(None, None, no_network).unwrap_err().to_string().contains("no home folder"));
        let fetch = |cache: &Path| {
            write(cache, 28, 3, &[1, 2, 3]);
            Ok(())
        };
        assert_eq!(*FashionMnist::look(None, Some(cache.clone()), fetch).unwrap().source(), Source::Download(cache));
    }

    #[test]
    fn images_and_labels_that_do_not_match_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error_of = |side, images, labels: &[u8]| {
            write(folder.path(), side, images, labels);
            FashionMnist::open(folder.path()).unwrap_err().to_string()
        };
        assert!(error_of(27, 1, &[0]).contains("27 x 27"));
        assert!(error_of(28, 2, &[0]).contains("1 labels for 2 images"));
        assert!(error_of(28, 2, &[0, 10]).contains("label 1 is 10"));
    }

    /// For each of the four files, and each kind of damage.
    #[test]
    fn the_error_names_the_damaged_file() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 28, 1, &[5]);
        for (at, other) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
            let [path, other] = [at, other].map(|at| folder.path().join(FILES[at]));
            let good = fs::read(&path).unwrap();
            let error_of = |path: &Path, bytes: &[u8]| {
                fs::write(path, bytes).unwrap();
                let error = FashionMnist::open(folder.path()).unwrap_err().to_string();
                assert!(error.contains(&format!("{}: ", path.display())), "{error}");
                error
            };
            assert!(error_of(&path, &fs::read(&other).unwrap()).contains("expected a file of"));
            assert!(error_of(&path, b"<html>").contains("not an IDX file"));
            assert!(error_of(&path, &good[..good.len() - 1]).contains("truncated"));
            assert!(error_of(&path, &[&good[..], b"x"].concat()).contains("longer"));
            let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut zip, &good).unwrap();
            let (zip, zipped) = (zip.finish().unwrap(), path.with_extension("gz"));
            assert!(error_of(&zipped, &zip[..zip.len() - 9]).contains("truncated"));
            fs::remove_file(zipped).unwrap();
            fs::write(path, good).unwrap();
        }
        FashionMnist::open(folder.path()).unwrap();
    }

    #[test]
    fn the_cache_folder_follows_the_xdg_variables() {
        let of = |pairs: &[(&str, &str)]| {
            let find = |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|pair| PathBuf::from(pair.1));
            cache(find).map(|path| path.display().to_string())
        };
        assert_eq!(of(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]).unwrap(), "/c/ray-train/fashion-mnist");
        assert_eq!(of(&[("HOME", "/h"), ("XDG_CACHE_HOME", "c")]).unwrap(), "/h/.cache/ray-train/fashion-mnist");
        assert_eq!(of(&[]), None);
    }
}
