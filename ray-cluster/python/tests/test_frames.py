"""Frames: what is written is read, and other bytes are refused."""

import os
import random
import socket
import struct
import threading
import unittest

from ray_rust import frames
from ray_rust.frames import INLINE, Channel, Closed, Malformed, Reader, Writer


def pair() -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return Channel(one), Channel(other)


def wait(channel: Channel) -> Reader:
    while (frame := channel.take_one()) is None:
        channel.receive()
    return frame


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class Frames(unittest.TestCase):
    def setUp(self) -> None:
        self.sender, self.receiver = pair()
        self.addCleanup(self.sender.socket.close)
        self.addCleanup(self.receiver.socket.close)

    def test_all_fields_are_read_as_they_were_written(self) -> None:
        frame = Writer(frames.PUT)
        frame.u8(1)
        frame.u16(2)
        frame.u32(3)
        frame.u64(1 << 63)
        frame.blob(b"four")
        frame.text("fünf")
        frame.bytes += b"rest"
        self.sender.send(frame)
        read = wait(self.receiver)
        self.assertEqual(read.kind, frames.PUT)
        self.assertEqual((read.u8(), read.u16(), read.u32(), read.u64()), (1, 2, 3, 1 << 63))
        self.assertEqual((read.blob(), read.text(), read.rest(), read.rest()), (b"four", "fünf", b"rest", b""))
        with self.assertRaises(Malformed):
            read.u8()

    def test_long_bytes_travel_in_a_memfd_that_is_closed(self) -> None:
        before = open_files()
        values = [os.urandom(INLINE + 1), b"short", os.urandom(3 * INLINE)]
        frame = Writer(frames.PUT)
        for value in values:
            frame.blob(value)
        self.assertLess(len(frame.bytes), 100)
        self.sender.send(frame)
        read = wait(self.receiver)
        self.assertEqual([read.blob() for _ in values], values)
        self.assertEqual(open_files(), before)

    def test_a_frame_that_is_not_sent_closes_its_memfd(self) -> None:
        before = open_files()
        frame = Writer(frames.PUT)
        frame.blob(bytes(INLINE + 1))
        self.assertEqual(open_files(), before + 1)
        del frame
        self.assertEqual(open_files(), before)

    def test_wrong_lengths_are_refused(self) -> None:
        for length in (0, frames.LONGEST + 1, 0xFFFFFFFF):
            with self.subTest(length=length):
                sender, receiver = pair()
                self.addCleanup(sender.socket.close)
                self.addCleanup(receiver.socket.close)
                sender.socket.sendall(struct.pack("<IB", length, frames.DROP))
                with self.assertRaises(Malformed):
                    wait(receiver)

    def test_a_truncated_frame_ends_with_the_socket(self) -> None:
        self.sender.socket.sendall(struct.pack("<IB", 100, frames.DROP) + b"12345")
        self.sender.close()
        with self.assertRaises(Closed):
            wait(self.receiver)

    def body(self, body: bytes, fds: list[int]) -> Reader:
        socket.send_fds(self.sender.socket, [struct.pack("<IB", len(body) + 1, frames.PUT) + body], fds)
        return wait(self.receiver)

    def test_a_memfd_that_is_missing_or_too_short_is_refused(self) -> None:
        in_memfd = struct.pack("<IQ", frames.IN_MEMFD, 1000)
        with self.assertRaises(Malformed):
            self.body(in_memfd, []).blob()
        fd = os.memfd_create("test")
        self.addCleanup(os.close, fd)
        os.write(fd, b"short")
        before = open_files()
        with self.assertRaises(Malformed):
            self.body(in_memfd, [fd]).blob()
        self.assertEqual(self.body(struct.pack("<IQ", frames.IN_MEMFD, 5), [fd]).blob(), b"short")
        self.assertEqual(self.body(struct.pack("<IQ", frames.IN_MEMFD, 0), [fd]).blob(), b"")
        self.assertEqual(open_files(), before)

    def test_text_that_is_not_utf8_is_refused(self) -> None:
        with self.assertRaises(Malformed):
            self.body(struct.pack("<I", 2) + b"\xff\xfe", []).text()

    def test_frames_of_threads_do_not_mix_and_no_sender_waits(self) -> None:
        count, size = 200, 20_000

        def send(number: int) -> None:
            for _ in range(count):
                frame = Writer(frames.PUT)
                frame.u8(number)
                frame.bytes += bytes([number]) * size
                self.sender.send(frame)

        threads = [threading.Thread(target=send, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        # The socket holds a part of it, and nothing is read before all senders have returned.
        for thread in threads:
            thread.join(20)
            self.assertFalse(thread.is_alive())
        for _ in range(4 * count):
            frame = wait(self.receiver)
            number = frame.u8()
            self.assertEqual(frame.rest(), bytes([number]) * size)

    def test_random_bytes_are_read_or_refused(self) -> None:
        choice = random.Random(1)
        refused = read = 0
        for _ in range(3000):
            body = choice.randbytes(choice.randrange(40))
            if choice.random() < 0.3:
                body = struct.pack("<I", choice.choice([0, 1, frames.IN_MEMFD, 0xFFFFFFFF])) + body
            frame = self.body(body, [])
            try:
                while True:
                    choice.choice([frame.u8, frame.u16, frame.u32, frame.u64, frame.blob, frame.text])()
                    read += 1
            except Malformed:
                refused += 1
        self.assertEqual(refused, 3000)
        self.assertGreater(read, 1000)
