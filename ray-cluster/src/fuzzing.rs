//! The decoder of frames as a function of bytes, for the fuzz targets only.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::call::ReadCall;
use crate::channel::Sender;
use crate::document::ReadDocuments;
use crate::frame::{self, Kind, Reader};
use crate::link::Link;

/// Reads the bytes as frames, in the way of a driver and of a worker's program. With them comes a memfd that contains the bytes.
pub fn frames(bytes: &[u8]) {
    let (socket, _other) = UnixStream::pair().expect("a socket");
    let link = Link::new(Sender::new(socket), None);
    let documents = ReadDocuments::default();
    let mut fds = [memfd(bytes)].into();
    let mut at = 0;
    while let Ok(Some((kind, body, length))) = frame::first(&bytes[at..]) {
        assert!(length > 4 && length <= bytes.len() - at, "a frame of {length} bytes is not in the bytes");
        at += length;
        let mut reader = Reader::new(body, &mut fds);
        let read = match kind {
            Kind::Settled => link.settled(&mut reader),
            Kind::Answer => link.answered(&mut reader),
            Kind::Run => run(&link, &documents, &mut reader),
            // Those that a driver and a worker refuse, read in the way of a greeting.
            _ => reader.u32().and_then(|_| reader.text()).map(drop),
        };
        if read.is_err() {
            return;
        }
    }
}

/// Reads a call, as the program of a worker does.
fn run(link: &std::sync::Arc<Link>, documents: &ReadDocuments, frame: &mut Reader<'_>) -> std::io::Result<()> {
    frame.u64()?;
    frame.u8()?;
    frame.u64()?;
    frame.u32()?;
    ReadCall::read(link, documents, frame).map(drop)
}

fn memfd(bytes: &[u8]) -> OwnedFd {
    let mut file = File::from(memfd_create(c"ray-rust-fuzz", MFdFlags::MFD_CLOEXEC).expect("a memfd"));
    file.write_all(bytes).expect("a memfd can be written");
    file.into()
}
