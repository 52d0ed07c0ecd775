"""The format of the frames between this package and a Rust program.

A frame is a length (of all that follows, 4 bytes), a kind (1 byte) and a body. Integers are little-endian. A part of a body that
has a variable length begins with the length, in 4 bytes. Bytes longer than `INLINE` are not in the frame: the frame has their
length with the bit `IN_MEMFD`, and the file descriptor of a memfd that contains them travels with the frame. File descriptors
arrive in the order of the frames. Documents are in MessagePack.

A call is 1 or 0 (1 byte), the task, the specification, the trace context, the number of the arguments (2 bytes) and the arguments.
1: the call is plain, its arguments are values without references and it is short. Such a call passes in one piece from the driver
to the program of the worker.
"""

from __future__ import annotations

import array
import contextlib
import mmap
import os
import select
import socket
import struct
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Both directions.
HELLO = 1  # see `bridge` and `worker`
SETTLED = 2  # request, then an outcome: the answer to WANT, LOOK and RUN
ANSWER = 3  # request, 1 and a document, or 0 and the kind and the text of an error: the answer to ASK
# From the Rust program.
SUBMIT = 10  # call
CALL = 11  # actor, call
CREATE = 12  # request, actor, call; answered like ASK
WANT = 13  # request, object
DROP = 14  # object
PUT = 15  # object, value
CANCEL = 16  # task, flags (1: recursive, 2: force)
KILL = 17  # actor, 1 to restart it
ACQUIRE = 18  # actor
RELEASE = 19  # actor
WAITS = 20  # task, 1 or 0: the body of the task, or a thread without a body (task 0), begins or ends a wait
ASK = 21  # request, document
EXIT = 22  # the actor of this process ends after the calls that run
LOOK = 23  # request, object; answered like WANT when the object is ready, without its value
# To the Rust program.
RUN = 30  # request, what (0 function, 1 constructor, 2 method), actor, attempt, call
STOP = 31  # request: the body of a RUN was cancelled
FINISH = 32  # the instance of the actor is dropped, and then the program ends

#: Longer bytes travel in a memfd.
INLINE = 256 * 1024
IN_MEMFD = 1 << 31
#: Frames are joined up to this size.
_BATCH = 256 * 1024
#: A longer frame is not from a program that has these formats.
LONGEST = 1 << 30
#: Space for the file descriptors that one read can take.
_FDS_SPACE = socket.CMSG_SPACE(64 * array.array("i").itemsize)

_LENGTH = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_U16 = struct.Struct("<H")


class Closed(Exception):
    """The other process has closed the socket."""


class Malformed(Exception):
    """The bytes are no frame."""


class Writer:
    """Writes one frame."""

    def __init__(self, kind: int) -> None:
        self.bytes = bytearray(b"\0\0\0\0")
        self.bytes.append(kind)
        self.fds: list[int] = []

    def u8(self, value: int) -> None:
        self.bytes.append(value)

    def u16(self, value: int) -> None:
        self.bytes += _U16.pack(value)

    def u32(self, value: int) -> None:
        self.bytes += _LENGTH.pack(value)

    def u64(self, value: int) -> None:
        self.bytes += _U64.pack(value)

    def blob(self, value: bytes | memoryview) -> None:
        """Writes bytes, or puts them into a memfd if they are long."""
        length = len(value)
        if length <= INLINE:
            self.u32(length)
            self.bytes += value
            return
        fd = os.memfd_create("ray-rust", os.MFD_CLOEXEC)
        self.fds.append(fd)
        view = memoryview(value)
        while view:
            view = view[os.write(fd, view) :]
        self.u32(IN_MEMFD)
        self.u64(length)

    def text(self, value: str) -> None:
        self.blob(value.encode(errors="replace"))

    def close(self) -> None:
        """Closes the file descriptors: they were sent, or the frame is not sent."""
        fds, self.fds = self.fds, []
        for fd in fds:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class Reader:
    """Reads the body of one frame."""

    def __init__(self, kind: int, body: memoryview, fds: deque[int]) -> None:
        self.kind = kind
        self._body = body
        self._at = 0
        self._fds = fds

    def _take(self, count: int) -> memoryview:
        at, end = self._at, self._at + count
        if end > len(self._body):
            raise Malformed("a frame ends too early")
        self._at = end
        return self._body[at:end]

    def peek(self) -> int:
        """The next byte, which is read again later."""
        byte = self.u8()
        self._at -= 1
        return byte

    def rewind(self) -> None:
        """Begins again with the first byte."""
        self._at = 0

    def u8(self) -> int:
        return self._take(1)[0]

    def u16(self) -> int:
        return int(_U16.unpack(self._take(2))[0])

    def u32(self) -> int:
        return int(_LENGTH.unpack(self._take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack(self._take(8))[0])

    def blob(self) -> bytes:
        length = self.u32()
        if length != IN_MEMFD:
            return bytes(self._take(length))
        length = self.u64()
        if not self._fds:
            raise Malformed("a frame without its file descriptor")
        fd = self._fds.popleft()
        try:
            there = os.fstat(fd).st_size
            if there < length:
                raise Malformed(f"a memfd of {there} bytes in place of {length}")
            if not length:
                return b""
            with mmap.mmap(fd, length, prot=mmap.PROT_READ) as memory:
                return memory[:]
        finally:
            os.close(fd)

    def text(self) -> str:
        try:
            return self.blob().decode()
        except UnicodeDecodeError as error:
            raise Malformed(str(error)) from error

    def rest(self) -> bytes:
        """What was not read."""
        return bytes(self._take(len(self._body) - self._at))


class Channel:
    """A socket that carries frames."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._buffer = bytearray()
        self._start = 0
        self._fds: deque[int] = deque()
        self._lock = threading.Lock()
        #: What the socket could not take yet.
        self._unsent: deque[tuple[memoryview, Writer]] = deque()

    def __del__(self) -> None:
        for fd in self._fds:
            os.close(fd)

    def send(self, frame: Writer) -> None:
        """Sends a frame without waiting. What the socket cannot take yet, a thread sends: a thread that reads frames must not wait
        for the other process, which may wait itself until its frames are read."""
        length = len(frame.bytes) - 4
        if length > LONGEST:
            raise ValueError(f"a frame of {length} bytes is too long: it may have {LONGEST} bytes")
        _LENGTH.pack_into(frame.bytes, 0, length)
        self._post(frame)

    def _post(self, frame: Writer) -> None:
        data = frame.bytes
        with self._lock:
            if self._unsent:
                self._unsent.append((memoryview(data), frame))
                return
            try:
                sent = self._send(data, frame.fds, socket.MSG_DONTWAIT)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                # The other process has ended, or the frame cannot be sent. The reader of the socket sees the end in both cases.
                self.close()
                return
            if sent:
                frame.close()
            if sent < len(data):
                self._unsent.append((memoryview(data)[sent:], frame))
                threading.Thread(target=self._send_rest, name="ray-rust-sender", daemon=True).start()

    def send_all(self, frames_to_send: list[Writer]) -> None:
        """Sends frames, those without file descriptors together."""
        joined = bytearray()
        for frame in frames_to_send:
            if frame.fds or len(joined) > _BATCH:
                self._send_joined(joined)
                joined = bytearray()
            if frame.fds:
                self.send(frame)
            else:
                data = frame.bytes
                _LENGTH.pack_into(data, 0, len(data) - 4)
                joined += data
        self._send_joined(joined)

    def _send_joined(self, joined: bytearray) -> None:
        if joined:
            frames_together = Writer(SETTLED)
            frames_together.bytes = joined
            self._post(frames_together)

    def _send(self, data: bytearray | memoryview, fds: list[int], flags: int) -> int:
        if not fds:
            return self.socket.send(data, flags)
        return self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))], flags)

    def _send_rest(self) -> None:
        while True:
            with self._lock:
                if not self._unsent:
                    return
                data, frame = self._unsent[0]
            try:
                while data:
                    data = data[self._send(data, frame.fds, 0) :]
                    frame.close()
            except OSError:
                self.close()
            with self._lock:
                self._unsent.popleft()

    def close(self) -> None:
        """Ends the connection; the reader at the other end gets what was sent before."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def take(self) -> Iterator[Reader]:
        """The frames that have arrived completely."""
        while (frame := self.take_one()) is not None:
            yield frame

    def take_one(self) -> Reader | None:
        """The next frame, if it has arrived completely."""
        buffer, start = self._buffer, self._start
        if len(buffer) - start < 5:
            return None
        (length,) = _LENGTH.unpack_from(buffer, start)
        if not 1 <= length <= LONGEST:
            raise Malformed(f"a frame of {length} bytes")
        end = start + 4 + length
        if len(buffer) < end:
            return None
        frame = bytes(buffer[start + 4 : end])
        self._start = end
        if end == len(buffer):
            buffer.clear()
            self._start = 0
        return Reader(frame[0], memoryview(frame)[1:], self._fds)

    def receive(self) -> None:
        """Reads what is there; waits if nothing is."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        size = 64 * 1024
        if len(self._buffer) >= 4:
            size = max(size, min(_LENGTH.unpack_from(self._buffer)[0], 1 << 24))
        data, ancillary, flags, _address = self.socket.recvmsg(size, _FDS_SPACE, socket.MSG_CMSG_CLOEXEC)
        for level, kind, received in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(received[: len(received) - len(received) % fds.itemsize])
                self._fds.extend(fds)
        if flags & socket.MSG_CTRUNC:
            raise Malformed("a frame with too many file descriptors")
        if not data:
            raise Closed
        self._buffer += data

    def is_readable(self, seconds: float) -> bool:
        """Whether bytes arrive within this time."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
