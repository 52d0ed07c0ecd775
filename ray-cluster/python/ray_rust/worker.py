"""What runs in a worker of Ray: functions and actor classes that pass their calls to the Rust program.

A worker starts the program once, as a child that has one end of a socket. While it runs a call, the worker's own thread reads the
socket: the body may call further functions, which are submitted on this thread. Between calls, and in an actor whose calls run at
the same time, another thread reads the socket. If the child ends, so does the worker: Ray sees a crash, and retries or restarts as
its options say.
"""

import asyncio
import contextlib
import errno
import itertools
import os
import platform
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, NoReturn

import msgpack
import ray

from . import PROTOCOL, frames, identity, values
from .calls import SINGLE, VALUE, parts
from .errors import ProgramError
from .frames import Channel, Reader, Writer
from .interrupts import of_this_thread
from .link import Link, describe
from .values import Retryable, RustError, Value

#: The variable by which the Rust program knows that it is the child of a worker. Its standard input is its end of the socket.
VARIABLE = "RAY_RUST_WORKER"
#: The folder of this package contains the program, and its arguments, each of which ends with a zero byte.
_FOLDER = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(_FOLDER, "program")
ARGUMENTS = os.path.join(_FOLDER, "arguments")

#: While a body waits, the worker waits in Ray, so that Ray gives its CPU to others. It looks at the socket this often.
_SLICE = 0.01
#: A body that has asked for objects, and has sent nothing for so many milliseconds, is taken to wait for them: it may block in a
#: runtime of its own, or join threads that wait. Calls of actors look as often whether they were cancelled.
_BLOCKED = 500

#: How often a worker without a call looks at the socket, in seconds: often while requests come.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05

#: How long the program may take from its start to `ray::init()`.
START = 60.0

#: How long Ray may take to end a worker whose children it has killed.
_EXIT_OF_RAY = 2.0

FUNCTION, CONSTRUCTOR, METHOD = 0, 1, 2
_GPUS = "CUDA_VISIBLE_DEVICES"


class Failed(Exception):
    """An outcome that is an error of the Rust program."""

    def __init__(self, payload: bytes, text: str, retry: bool, dies: bool) -> None:
        super().__init__(text)
        self.payload = payload
        self.text = text
        self.retry = retry
        #: The actor is not to be used any more.
        self.dies = dies


class _Printed:
    """What is printed to the standard error from now on, which is a file in a worker of Ray."""

    _MOST = 2000

    def __init__(self) -> None:
        self._start = 0
        with contextlib.suppress(OSError):
            self._start = os.fstat(2).st_size

    def text(self) -> str:
        try:
            with open("/proc/self/fd/2", "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return ""
                file.seek(self._start)
                return file.read(self._MOST).decode(errors="replace").strip()
        except OSError:
            return ""


def _why_not_started(error: OSError) -> str:
    if error.errno == errno.ENOEXEC:
        what = f"it is built for another architecture than that of this node ({platform.machine()}): build it for the nodes"
    elif error.errno in (errno.EACCES, errno.EPERM):
        what = "the file system of Ray's temporary folder is mounted with noexec on this node: start Ray with another `--temp-dir`"
    else:
        what = "check that it runs on this node, for instance that it is built for the node's architecture"
    return f"a worker cannot start the Rust program {PROGRAM}: {error.strerror or error}: {what}"


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"


def _why_ended(code: int, printed: str) -> str:
    """Why the program has ended before it has called `ray::init()`."""
    if "GLIBC" in printed and "not found" in printed:
        what = (
            "the C library of this node is older than that of the system where the program was built: build it on a system as old "
            "as the nodes', or for the target `x86_64-unknown-linux-musl`"
        )
    elif "error while loading shared libraries" in printed:
        what = "a library is missing on this node: install it on all nodes, or link it into the program"
    else:
        what = "`ray::init()` must stand first in `main`, before any other use of ray, and each run of `main` must reach it"
    printed = f"; it has printed: {printed}" if printed else ""
    return f"the Rust program has ended as a worker ({_how(code)}) before it has called `ray::init()`: {what}{printed}"


class Child:
    """The Rust program of this worker."""

    def __init__(self) -> None:
        mine, other = socket.socketpair()
        identity.of_driver()
        if not os.access(PROGRAM, os.X_OK):
            # Ray 2.49 unpacks files without their mode bits.
            with contextlib.suppress(OSError):
                os.chmod(PROGRAM, 0o700)
        environment = dict(os.environ)
        environment[VARIABLE] = "1"
        with open(ARGUMENTS, "rb") as file:
            arguments = file.read().split(b"\0")[:-1]
        printed = _Printed()
        try:
            self.process = subprocess.Popen([PROGRAM, *map(os.fsdecode, arguments)], env=environment, stdin=other.fileno())
        except OSError as error:
            raise ProgramError(_why_not_started(error)) from error
        finally:
            other.close()
        self.channel = Channel(mine)
        self.link: Link = Link(self.channel)
        self.gpus = os.environ.get(_GPUS)
        #: The one thread that may read the socket.
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._requests = itertools.count(1)
        self._runs: dict[int, Future[Value]] = {}
        #: The body that runs waits.
        self.waits = False
        #: Threads that the body has started wait for objects.
        self.waiting_threads = 0
        self.exits = False
        self.is_actor = False
        #: How often Ray has started the actor anew, and whether it does so again if this instance ends by a crash.
        self.past_restarts = 0
        self.restarts = False
        #: How often Ray tries a call of the actor again whose options do not say it.
        self.task_retries = 0
        #: The program drops the instance of the actor, and ends.
        self.finishes = False
        #: The calls of the actor run at the same time.
        self.is_concurrent = False
        self.is_dead = False
        try:
            self._greet(printed)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        threading.Thread(target=self._read_between_calls, name="ray-rust-reader", daemon=True).start()

    def _greet(self, printed: "_Printed") -> None:
        """Checks that the child speaks the same protocol."""
        channel = self.channel
        deadline = time.monotonic() + START
        while (frame := channel.take_one()) is None:
            if not channel.is_readable(max(0.0, deadline - time.monotonic())):
                raise ProgramError(
                    f"the Rust program has not reached `ray::init()` within {START:.0f} s after its start as a worker: "
                    "`ray::init()` must stand first in `main`, before anything that takes long"
                )
            try:
                channel.receive()
            except (frames.Closed, OSError):
                raise ProgramError(_why_ended(self.process.wait(), printed.text())) from None
        protocol = frame.u32()
        if frame.kind != frames.HELLO or protocol != PROTOCOL:
            raise ProgramError(
                f"the Rust program has protocol {protocol}, and its Python package has protocol {PROTOCOL}: build it again"
            )
        identity.check_program(PROGRAM, frame.u32(), frame.u32())
        answer = Writer(frames.HELLO)
        answer.bytes += msgpack.packb(describe())
        channel.send(answer)

    # Reading

    def _read_between_calls(self) -> None:
        """Reads while no call runs. Threads of the program may make requests then."""
        pause = _LONGEST_PAUSE
        while True:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            if self._turn.acquire(blocking=False):
                try:
                    while self.channel.is_readable(0):
                        pause = _SHORTEST_PAUSE
                        self.channel.receive()
                        for frame in self.channel.take():
                            self._handle(frame)
                except (frames.Closed, OSError):
                    break
                except Exception:
                    self._broken()
                finally:
                    self._turn.release()
        global _child
        self.is_dead = True
        if not self.is_actor and not self._runs:
            with _starting:
                if _child is self:
                    _child = None
            self.process.wait()
            return
        self._end_late()

    def _end_late(self) -> None:
        """The program of an actor has ended."""
        if self.finishes:
            # The actor ends, and its calls with it.
            for run in list(self._runs.values()):
                with contextlib.suppress(InvalidStateError):
                    run.set_exception(Failed(b"", "the actor has ended", retry=False, dies=False))
            return
        # A worker that ends has its children killed before it ends itself, and must be left to do that.
        time.sleep(_EXIT_OF_RAY)
        self._ended()

    def read_always(self) -> None:
        """Reads for an actor whose calls run at the same time."""
        with self._turn:
            try:
                while True:
                    for frame in self.channel.take():
                        self._handle(frame)
                    self.channel.receive()
            except (frames.Closed, OSError):
                self.is_dead = True
            except Exception:
                self._broken()
        self._end_late()

    def _receive(self) -> None:
        try:
            self.channel.receive()
        except (frames.Closed, OSError):
            self._ended()

    def _ended(self) -> NoReturn:
        code = self.process.wait()
        memory = ": if the node has no memory left, give the task more with the option `memory`" if code == -signal.SIGKILL else ""
        print(f"the Rust program of this worker has ended ({_how(code)}){memory}", file=sys.stderr, flush=True)
        os._exit(1)

    def _broken(self) -> NoReturn:
        """The program sends what is no frame, so the answers to its calls are lost."""
        traceback.print_exc()
        self.process.kill()
        os._exit(1)

    def _handle(self, frame: Reader) -> None:
        kind = frame.kind
        if kind == frames.SETTLED:
            request = frame.u64()
            run = self._runs.pop(request, None)
            # Ray may have cancelled the call of an async actor.
            with contextlib.suppress(InvalidStateError):
                try:
                    value = self._outcome(frame)
                except Failed as error:
                    if run is not None:
                        run.set_exception(error)
                    return
                if run is not None:
                    run.set_result(value)
        elif kind == frames.WAITS:
            is_body, waits = frame.u64() != 0, frame.u8()
            if is_body:
                self.waits = bool(waits)
            else:
                self.waiting_threads += 1 if waits else -1
        elif kind == frames.EXIT:
            self.exits = True
        else:
            self.link.handle(frame)

    def _outcome(self, frame: Reader) -> Value:
        if frame.u8() == 0:
            return self.link.read_value(frame)
        retry, dies = frame.u8(), frame.u8()
        raise Failed(frame.blob(), frame.text(), bool(retry), bool(dies))

    # Calls

    def _send(self, request: int, what: int, actor: Any, header: bytes, args: tuple[Any, ...]) -> None:
        """Sends a call to the child."""
        if self.is_dead:
            self._ended()
        frame = Writer(frames.RUN)
        number = 0
        if actor is not None:
            number = self.link.actors.enter(actor._ray_actor_id.binary(), actor)
        attempt = self.past_restarts if what == CONSTRUCTOR else attempt_number()
        frame.bytes += _RUN.pack(request, what, number, attempt)
        if header[0]:
            # The call is plain: the header is all of it.
            frame.bytes += header
        else:
            task, layout, trace, document = parts(header)
            frame.u8(0)
            frame.u64(task)
            frame.blob(document)
            frame.blob(trace)
            if layout:
                args = tuple(_gathered(layout, args))
            frame.u16(len(args))
            for arg in args:
                frame.u8(VALUE)
                self.link.write_value(frame, arg)
        self.channel.send(frame)

    def has_calls(self) -> bool:
        """Whether calls run that run beside others."""
        with self._lock:
            return bool(self._runs)

    def stop(self, request: int) -> None:
        """Cancels the body of a call."""
        frame = Writer(frames.STOP)
        frame.u64(request)
        self.channel.send(frame)

    def run(self, what: int, actor: Any, header: bytes, args: tuple[Any, ...]) -> Value:
        """Runs a call, and serves the child meanwhile on this thread."""
        try:
            return self._run(what, actor, header, args)
        except frames.Malformed:
            self._broken()

    def _run(self, what: int, actor: Any, header: bytes, args: tuple[Any, ...]) -> Value:
        channel = self.channel
        cancelled = blocked = told = False
        looks = what == METHOD
        if looks and _is_cancelled():
            raise ray.exceptions.TaskCancelledError
        with self._turn:
            interrupts = of_this_thread()
            request = next(self._requests)
            self.waits = False
            self._send(request, what, actor, header, args)
            while True:
                frame = channel.take_one()
                if frame is not None:
                    if frame.kind == frames.SETTLED and frame.u64() == request:
                        if cancelled:
                            raise KeyboardInterrupt
                        return self._outcome(frame)
                    frame.rewind()
                    self._handle(frame)
                elif what == FUNCTION and (wanted := self._awaited(blocked)):
                    ray.wait(wanted, num_returns=1, timeout=_SLICE, fetch_local=False)
                    if channel.is_readable(0):
                        self._receive()
                elif interrupts is None or interrupts.wait(channel, _BLOCKED if looks or self.link.wanted or self.waiting_threads else None):
                    blocked = False
                    self._receive()
                else:
                    blocked = not interrupts.pending
                    if looks and not told and _is_cancelled():
                        told = True
                        self.stop(request)
                if interrupts is not None and interrupts.pending and not cancelled:
                    cancelled = True
                    self.stop(request)

    def _awaited(self, blocked: bool) -> list[Any]:
        """The objects for which the body waits, or is taken to wait."""
        if not (self.waits or blocked):
            return []
        # Several threads of the body may wait for the same object, which Ray takes once.
        wanted = dict.fromkeys(list(self.link.wanted.values()))
        if self.waits or self.waiting_threads:
            # Otherwise the program has only asked whether objects are ready, and may compute meanwhile.
            wanted |= dict.fromkeys(self.link.all_looked())
        return list(wanted)

    def _begin(self, header: bytes, args: tuple[Any, ...]) -> "tuple[int, Future[Value]]":
        run: Future[Value] = Future()
        with self._lock:
            request = next(self._requests)
            self._runs[request] = run
            self._send(request, METHOD, None, header, args)
        return request, run

    def run_beside_others(self, header: bytes, args: tuple[Any, ...]) -> Value:
        """Calls a method of an actor whose calls run at the same time; another thread reads the socket."""
        if _is_cancelled():
            raise ray.exceptions.TaskCancelledError
        request, run = self._begin(header, args)
        while True:
            try:
                return run.result(_BLOCKED / 1000)
            except FutureTimeoutError:
                if run.done():
                    return run.result()
            if _is_cancelled():
                self.stop(request)
                return run.result()

    async def run_async(self, header: bytes, args: tuple[Any, ...]) -> Value:
        """Calls a method of an async actor."""
        request, run = self._begin(header, args)
        try:
            return await asyncio.wrap_future(run)
        except asyncio.CancelledError:
            self.stop(request)
            raise


def attempt_number() -> int:
    """The number of failed attempts of the task of this thread before this one."""
    number: int = ray._private.worker.global_worker.core_worker.get_current_task_attempt_number()
    return number


_RUN = struct.Struct("<QBQI")


def _is_cancelled() -> bool:
    """Whether Ray has cancelled the call of an actor that runs on this thread. It interrupts functions only."""
    # Ray 2.53 to 2.60. With another Ray a method is not told that it was cancelled.
    asked = getattr(ray._private.worker.global_worker.core_worker, "is_canceled", None)
    return asked is not None and bool(asked())


def _gathered(layout: list[int], args: tuple[Any, ...]) -> Iterator[Value]:
    """The arguments of the Rust function, of which some consist of several of Ray's arguments."""
    at = 0
    for count in layout:
        if count == SINGLE:
            yield args[at]
            at += 1
        else:
            yield values.array(list(args[at : at + count]))
            at += count


_child: Child | None = None
_starting = threading.Lock()


def child() -> Child:
    """The child of this worker; starts it if there is none, or if the GPUs of the worker have changed."""
    global _child
    here = _child
    if here is not None and here.gpus == os.environ.get(_GPUS):
        return here
    with _starting:
        if _child is not None and _child.gpus != os.environ.get(_GPUS):
            former, _child = _child, None
            former.process.kill()
        if _child is None:
            _child = Child()
        return _child


def running() -> Child | None:
    """The child, if one runs."""
    return _child


def raised(error: Failed) -> RustError:
    kind = Retryable if error.retry else RustError
    return kind(error.payload, error.text, values.task_id())


def run_function(header: bytes, args: tuple[Any, ...]) -> Value:
    """Runs a Rust function."""
    try:
        return child().run(FUNCTION, None, header, args)
    except Failed as error:
        raise raised(error) from None
