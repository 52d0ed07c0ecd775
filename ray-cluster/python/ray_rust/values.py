"""Values, arguments and errors, as Ray has them and as frames have them.

Ray has a value of the Rust program as `bytes` (MessagePack, which nothing here reads), or, if references or handles stand inside
it, as a list: the bytes, and then these references and handles, so that Ray counts them.
"""

import base64
import binascii
import re
from typing import Any

import ray
from ray import exceptions

from .errors import ProgramError

#: A value of the Rust program.
Value = bytes | list[Any]


class RustError(Exception):
    """An error of the Rust program: its bytes, and its text for Ray's own logs."""

    def __init__(self, payload: bytes, text: str, task: str) -> None:
        super().__init__(payload, text, task)
        self.payload = payload
        self.text = text
        #: The id of the task whose body has returned the error.
        self.task = task
        #: The error is a panic of an actor that Ray starts anew.
        self.restarts = False

    def __str__(self) -> str:
        return self.text


class Died(RustError):
    """The panic of which an actor has died, for a later call."""


class Retryable(RustError):
    """An error after which the task is tried again."""


class ConstructorError(RustError):
    """The error of an actor's constructor. Ray keeps only its text, so the text has the bytes too."""

    def __str__(self) -> str:
        return f"{self.text} {_MARK}{base64.b64encode(self.payload).decode()}"


_MARK = "ray-rust-error:"
_MARKED = re.compile(re.escape(_MARK) + r"([A-Za-z0-9+/=]+)")

#: Kinds of Ray's errors, the more special ones first, and the kinds of the Rust program. An older Ray has not all of them.
_KINDS_OF_RAY = [
    ("AuthenticationError", "Authentication"),
    ("TaskCancelledError", "Cancelled"),
    ("ActorUnavailableError", "ActorUnavailable"),
    ("RayActorError", "ActorDied"),
    ("ActorHandleNotFoundError", "ActorDied"),
    ("ActorAlreadyExistsError", "ActorAlreadyExists"),
    ("WorkerCrashedError", "WorkerCrashed"),
    ("PendingCallsLimitExceeded", "PendingCallsLimitExceeded"),
    ("TaskUnschedulableError", "Infeasible"),
    ("ActorUnschedulableError", "Infeasible"),
    ("OutOfMemoryError", "OutOfMemory"),
    ("ObjectStoreFullError", "OutOfMemory"),
    ("OutOfDiskError", "OutOfMemory"),
    ("ObjectLostError", "ObjectLost"),
    ("GetTimeoutError", "GetTimeout"),
    ("RayError", "System"),
]
_KINDS: list[tuple[type[BaseException], str]] = [
    *((getattr(exceptions, name), kind) for name, kind in _KINDS_OF_RAY if hasattr(exceptions, name)),
    (ValueError, "InvalidArgument"),
    (TypeError, "InvalidArgument"),
]


class _NeverRaised(Exception):
    """Stands for an exception that an older Ray does not have."""


AuthenticationError: type[Exception] = getattr(exceptions, "AuthenticationError", _NeverRaised)


def kind_of(error: BaseException) -> str:
    """The kind of an error for the Rust program."""
    if isinstance(error, exceptions.RayTaskError) and isinstance(error.cause, exceptions.RayError):
        # The task was cancelled, or an argument of it has failed.
        return kind_of(error.cause)
    return next((kind for known, kind in _KINDS if isinstance(error, known)), "System")


def argument_error(error: BaseException) -> BaseException | None:
    """The error of Ray because of which a task has failed that it is an argument of."""
    found = None
    while isinstance(error, exceptions.RayTaskError) and isinstance(error.cause, exceptions.RayError):
        found = error = error.cause
    # A task that was cancelled itself has this cause as well.
    return None if isinstance(found, (exceptions.RayTaskError, exceptions.TaskCancelledError)) else found


def text_of(error: BaseException) -> str:
    """The text of an error, without the traceback of this package."""
    cause = error.cause if isinstance(error, exceptions.RayTaskError) else None
    if isinstance(cause, ProgramError):
        error = cause
    elif isinstance(cause, exceptions.TaskCancelledError):
        return "the task was cancelled, or the task that makes one of its arguments"
    elif cause is not None:
        return f"the Python code of a task has failed: {type(cause).__name__}: {text_of(cause)}"
    return " ".join(str(error).split()) or type(error).__name__


def rust_error(error: BaseException) -> RustError | None:
    """The error of the Rust program inside one of Ray's."""
    if isinstance(error, exceptions.RayTaskError):
        error = error.cause
    return error if isinstance(error, RustError) else None


def constructor_error(error: BaseException) -> bytes | None:
    """The bytes of the constructor's error because of which an actor has died."""
    if not isinstance(error, exceptions.RayActorError):
        return None
    found = _MARKED.search(str(error))
    if found is None:
        return None
    try:
        return base64.b64decode(found[1], validate=True)
    except binascii.Error:
        return None


def is_value(item: Any) -> bool:
    """Whether this is a value of a Rust program. Other drivers of the cluster may have stored other Python objects."""
    if isinstance(item, list):
        inside = all(isinstance(part, (ray.ObjectRef, ray.actor.ActorHandle)) for part in item[1:])
        return bool(item) and isinstance(item[0], bytes) and inside
    return isinstance(item, bytes)


def task_id() -> str:
    """The id of the task that runs on this thread."""
    return ray.get_runtime_context().get_task_id() or ""


def array(values: list[Value]) -> bytes:
    """The values as one MessagePack array."""
    if not all(isinstance(value, bytes) for value in values):
        raise TypeError(
            "a vector of references was passed to a parameter whose elements contain references or handles themselves: "
            "pass the values, or a vector parameter of references (`Vec<ObjectRef<T>>`)"
        )
    count = len(values)
    if count < 16:
        head = bytes([0x90 | count])
    elif count < 1 << 16:
        head = b"\xdc" + count.to_bytes(2, "big")
    else:
        head = b"\xdd" + count.to_bytes(4, "big")
    return head + b"".join(values)  # type: ignore[arg-type]


def outcomes_of(refs: list[Any]) -> list[Any]:
    """The value or the error of each of these objects, which are ready."""
    if not refs:
        return []
    try:
        # Ray 2.0 to 2.60.
        found: tuple[list[Any], Any] = ray._private.worker.global_worker.get_objects(refs, return_exceptions=True)
        return found[0]
    except (AttributeError, TypeError):
        return [_outcome_of(ref) for ref in refs]


def _outcome_of(ref: Any) -> Any:
    try:
        return ray.get(ref)
    except Exception as error:
        return error
