"""Tables, values, options and headers, and requests of a program that are no requests."""

import random
import socket
import time
import types
import unittest
from collections import deque
from typing import Any
from unittest import mock

import msgpack
import ray

from ray_rust import answers, calls, errors, frames, link, options, values
from ray_rust.calls import SINGLE, header, parts
from ray_rust.frames import Channel, Malformed, Reader, Writer
from ray_rust.link import Link
from ray_rust.tables import Table


class Tables(unittest.TestCase):
    def test_a_number_is_forgotten_with_the_last_drop(self) -> None:
        table = Table()
        number = table.enter(b"key", "item")
        self.assertGreaterEqual(number, 1 << 62)
        self.assertEqual(table.enter(b"key", "item"), number)
        table.acquire(number)
        for _ in range(2):
            table.drop(number)
            self.assertEqual(table.get(number), "item")
        table.drop(number)
        self.assertIsNone(table.get(number))
        self.assertEqual(len(table), 0)
        self.assertNotEqual(table.enter(b"key", "item"), number)

    def test_an_item_keeps_the_number_of_the_program(self) -> None:
        table = Table()
        table.set(7, b"key", "item")
        self.assertEqual(table.enter(b"key", "item"), 7)
        table.drop(7)
        table.drop(7)
        self.assertEqual(len(table), 0)

    def test_a_found_item_is_replaced_by_one_that_is_counted(self) -> None:
        table = Table()
        number = table.find(b"key", "weak")
        self.assertEqual((table.find(b"key", "weak"), table.get(number), len(table)), (number, "weak", 0))
        table.acquire(number)
        self.assertEqual(table.enter(b"key", "strong"), number)
        self.assertEqual(table.get(number), "strong")
        table.drop(number)
        self.assertEqual(table.get(number), "strong")
        self.assertTrue(table.drop(number))
        self.assertEqual((table.get(number), len(table)), ("weak", 0))
        self.assertEqual(table.enter(b"key", "strong"), number)

    def test_numbers_that_are_not_known_do_nothing(self) -> None:
        table = Table()
        table.drop(1)
        table.acquire(1)
        self.assertIsNone(table.get(1))
        self.assertEqual(len(table), 0)


class Values(unittest.TestCase):
    def test_a_header_is_read_as_it_was_written(self) -> None:
        for layout in ([], [SINGLE, SINGLE], [SINGLE, 3, 0]):
            for trace in (b"", b"00-trace"):
                task, read, traced, document = parts(header(1 << 60, layout, trace, b"document"))
                single = layout.count(SINGLE) == len(layout)
                expected = (1 << 60, [] if single else layout, trace, b"document")
                self.assertEqual((task, read, bytes(traced), bytes(document)), expected)

    def test_arrays_are_message_pack(self) -> None:
        for count in (0, 15, 16, 65_535, 65_536):
            packed = values.array([b"\x07"] * count)
            self.assertEqual(msgpack.unpackb(packed), [7] * count)
        with self.assertRaises(TypeError):
            values.array([b"\x07", [b"\x07"]])

    def test_values_of_other_drivers_are_not_those_of_rust(self) -> None:
        self.assertTrue(values.is_value(b"bytes"))
        self.assertTrue(values.is_value([b"bytes", ray.ObjectRef.nil()]))
        others: list[object] = ["text", 1, None, [], [1], [b"bytes", 1], {}]
        for other in others:
            self.assertFalse(values.is_value(other), other)

    def test_the_error_of_a_constructor_is_found_in_the_text_of_ray(self) -> None:
        error = values.ConstructorError(b"\x00payload\xff", "text", "task")
        died = ray.exceptions.ActorDiedError.from_task_error(
            ray.exceptions.RayTaskError("f", f"traceback: {error}", error, "title", 1, "127.0.0.1")
        )
        self.assertEqual(values.constructor_error(died), b"\x00payload\xff")
        self.assertIsNone(values.constructor_error(ray.exceptions.ActorDiedError()))

    def test_the_text_of_a_program_that_does_not_start_has_no_traceback(self) -> None:
        cause = errors.ProgramError("what to do")
        error = ray.exceptions.RayTaskError("f", "Traceback: ..", cause, "title", 1, "127.0.0.1")
        self.assertEqual((values.kind_of(error), values.text_of(error)), ("System", "what to do"))

    def test_the_kind_of_a_failed_argument_is_that_of_its_error(self) -> None:
        cancelled = ray.exceptions.RayTaskError("f", "..", ray.exceptions.TaskCancelledError(), "title", 1, "127.0.0.1")
        self.assertEqual(values.kind_of(cancelled), "Cancelled")
        self.assertIn("was cancelled", values.text_of(cancelled))
        crashed = ray.exceptions.RayTaskError("f", "..", ray.exceptions.WorkerCrashedError(), "title", 1, "127.0.0.1")
        self.assertEqual(values.kind_of(crashed), "WorkerCrashed")

    def test_kinds(self) -> None:
        for error, kind in (
            (ray.exceptions.ActorUnavailableError("text", None), "ActorUnavailable"),
            (ray.exceptions.WorkerCrashedError(), "WorkerCrashed"),
            (ray.exceptions.OutOfMemoryError("text"), "OutOfMemory"),
            (ValueError("text"), "InvalidArgument"),
            (OSError("text"), "System"),
        ):
            self.assertEqual(values.kind_of(error), kind)


class Options(unittest.TestCase):
    def test_equal_specifications_are_read_once(self) -> None:
        document = msgpack.packb({"path": "a::b", "name": "b", "options": {"num_cpus": 1.0, "retry_exceptions": "if"}})
        specifications = options.Specifications()
        found = specifications.get(document)
        self.assertEqual((found.path, found.name), ("a::b", "b"))
        self.assertEqual(found.for_ray(), {"num_cpus": 1.0, "retry_exceptions": [values.Retryable]})
        self.assertIs(specifications.get(bytes(document)), found)

    def for_ray(self, **fields: object) -> dict[str, Any]:
        document = msgpack.packb({"path": "a::b", "name": "b", "options": fields})
        return options.Specifications().get(document).for_ray()

    def test_strategies_become_those_of_ray(self) -> None:
        self.assertEqual(self.for_ray(scheduling_strategy="SPREAD"), {"scheduling_strategy": "SPREAD"})
        node = "4b" * 28
        affinity = self.for_ray(scheduling_strategy={"node_id": node, "soft": True})["scheduling_strategy"]
        self.assertEqual((affinity.node_id, affinity.soft), (node, True))
        hard = {"place": {"In": ["a", "b"]}, "disk": "Exists"}
        labels = self.for_ray(scheduling_strategy={"hard": hard, "soft": {}})["scheduling_strategy"]
        found = {one.key: type(one.operator).__name__ for one in labels.hard}
        self.assertEqual((found, labels.soft), ({"place": "In", "disk": "Exists"}, []))

    def test_what_ray_refuses_is_an_error_of_the_call(self) -> None:
        strategy: dict[str, Any]
        for strategy in ({"hard": {"a": {"In": []}}, "soft": {}}, {"hard": {}, "soft": {}}):
            with self.assertRaises(ValueError):
                self.for_ray(scheduling_strategy=strategy)

    def test_environments_are_unpacked(self) -> None:
        fields = {"pip": msgpack.packb(["a", "b"]), "working_dir": msgpack.packb("s3://x.zip")}
        found = self.for_ray(runtime_env={"env_vars": {"A": "1"}, "fields": fields})
        self.assertEqual(found["runtime_env"], {"env_vars": {"A": "1"}, "pip": ["a", "b"], "working_dir": "s3://x.zip"})

    def test_documents_that_are_none_are_refused(self) -> None:
        for document in (b"", b"\xc1", msgpack.packb(1), msgpack.packb({}), msgpack.packb({"path": "a"})):
            with self.assertRaises(Malformed):
                options.Specifications().get(document)


def _refuse(*_arguments: object, **_options: object) -> None:
    raise ray.exceptions.RayError("there is no cluster")


class Requests(unittest.TestCase):
    """A program that sends anything: only `Malformed` is raised, and each request is answered."""

    def setUp(self) -> None:
        names = ("remote", "put", "kill", "cancel", "get_actor", "cluster_resources", "available_resources", "nodes", "wait")
        fake = types.SimpleNamespace(exceptions=ray.exceptions, TaskID=ray.TaskID, **dict.fromkeys(names, _refuse))
        self.ray = fake
        fake.get_runtime_context = _refuse
        fake.util = types.SimpleNamespace(list_named_actors=_refuse)
        for module in (link, answers):
            patch = mock.patch.object(module, "ray", fake)
            patch.start()
            self.addCleanup(patch.stop)
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        self.link = Link(Channel(one))
        self.program = Channel(other)
        self.document = msgpack.packb({"path": "a::b", "name": "b", "method": "b"})

    def frame(self, kind: int, body: bytes) -> None:
        writer = Writer(kind)
        writer.bytes += body
        self.program.send(writer)
        while (frame := self.link.channel.take_one()) is None:
            self.link.channel.receive()
        self.link.handle(frame)

    def answer(self) -> Reader:
        while (frame := self.program.take_one()) is None:
            self.program.receive()
        return frame

    def test_what_ray_refuses_is_the_error_of_the_object(self) -> None:
        for is_plain in (0, 1):
            body = Writer(frames.SUBMIT)
            body.u8(is_plain)
            body.u64(5)
            body.blob(self.document)
            body.blob(b"")
            body.u16(0)
            self.frame(frames.SUBMIT, bytes(body.bytes[5:]))
            self.frame(frames.WANT, (9).to_bytes(8, "little") + (5).to_bytes(8, "little"))
            answer = self.answer()
            self.assertEqual((answer.kind, answer.u64(), answer.u8(), answer.u8()), (frames.SETTLED, 9, 2, 0))
            self.assertEqual((answer.text(), answer.text()), ("System", "there is no cluster"))

    def test_a_plain_call_goes_on_in_one_piece(self) -> None:
        """Its arguments are in the header; those of another call are arguments for Ray."""
        self.link.objects.set(7, b"key", "object")
        for is_plain in (1, 0):
            call = Writer(frames.SUBMIT)
            call.u8(is_plain)
            call.u64(5)
            call.blob(self.document)
            call.blob(b"00-trace")
            call.u16(2 - is_plain)
            call.u8(calls.VALUE)
            call.blob(b"\x07")
            call.u16(0)
            if not is_plain:
                call.u8(calls.OBJECT)
                call.u64(7)
            body = bytes(call.bytes[5:])
            read = self.link._read_call(Reader(frames.SUBMIT, memoryview(body), deque()))
            self.assertEqual((read.task, read.document, calls.specification(read.header)), (5, self.document, self.document))
            self.assertEqual(list(read.args), [] if is_plain else [b"\x07", "object"])
            self.assertEqual(read.header == body, bool(is_plain))

    def test_an_error_of_an_argument_keeps_its_kind(self) -> None:
        # A cancelled task has the same cause as one of whose arguments the task was cancelled.
        for cause, kind, of_argument in (
            (ray.exceptions.WorkerCrashedError(), "WorkerCrashed", 1),
            (ray.exceptions.TaskCancelledError(), "Cancelled", 0),
            (ray.exceptions.OutOfMemoryError("full"), "OutOfMemory", 1),
        ):
            of_task = ray.exceptions.RayTaskError("b", "traceback", cause)
            of_dependant = ray.exceptions.RayTaskError("c", "traceback", of_task)
            for outcome, whose in ((cause, 0), (of_task, of_argument), (of_dependant, of_argument)):
                self.link.settle(9, outcome)
                answer = self.answer()
                self.assertEqual((answer.u64(), answer.u8(), answer.u8(), answer.text()), (9, 2, whose, kind))

    def test_an_object_that_is_not_known_is_an_error(self) -> None:
        self.frame(frames.WANT, (9).to_bytes(8, "little") + (5).to_bytes(8, "little"))
        answer = self.answer()
        self.assertEqual((answer.u64(), answer.u8(), answer.u8(), answer.text()), (9, 2, 0, "System"))

    def test_objects_are_looked_at_without_their_values(self) -> None:
        """Those that are ready or not known are answered at once; many others are asked for together."""
        self.frame(frames.LOOK, (9).to_bytes(8, "little") + (5).to_bytes(8, "little"))
        answer = self.answer()
        self.assertEqual((answer.u64(), answer.u8(), answer.blob()), (9, 0, b"\xc0"))
        waited: list[bool] = []

        def wait(refs: list[object], num_returns: int, timeout: float, fetch_local: bool) -> tuple[list[object], list[object]]:
            waited.append(fetch_local)
            return refs[:num_returns], refs[num_returns:]

        refs = [ray.ObjectRef(bytes([number]) * 28, skip_adding_local_ref=True) for number in range(40)]
        for number, ref in enumerate(refs):
            self.link.objects.set(number, ref.binary(), ref)
        looks = []
        for number in range(40):
            body = (100 + number).to_bytes(8, "little") + number.to_bytes(8, "little")
            looks.append(Reader(frames.LOOK, memoryview(body), deque()))
        with mock.patch.object(self.ray, "wait", wait):
            self.link.handle_all(looks)
            answers = [self.answer() for _ in looks]
        self.assertEqual(sorted(answer.u64() for answer in answers), list(range(100, 140)))
        self.assertEqual(waited, [False])

    def test_requests_for_dropped_objects_are_answered(self) -> None:
        """An object that is never ready keeps neither the requests nor the thread that looks at it."""
        refs = [ray.ObjectRef(bytes([number]) * 28, skip_adding_local_ref=True) for number in range(40)]
        for number, ref in enumerate(refs):
            self.link.objects.set(number, ref.binary(), ref)

        def wait(refs: list[object], num_returns: int, timeout: float, fetch_local: bool) -> tuple[list[object], list[object]]:
            del num_returns, fetch_local
            time.sleep(min(timeout, 0.001))
            return [], refs

        with mock.patch.object(self.ray, "wait", wait):
            with self.link.together():
                for number in range(40):
                    self.link.look(100 + number, number)
            for number in range(40):
                self.link.drop(number)
            answers = [self.answer() for _ in refs]
        self.assertEqual(sorted(answer.u64() for answer in answers), list(range(100, 140)))
        self.assertEqual([answer.u8() for answer in answers], [0] * 40)
        self.assertEqual(self.link.wanted, {})

    def test_questions_that_are_none_are_answered(self) -> None:
        for question in (b"", b"\xc1", msgpack.packb(1), msgpack.packb({"ask": []}), msgpack.packb({"ask": "nothing"})):
            self.frame(frames.ASK, (3).to_bytes(8, "little") + question)
            answer = self.answer()
            self.assertEqual((answer.kind, answer.u64(), answer.u8()), (frames.ANSWER, 3, 0))

    def test_random_requests(self) -> None:
        choice = random.Random(2)
        kinds = [*range(10, 24), 1, 2, 3, 30, 31, 255]
        refused = handled = 0
        for _ in range(4000):
            kind = choice.choice(kinds)
            parts = [choice.randbytes(choice.randrange(6)) for _ in range(2)]
            parts += [choice.choice([0, 1, 2, 1 << 62, 1 << 63]).to_bytes(8, "little") for _ in range(choice.randrange(4))]
            parts += [choice.choice([b"\0", b"\1"]) + bytes(8)] * choice.randrange(2)
            parts += [len(self.document).to_bytes(4, "little") + self.document + bytes(4)] * choice.randrange(2)
            parts += [choice.choice([0, 1, 2]).to_bytes(2, "little")]
            if choice.random() < 0.5:
                parts = parts[2:]
            if choice.random() < 0.2:
                choice.shuffle(parts)
            try:
                with mock.patch("traceback.print_exc"):
                    self.frame(kind, b"".join(parts))
                handled += 1
            except Malformed:
                refused += 1
            while self.program.is_readable(0):
                self.program.receive()
                for answer in self.program.take():
                    self.assertIn(answer.kind, (frames.SETTLED, frames.ANSWER))
        self.assertGreater(refused, 500)
        self.assertGreater(handled, 500)
