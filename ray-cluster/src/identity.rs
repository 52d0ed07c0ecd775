//! What the two sides of a connection must have in common beside the protocol: the program, its remote functions, and the Python
//! package. The driver writes its [`Identity`] into the folder that it ships, and sends it to its bridge. A worker compares it with
//! that of the program which it has started.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use ray_core::__private::registry_hash;
use serde::Serialize;

use crate::frame::PROTOCOL;

/// The version of the crate.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The versions and hashes by which the other sides know a driver.
#[derive(Debug, Serialize)]
pub(crate) struct Identity {
    protocol: u32,
    version: &'static str,
    package: u32,
    build: u64,
    registry: u64,
}

impl Identity {
    /// The driver of this process, which ships this program.
    ///
    /// # Errors
    /// The program cannot be read.
    pub(crate) fn of_driver(program: &Path, files: &[(&str, &str)]) -> io::Result<Self> {
        let (package, build) = (package(files), build(program)?);
        Ok(Self { protocol: PROTOCOL, version: VERSION, package, build, registry: registry_hash() })
    }
}

/// The build and the registry of this process, for the worker that has started it.
///
/// # Errors
/// The program cannot be read.
pub(crate) fn of_worker() -> io::Result<(u64, u64)> {
    Ok((build(Path::new("/proc/self/exe"))?, registry_hash()))
}

/// The hash of a program's file.
fn build(program: &Path) -> io::Result<u64> {
    const PIECE: usize = 1 << 16;

    let mut file = File::open(program)?;
    let (mut hash, mut piece) = (0_u64, vec![0; PIECE]);
    loop {
        let mut length = 0;
        while length < PIECE {
            match file.read(&mut piece[length..])? {
                0 => break,
                count => length += count,
            }
        }
        let (words, rest) = piece[..length].as_chunks::<8>();
        let last = rest.iter().fold(rest.len() as u64, |word, byte| (word << 8) | u64::from(*byte));
        let words = words.iter().map(|word| u64::from_le_bytes(*word)).chain([last]);
        hash = words.fold(hash, |hash, word| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95));
        if length < PIECE {
            return Ok(hash);
        }
    }
}

/// The check sum of the Python package, as `identity.py` computes it of its own files.
fn package(files: &[(&str, &str)]) -> u32 {
    let mut files = files.to_vec();
    files.sort_unstable();
    let bytes = files.iter().flat_map(|(name, text)| name.bytes().chain([0]).chain(text.bytes()));
    !bytes.fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_that_of_zlib() {
        // zlib.crc32(b"a\0123456789")
        assert_eq!(package(&[("a", "123456789")]), 0xd720_d59c);
        assert_eq!(package(&[("b", "2"), ("a", "1")]), package(&[("a", "1"), ("b", "2")]));
    }

    #[test]
    fn another_program_has_another_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let hash = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            build(&path).unwrap()
        };
        let bytes = vec![7; (1 << 16) + 5];
        let mut other = bytes.clone();
        other[1 << 16] = 8;
        assert_eq!(hash(&bytes), hash(&bytes));
        for different in [&other[..], &bytes[1..], &[bytes.clone(), vec![0]].concat(), b""] {
            assert_ne!(hash(&bytes), hash(different));
        }
        assert!(build(&folder.path().join("none")).is_err());
        assert_eq!(of_worker().unwrap(), (build(&std::env::current_exe().unwrap()).unwrap(), registry_hash()));
    }
}
