"""The Python functions and classes under which Ray knows those of the Rust program.

They have the module paths and the names of the Rust program, so Ray's own tools and logs show these. Ray sends them to its workers,
and only there they import `worker`.
"""

from collections.abc import Callable
from typing import Any

from .identity import PACKAGE


def _split(path: str) -> tuple[str, str]:
    module, _, name = path.rpartition("::")
    return module, name


def make_function(path: str) -> Callable[..., Any]:
    """A function for Ray that runs the Rust function with this path, under its name."""

    package = PACKAGE

    def function(header: bytes, *args: Any) -> Any:
        from . import identity, worker

        identity.check(package)
        return worker.run_function(header, args)

    function.__module__, function.__name__ = _split(path)
    function.__qualname__ = function.__name__
    return function


def make_class(path: str, methods: list[str], is_async: bool, is_concurrent: bool) -> type:
    """An actor class for Ray, whose instance is in the Rust program."""
    module, name = _split(path)
    body: dict[str, Any] = {"__module__": module, "__qualname__": name, "__init__": _constructor(is_concurrent)}
    for method in [*methods, "rust_ready__"]:
        body[method] = _method(method, is_async)
    body["rust_terminate__"] = _terminate(is_async)
    body["__ray_shutdown__"] = _shutdown
    return type(name, (), body)


def _constructor(is_concurrent: bool) -> Callable[..., None]:
    package = PACKAGE

    def __init__(self: Any, header: bytes, *args: Any) -> None:
        from . import actors, identity

        identity.check(package)
        actors.construct(self, header, args, is_concurrent)

    return __init__


def _method(name: str, is_async: bool) -> Callable[..., Any]:
    def method(_self: Any, header: bytes, *args: Any) -> Any:
        from . import actors

        return actors.call(header, args)

    async def async_method(_self: Any, header: bytes, *args: Any) -> Any:
        from . import actors

        return await actors.call_async(header, args)

    made: Callable[..., Any] = async_method if is_async else method
    made.__name__ = made.__qualname__ = name
    return made


def _shutdown(_self: Any) -> None:
    from . import actors

    actors.finish()


def _terminate(is_async: bool) -> Callable[..., Any]:
    def terminate(_self: Any) -> bytes:
        from . import actors

        return actors.terminate()

    async def async_terminate(_self: Any) -> bytes:
        from . import actors

        return await actors.terminate_async()

    made: Callable[..., Any] = async_terminate if is_async else terminate
    made.__name__ = made.__qualname__ = "rust_terminate__"
    return made
