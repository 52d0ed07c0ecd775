"""The process between a driver and Ray.

The driver starts it with one end of a socket, and ends it by closing the other end. It joins the cluster, or starts a Ray of its
own, and then serves the driver's requests (`link`).
"""

import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from typing import Any

from . import PROTOCOL, frames
from .frames import Channel, Writer


class Refused(Exception):
    """A reason why the driver cannot join, with the kind of its error."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def main() -> None:
    """Serves the driver at the other end of the socket, which is the standard input."""
    fd = os.dup(0)
    with open(os.devnull, "rb") as empty:
        os.dup2(empty.fileno(), 0)
    # What Ray prints must not mix with the output of the driver.
    os.dup2(2, 1)
    # An interrupt from the terminal is for the driver, whose end this process sees.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=fd))
    while (frame := channel.take_one()) is None:
        channel.receive()
    protocol, folder, address, namespace = frame.u32(), frame.text(), frame.text(), frame.text()
    answer = Writer(frames.HELLO)
    local = None
    try:
        if frame.kind != frames.HELLO or protocol != PROTOCOL:
            raise Refused(
                "ClusterUnavailable",
                f"the program has protocol {protocol}, and the Python package has protocol {PROTOCOL}: "
                "both come from the same version of the crate, so build the program again",
            )
        if address == "local":
            local = _prepare_local()
        joined = _join(folder, address, namespace, local)
        answer.u8(1)
        answer.bytes += joined
        channel.send(answer)
        _serve(channel)
    except Refused as error:
        answer.u8(0)
        answer.text(error.kind)
        answer.text(str(error))
        channel.send(answer)
    except frames.Closed:
        pass
    finally:
        if "ray" in sys.modules:
            import ray

            ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        if local is not None:
            shutil.rmtree(local, ignore_errors=True)


def _prepare_local() -> str:
    """The folder of a private Ray, which has a token of its own. Ray would otherwise make one in the user's home."""
    folder = tempfile.mkdtemp(prefix="ray-rust-local-")
    token = os.path.join(folder, "token")
    with open(os.open(token, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=token, RAY_USAGE_STATS_ENABLED="0")
    return folder


def _join(folder: str, address: str, namespace: str, local: str | None) -> bytes:
    """Joins the cluster; returns what the driver is told of it."""
    try:
        import msgpack
        import ray
        from ray import exceptions
    except ImportError as error:
        raise Refused(
            "ClusterUnavailable",
            f"the Python {sys.executable} has no Ray ({error}): install it (`pip install \"ray[default]\"`), "
            "or set RAY_PYTHON to a Python that has it",
        ) from error
    from .values import text_of

    options: dict[str, Any] = {
        "namespace": namespace,
        "runtime_env": {"py_modules": [os.path.join(folder, "ray_rust")]},
        "log_to_driver": True,
        "logging_level": logging.WARNING,
    }
    if local is not None:
        options |= {"address": "local", "include_dashboard": False, "_temp_dir": local}
    else:
        options["address"] = address
    try:
        context = ray.init(**options)
    except exceptions.AuthenticationError as error:
        raise Refused("Authentication", text_of(error)) from error
    except Exception as error:  # noqa: BLE001 - Ray raises errors of many types here
        what = f"Ray cannot join `{address}`: {text_of(error)}"
        raise Refused("ClusterUnavailable", what) from error
    from .link import describe

    told = {**describe(), "dashboard_url": context.address_info.get("webui_url") or ""}
    return bytes(msgpack.packb(told))


def _serve(channel: Channel) -> None:
    from .link import Link, report

    link = Link(channel)
    try:
        while True:
            for frame in channel.take():
                link.handle(frame)
            channel.receive()
    except frames.Malformed as error:
        report(error)


if __name__ == "__main__":
    main()
