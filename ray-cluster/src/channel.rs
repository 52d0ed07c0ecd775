//! A socket that carries frames, and the file descriptors of the frames.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use parking_lot::Mutex;

use crate::frame::{self, Kind, Reader, Writer};

/// The sending end. Frames that are sent while another thread writes are collected, and that thread writes them together.
#[derive(Debug)]
pub(crate) struct Sender {
    socket: UnixStream,
    /// The process that uses the socket. A fork of it has a copy, whose frames would come among those of this process.
    process: u32,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    /// A thread writes.
    busy: bool,
}

/// Frames are joined up to this size.
const BATCH: usize = 256 * 1024;

impl Sender {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket, process: std::process::id(), queue: Mutex::default() }
    }

    /// Sends a frame, after those that were sent before. If it cannot be sent, the connection ends, and the reader of the socket
    /// sees that: usually the other process has ended before.
    ///
    /// # Errors
    /// The frame is too long; this process was made by `fork`.
    pub(crate) fn send(&self, frame: Writer) -> io::Result<()> {
        if self.process != std::process::id() {
            return Err(io::Error::other("this process was made by `fork` from the one that has joined the cluster"));
        }
        let frame = frame.finish()?;
        let mut queue = self.queue.lock();
        queue.frames.push_back(frame);
        if std::mem::replace(&mut queue.busy, true) {
            return Ok(());
        }
        while let Some((mut bytes, fds)) = queue.frames.pop_front() {
            if fds.is_empty() {
                while let Some((next, _)) =
                    queue.frames.pop_front_if(|(next, fds)| fds.is_empty() && bytes.len() + next.len() <= BATCH)
                {
                    bytes.extend_from_slice(&next);
                }
            }
            drop(queue);
            if self.write(&bytes, &fds).is_err() {
                self.close();
            }
            queue = self.queue.lock();
        }
        queue.busy = false;
        Ok(())
    }

    fn write(&self, bytes: &[u8], fds: &[OwnedFd]) -> io::Result<()> {
        let mut sent = 0;
        if !fds.is_empty() {
            let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
            let control = [ControlMessage::ScmRights(&raw)];
            sent = sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], &control, MsgFlags::MSG_NOSIGNAL, None)?;
        }
        (&self.socket).write_all(&bytes[sent..])
    }

    /// Ends the connection, so that readers at both ends see the end.
    pub(crate) fn close(&self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

/// The receiving end.
#[derive(Debug)]
pub(crate) struct Receiver {
    socket: UnixStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    fds: VecDeque<OwnedFd>,
}

/// File descriptors that one read can take.
const MOST_FDS: usize = 64;

impl Receiver {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket, buffer: vec![0; 256 * 1024], start: 0, end: 0, fds: VecDeque::new() }
    }

    /// Waits for the next frame, and passes it to `take`. `Ok(false)`: the other process has closed the socket.
    ///
    /// # Errors
    /// The bytes are no frame; the errors of `take` and of the socket.
    pub(crate) fn next(&mut self, take: impl FnOnce(Kind, &mut Reader<'_>) -> io::Result<()>) -> io::Result<bool> {
        loop {
            if let Some((kind, body, length)) = frame::first(&self.buffer[self.start..self.end])? {
                self.start += length;
                take(kind, &mut Reader::new(body, &mut self.fds))?;
                return Ok(true);
            }
            if !self.fill()? {
                return Ok(false);
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let mut control = cmsg_space!([RawFd; MOST_FDS]);
        let (count, fds) = {
            let mut into = [IoSliceMut::new(&mut self.buffer[self.end..])];
            let socket = self.socket.as_raw_fd();
            let message = loop {
                match recvmsg::<()>(socket, &mut into, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC) {
                    Err(nix::Error::EINTR) => {}
                    // The other process has ended, and has not read all that was sent.
                    Err(nix::Error::ECONNRESET) => return Ok(false),
                    other => break other?,
                }
            };
            let mut fds = Vec::new();
            for message in message.cmsgs()? {
                if let ControlMessageOwned::ScmRights(received) = message {
                    fds.extend(received);
                }
            }
            (message.bytes, fds)
        };
        // SAFETY: the system has just made these file descriptors for this process, and nothing else here has them.
        self.fds.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        self.end += count;
        Ok(count > 0)
    }
}
