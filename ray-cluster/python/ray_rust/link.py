"""One end of the socket: what the Rust program has, and what it asks for.

The Rust program names objects and actors by numbers. It gives the numbers below 2^62 itself (to the results of its calls, to the
objects that it stores and to the actors that it creates); this side numbers the references and handles that come to the program
inside values. A number counts how often the program has the object, and is forgotten with the last of them.
"""

# The references of an older Ray have no parameter, so annotations are not evaluated.
from __future__ import annotations

import platform
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import msgpack
import ray
from ray import ObjectRef
from ray.actor import ActorHandle

from . import frames, values
from .answers import Answers, FailedObject
from .calls import OBJECT, OBJECTS, SINGLE, VALUE, Call, header, plain
from .definitions import make_class, make_function
from .frames import Channel, Reader, Writer
from .options import Specifications
from .submission import Submission
from .tables import class_of
from .values import Value

#: Of an actor so many submissions are recorded: a program may give each call a name of its own.
_MOST_RECORDED = 1000
#: Of so many actors without a handle the state is known.
_FORMER = 1000

_READY = "ray::ActorHandle::ready"
_TERMINATE = "ray::ActorHandle::terminate"


#: Ray's states of actors that are not waiting for their creation.
_STATES = {"ALIVE": "Alive", "RESTARTING": "Restarting", "DEAD": "Dead"}


class Link(Answers):
    """Serves a Rust program."""

    def __init__(self, channel: Channel, records: bool = False) -> None:
        super().__init__(channel)
        #: Whether submissions are recorded. In a worker, where calls may belong to the placement group of a task, they are not.
        self._records = records
        #: The recorded submissions of methods, by actor and specification.
        self._methods: dict[int, dict[bytes, Submission]] = {}
        #: The ids of the last actors of which the program has no handle any more, for questions about their states.
        self._former: dict[int, str] = {}
        self._specifications = Specifications()
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

    def _read_call(self, frame: Reader) -> Call:
        if frame.peek():
            return plain(frame.rest())
        frame.u8()
        task, document, trace = frame.u64(), frame.blob(), frame.blob()
        args: list[Any] = []
        layout: list[int] = []
        for _ in range(frame.u16()):
            kind = frame.u8()
            if kind == VALUE:
                args.append(self.read_value(frame))
                layout.append(SINGLE)
            elif kind == OBJECT:
                args.append(self._object(frame.u64()))
                layout.append(SINGLE)
            elif kind == OBJECTS:
                count = frame.u32()
                args.extend(self._object(frame.u64()) for _ in range(count))
                layout.append(count)
            else:
                raise frames.Malformed(f"an argument of kind {kind}")
        return Call(task, document, header(task, layout, trace, document), args)

    def _object(self, number: int) -> ObjectRef[Any]:
        found = self.objects.get(number)
        if found is None:
            raise frames.Malformed(f"the program sends object {number}, which it does not have")
        return found

    # Requests of the Rust program

    def handle_all(self, arrived: Iterable[Reader]) -> None:
        """Handles frames that have arrived together. Many requests for objects among them are answered in batches: a callback of
        Ray for each costs more than the value."""
        with self.together():
            for frame in arrived:
                self.handle(frame)

    def handle(self, frame: Reader) -> None:
        """Handles a frame of the Rust program."""
        kind = frame.kind
        if kind == frames.SUBMIT:
            self._submit(frame)
        elif kind == frames.CALL:
            self._call(frame)
        elif kind == frames.WANT:
            self.want(frame.u64(), frame.u64())
        elif kind == frames.LOOK:
            self.look(frame.u64(), frame.u64())
        elif kind == frames.DROP:
            self.drop(frame.u64())
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
            ref = FailedObject(error)
        self.objects.set(number, ref.binary(), ref)

    def _submit(self, frame: Reader) -> None:
        call = self._read_call(frame)
        specification = self._specifications.get(call.document)

        def submit() -> ObjectRef[Any]:
            # Ray checks the options here, which may be wrong.
            submit = specification.submit
            if submit is None:
                function = _functions.get(specification.path)
                if function is None:
                    function = _functions[specification.path] = ray.remote(make_function(specification.path))
                remote = function.options(name=specification.name, **specification.for_ray()).remote
                submit = specification.submit = Submission(remote, "submit_task") if self._records else remote
            return submit(call.header, *call.args)

        self._enter(call.task, submit)

    def _call(self, frame: Reader) -> None:
        actor = frame.u64()
        call = self._read_call(frame)
        document = call.document
        specification = self._specifications.get(document)
        handle = self.actors.get(actor)

        def submit() -> Any:
            if handle is None:
                raise ray.exceptions.ActorDiedError
            if specification.path == _TERMINATE:
                return handle.rust_terminate__.remote()
            recorded = self._methods.setdefault(actor, {})
            remote = recorded.get(document)
            if remote is None:
                name = "rust_ready__" if specification.path == _READY else specification.method
                method = getattr(handle, name)
                if specification.options or specification.name != specification.default_name:
                    method = method.options(name=specification.name, **specification.for_ray())
                remote = method.remote
                if len(recorded) >= _MOST_RECORDED:
                    recorded.clear()
                if self._records:
                    remote = recorded[document] = Submission(remote, "submit_actor_task")
            return remote(call.header, *call.args)

        self._enter(call.task, submit)

    def _create(self, frame: Reader) -> None:
        request, number = frame.u64(), frame.u64()
        call = self._read_call(frame)
        specification = self._specifications.get(call.document)
        try:
            options = specification.options
            is_threaded = options.get("max_concurrency", 1) > 1 or bool(options.get("concurrency_groups"))
            concurrent = specification.is_async or is_threaded
            key = (specification.path, concurrent)
            made = _classes.get(key)
            if made is None:
                plain = make_class(specification.path, specification.methods, specification.is_async, concurrent)
                # Ray takes groups with the class only, and not with a creation.
                groups = options.get("concurrency_groups")
                make = ray.remote(concurrency_groups=groups) if groups else ray.remote
                made = _classes[key] = make(plain)
            handle = made.options(**specification.for_ray()).remote(call.header, *call.args)
        except Exception as error:
            return self.answer(request, error)
        number = self._enter_actor(number, handle)
        return self.answer(request, {"actor": number, "class": class_of(handle)})

    def _enter_actor(self, number: int, handle: ActorHandle) -> int:
        # The creation may have found an actor of its name that the program has already.
        return self.actors.enter(handle._ray_actor_id.binary(), handle, number)

    def _cancel(self, task: int, flags: int) -> None:
        ref = self.objects.get(task)
        if ref is None or isinstance(ref, FailedObject):
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
        number = self.actors.find(handle._ray_actor_id.binary(), handle)
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


_functions: dict[str, Any] = {}
_classes: dict[tuple[str, bool], Any] = {}
