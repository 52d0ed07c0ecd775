"""Submits many calls with the same options.

For each call Ray's `.remote` checks the options, looks up the function and builds the same arguments for its core worker. That
takes as long as the core worker itself. So the first call of a submission records the arguments that `.remote` passes to the core
worker, and the later calls pass the same arguments with their own values. If Ray passes the values in another form than expected
(another version, tracing), each call goes through `.remote`.
"""

import threading
from collections.abc import Callable
from typing import Any

import ray

#: Ray puts this before each positional argument.
_POSITIONAL = b"__RAY_DUMMY__"

_recording = threading.Lock()


class _Recorder:
    """Stands in for Ray's core worker, and notes the call of one of its functions."""

    def __init__(self, core_worker: Any, function: str) -> None:
        self._core_worker = core_worker
        self._function = function
        self.noted: tuple[Any, ...] | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._core_worker, name)
        if name != self._function:
            return found

        def note(*args: Any, **kwargs: Any) -> Any:
            if not kwargs:
                self.noted = args
            return found(*args, **kwargs)

        return note


class Submission:
    """Submits calls with fixed options; `remote` is Ray's function for one of them, which calls `function` of the core worker."""

    def __init__(self, remote: Callable[..., Any], function: str) -> None:
        self._remote = remote
        self._function = function
        self._is_recorded = False
        self._submit: Callable[..., Any] | None = None
        self._before: tuple[Any, ...] = ()
        self._after: tuple[Any, ...] = ()

    def __call__(self, *args: Any) -> Any:
        submit = self._submit
        if submit is None:
            return self._remote(*args) if self._is_recorded else self._record(args)
        flat: list[Any] = []
        for arg in args:
            flat += (_POSITIONAL, arg)
        return submit(*self._before, flat, *self._after)[0]

    def _record(self, args: tuple[Any, ...]) -> Any:
        worker = ray._private.worker.global_worker
        with _recording:
            core_worker = worker.core_worker
            recorder = worker.core_worker = _Recorder(core_worker, self._function)
            try:
                made = self._remote(*args)
            finally:
                worker.core_worker = core_worker
        self._is_recorded = True
        noted = recorder.noted
        at = None if noted is None else _place(noted, args)
        if noted is not None and at is not None:
            self._before, self._after = noted[:at], noted[at + 1 :]
            self._submit = getattr(core_worker, self._function)
        return made


def _place(noted: tuple[Any, ...], args: tuple[Any, ...]) -> int | None:
    """Which of the noted arguments has the values, if it has them in the form that is expected."""
    for at, given in enumerate(noted):
        if isinstance(given, list) and len(given) == 2 * len(args):
            positional = all(mark == _POSITIONAL for mark in given[::2])
            if positional and all(mine is theirs for mine, theirs in zip(args, given[1::2], strict=True)):
                return at
    return None
