"""Interrupts with which Ray cancels the function that runs on the main thread of a worker."""

import select
import signal
import socket
import threading
from typing import Any

from .frames import Channel


class Interrupts:
    """Notes Ray's interrupts of the main thread while a call runs, in place of an exception at any line."""

    def __init__(self) -> None:
        self.pending = False
        self._wakes, self._woken = socket.socketpair()
        self._wakes.setblocking(False)
        self._woken.setblocking(False)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._note)
        self._poll = select.poll()
        self._poll.register(self._woken, select.POLLIN)
        self._polled: Channel | None = None

    def _note(self, _signal: int, _frame: Any) -> None:
        self.pending = True

    def wait(self, channel: Channel, milliseconds: int | None) -> bool:
        """Waits until bytes or an interrupt come, or until this time is over; whether bytes have come."""
        if self._polled is not channel:
            if self._polled is not None:
                self._poll.unregister(self._polled.socket)
            self._poll.register(channel.socket, select.POLLIN)
            self._polled = channel
        bytes_came = False
        for fd, _event in self._poll.poll(milliseconds):
            if fd == self._woken.fileno():
                self._woken.recv(64)
            else:
                bytes_came = True
        return bytes_came


_main_interrupts: Interrupts | None = None


def of_this_thread() -> Interrupts | None:
    """The interrupts of this thread, if Ray can interrupt it: the main thread."""
    global _main_interrupts
    if threading.current_thread() is not threading.main_thread():
        return None
    if _main_interrupts is None:
        _main_interrupts = Interrupts()
    _main_interrupts.pending = False
    return _main_interrupts
