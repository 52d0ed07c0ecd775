"""The options of a call or of an actor, from the specification that the Rust program sends with it.

A specification is a document in MessagePack: `path` and `name` of the definition, `options` as Ray has them. The Rust program
sends the same bytes with each call of the same options, so a specification is read once.
"""

from collections.abc import Callable
from typing import Any

import msgpack

from .frames import Malformed
from .values import Retryable


class Specification:
    """A definition, and the options of its call."""

    __slots__ = ("default_name", "is_async", "method", "methods", "name", "options", "path", "submit")

    def __init__(self, document: bytes) -> None:
        fields: dict[str, Any] = msgpack.unpackb(document)
        self.path: str = fields["path"]
        self.name: str = fields["name"]
        self.options: dict[str, Any] = _options(fields.get("options", {}))
        #: Of a class: its methods.
        self.methods: list[str] = fields.get("methods", [])
        self.is_async: bool = fields.get("async", False)
        #: Of a call of a method.
        self.method: str = fields.get("method", "")
        #: The name that Ray gives to the call of a method.
        self.default_name = ".".join(self.path.split("::")[-2:])
        #: Of a function: submits it with these options.
        self.submit: Callable[..., Any] | None = None


def _options(fields: dict[str, Any]) -> dict[str, Any]:
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
