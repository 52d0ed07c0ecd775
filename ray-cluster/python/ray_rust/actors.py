"""Actors in a worker: the constructor, the methods, and the end."""

import asyncio
import os
import subprocess
import threading
import time
from typing import Any, NoReturn

import msgpack
import ray

from . import frames, values, worker
from .calls import specification
from .frames import Writer
from .values import ConstructorError, Died, RustError, Value
from .worker import Failed

#: The unit of Rust in MessagePack.
_UNIT = b"\xc0"
#: A worker whose actor is not to be used any more ends after this time, in which its last reply leaves it.
_LAST_REPLY = 0.1


#: How long a worker waits until the Rust program has dropped the instance of an actor that ends.
_FINISH = 5.0


class Ending:
    """The end of the actor of this worker. A call that comes after it has begun does not run."""

    def __init__(self) -> None:
        self.has_begun = False
        self.error: Failed | None = None
        #: A handle of the actor.
        self.actor: Any = None

    def begin(self, status: int, error: Failed | None = None) -> None:
        """Ends this worker when its reply has left it. With status 1 Ray sees a crash, and restarts the actor if it may."""
        self.has_begun = True
        self.error = error
        timer = threading.Timer(_LAST_REPLY, leave, args=[status])
        timer.daemon = True
        timer.start()

    def hold(self) -> None:
        """Keeps a call until this worker ends: Ray fails it, or sends it to the next instance. Without one it has an error."""
        if self.error is not None:
            raise Died(self.error.payload, self.error.text, values.task_id())
        time.sleep(3600)


_ending = Ending()


def construct(instance: Any, header: bytes, args: tuple[Any, ...], is_concurrent: bool) -> None:
    """Makes the Rust instance of an actor."""
    here = worker.child()
    here.is_actor = True
    options = msgpack.unpackb(specification(header)).get("options", {})
    most = options.get("max_restarts", 0)
    if most != 0:
        actor = ray.get_runtime_context().get_actor_id()
        here.past_restarts = ray._private.state.state.actor_table(actor).get("NumRestarts", 0)
        here.restarts = most < 0 or here.past_restarts < most
    here.task_retries = options.get("max_task_retries", 0)
    instance.own = _ending.actor = ray.get_runtime_context().current_actor
    try:
        here.run(worker.CONSTRUCTOR, instance.own, header, args)
    except Failed as error:
        if error.dies and here.restarts:
            # A panic is a crash, which Ray must see: it would not restart an actor for an exception of its constructor.
            os._exit(1)
        raise ConstructorError(error.payload, error.text, values.task_id()) from None
    if is_concurrent:
        here.is_concurrent = True
        threading.Thread(target=here.read_always, name="ray-rust-calls", daemon=True).start()


def _ended(here: worker.Child, error: Failed, header: bytes) -> RustError:
    raised = worker.raised(error)
    if not error.dies:
        return raised
    if here.restarts:
        if _is_tried_again(here, header):
            # Ray sends the call to the next instance. An answer would end the call.
            leave(1)
        raised.restarts = True
    if not _ending.has_begun:
        _ending.begin(1, None if here.restarts else error)
    return raised


def _is_tried_again(here: worker.Child, header: bytes) -> bool:
    """Whether Ray tries the call again after a crash of this worker."""
    options = msgpack.unpackb(specification(header)).get("options", {})
    retries: int = options.get("max_task_retries", here.task_retries)
    return retries < 0 or worker.attempt_number() < retries


def call(header: bytes, args: tuple[Any, ...]) -> Value:
    """Calls a method."""
    here = worker.child()
    try:
        if _ending.has_begun:
            _ending.hold()
        if here.finishes:
            ray.actor.exit_actor()
        if here.is_concurrent:
            done = here.run_beside_others(header, args)
        else:
            done = here.run(worker.METHOD, None, header, args)
    except Failed as error:
        _exit_if_asked(here)
        raise _ended(here, error, header) from None
    _exit_if_asked(here)
    return done


async def call_async(header: bytes, args: tuple[Any, ...]) -> Value:
    """Calls a method of an async actor."""
    here = worker.child()
    try:
        if _ending.has_begun:
            # The loop of the actor's calls runs nothing else any more.
            _ending.hold()
        if here.finishes:
            ray.actor.exit_actor()
        done = await here.run_async(header, args)
    except Failed as error:
        _exit_if_asked(here)
        raise _ended(here, error, header) from None
    _exit_if_asked(here)
    return done


def _exit_if_asked(here: worker.Child) -> None:
    if here.exits:
        # Ray kills the children of a worker that exits, so the instance is dropped before. The calls beside this one end with it.
        if not here.finishes:
            finish()
        ray.actor.exit_actor()


def terminate() -> bytes:
    """Ends the actor after the calls before this one; the call itself succeeds."""
    here = worker.child()
    while here.has_calls():
        time.sleep(0.005)
    _ending.has_begun = True
    finish()
    _ending.begin(0)
    return _UNIT


async def terminate_async() -> bytes:
    """As `terminate`, for an async actor."""
    here = worker.child()
    while here.has_calls():
        await asyncio.sleep(0.005)
    return terminate()


def leave(status: int) -> NoReturn:
    """Ends this worker after the Rust program has dropped the instance of the actor. With status 1 Ray sees a crash, with 0 the end
    of the actor."""
    # A call that comes now waits for the end of this worker.
    _ending.has_begun = True
    try:
        finish()
        if status == 0:
            # Ray would start an actor anew whose worker ends by itself.
            ray.kill(_ending.actor, no_restart=True)
    finally:
        os._exit(status)


def finish() -> None:
    """Has the Rust program drop the instance of the actor, and end."""
    here = worker.running()
    if here is None or here.is_dead:
        return
    here.finishes = True
    here.channel.send(Writer(frames.FINISH))
    try:
        here.process.wait(_FINISH)
    except subprocess.TimeoutExpired:
        here.process.kill()
