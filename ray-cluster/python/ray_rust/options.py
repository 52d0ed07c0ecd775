"""The options of a call or of an actor, from the specification that the Rust program sends with it.

A specification is a document in MessagePack: `path` and `name` of the definition, `options` as Ray has them. The Rust program
sends the same bytes with each call of the same options, so a specification is read once.
"""

from collections.abc import Callable
from typing import Any

import msgpack
from ray.util import scheduling_strategies

from .frames import Malformed
from .values import Retryable


class Specification:
    """A definition, and the options of its call."""

    __slots__ = ("default_name", "is_async", "method", "methods", "name", "options", "path", "submit")

    def __init__(self, document: bytes) -> None:
        fields: dict[str, Any] = msgpack.unpackb(document)
        self.path: str = fields["path"]
        self.name: str = fields["name"]
        #: As the Rust program sends them.
        self.options: dict[str, Any] = fields.get("options", {})
        #: Of a class: its methods.
        self.methods: list[str] = fields.get("methods", [])
        self.is_async: bool = fields.get("async", False)
        #: Of a call of a method.
        self.method: str = fields.get("method", "")
        #: The name that Ray gives to the call of a method.
        self.default_name = ".".join(self.path.split("::")[-2:])
        #: Of a function: submits it with these options.
        self.submit: Callable[..., Any] | None = None

    def for_ray(self) -> dict[str, Any]:
        """The options as Ray has them. Ray checks some of their values here."""
        return _for_ray(dict(self.options))


#: The conditions on labels of Ray's strategy, by the names of the Rust program.
_CONDITIONS: dict[str, Callable[..., Any]] = {
    "In": scheduling_strategies.In,
    "NotIn": scheduling_strategies.NotIn,
    "Exists": scheduling_strategies.Exists,
    "DoesNotExist": scheduling_strategies.DoesNotExist,
}


def runtime_env(fields: dict[str, Any]) -> dict[str, Any]:
    """An environment as Ray has it."""
    others = {name: msgpack.unpackb(value) for name, value in fields["fields"].items()}
    return {"env_vars": fields["env_vars"], **others}


def _condition(condition: Any) -> Any:
    if isinstance(condition, str):
        return _CONDITIONS[condition]()
    ((name, values),) = condition.items()
    return _CONDITIONS[name](*values)


def _strategy(strategy: Any) -> Any:
    if isinstance(strategy, str):
        return strategy
    if "node_id" in strategy:
        return scheduling_strategies.NodeAffinitySchedulingStrategy(**strategy)
    hard, soft = ({key: _condition(one) for key, one in strategy[part].items()} for part in ("hard", "soft"))
    return scheduling_strategies.NodeLabelSchedulingStrategy(hard, soft=soft)


def _for_ray(fields: dict[str, Any]) -> dict[str, Any]:
    # They are those of the class, and no option of a creation.
    fields.pop("concurrency_groups", None)
    if "scheduling_strategy" in fields:
        fields["scheduling_strategy"] = _strategy(fields["scheduling_strategy"])
    if "runtime_env" in fields:
        fields["runtime_env"] = runtime_env(fields["runtime_env"])
    if fields.get("retry_exceptions") == "if":
        # The Rust program has asked the predicate, and raises this for an error after which the task is tried again.
        fields["retry_exceptions"] = [Retryable]
    return fields


class Specifications:
    """The specifications that were read."""

    def __init__(self) -> None:
        self._read: dict[bytes, Specification] = {}

    def get(self, document: bytes) -> Specification:
        found = self._read.get(document)
        if found is None:
            if len(self._read) >= 10_000:
                # A program that gives each call a name of its own must not fill the memory.
                self._read.clear()
            try:
                found = Specification(document)
            except Exception as error:
                raise Malformed(f"a specification that cannot be read: {error}") from error
            self._read[document] = found
        return found
