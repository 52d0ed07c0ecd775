//! IDX, the file format of MNIST: big-endian sizes, then bytes; gzipped or not.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use crate::error::failed;

/// The first four bytes of a file: two zeros, the type of an element (8: a byte), the number of dimensions.
const LABELS: u32 = 0x0801;
const IMAGES: u32 = 0x0803;

/// At most this many bytes are allocated before they are read: the header may claim any size.
const RESERVE: usize = 1 << 20;

/// Images of `rows` times `columns` pixels, one byte for each pixel, in the order of the file.
#[derive(Debug, PartialEq)]
pub(super) struct Images {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) pixels: Vec<u8>,
}

/// Reads a file of images.
pub(super) fn images(path: &Path) -> ray::Result<Images> {
    read(path, parse_images)
}

/// Reads a file of labels.
pub(super) fn labels(path: &Path) -> ray::Result<Vec<u8>> {
    read(path, parse_labels)
}

/// Opens a file and calls `parse` with its contents, uncompressed if its first bytes are those of gzip; its name does not matter. An
/// error names the file.
fn read<T>(path: &Path, parse: impl FnOnce(&mut dyn Read) -> Result<T, String>) -> ray::Result<T> {
    let parsed = File::open(path).map_err(|error| error.to_string()).and_then(|file| parse_any(BufReader::new(file), parse));
    parsed.map_err(|reason| failed(format!("{}: {reason}", path.display())))
}

fn parse_any<T>(mut input: impl BufRead, parse: impl FnOnce(&mut dyn Read) -> Result<T, String>) -> Result<T, String> {
    let zipped = input.fill_buf().map_err(|error| error.to_string())?.starts_with(&[0x1f, 0x8b]);
    if zipped { parse(&mut GzDecoder::new(input)) } else { parse(&mut input) }
}

/// Parses bytes both as images and as labels.
#[cfg(feature = "_fuzzing")]
pub(crate) fn parse(bytes: &[u8]) {
    let _ = parse_any(bytes, parse_images);
    let _ = parse_any(bytes, parse_labels);
}

fn parse_images(input: &mut dyn Read) -> Result<Images, String> {
    let [count, rows, columns] = header(input, IMAGES)?;
    let size = count.checked_mul(rows).and_then(|size| size.checked_mul(columns));
    let size =
        size.ok_or_else(|| format!("its header claims {count} images of {rows} x {columns}: more than the memory can hold"))?;
    if count == 0 || size == 0 {
        return Err(format!("its header claims {count} images of {rows} x {columns}: there is nothing to train on"));
    }
    Ok(Images { rows, columns, pixels: body(input, size)? })
}

fn parse_labels(input: &mut dyn Read) -> Result<Vec<u8>, String> {
    let [count] = header(input, LABELS)?;
    body(input, count)
}

/// The sizes after the magic number.
fn header<const N: usize>(input: &mut dyn Read, magic: u32) -> Result<[usize; N], String> {
    let found = number(input)?;
    if found != magic {
        let hint = match found {
            IMAGES => ": the file holds images, expected a file of labels",
            LABELS => ": the file holds labels, expected a file of images",
            _ => ": it is not an IDX file of bytes",
        };
        return Err(format!("it begins with {found:#010x}, expected {magic:#010x}{hint}"));
    }
    let mut sizes = [0; N];
    for size in &mut sizes {
        *size = number(input)? as usize;
    }
    Ok(sizes)
}

fn number(input: &mut dyn Read) -> Result<u32, String> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes).map_err(|error| read_error(&error, "in its header"))?;
    Ok(u32::from_be_bytes(bytes))
}

/// Reads `size` bytes, and checks that the input ends after them; at the end of the input gzip verifies its checksum.
fn body(input: &mut dyn Read, size: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size.min(RESERVE)).map_err(|error| error.to_string())?;
    let within = format!("after {{}} of the {size} bytes that its header claims");
    let read = input.take(size as u64).read_to_end(&mut bytes);
    read.map_err(|error| read_error(&error, &within.replace("{}", &bytes.len().to_string())))?;
    if bytes.len() < size {
        return Err(format!("it is truncated: it ends {}", within.replace("{}", &bytes.len().to_string())));
    }
    let mut one = [0];
    match input.read(&mut one).map_err(|error| read_error(&error, "at its end"))? {
        0 => Ok(bytes),
        _ => Err(format!("it is longer than the {size} bytes that its header claims")),
    }
}

fn read_error(error: &std::io::Error, place: &str) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => format!("it is truncated: it ends {place}"),
        _ => format!("{error}, {place}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    fn file(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_be_bytes().to_vec();
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend(body);
        bytes
    }

    fn zip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn images_of(bytes: &[u8]) -> Result<Images, String> {
        parse_any(bytes, parse_images)
    }

    #[test]
    fn plain_and_zipped_files_read_the_same() {
        let plain = file(IMAGES, &[2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let images = images_of(&plain).unwrap();
        assert_eq!((images.rows, images.columns, images.pixels.len()), (2, 3, 12));
        assert_eq!(images_of(&zip(&plain)).unwrap(), images);
        assert_eq!(parse_any(&zip(&file(LABELS, &[3], &[7, 8, 9]))[..], parse_labels).unwrap(), [7, 8, 9]);
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        let good = file(IMAGES, &[1, 2, 2], &[1, 2, 3, 4]);
        let error_of = |bytes: &[u8]| images_of(bytes).unwrap_err();
        assert!(
            error_of(&file(LABELS, &[4], &[1, 2, 3, 4])).contains("expected a file of images"),
            "{}",
            error_of(&file(LABELS, &[4], &[]))
        );
        assert!(error_of(b"<html>").contains("not an IDX file"));
        assert!(error_of(&good[..9]).contains("truncated: it ends in its header"));
        assert!(error_of(&good[..18]).contains("truncated: it ends after 2 of the 4 bytes"));
        assert!(error_of(&[&good[..], &[0]].concat()).contains("longer than the 4 bytes"));
        assert!(error_of(&file(IMAGES, &[0, 28, 28], &[])).contains("nothing to train on"));
        assert!(error_of(&file(IMAGES, &[u32::MAX; 3], &[])).contains("more than the memory can hold"));
        assert!(error_of(&file(IMAGES, &[u32::MAX, 1, 1], &[1])).contains("truncated"));
    }

    #[test]
    fn a_truncated_or_damaged_gzip_file_is_an_error() {
        let zipped = zip(&file(IMAGES, &[1, 10, 10], &(0..100).collect::<Vec<u8>>()));
        for length in 2..zipped.len() {
            assert!(images_of(&zipped[..length]).is_err(), "{length} of {} bytes", zipped.len());
        }
        let mut damaged = zipped.clone();
        let sum = damaged.len() - 8;
        damaged[sum] ^= 1;
        assert!(images_of(&damaged).unwrap_err().contains("at its end"), "{:?}", images_of(&damaged));
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = images_of(&bytes);
            let _ = parse_any(&bytes[..], parse_labels);
            let _ = images_of(&[&[0, 0, 8, 3][..], &bytes].concat());
            let _ = images_of(&zip(&[&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1][..], &bytes].concat()));
        }

        #[test]
        fn a_flipped_byte_of_a_gzip_file_never_gives_other_images(at in 0usize..1000, by in 1u8..) {
            let good = file(IMAGES, &[1, 10, 10], &(0..100).collect::<Vec<u8>>());
            let mut zipped = zip(&good);
            let at = at % zipped.len();
            zipped[at] ^= by;
            if let Ok(images) = images_of(&zipped) {
                prop_assert_eq!(images.pixels, (0..100).collect::<Vec<u8>>());
            }
        }
    }
}
