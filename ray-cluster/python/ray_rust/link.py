"""One end of the socket: what the Rust program has, and what it asks for.

The Rust program names objects and actors by numbers. It gives the numbers below 2^62 itself (to the results of its calls, to the
objects that it stores and to the actors that it creates); this side numbers the references and handles that come to the program
inside values. A number counts how often the program has the object, and is forgotten with the last of them.
"""

# The references of an older Ray have no parameter, so annotations are not evaluated.
from __future__ import annotations

import platform
import struct
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import msgpack
import ray
from ray import ObjectRef
from ray.actor import ActorHandle

from . import frames, values
from .definitions import make_class, make_function
from .frames import Channel, Reader, Writer
from .options import Specifications
from .submission import Submission
from .values import Died, Value

_FIRST_NUMBER = 1 << 62

#: So many requests for values that come together are answered in batches.
_BURST = 32
#: How often the objects of a batch are looked at, in seconds.
_SHORTEST_LOOK, _LOOK_PER_OBJECT, _LONGEST_LOOK = 0.002, 0.00005, 0.1

#: Of an actor so many submissions are recorded: a program may give each call a name of its own.
_MOST_RECORDED = 1000
#: Of so many actors without a handle the state is known.
_FORMER = 1000

#: The arguments of a frame: a value, an object, or several objects that are the elements of a vector.
_VALUE, _OBJECT, _OBJECTS = 0, 1, 2
#: In a header: the argument is one value.
SINGLE = 0xFFFFFFFF

#: Outcomes.
_OK, _RUST_ERROR, _SYSTEM_ERROR = 0, 1, 2
#: Whose error it is.
_OWN, _OF_ARGUMENT, _OF_CONSTRUCTOR, _OF_RESTART, _OF_DEATH = 0, 1, 2, 3, 4

#: The value, of which the program uses nothing, when it has asked whether an object is ready: the unit of Rust in MessagePack.
_READY_ANSWER = b"\xc0"

#: Requests, and the objects for which they ask.
Requests = list[tuple[int, "ObjectRef[Any]"]]

_READY = "ray::ActorHandle::ready"
_TERMINATE = "ray::ActorHandle::terminate"


#: Ray's states of actors that are not waiting for their creation.
_STATES = {"ALIVE": "Alive", "RESTARTING": "Restarting", "DEAD": "Dead"}


class Table:
    """Numbers of objects, or of actors."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: dict[int, Any] = {}
        self._keys: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._counts: dict[int, int] = {}
        self._next = _FIRST_NUMBER

    def set(self, number: int, key: bytes, item: Any) -> None:
        """The Rust program has given this number."""
        with self._lock:
            self._items[number] = item
            self._keys[number] = key
            self._numbers.setdefault(key, number)
            self._counts[number] = self._counts.get(number, 0) + 1

    def enter(self, key: bytes, item: Any, proposed: int | None = None) -> int:
        """The number under which the Rust program gets the item, once more: the one that it has, or else the proposed one."""
        with self._lock:
            number = self._numbers.get(key)
            if number is None:
                number = proposed
                if number is None:
                    number = self._next
                    self._next += 1
                self._items[number] = item
                self._keys[number] = key
                self._numbers[key] = number
            self._counts[number] = self._counts.get(number, 0) + 1
            return number

    def get(self, number: int) -> Any:
        with self._lock:
            return self._items.get(number)

    def acquire(self, number: int) -> None:
        with self._lock:
            if number in self._items:
                self._counts[number] += 1

    def drop(self, number: int) -> bool:
        """The Rust program has the item once less; whether it has it no more."""
        with self._lock:
            left = self._counts.get(number, 0) - 1
            if left > 0:
                self._counts[number] = left
                return False
            item = self._items.pop(number, None)
            self._counts.pop(number, None)
            key = self._keys.pop(number, b"")
            if self._numbers.get(key) == number:
                del self._numbers[key]
        # The drop of the last reference may call into Ray, so it happens without the lock.
        del item
        return True

    def __len__(self) -> int:
        return len(self._items)


def class_of(handle: ActorHandle) -> str:
    """The path of the actor's Rust class."""
    descriptor = handle._ray_actor_creation_function_descriptor
    return f"{descriptor.module_name}::{descriptor.class_name}"


class Link:
    """Serves a Rust program."""

    def __init__(self, channel: Channel, records: bool = False) -> None:
        self.channel = channel
        #: Whether submissions are recorded. In a worker, where calls may belong to the placement group of a task, they are not.
        self._records = records
        #: The recorded submissions of methods, by actor and specification.
        self._methods: dict[int, dict[bytes, Submission]] = {}
        self.objects = Table()
        self.actors = Table()
        #: The ids of the last actors of which the program has no handle any more, for questions about their states.
        self._former: dict[int, str] = {}
        self._specifications = Specifications()
        #: Requests for values, and to be told when objects are ready, among the frames that are handled together; none if frames
        #: are handled one by one.
        self._together: tuple[Requests, Requests] | None = None
        #: Objects that the program waits for: request, reference.
        self.wanted: dict[int, ObjectRef[Any]] = {}
        self._lock = threading.Lock()
        #: Objects that the program waits for without their values: by number and request.
        self.looked: dict[int, dict[int, ObjectRef[Any]]] = {}
        self._asked: dict[str, Callable[[dict[str, Any]], Any]] = {
            "find": self._find,
            "names": self._names,
            "state": self._state,
            "resources": lambda _: ray.cluster_resources(),
            # Ray leaves out the resources of which nothing is free.
            "available": lambda _: {**dict.fromkeys(ray.cluster_resources(), 0.0), **ray.available_resources()},
            "nodes": lambda _: [_node(node) for node in ray.nodes()],
        }

    # Values

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

    def read_value(self, frame: Reader) -> Value:
        """Reads a value of the Rust program."""
        data = frame.blob()
        count = frame.u16()
        if not count:
            return data
        items = [self._item(frame) for _ in range(count)]
        return [data, *items]

    def _item(self, frame: Reader) -> Any:
        kind, number = frame.u8(), frame.u64()
        table = self.actors if kind else self.objects
        item = table.get(number)
        if item is None:
            raise frames.Malformed(f"the program sends number {number}, which it does not have")
        return item

    def _read_args(self, frame: Reader) -> tuple[list[Any], list[int]]:
        """The arguments for Ray, and for each argument of the Rust function of how many of Ray's arguments it consists."""
        args: list[Any] = []
        layout: list[int] = []
        for _ in range(frame.u16()):
            kind = frame.u8()
            if kind == _VALUE:
                args.append(self.read_value(frame))
                layout.append(SINGLE)
            elif kind == _OBJECT:
                args.append(self._object(frame.u64()))
                layout.append(SINGLE)
            elif kind == _OBJECTS:
                count = frame.u32()
                args.extend(self._object(frame.u64()) for _ in range(count))
                layout.append(count)
            else:
                raise frames.Malformed(f"an argument of kind {kind}")
        return args, layout

    def _object(self, number: int) -> ObjectRef[Any]:
        found = self.objects.get(number)
        if found is None:
            raise frames.Malformed(f"the program sends object {number}, which it does not have")
        return found

    # Outcomes

    def settle(self, request: int, outcome: Any, own: str = "") -> None:
        """Answers a request with a value or with an error. `own` is the id of the task that has made the object."""
        self.channel.send(self._outcome(request, outcome, own))

    def _outcome(self, request: int, outcome: Any, own: str) -> Writer:
        frame = Writer(frames.SETTLED)
        frame.u64(request)
        if values.is_value(outcome):
            frame.u8(_OK)
            self.write_value(frame, outcome)
        elif (error := values.rust_error(outcome)) is not None:
            frame.u8(_RUST_ERROR)
            of_own = _OF_DEATH if isinstance(error, Died) else _OF_RESTART if error.restarts else _OWN
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

    def _want(self, request: int, number: int) -> None:
        ref = self.objects.get(number)
        if ref is None:
            self.settle(request, unknown_object(number))
        elif self._together is not None and isinstance(ref, ObjectRef):
            self._together[0].append((request, ref))
        else:
            self._answer_when_completed(request, ref)

    def _look(self, request: int, number: int) -> None:
        ref = self.objects.get(number)
        if ref is None or not isinstance(ref, ObjectRef):
            # The program learns the error when it asks for the value.
            self.settle(request, _READY_ANSWER)
        elif self._together is not None:
            self._together[1].append((request, ref))
        else:
            self._answer_when_ready(request, number, ref)

    def handle_all(self, arrived: Iterable[Reader]) -> None:
        """Handles frames that have arrived together. Many requests for objects among them are answered in batches: a callback of
        Ray for each costs more than the value."""
        wants, looks = self._together = [], []
        try:
            for frame in arrived:
                self.handle(frame)
        finally:
            self._together = None
        if len(wants) >= _BURST:
            self._start_batch(wants, with_values=True)
        else:
            for request, ref in wants:
                self._answer_when_completed(request, ref)
        if len(looks) >= _BURST:
            self._start_batch(looks, with_values=False)
        else:
            for request, ref in looks:
                self._answer_when_ready(request, None, ref)

    def _start_batch(self, asked: Requests, with_values: bool) -> None:
        for request, ref in asked:
            self.wanted[request] = ref
        threading.Thread(target=self._answer_batch, args=[asked, with_values], name="ray-rust-batch", daemon=True).start()

    def _answer_batch(self, wants: Requests, with_values: bool) -> None:
        """Answers requests in the order in which their objects are settled, with a look at all of them at intervals."""
        requests: dict[ObjectRef[Any], list[int]] = {}
        for request, ref in wants:
            requests.setdefault(ref, []).append(request)
        pending = list(requests)
        try:
            while pending:
                # A look at many objects takes longer, so it comes less often.
                interval = min(max(_SHORTEST_LOOK, len(pending) * _LOOK_PER_OBJECT), _LONGEST_LOOK)
                ready, pending = ray.wait(pending, num_returns=len(pending), timeout=interval, fetch_local=with_values)
                outcomes = values.outcomes_of(ready) if with_values else [_READY_ANSWER] * len(ready)
                answers = []
                for ref, outcome in zip(ready, outcomes, strict=True):
                    own = ref.task_id().hex()
                    for request in requests.pop(ref):
                        self.wanted.pop(request, None)
                        try:
                            answers.append(self._outcome(request, outcome, own))
                        except Exception as error:
                            # For instance no memory for the value.
                            answers.append(self._outcome(request, error, own))
                self.channel.send_all(answers)
        except Exception as error:
            # Without an answer the program would wait for ever.
            for left in requests.values():
                for request in left:
                    self.wanted.pop(request, None)
                    self.settle(request, error)

    def _answer_when_completed(self, request: int, ref: Any) -> None:
        own = ref.task_id().hex()
        self.wanted[request] = ref

        def completed(outcome: Any) -> None:
            self.wanted.pop(request, None)
            try:
                self.settle(request, outcome, own)
            except Exception as error:
                # For instance no memory for the value. Without an answer the program would wait for ever.
                self.settle(request, error)

        when_completed(ref, completed)

    def _answer_when_ready(self, request: int, number: int | None, ref: ObjectRef[Any]) -> None:
        """Answers when the object is ready, or when the program has dropped the object with this number."""

        def ready(_outcome: Any) -> None:
            if number is not None:
                with self._lock:
                    self.looked.get(number, {}).pop(request, None)
            self.settle(request, _READY_ANSWER)

        # Ray 2.60. An earlier Ray fetches the value to this process.
        direct = getattr(ref, "_on_ready", None)
        if direct is None:
            return when_completed(ref, ready)
        if number is not None:
            with self._lock:
                self.looked.setdefault(number, {})[request] = ref
        direct(ready)
        return None

    def all_looked(self) -> list[ObjectRef[Any]]:
        with self._lock:
            return [ref for requests in self.looked.values() for ref in requests.values()]

    def _drop(self, number: int) -> None:
        if self.objects.drop(number):
            with self._lock:
                dropped = self.looked.pop(number, {})
            for request in dropped:
                self.settle(request, _READY_ANSWER)

    # Requests of the Rust program

    def handle(self, frame: Reader) -> None:
        """Handles a frame of the Rust program."""
        kind = frame.kind
        if kind == frames.SUBMIT:
            self._submit(frame)
        elif kind == frames.CALL:
            self._call(frame)
        elif kind == frames.WANT:
            self._want(frame.u64(), frame.u64())
        elif kind == frames.LOOK:
            self._look(frame.u64(), frame.u64())
        elif kind == frames.DROP:
            self._drop(frame.u64())
        elif kind == frames.PUT:
            number, value = frame.u64(), self.read_value(frame)
            self._enter(number, lambda: ray.put(value))
        elif kind == frames.CREATE:
            self._create(frame)
        elif kind == frames.CANCEL:
            self._cancel(frame.u64(), frame.u8())
        elif kind == frames.KILL:
            self._kill(frame.u64(), frame.u8())
        elif kind == frames.ACQUIRE:
            self.actors.acquire(frame.u64())
        elif kind == frames.RELEASE:
            self._release(frame.u64())
        elif kind == frames.ASK:
            self._ask(frame.u64(), frame.rest())
        else:
            raise frames.Malformed(f"a frame of kind {kind}")

    def _enter(self, number: int, make: Callable[[], ObjectRef[Any]]) -> None:
        """Enters an object; if Ray refuses it, an object that has failed."""
        try:
            ref = make()
        except Exception as error:
            ref = _Failed(error)
        self.objects.set(number, ref.binary(), ref)

    def _submit(self, frame: Reader) -> None:
        task, document, trace = frame.u64(), frame.blob(), frame.blob()
        args, layout = self._read_args(frame)
        specification = self._specifications.get(document)

        def submit() -> ObjectRef[Any]:
            # Ray checks the options here, which may be wrong.
            submit = specification.submit
            if submit is None:
                function = _functions.get(specification.path)
                if function is None:
                    function = _functions[specification.path] = ray.remote(make_function(specification.path))
                remote = function.options(name=specification.name, **specification.for_ray()).remote
                submit = specification.submit = Submission(remote, "submit_task") if self._records else remote
            return submit(header(task, layout, trace, document), *args)

        self._enter(task, submit)

    def _call(self, frame: Reader) -> None:
        task, actor, document, trace = frame.u64(), frame.u64(), frame.blob(), frame.blob()
        args, layout = self._read_args(frame)
        specification = self._specifications.get(document)
        handle = self.actors.get(actor)

        def call() -> Any:
            if handle is None:
                raise ray.exceptions.ActorDiedError
            if specification.path == _TERMINATE:
                return handle.rust_terminate__.remote()
            recorded = self._methods.setdefault(actor, {})
            submit = recorded.get(document)
            if submit is None:
                name = "rust_ready__" if specification.path == _READY else specification.method
                method = getattr(handle, name)
                if specification.options or specification.name != specification.default_name:
                    method = method.options(name=specification.name, **specification.for_ray())
                submit = method.remote
                if len(recorded) >= _MOST_RECORDED:
                    recorded.clear()
                if self._records:
                    submit = recorded[document] = Submission(submit, "submit_actor_task")
            return submit(header(task, layout, trace, document), *args)

        self._enter(task, call)

    def _create(self, frame: Reader) -> None:
        request, number, task, document, trace = frame.u64(), frame.u64(), frame.u64(), frame.blob(), frame.blob()
        args, layout = self._read_args(frame)
        specification = self._specifications.get(document)
        try:
            concurrent = specification.is_async or specification.options.get("max_concurrency", 1) > 1
            key = (specification.path, concurrent)
            made = _classes.get(key)
            if made is None:
                plain = make_class(specification.path, specification.methods, specification.is_async, concurrent)
                made = _classes[key] = ray.remote(plain)
            handle = made.options(**specification.for_ray()).remote(header(task, layout, trace, document), *args)
        except Exception as error:
            return self.answer(request, error)
        number = self._enter_actor(number, handle)
        return self.answer(request, {"actor": number, "class": class_of(handle)})

    def _enter_actor(self, number: int, handle: ActorHandle) -> int:
        # The creation may have found an actor of its name that the program has already.
        return self.actors.enter(handle._ray_actor_id.binary(), handle, number)

    def _cancel(self, task: int, flags: int) -> None:
        ref = self.objects.get(task)
        if ref is None or isinstance(ref, _Failed):
            return
        try:
            ray.cancel(ref, recursive=bool(flags & 1), force=bool(flags & 2))
        except (ValueError, TypeError):
            # It is no task, or the call of an actor, which cannot be cancelled by force.
            if flags & 2:
                self._cancel(task, flags & ~2)
        except ray.exceptions.RayError:
            # Ray has told why the task cannot be reached; its object fails with the same error.
            traceback.print_exc()

    def _kill(self, number: int, restart: int) -> None:
        handle = self.actors.get(number)
        if handle is None:
            return
        try:
            ray.kill(handle, no_restart=not restart)
        except (ValueError, ray.exceptions.RayError):
            # The calls of an actor that cannot be reached fail with the same error.
            traceback.print_exc()

    def _release(self, number: int) -> None:
        handle = self.actors.get(number)
        if self.actors.drop(number):
            self._methods.pop(number, None)
            if handle is not None:
                # The actor may still run calls.
                self._former[number] = handle._ray_actor_id.hex()
                if len(self._former) > _FORMER:
                    del self._former[next(iter(self._former))]

    # Questions

    def _ask(self, request: int, document: bytes) -> None:
        try:
            question = msgpack.unpackb(document)
            answer = self._asked[question["ask"]](question)
        except Exception as error:
            return self.answer(request, error)
        return self.answer(request, answer)

    def answer(self, request: int, answer: Any) -> None:
        """Answers a request with a document or an error."""
        frame = Writer(frames.ANSWER)
        frame.u64(request)
        if not isinstance(answer, BaseException):
            try:
                document = msgpack.packb(answer, default=str)
            except (ValueError, TypeError, OverflowError) as error:
                answer = error
        if isinstance(answer, BaseException):
            frame.u8(0)
            frame.text(values.kind_of(answer))
            frame.text(values.text_of(answer))
        else:
            frame.u8(1)
            frame.bytes += document
        self.channel.send(frame)

    def _find(self, question: dict[str, Any]) -> Any:
        try:
            handle = ray.get_actor(question["name"], question["namespace"])
        except ValueError:
            return None
        number = self.actors.enter(handle._ray_actor_id.binary(), handle)
        return {"actor": number, "class": class_of(handle)}

    def _names(self, _question: dict[str, Any]) -> Any:
        named = ray.util.list_named_actors(all_namespaces=True)
        return [[one["namespace"], one["name"]] for one in named]

    def _state(self, question: dict[str, Any]) -> Any:
        handle = self.actors.get(question["actor"])
        actor = self._former.get(question["actor"]) if handle is None else handle._ray_actor_id.hex()
        if actor is None:
            return "Dead"
        info = ray._private.state.state.actor_table(actor)
        # Ray's head may not know an actor yet that this process has just created.
        return _STATES.get(info.get("State", ""), "Pending")


def _node(node: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": node["NodeID"],
        "alive": node["Alive"],
        "address": node["NodeManagerAddress"],
        "labels": node.get("Labels", {}),
        "resources": node["Resources"],
    }


def describe() -> dict[str, str]:
    """The cluster that this process is a part of."""
    context = ray.get_runtime_context()
    return {
        "address": context.gcs_address,
        "ray_version": ray.__version__,
        "python_version": platform.python_version(),
        "session_dir": ray._private.worker.global_worker.node.get_session_dir_path(),
        "job_id": context.get_job_id(),
        "node_id": context.get_node_id(),
        "worker_id": context.get_worker_id() if context.worker.mode == ray.WORKER_MODE else "",
        "namespace": context.namespace,
    }


class _Failed:
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


def header(task: int, layout: list[int], trace: bytes, document: bytes) -> bytes:
    """What a worker is told of a call beside its arguments: the task, the layout if it is not plain, the trace context, and the
    specification."""
    if layout.count(SINGLE) == len(layout):
        return _HEADER.pack(task, 0, len(trace)) + trace + document
    return struct.pack(f"<QHH{len(layout)}I", task, len(layout), len(trace), *layout) + trace + document


def parts(header: bytes) -> tuple[int, list[int], memoryview, memoryview]:
    """The task, the layout (empty: each argument is one value), the trace context, and the specification."""
    task, count, traced = _HEADER.unpack_from(header)
    end = _HEADER.size + 4 * count
    layout = list(struct.unpack_from(f"<{count}I", header, _HEADER.size)) if count else []
    rest = memoryview(header)[end:]
    return task, layout, rest[:traced], rest[traced:]


_HEADER = struct.Struct("<QHH")


_functions: dict[str, Any] = {}
_classes: dict[tuple[str, bool], Any] = {}
