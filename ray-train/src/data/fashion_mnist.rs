//! Fashion-MNIST: where it lies, and whether it is what it should be.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Images, idx, synthetic};
use crate::faults::failed;

/// The variable that names the folder of the files.
const VARIABLE: &str = "FASHION_MNIST_DIR";

/// The files, as their own address names them: training images and labels, test images and labels.
pub(super) const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Images of 28 x 28 pixels, of ten kinds of clothing; 60,000 to train with and 10,000 to test with where the set is whole.
///
/// ```no_run
/// use ray_train::data::FashionMnist;
/// let data = FashionMnist::find(None)?;
/// println!("{}", data.source());
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FashionMnist {
    /// What is trained with.
    pub train: Images,
    /// What the result is judged by.
    pub test: Images,
    source: Source,
}

/// Where images came from, see [`FashionMnist::source`].
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
    /// The cache, where an earlier download left it.
    Cache(PathBuf),
    /// The data set's own address, just now, into the cache.
    Download(PathBuf),
    /// Made up, because the caller asked for it.
    Synthetic {
        /// What decides the images.
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
    /// The set in a folder: the four files under their own names, with or without `.gz`.
    ///
    /// # Errors
    /// A file is not there or cannot be read, is cut short, too long or no IDX file; images are not of 28 x 28 pixels;
    /// labels are not as many as images, or over 9. The error names the file and says what is wrong.
    ///
    /// ```
    /// let error = ray_train::data::FashionMnist::open("/nowhere").unwrap_err();
    /// assert!(error.to_string().contains("train-images-idx3-ubyte"), "{error}");
    /// ```
    pub fn open(folder: impl AsRef<Path>) -> ray::Result<FashionMnist> {
        let folder = folder.as_ref();
        FashionMnist::read(folder, Source::Folder(folder.to_path_buf()))
    }

    /// The set from wherever it is: `folder` if one is given; else the folder that `FASHION_MNIST_DIR` names; else the cache
    /// (`ray-train/fashion-mnist` in `$XDG_CACHE_HOME` or `~/.cache`); else its own address, by a download of 30 MB
    /// into the cache, its sums checked (feature `download`). Never anything made up.
    ///
    /// # Errors
    /// As [`open`](FashionMnist::open), for the first of these that is there: a folder that was named is not passed over. No
    /// network, where a download is all that is left; the error lists the other ways.
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
                .map_err(|error| failed(format!("{VARIABLE} names a folder that does not serve: {error}")));
        }
        let ways = format!(
            "name a folder that holds {}[.gz] and the three others, as an argument or by {VARIABLE}; or ask for synthetic images",
            FILES[0]
        );
        let cache = cache.ok_or_else(|| failed(format!("no Fashion-MNIST, and no home folder to download it to: {ways}")))?;
        if FILES.iter().all(|name| existing(&cache, name).is_some()) {
            return FashionMnist::read(&cache, Source::Cache(cache.clone()))
                .map_err(|error| failed(format!("the cached Fashion-MNIST is damaged, delete it: {error}")));
        }
        download(&cache).map_err(|error| failed(format!("no Fashion-MNIST here, and no download: {error}. {ways}")))?;
        FashionMnist::read(&cache, Source::Download(cache.clone()))
    }

    /// Images that a network can learn to tell apart, made up: ten patterns, each shifted, dimmed and covered with noise. The
    /// same for the same seed.
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

    /// Where it came from; a program says it, so that nobody takes one set for another.
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
        let train = pair(folder, train_images, train_labels)?;
        Ok(FashionMnist { train, test: pair(folder, test_images, test_labels)?, source })
    }
}

/// Images and their labels.
fn pair(folder: &Path, images: &str, labels: &str) -> ray::Result<Images> {
    let path = |name| {
        existing(folder, name).ok_or_else(|| failed(format!("{} is not there, with or without .gz", folder.join(name).display())))
    };
    let (images, labels) = (path(images)?, path(labels)?);
    let idx::Images { rows, columns, pixels } = idx::images(&images)?;
    if (rows, columns) != (28, 28) {
        return Err(failed(format!("{}: images of {rows} x {columns} pixels, where 28 x 28 were expected", images.display())));
    }
    let read = idx::labels(&labels)?;
    if let Some(at) = read.iter().position(|label| *label > 9) {
        return Err(failed(format!("{}: label {at} is {}, and they go from 0 to 9", labels.display(), read[at])));
    }
    let (found, expected) = (read.len(), pixels.len() / (rows * columns));
    if found != expected {
        return Err(failed(format!("{}: {found} labels for the {expected} images beside it", labels.display())));
    }
    Images::new(rows, columns, pixels, read)
}

/// The file of a name, gzipped or not.
fn existing(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(format!("{name}.gz")), folder.join(name)].into_iter().find(|path| path.is_file())
}

/// Where a download goes, by the variables of a process.
fn cache(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let named = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let base = named.or_else(|| variable("HOME").map(|home| home.join(".cache"))).or_else(|| variable("LOCALAPPDATA"));
    Some(base?.join("ray-train").join("fashion-mnist"))
}

#[cfg(feature = "download")]
use super::download::download;

#[cfg(not(feature = "download"))]
fn download(_cache: &Path) -> ray::Result<()> {
    Err(failed("this program was built without ray-train's feature `download`"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Dataset;
    use super::*;

    /// Writes a set of so many images, with these labels.
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

    fn refused(_: &Path) -> ray::Result<()> {
        Err(failed("no network"))
    }

    #[test]
    fn what_was_named_comes_first_and_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let [named, cache] = ["named", "cache"].map(|name| folder.path().join(name));
        write(&cache, 28, 2, &[0, 9]);
        let error = FashionMnist::look(Some(named.clone()), Some(cache.clone()), refused).unwrap_err().to_string();
        assert!(error.contains(VARIABLE) && error.contains("is not there"), "{error}");
        write(&named, 28, 1, &[5]);
        let found = FashionMnist::look(Some(named.clone()), Some(cache.clone()), refused).unwrap();
        assert_eq!((found.train.len(), found.source()), (1, &Source::Variable(named)));
        let found = FashionMnist::look(None, Some(cache.clone()), refused).unwrap();
        assert_eq!((found.train.len(), found.source()), (2, &Source::Cache(cache)));
    }

    #[test]
    fn the_download_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let error = FashionMnist::look(None, Some(cache.clone()), refused).unwrap_err().to_string();
        assert!(error.contains("no network") && error.contains("synthetic"), "{error}");
        assert!(FashionMnist::look(None, None, refused).unwrap_err().to_string().contains("no home folder"));
        let fetch = |cache: &Path| {
            write(cache, 28, 3, &[1, 2, 3]);
            Ok(())
        };
        assert_eq!(*FashionMnist::look(None, Some(cache.clone()), fetch).unwrap().source(), Source::Download(cache));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let said = |side, images, labels: &[u8]| {
            write(folder.path(), side, images, labels);
            FashionMnist::open(folder.path()).unwrap_err().to_string()
        };
        assert!(said(27, 1, &[0]).contains("27 x 27"));
        assert!(said(28, 2, &[0]).contains("1 labels for the 2 images"));
        assert!(said(28, 2, &[0, 10]).contains("label 1 is 10"));
    }

    /// Whichever of the four it is, and whatever is wrong with it.
    #[test]
    fn a_file_that_is_damaged_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 28, 1, &[5]);
        for (at, other) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
            let [path, other] = [at, other].map(|at| folder.path().join(FILES[at]));
            let good = fs::read(&path).unwrap();
            let said = |path: &Path, bytes: &[u8]| {
                fs::write(path, bytes).unwrap();
                let error = FashionMnist::open(folder.path()).unwrap_err().to_string();
                assert!(error.contains(&format!("{}: ", path.display())), "{error}");
                error
            };
            assert!(said(&path, &fs::read(&other).unwrap()).contains("were expected"));
            assert!(said(&path, b"<html>").contains("not an IDX file"));
            assert!(said(&path, &good[..good.len() - 1]).contains("cut short"));
            assert!(said(&path, &[&good[..], b"x"].concat()).contains("longer"));
            let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut zip, &good).unwrap();
            let (zip, zipped) = (zip.finish().unwrap(), path.with_extension("gz"));
            assert!(said(&zipped, &zip[..zip.len() - 9]).contains("cut short"));
            fs::remove_file(zipped).unwrap();
            fs::write(path, good).unwrap();
        }
        FashionMnist::open(folder.path()).unwrap();
    }

    #[test]
    fn the_cache_lies_where_caches_lie() {
        let of = |pairs: &[(&str, &str)]| {
            let find = |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|pair| PathBuf::from(pair.1));
            cache(find).map(|path| path.display().to_string())
        };
        assert_eq!(of(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]).unwrap(), "/c/ray-train/fashion-mnist");
        assert_eq!(of(&[("HOME", "/h"), ("XDG_CACHE_HOME", "c")]).unwrap(), "/h/.cache/ray-train/fashion-mnist");
        assert_eq!(of(&[]), None);
    }
}
