"""What runs in a worker of Ray: functions and actor classes that pass their calls to the Rust program.

A worker starts the program once, as a child that has one end of a socket. While it runs a call, the worker's own thread reads the
socket: the body may call further functions, which are submitted on this thread. Between calls, and in an actor whose calls run at
the same time, another thread reads the socket. If the child ends, so does the worker: Ray sees a crash, and retries or restarts as
its options say.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import msgpack
import ray

from . import PROTOCOL, frames, values
from .frames import Channel, Reader, Writer
from .values import ConstructorError, Retryable, RustError, Value

if TYPE_CHECKING:
    from .link import Link

#: The variable by which the Rust program knows that it is the child of a worker. Its standard input is its end of the socket.
VARIABLE = "RAY_RUST_WORKER"
#: The folder of this package contains the program, and its arguments, each of which ends with a zero byte.
_FOLDER = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(_FOLDER, "program")
ARGUMENTS = os.path.join(_FOLDER, "arguments")

#: While a body waits, the worker waits in Ray, so that Ray gives its CPU to others. It looks at the socket this often.
_SLICE = 0.01

#: How long Ray may take to end a worker whose children it has killed.
_EXIT_OF_RAY = 2.0

_FUNCTION, _CONSTRUCTOR, _METHOD = 0, 1, 2
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


class Child:
    """The Rust program of this worker."""

    def __init__(self) -> None:
        from .link import Link

        mine, other = socket.socketpair()
        environment = dict(os.environ)
        environment[VARIABLE] = "1"
        with open(ARGUMENTS, encoding="utf-8") as file:
            arguments = file.read().split("\0")
        try:
            self.process = subprocess.Popen(
                [PROGRAM, *filter(None, arguments)],
                env=environment,
                stdin=other,
            )
        except OSError as error:
            raise RuntimeError(
                f"the worker cannot start the Rust program {PROGRAM}: {error}. Check that the program is built for this node's "
                "architecture, and that the node's temporary folder is not mounted with noexec"
            ) from error
        finally:
            other.close()
        self.link: Link = Link(Channel(mine))
        self.gpus = os.environ.get(_GPUS)
        #: The one thread that may read the socket.
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._next = 0
        self._runs: dict[int, Future[Value]] = {}
        self.waits = False
        self.exits = False
        self.is_actor = False
        self.is_dead = False
        self._greet()
        threading.Thread(target=self._read_between_calls, name="ray-rust-reader", daemon=True).start()

    def _greet(self) -> None:
        """Checks that the child speaks the same protocol."""
        channel = self.link.channel
        while (frame := channel.take_one()) is None:
            try:
                channel.receive()
            except frames.Closed:
                code = self.process.wait()
                raise RuntimeError(
                    f"the Rust program has ended (exit status {code}) before it reached `ray::init()`: "
                    "`ray::init()` must be the first use of ray in `main`"
                ) from None
        protocol = frame.u32()
        if frame.kind != frames.HELLO or protocol != PROTOCOL:
            raise RuntimeError(
                f"the Rust program has protocol {protocol}, and its Python package has protocol {PROTOCOL}: build it again"
            )
        context = ray.get_runtime_context()
        answer = Writer(frames.HELLO)
        answer.bytes += msgpack.packb(
            {
                "node": context.get_node_id(),
                "worker": context.get_worker_id(),
                "job": context.get_job_id(),
                "namespace": context.namespace,
            }
        )
        channel.send(answer)

    # Reading

    def _read_between_calls(self) -> None:
        channel = self.link.channel
        while True:
            channel.is_readable(3600)
            with self._turn:
                if not channel.is_readable(0):
                    continue
                try:
                    channel.receive()
                except (frames.Closed, OSError):
                    break
                for frame in channel.take():
                    self._handle(frame)
        global _child
        self.is_dead = True
        if not self.is_actor and not self._runs:
            _child = None
            self.process.wait()
            return
        # A worker that ends has its children killed before it ends itself, and must be left to do that.
        time.sleep(_EXIT_OF_RAY)
        self._ended()

    def _ended(self) -> None:
        code = self.process.wait()
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        print(f"the Rust program of this worker has ended ({how})", file=sys.stderr, flush=True)
        os._exit(1)

    def _handle(self, frame: Reader) -> None:
        if frame.kind == frames.SETTLED:
            self._settled(frame)
        elif frame.kind == frames.WAITS:
            frame.u64()
            self.waits = bool(frame.u8())
        elif frame.kind == frames.EXIT:
            self.exits = True
        else:
            self.link.handle(frame)

    def _settled(self, frame: Reader) -> None:
        request, status = frame.u64(), frame.u8()
        with self._lock:
            run = self._runs.pop(request, None)
        if status == 0:
            value = self.link.read_value(frame)
            if run is not None:
                run.set_result(value)
            return
        retry, dies = frame.u8(), frame.u8()
        error = Failed(frame.blob(), frame.text(), bool(retry), bool(dies))
        if run is not None:
            run.set_exception(error)

    # Calls

    def begin(self, what: int, actor: Any, header: bytes, args: tuple[Any, ...]) -> tuple[int, "Future[Value]"]:
        """Sends a call to the child."""
        if self.is_dead:
            self._ended()
        run: Future[Value] = Future()
        with self._lock:
            self._next += 1
            request = self._next
            self._runs[request] = run
        frame = Writer(frames.RUN)
        frame.u64(request)
        frame.u8(what)
        number = 0
        if actor is not None:
            number = self.link.actors.enter(actor._ray_actor_id.binary(), actor)
        frame.u64(number)
        task, layout, document = _parts(header)
        frame.u64(task)
        frame.blob(document)
        frame.u16(len(layout))
        at = 0
        for count in layout:
            if count == _SINGLE:
                self.link.write_value(frame, args[at])
                at += 1
            else:
                self.link.write_value(frame, values.array(list(args[at : at + count])))
                at += count
        self.link.channel.send(frame)
        return request, run

    def stop(self, request: int) -> None:
        """Cancels the body of a call."""
        frame = Writer(frames.STOP)
        frame.u64(request)
        self.link.channel.send(frame)

    def run(self, what: int, actor: Any, header: bytes, args: tuple[Any, ...]) -> Value:
        """Runs a call, and serves the child meanwhile on this thread."""
        channel = self.link.channel
        cancelled = False
        with self._turn, Interrupts() as interrupts:
            request, run = self.begin(what, actor, header, args)
            self.waits = False
            while not run.done():
                frame = channel.take_one()
                if frame is not None:
                    self._handle(frame)
                elif self.waits and self.link.wanted and what == _FUNCTION:
                    wanted = list(self.link.wanted.values())
                    ray.wait(wanted, num_returns=1, timeout=_SLICE, fetch_local=False)
                    if channel.is_readable(0):
                        self._read_bytes()
                elif interrupts.wait(channel):
                    self._read_bytes()
                if interrupts.pending and not cancelled:
                    cancelled = True
                    self.stop(request)
        if cancelled:
            raise KeyboardInterrupt
        return run.result()

    def _read_bytes(self) -> None:
        try:
            self.link.channel.receive()
        except (frames.Closed, OSError):
            self._ended()

    def run_beside_others(self, what: int, actor: Any, header: bytes, args: tuple[Any, ...]) -> Value:
        """Runs a call of an actor whose calls run at the same time; another thread reads the socket."""
        _request, run = self.begin(what, actor, header, args)
        return run.result()

    async def run_async(self, what: int, actor: Any, header: bytes, args: tuple[Any, ...]) -> Value:
        """Runs a call of an async actor."""
        request, run = self.begin(what, actor, header, args)
        try:
            return await asyncio.wrap_future(run)
        except asyncio.CancelledError:
            self.stop(request)
            raise


_SINGLE = 0xFFFFFFFF


def _parts(header: bytes) -> tuple[int, list[int], bytes]:
    task = int.from_bytes(header[:8], "little")
    count = int.from_bytes(header[8:10], "little")
    end = 10 + 4 * count
    layout = [int.from_bytes(header[at : at + 4], "little") for at in range(10, end, 4)]
    return task, layout, header[end:]


class Interrupts:
    """Notes Ray's interrupts of the main thread, in place of an exception at any line."""

    def __init__(self) -> None:
        self.pending = False
        self._is_main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "Interrupts":
        if self._is_main:
            self._wakes, self._woken = socket.socketpair()
            self._wakes.setblocking(False)
            self._former_fd = signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
            self._former = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, _signal: int, _frame: Any) -> None:
        self.pending = True

    def wait(self, channel: Channel) -> bool:
        """Waits until bytes or an interrupt come; whether it is bytes."""
        if not self._is_main:
            return True
        import select

        ready, _, _ = select.select([channel.socket, self._woken], [], [])
        if self._woken in ready:
            self._woken.recv(64)
        return channel.socket in ready

    def __exit__(self, *_: object) -> None:
        if self._is_main:
            signal.signal(signal.SIGINT, self._former)
            signal.set_wakeup_fd(self._former_fd)
            self._wakes.close()
            self._woken.close()


_child: Child | None = None
_starting = threading.Lock()


def child() -> Child:
    """The child of this worker; starts it if there is none, or if the GPUs of the worker have changed."""
    global _child
    with _starting:
        if _child is not None and _child.gpus != os.environ.get(_GPUS):
            _child.exits = True
            former, _child = _child, None
            former.process.kill()
        if _child is None:
            _child = Child()
        return _child


def _raise(error: Failed) -> RustError:
    kind = Retryable if error.retry else RustError
    return kind(error.payload, error.text, values.task_id())


def run_function(header: bytes, args: tuple[Any, ...]) -> Value:
    """Runs a Rust function."""
    try:
        return child().run(_FUNCTION, None, header, args)
    except Failed as error:
        raise _raise(error) from None


#: The unit of Rust in MessagePack.
_UNIT = b"\xc0"
#: A worker whose actor is not to be used any more ends after this time, in which its last reply leaves it.
_LAST_REPLY = 0.1


def end_soon() -> None:
    """Ends this worker when its reply has left it, so that Ray sees a crash, and restarts the actor if it may."""
    timer = threading.Timer(_LAST_REPLY, os._exit, args=[1])
    timer.daemon = True
    timer.start()


def construct(instance: Any, header: bytes, args: tuple[Any, ...]) -> None:
    """Makes the Rust instance of an actor."""
    here = child()
    here.is_actor = True
    instance.own = ray.get_runtime_context().current_actor
    try:
        here.run(_CONSTRUCTOR, instance.own, header, args)
    except Failed as error:
        raise ConstructorError(error.payload, error.text, values.task_id()) from None


def _ended(error: Failed) -> RustError:
    if error.dies:
        end_soon()
    return _raise(error)


def call(instance: Any, header: bytes, args: tuple[Any, ...]) -> Value:
    """Calls a method."""
    here = child()
    try:
        if threading.current_thread() is threading.main_thread():
            done = here.run(_METHOD, None, header, args)
        else:
            done = here.run_beside_others(_METHOD, None, header, args)
    except Failed as error:
        raise _ended(error) from None
    _exit_if_asked(here)
    return done


async def call_async(instance: Any, header: bytes, args: tuple[Any, ...]) -> Value:
    """Calls a method of an async actor."""
    here = child()
    try:
        done = await here.run_async(_METHOD, None, header, args)
    except Failed as error:
        raise _ended(error) from None
    _exit_if_asked(here)
    return done


def _exit_if_asked(here: Child) -> None:
    if here.exits:
        ray.actor.exit_actor()


def terminate() -> bytes:
    """Ends the actor after the calls before this one; the call itself succeeds."""
    timer = threading.Timer(_LAST_REPLY, os._exit, args=[0])
    timer.daemon = True
    timer.start()
    return _UNIT
