//! The format of the frames between a program and the Python package `ray_rust`, which describes it in `frames.py`.
//!
//! A frame is a length (of all that follows, 4 bytes), a kind (1 byte) and a body. Integers are little-endian. A part of a body that
//! has a variable length begins with the length, in 4 bytes. Bytes longer than [`INLINE`] are not in the frame: the frame has their
//! length with the bit [`IN_MEMFD`], and the file descriptor of a memfd that contains them travels with the frame. File descriptors
//! arrive in the order of the frames.
//!
//! # Calls
//!
//! SUBMIT, CALL, CREATE and RUN end with a call: 1 or 0 (1 byte), the task, the specification, the trace context, the number of the
//! arguments (2 bytes) and the arguments. 1: the call is *plain*, its arguments are values without references and it is short. The
//! Python package passes such a call on in one piece, from the driver to the program of the worker, and does not look at its
//! arguments.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// The version of the frames. Both sides of a socket must have the same.
pub(crate) const PROTOCOL: u32 = 3;

/// A longer call does not travel in one piece: each of its arguments is a value of Ray.
pub(crate) const PLAIN: usize = 64 * 1024;
/// Longer bytes travel in a memfd.
pub(crate) const INLINE: usize = 256 * 1024;
const IN_MEMFD: u32 = 1 << 31;
/// A longer frame does not come from a program that has these formats.
const LONGEST: usize = 1 << 30;

/// The kinds of frames, with the numbers that `frames.py` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Hello = 1,
    Settled = 2,
    Answer = 3,
    Submit = 10,
    Call = 11,
    Create = 12,
    Want = 13,
    Drop = 14,
    Put = 15,
    Cancel = 16,
    Kill = 17,
    Acquire = 18,
    Release = 19,
    Waits = 20,
    Ask = 21,
    Exit = 22,
    Look = 23,
    Run = 30,
    Stop = 31,
    Finish = 32,
}

impl Kind {
    const ALL: [Kind; 20] = [
        Kind::Hello,
        Kind::Settled,
        Kind::Answer,
        Kind::Submit,
        Kind::Call,
        Kind::Create,
        Kind::Want,
        Kind::Drop,
        Kind::Put,
        Kind::Cancel,
        Kind::Kill,
        Kind::Acquire,
        Kind::Release,
        Kind::Waits,
        Kind::Ask,
        Kind::Exit,
        Kind::Look,
        Kind::Run,
        Kind::Stop,
        Kind::Finish,
    ];

    fn of(number: u8) -> io::Result<Self> {
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == number);
        kind.ok_or_else(|| malformed(format!("a frame of kind {number}")))
    }
}

pub(crate) fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Writes one frame.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Writer {
    pub(crate) fn new(kind: Kind) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[0; 4]);
        bytes.push(kind as u8);
        Self { bytes, fds: Vec::new() }
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Writes bytes, or puts them into a memfd if they are long.
    ///
    /// # Errors
    /// The system gives no memfd, or no memory for it.
    pub(crate) fn blob(&mut self, value: &[u8]) -> io::Result<&mut Self> {
        if value.len() <= INLINE {
            self.u32(u32::try_from(value.len()).expect("the length was compared above"));
            self.bytes.extend_from_slice(value);
            return Ok(self);
        }
        let fd = memfd_create(c"ray-rust", MFdFlags::MFD_CLOEXEC)?;
        let mut file = File::from(fd);
        file.write_all(value)?;
        self.fds.push(file.into());
        Ok(self.u32(IN_MEMFD).u64(value.len() as u64))
    }

    /// # Errors
    /// Those of [`blob`](Self::blob).
    pub(crate) fn text(&mut self, value: &str) -> io::Result<&mut Self> {
        self.blob(value.as_bytes())
    }

    /// Writes the rest of the frame, without a length.
    pub(crate) fn rest(&mut self, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(value);
        self
    }

    /// The bytes of the frame, and the file descriptors that travel with it.
    ///
    /// # Errors
    /// The frame is longer than a reader accepts.
    pub(crate) fn finish(mut self) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        let length = self.bytes.len() - 4;
        if length > LONGEST {
            return Err(malformed(format!("a frame of {length} bytes is too long: it may have {LONGEST} bytes")));
        }
        let length = u32::try_from(length).expect("the length was compared above");
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        Ok((self.bytes, self.fds))
    }
}

/// Finds the first frame at the start of `bytes`: its kind, its body, and the number of bytes that it takes. `None`: it has not
/// arrived completely.
///
/// # Errors
/// The bytes are no frame.
pub(crate) fn first(bytes: &[u8]) -> io::Result<Option<(Kind, &[u8], usize)>> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || length > LONGEST {
        return Err(malformed(format!("a frame of {length} bytes")));
    }
    let Some(frame) = rest.get(..length) else { return Ok(None) };
    Ok(Some((Kind::of(frame[0])?, &frame[1..], 4 + length)))
}

/// Reads the body of one frame.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    body: &'a [u8],
    fds: &'a mut VecDeque<OwnedFd>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8], fds: &'a mut VecDeque<OwnedFd>) -> Self {
        Self { body, fds }
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.body.split_at_checked(count).ok_or_else(|| malformed("a frame ends too early"))?;
        self.body = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("`take` returns as many bytes as it was asked for"))
    }

    pub(crate) fn u8(&mut self) -> io::Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> io::Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn blob(&mut self) -> io::Result<Vec<u8>> {
        let length = self.u32()?;
        if length != IN_MEMFD {
            return Ok(self.take(length as usize)?.to_vec());
        }
        let length = self.u64()?;
        let mut file = File::from(self.fds.pop_front().ok_or_else(|| malformed("a frame without its file descriptor"))?);
        // Checked before the memory is allocated: the length may be wrong.
        let there = file.metadata()?.len();
        if there < length {
            return Err(malformed(format!("a memfd of {there} bytes in place of {length}")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(|_| malformed("a value is too large"))?);
        io::Seek::rewind(&mut file)?;
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> io::Result<String> {
        String::from_utf8(self.blob()?).map_err(|_| malformed("a text is not UTF-8"))
    }

    /// What was not read.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of `frames.py`, by their names.
    fn constants() -> Vec<(String, String)> {
        let text = include_str!("../python/ray_rust/frames.py");
        let lines = text.lines().filter_map(|line| line.split_once(" = "));
        lines.map(|(name, value)| (name.to_owned(), value.split("  #").next().unwrap_or_default().to_owned())).collect()
    }

    #[test]
    fn both_sides_have_the_same_kinds() {
        for kind in Kind::ALL {
            let expected = (format!("{kind:?}").to_uppercase(), (kind as u8).to_string());
            assert!(constants().contains(&expected), "frames.py has no line `{} = {}`", expected.0, expected.1);
        }
        let frames = constants()
            .into_iter()
            .filter(|(name, value)| name.chars().all(|c| c.is_ascii_uppercase()) && value.parse::<u8>().is_ok());
        assert_eq!(frames.count(), Kind::ALL.len(), "frames.py has a kind that the program does not know");
    }

    #[test]
    fn both_sides_have_the_same_limits_and_protocol() {
        for expected in [("INLINE", "256 * 1024"), ("IN_MEMFD", "1 << 31"), ("LONGEST", "1 << 30")] {
            assert!(constants().contains(&(expected.0.to_owned(), expected.1.to_owned())), "{expected:?}");
        }
        assert_eq!((INLINE, IN_MEMFD, LONGEST), (256 * 1024, 1 << 31, 1 << 30));
        let package = include_str!("../python/ray_rust/__init__.py");
        assert!(package.contains(&format!("PROTOCOL = {PROTOCOL}\n")));
    }
}
