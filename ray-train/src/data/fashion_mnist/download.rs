//! Downloads Fashion-MNIST from its web address.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use md5::{Digest, Md5};

use super::files::FILES;
use crate::error::failed;

const ADDRESS: &str = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com";

/// The MD5 of each gzipped file, in the order of [`FILES`].
const SUMS: [&str; 4] = [
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
];

/// The download of a larger file is stopped: none of the four files is that large.
const MAX_BYTES: u64 = 64 << 20;

/// The time in which the server must accept a connection, and the time in which it must answer a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The time in which the server must send a file, as a multiple of [`TIMEOUT`].
const BODY_TIMEOUTS: u32 = 60;

/// Downloads the files into a folder. Each file is written under a temporary name and renamed when it is complete.
pub(super) fn download(folder: &Path) -> ray::Result<()> {
    fetch(folder, ADDRESS, &SUMS, TIMEOUT)
}

fn fetch(folder: &Path, address: &str, sums: &[&str; 4], timeout: Duration) -> ray::Result<()> {
    fs::create_dir_all(folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
    for (name, sum) in FILES.iter().zip(sums) {
        let name = format!("{name}.gz");
        if folder.join(&name).is_file() {
            continue;
        }
        let address = format!("{address}/{name}");
        fetch_file(folder, &name, &address, sum, timeout).map_err(|reason| failed(format!("{address}: {reason}")))?;
    }
    Ok(())
}

fn fetch_file(folder: &Path, name: &str, address: &str, sum: &str, timeout: Duration) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let request = ureq::get(address).config().timeout_connect(Some(timeout)).timeout_recv_response(Some(timeout));
    let request = request.timeout_recv_body(Some(timeout * BODY_TIMEOUTS)).build();
    let mut response = request.call().map_err(|error| text(&error))?;
    let bar = ProgressBar::new(response.body().content_length().unwrap_or(0));
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes}, {eta}").expect("the template is valid");
    bar.set_style(style);
    bar.set_message(name.to_owned());

    // A unique name, so that two processes do not write into one file.
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(|error| text(&error))?;
    let mut body = response.body_mut().with_config().limit(MAX_BYTES).reader();
    let (mut buffer, mut digest) = (vec![0; 64 << 10], Md5::new());
    loop {
        let read = body.read(&mut buffer).map_err(|error| text(&error))?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        temporary.write_all(&buffer[..read]).map_err(|error| text(&error))?;
        bar.inc(read as u64);
    }
    bar.finish_and_clear();
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found != sum {
        return Err(format!("its MD5 is {found}, expected {sum}: the server, or a proxy, sent another file"));
    }
    temporary.persist(folder.join(name)).map_err(|error| text(&error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// Starts a server that answers this many requests with `body`, and returns its address.
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

    fn file_count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn each_file_is_downloaded_once() {
        let folder = tempfile::tempdir().unwrap();
        let sums = ["5d41402abc4b2a76b9719d911017c592"; 4];
        fetch(folder.path(), &serve(4, b"hello"), &sums, TIMEOUT).unwrap();
        assert_eq!(fs::read(folder.path().join(format!("{}.gz", FILES[3]))).unwrap(), b"hello");
        assert_eq!(file_count(folder.path()), 4);
        fetch(folder.path(), "http://127.0.0.1:1", &sums, TIMEOUT).unwrap();
    }

    #[test]
    fn a_file_with_a_wrong_checksum_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let error = fetch(folder.path(), &serve(1, b"<html>"), &SUMS, TIMEOUT).unwrap_err().to_string();
        assert!(error.contains("MD5") && error.contains("train-images"), "{error}");
        assert_eq!(file_count(folder.path()), 0);
    }

    #[test]
    fn a_refused_connection_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(fetch(folder.path(), "http://127.0.0.1:1", &SUMS, TIMEOUT).is_err());
    }

    /// The server accepts the connection and never answers.
    #[test]
    fn a_server_that_never_answers_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", silent.local_addr().unwrap());
        let error = fetch(folder.path(), &address, &SUMS, Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.contains("timeout"), "{error}");
        assert_eq!(file_count(folder.path()), 0);
    }
}
