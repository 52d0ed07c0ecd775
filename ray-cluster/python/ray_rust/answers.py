"""The values and errors with which a Rust program is answered."""

# The references of an older Ray have no parameter, so annotations are not evaluated.
from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray import ObjectRef

from . import frames, values
from .frames import Channel, Writer
from .tables import Table, class_of
from .values import Died, Value

#: So many requests for values that come together are answered in batches.
_BURST = 32
#: Of the objects of a batch so many are waited for together.
_FIRST = 256
#: How often all of them are looked at, in seconds.
_SHORTEST_LOOK, _LOOK_PER_OBJECT, _LONGEST_LOOK = 0.002, 0.00005, 0.1

#: Outcomes.
_OK, _RUST_ERROR, _SYSTEM_ERROR = 0, 1, 2
#: Whose error it is.
_OWN, _OF_ARGUMENT, _OF_CONSTRUCTOR, _OF_RESTART, _OF_DEATH = 0, 1, 2, 3, 4

#: The begin of an answer with a value: request, outcome, length. After the value stands that it has no references.
_VALUE_HEAD = struct.Struct("<QBI")
_NO_ITEMS = b"\0\0"

#: The value, of which the program uses nothing, when it has asked whether an object is ready: the unit of Rust in MessagePack.
_READY_ANSWER = b"\xc0"

#: Requests, and the number and the reference of the object for which each asks.
Requests = list[tuple[int, int, "ObjectRef[Any]"]]


class Answers:
    """Answers the requests of a Rust program for objects."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.objects = Table()
        self.actors = Table()
        #: Requests for values, and to be told when objects are ready, among the frames that are handled together; none if frames
        #: are handled one by one.
        self._together: tuple[Requests, Requests] | None = None
        #: Objects that the program waits for: request, reference.
        self.wanted: dict[int, ObjectRef[Any]] = {}
        self._wants = Watch(self, with_values=True)
        self._looks = Watch(self, with_values=False)
        self._lock = threading.Lock()
        #: Objects that the program waits for without their values: by number and request.
        self.looked: dict[int, dict[int, ObjectRef[Any]]] = {}

    def write_value(self, frame: Writer, value: Value) -> None:
        """Writes a value, for the Rust program."""
        items: list[Any] = []
        data: Any = value
        if isinstance(value, list):
            data, *items = value
        frame.blob(data)
        frame.u16(len(items))
        for item in items:
            if isinstance(item, ObjectRef):
                frame.u8(0)
                frame.u64(self.objects.enter(item.binary(), item))
            else:
                frame.u8(1)
                frame.u64(self.actors.enter(item._ray_actor_id.binary(), item))
                frame.text(class_of(item))

    def settle(self, request: int, outcome: Any, ref: Any = None) -> None:
        """Answers a request for the object with this reference with a value or with an error."""
        self.channel.send(self._outcome(request, outcome, ref))

    def _outcome(self, request: int, outcome: Any, ref: Any) -> Writer:
        frame = Writer(frames.SETTLED)
        if type(outcome) is bytes and len(outcome) <= frames.INLINE:
            frame.bytes += _VALUE_HEAD.pack(request, _OK, len(outcome))
            frame.bytes += outcome
            frame.bytes += _NO_ITEMS
            return frame
        frame.u64(request)
        if values.is_value(outcome):
            frame.u8(_OK)
            self.write_value(frame, outcome)
        elif (error := values.rust_error(outcome)) is not None:
            frame.u8(_RUST_ERROR)
            of_own = _OF_DEATH if isinstance(error, Died) else _OF_RESTART if error.restarts else _OWN
            own = "" if ref is None else ref.task_id().hex()
            frame.u8(of_own if error.task == own else _OF_ARGUMENT)
            frame.blob(error.payload)
        elif (payload := values.constructor_error(outcome)) is not None:
            frame.u8(_RUST_ERROR)
            frame.u8(_OF_CONSTRUCTOR)
            frame.blob(payload)
        else:
            if not isinstance(outcome, BaseException):
                outcome = TypeError(f"the object is a Python {type(outcome).__name__}, not a value of a Rust program")
            of_argument = values.argument_error(outcome)
            reported = outcome if of_argument is None else of_argument
            frame.u8(_SYSTEM_ERROR)
            frame.u8(_OWN if of_argument is None else _OF_ARGUMENT)
            frame.text(values.kind_of(reported))
            frame.text(values.text_of(reported))
        return frame

    def want(self, request: int, number: int) -> None:
        ref = self.objects.get(number)
        if ref is None:
            self.settle(request, unknown_object(number))
        elif self._together is not None and isinstance(ref, ObjectRef):
            self._together[0].append((request, number, ref))
        else:
            self._answer_when_completed(request, ref)

    def look(self, request: int, number: int) -> None:
        ref = self.objects.get(number)
        if ref is None or not isinstance(ref, ObjectRef):
            # The program learns the error when it asks for the value.
            self.settle(request, _READY_ANSWER)
        elif self._together is not None:
            self._together[1].append((request, number, ref))
        else:
            self._answer_when_ready(request, number, ref)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Collects the requests for objects that are made meanwhile, and answers many of them in batches."""
        wants, looks = self._together = [], []
        try:
            yield
        finally:
            self._together = None
            if len(wants) >= _BURST:
                self._wants.add(wants)
            else:
                for request, _number, ref in wants:
                    self._answer_when_completed(request, ref)
            if len(looks) >= _BURST:
                self._looks.add(looks)
            else:
                for request, number, ref in looks:
                    self._answer_when_ready(request, number, ref)

    def answer_to(self, request: int, outcome: Any, ref: Any) -> Writer:
        """The answer to a request for an object."""
        try:
            return self._outcome(request, outcome, ref)
        except Exception as error:
            # For instance no memory for the value.
            return self._outcome(request, error, ref)

    def _answer_when_completed(self, request: int, ref: Any) -> None:
        self.wanted[request] = ref

        def completed(outcome: Any) -> None:
            self.wanted.pop(request, None)
            self.channel.send(self.answer_to(request, outcome, ref))

        when_completed(ref, completed)

    def _answer_when_ready(self, request: int, number: int, ref: ObjectRef[Any]) -> None:
        """Answers when the object is ready, or when the program has dropped the object with this number."""

        def ready(_outcome: Any) -> None:
            with self._lock:
                is_open = self.looked.get(number, {}).pop(request, None) is not None
            if is_open:
                self.settle(request, _READY_ANSWER)

        with self._lock:
            self.looked.setdefault(number, {})[request] = ref
        # Ray 2.60. An earlier Ray fetches the value to this process.
        direct = getattr(ref, "_on_ready", None)
        if direct is None:
            when_completed(ref, ready)
        else:
            direct(ready)

    def all_looked(self) -> list[ObjectRef[Any]]:
        with self._lock:
            return [ref for requests in self.looked.values() for ref in requests.values()]

    def drop(self, number: int) -> None:
        """The program has the object once less. If it has the object no more, its requests to be told of it are answered."""
        if self.objects.drop(number):
            with self._lock:
                dropped = self.looked.pop(number, {})
            for request in dropped:
                self.settle(request, _READY_ANSWER)
            self._looks.forget(number)


class Watch:
    """Answers many requests for objects, on a thread of its own while there are some.

    The program usually waits for its objects in the order in which it has made them. So the thread waits for the first of them
    together. If some of these take longer, it looks at all of them.
    """

    def __init__(self, answers: Answers, with_values: bool) -> None:
        self._answers = answers
        self._with_values = with_values
        self._lock = threading.Lock()
        self._added: Requests = []
        self._forgotten: set[int] = set()
        self._runs = False
        #: The requests for each object, with the number of the object.
        self._requests: dict[ObjectRef[Any], list[tuple[int, int]]] = {}

    def add(self, requests: Requests) -> None:
        for request, _number, ref in requests:
            self._answers.wanted[request] = ref
        with self._lock:
            self._added += requests
            if self._runs:
                return
            self._runs = True
        threading.Thread(target=self._run, name="ray-rust-watch", daemon=True).start()

    def forget(self, number: int) -> None:
        """The program has dropped the object with this number."""
        with self._lock:
            if self._runs:
                self._forgotten.add(number)

    def _run(self) -> None:
        pending: list[ObjectRef[Any]] = []
        try:
            while self._take(pending):
                ready, pending = self._look(pending)
                self._answer(ready, values.outcomes_of(ready) if self._with_values else [_READY_ANSWER] * len(ready))
        except Exception as error:
            # Without an answer the program would wait for ever.
            with self._lock:
                added, self._added, self._runs = self._added, [], False
                taken, self._requests = self._requests, {}
            left = [request for request, _number, _ref in added]
            left += [request for requests in taken.values() for request, _number in requests]
            for request in left:
                self._answers.wanted.pop(request, None)
                self._answers.settle(request, error)

    def _take(self, pending: list[ObjectRef[Any]]) -> bool:
        """Takes the requests that were added, and drops those for objects that were dropped; whether there are any requests."""
        with self._lock:
            added, self._added = self._added, []
            forgotten, self._forgotten = self._forgotten, set()
            self._runs = bool(added or pending)
        for request, number, ref in added:
            waiting = self._requests.get(ref)
            if waiting is None:
                waiting = self._requests[ref] = []
                pending.append(ref)
            waiting.append((request, number))
        if forgotten:
            self._drop(pending, forgotten)
        return self._runs

    def _drop(self, pending: list[ObjectRef[Any]], numbers: set[int]) -> None:
        for ref in pending:
            requests = self._requests[ref]
            for request, number in requests:
                if number in numbers:
                    self._answers.wanted.pop(request, None)
                    self._answers.settle(request, _READY_ANSWER)
            requests[:] = [one for one in requests if one[1] not in numbers]
            if not requests:
                del self._requests[ref]
        pending[:] = [ref for ref in pending if ref in self._requests]

    def _look(self, pending: list[ObjectRef[Any]]) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
        """Waits; returns the objects that are ready and those that are not."""
        # A look at many objects takes longer, so it comes less often.
        interval = min(max(_SHORTEST_LOOK, len(pending) * _LOOK_PER_OBJECT), _LONGEST_LOOK)
        if not pending:
            return [], []
        first, others = pending[:_FIRST], pending[_FIRST:]
        ready, left = ray.wait(first, num_returns=len(first), timeout=interval, fetch_local=self._with_values)
        if left and others:
            more, others = ray.wait(others, num_returns=len(others), timeout=0, fetch_local=self._with_values)
            ready += more
        return ready, left + others

    def _answer(self, refs: list[ObjectRef[Any]], outcomes: list[Any]) -> None:
        answers: list[Writer] = []
        for ref, outcome in zip(refs, outcomes, strict=True):
            for request, _number in self._requests.pop(ref):
                self._answers.wanted.pop(request, None)
                answers.append(self._answers.answer_to(request, outcome, ref))
        self._answers.channel.send_all(answers)


class FailedObject:
    """An object that Ray has refused."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def binary(self) -> bytes:
        return id(self).to_bytes(8, "little")

    def task_id(self) -> Any:
        return ray.TaskID.nil()

    def _on_completed(self, completed: Callable[[Any], None]) -> None:
        completed(self._error)


def when_completed(ref: Any, completed: Callable[[Any], None]) -> None:
    """Passes the value of an object, or its error, to a function, on a thread of Ray."""
    # Ray 1.0 to 2.60. The future of a later Ray is the public way, which wakes one more thread.
    direct = getattr(ref, "_on_completed", None)
    if direct is not None:
        direct(completed)
        return

    def done(future: Any) -> None:
        error = future.exception()
        completed(future.result() if error is None else error)

    ref.future().add_done_callback(done)


def unknown_object(number: int) -> BaseException:
    """The error for a number that this side does not know."""
    return RuntimeError(f"object {number} is not known to this process")
