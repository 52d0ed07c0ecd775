//! The two sides of a connection must have the same program, remote functions and Python package, beside the protocol. The driver writes its [`Identity`] into the folder that it ships, and sends it to its bridge. A worker compares it with
//! that of the program which it has started.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crc32fast::Hasher;
use ray_core::__private::signatures;
use serde::Serialize;

use crate::frame::PROTOCOL;

/// The version of the crate.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The versions and check sums by which the other sides know a driver.
#[derive(Debug, Serialize)]
pub(crate) struct Identity {
    protocol: u32,
    version: &'static str,
    package: u32,
    build: u32,
    registry: u32,
}

impl Identity {
    /// The driver of this process, which ships this program.
    ///
    /// # Errors
    /// The program cannot be read.
    pub(crate) fn of_driver(program: &Path, files: &[(&str, &str)]) -> io::Result<Self> {
        let (package, build) = (package(files), build(program)?);
        Ok(Self { protocol: PROTOCOL, version: VERSION, package, build, registry: registry() })
    }
}

/// The build and the registry of this process, for the worker that has started it.
///
/// # Errors
/// The program cannot be read.
pub(crate) fn of_worker() -> io::Result<(u32, u32)> {
    Ok((build(Path::new("/proc/self/exe"))?, registry()))
}

/// The check sum of a program's file.
fn build(program: &Path) -> io::Result<u32> {
    let (mut file, mut sum, mut piece) = (File::open(program)?, Hasher::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(sum.finalize()),
            count => sum.update(&piece[..count]),
        }
    }
}

/// The check sum of the signatures of all remote functions of this program.
fn registry() -> u32 {
    crc32fast::hash(signatures().join("\n").as_bytes())
}

/// The check sum of the Python package, as `identity.py` computes it of its own files.
fn package(files: &[(&str, &str)]) -> u32 {
    let mut files = files.to_vec();
    files.sort_unstable();
    let mut sum = Hasher::new();
    for (name, text) in files {
        sum.update(name.as_bytes());
        sum.update(&[0]);
        sum.update(text.as_bytes());
    }
    sum.finalize()
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
    fn another_program_has_another_check_sum() {
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
        assert_eq!(of_worker().unwrap(), (build(&std::env::current_exe().unwrap()).unwrap(), registry()));
    }
}
