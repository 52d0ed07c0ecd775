//! Fashion-MNIST from its own address.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use md5::{Digest, Md5};

use super::fashion_mnist::FILES;
use crate::faults::failed;

const ADDRESS: &str = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com";

/// The MD5 of each of the gzipped files, in the order of their names.
const SUMS: [&str; 4] = [
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
];

/// Files that are larger are not those that we ask for.
const LARGEST: u64 = 64 << 20;

/// How long the address may take to answer, and how many times longer to send a file.
const PATIENCE: Duration = Duration::from_secs(30);
const FILE: u32 = 60;

/// Fetches the files into a folder. A file is there whole or not at all: it is written beside, and renamed.
pub(super) fn download(folder: &Path) -> ray::Result<()> {
    fetch(folder, ADDRESS, &SUMS, PATIENCE)
}

fn fetch(folder: &Path, address: &str, sums: &[&str; 4], patience: Duration) -> ray::Result<()> {
    fs::create_dir_all(folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
    for (name, sum) in FILES.iter().zip(sums) {
        let name = format!("{name}.gz");
        if folder.join(&name).is_file() {
            continue;
        }
        let address = format!("{address}/{name}");
        one(folder, &name, &address, sum, patience).map_err(|why| failed(format!("{address}: {why}")))?;
    }
    Ok(())
}

fn one(folder: &Path, name: &str, address: &str, sum: &str, patience: Duration) -> Result<(), String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let request = ureq::get(address).config().timeout_connect(Some(patience)).timeout_recv_response(Some(patience));
    let request = request.timeout_recv_body(Some(patience * FILE)).build();
    let mut response = request.call().map_err(|error| say(&error))?;
    let bar = ProgressBar::new(response.body().content_length().unwrap_or(0));
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes}, {eta}").expect("a template of ours");
    bar.set_style(style);
    bar.set_message(name.to_owned());

    // Its own name for each process, so that two do not write into one file.
    let mut beside = tempfile::NamedTempFile::new_in(folder).map_err(|error| say(&error))?;
    let mut body = response.body_mut().with_config().limit(LARGEST).reader();
    let (mut buffer, mut digest) = (vec![0; 64 << 10], Md5::new());
    loop {
        let read = body.read(&mut buffer).map_err(|error| say(&error))?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        beside.write_all(&buffer[..read]).map_err(|error| say(&error))?;
        bar.inc(read as u64);
    }
    bar.finish_and_clear();
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found != sum {
        return Err(format!("its MD5 is {found} and not {sum}: what came is not the file, a proxy's page perhaps"));
    }
    beside.persist(folder.join(name)).map_err(|error| say(&error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers so many requests with `body`; its address.
    fn serve(requests: usize, body: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for _ in 0..requests {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
            }
        });
        address
    }

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn files_come_whole_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let sums = ["5d41402abc4b2a76b9719d911017c592"; 4];
        fetch(folder.path(), &serve(4, b"hello"), &sums, PATIENCE).unwrap();
        assert_eq!(fs::read(folder.path().join(format!("{}.gz", FILES[3]))).unwrap(), b"hello");
        assert_eq!(names(folder.path()), 4);
        fetch(folder.path(), "http://127.0.0.1:1", &sums, PATIENCE).unwrap();
    }

    #[test]
    fn what_is_not_the_file_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let error = fetch(folder.path(), &serve(1, b"<html>"), &SUMS, PATIENCE).unwrap_err().to_string();
        assert!(error.contains("MD5") && error.contains("train-images"), "{error}");
        assert_eq!(names(folder.path()), 0);
    }

    #[test]
    fn no_network_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(fetch(folder.path(), "http://127.0.0.1:1", &SUMS, PATIENCE).is_err());
    }

    /// An address that takes the call and says nothing.
    #[test]
    fn a_silent_address_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", silent.local_addr().unwrap());
        let error = fetch(folder.path(), &address, &SUMS, Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.contains("timeout"), "{error}");
        assert_eq!(names(folder.path()), 0);
    }
}
