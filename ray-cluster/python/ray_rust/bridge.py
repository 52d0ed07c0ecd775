"""The process between a driver and Ray.

The driver starts it with one end of a socket, and ends it by closing the other end. It joins the cluster, or starts a Ray of its
own, and then serves the driver's requests (`link`).

It tells the driver which stage of connecting begins, so that the driver can give each a time of its own. Everything that can be
wrong with an address, a token or a version is found before Ray itself is asked to join, because Ray takes up to a minute for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import logging
import os
import secrets
import select
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from . import PROTOCOL, frames
from .frames import Channel, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

#: How long the cluster's head may take to answer the first question.
_HEAD = 5.0
#: How long Ray may take to leave the cluster when the driver has ended.
_LEAVE = 15.0
#: The oldest Python of the supported versions of Ray.
_OLDEST_PYTHON = (3, 10)

#: Variables of the workers. Ray would kill the children of a worker that exits before the instance of its actor is dropped; the
#: Rust program ends with the socket.
_WORKERS = {"RAY_kill_child_processes_on_worker_exit": "0"}

#: Statuses of the greeting.
_REFUSED, _JOINED, _STAGE = 0, 1, 2


class Refused(Exception):
    """A reason why the driver cannot join, with the kind of its error."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def _unavailable(text: str) -> Refused:
    return Refused("ClusterUnavailable", text)


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
    # A program with another protocol may have another greeting from here on.
    driver, start = (frame.blob(), frame.rest()) if protocol == PROTOCOL else (b"", b"")
    # The lock says that the folder is in use. It is this process's as well as the driver's, until both have ended.
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    threading.Thread(target=_watch, args=(channel, folder), name="ray-rust-watch", daemon=True).start()
    answer = Writer(frames.HELLO)
    status = 0
    try:
        if frame.kind != frames.HELLO or protocol != PROTOCOL:
            raise _unavailable(
                f"the program has protocol {protocol}, and the Python package has protocol {PROTOCOL}: "
                "both come from the same version of the crate, so build the program again",
            )
        joined = _join(channel, folder, address, namespace, driver, start)
        answer.u8(_JOINED)
        answer.bytes += joined
        channel.send(answer)
        _serve(channel)
    except Refused as error:
        answer.u8(_REFUSED)
        answer.text(error.kind)
        answer.text(str(error))
        channel.send(answer)
    except frames.Closed:
        pass
    except BaseException:
        traceback.print_exc()
        status = 1
    # The driver is told before Ray is left, which can take seconds.
    channel.close()
    if "ray" in sys.modules:
        import ray

        ray.shutdown()
    _end_private(folder)
    shutil.rmtree(folder, ignore_errors=True)
    sys.stderr.flush()
    # Not `sys.exit`: a thread may be in a call of Ray that does not end.
    os._exit(status)


def _watch(channel: Channel, folder: str) -> None:
    """Ends this process some time after the driver, if the main thread is in a call of Ray that does not end."""
    ended = select.poll()
    ended.register(channel.socket, select.POLLHUP)
    ended.poll()
    time.sleep(_LEAVE)
    _end_private(folder)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _end_private(folder: str) -> None:
    """Kills what is left of a private Ray. The agents of its raylet would first try for a minute to reach its head."""
    logs = os.path.join(folder, "ray", "")
    for number in filter(str.isdigit, os.listdir("/proc")):
        if int(number) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            # They are known by their logs, which are open files in Ray's folder.
            if any(os.readlink(file.path).startswith(logs) for file in os.scandir(f"/proc/{number}/fd")):
                os.kill(int(number), signal.SIGKILL)


def _prepare_local(folder: str) -> str:
    """The folder of a private Ray, which has a token of its own. Ray would otherwise make one in the user's home."""
    local = os.path.join(folder, "ray")
    os.mkdir(local)
    token = os.path.join(folder, "token")
    with open(os.open(token, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    os.environ.pop("RAY_AUTH_TOKEN", None)
    os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": token, "RAY_USAGE_STATS_ENABLED": "0"})
    return local


def _join(channel: Channel, folder: str, address: str, namespace: str, driver: bytes, start: bytes) -> bytes:
    """Joins the cluster; returns what the driver is told of it."""

    def stage(number: int) -> None:
        told = Writer(frames.HELLO)
        told.u8(_STAGE)
        told.u8(number)
        channel.send(told)

    local = _prepare_local(folder) if address == "local" else None
    if sys.version_info < _OLDEST_PYTHON:
        needed = ".".join(map(str, _OLDEST_PYTHON))
        raise _unavailable(
            f"{sys.executable} is Python {sys.version.split()[0]}, and a driver needs Python {needed} or newer: "
            "set RAY_PYTHON to one that has the cluster's versions of Python and Ray"
        )
    try:
        import msgpack
        import ray
    except ImportError as error:
        raise _unavailable(
            f'the Python {sys.executable} has no Ray ({error}): install it (`pip install "ray[default]"`), '
            "or set RAY_PYTHON to a Python that has it",
        ) from error
    except Exception as error:
        raise _unavailable(
            f"the Python {sys.executable} cannot import its Ray ({type(error).__name__}: {error}): install Ray anew, "
            "or set RAY_PYTHON to another Python that has it"
        ) from error
    from . import identity, options
    from .values import AuthenticationError, text_of

    why = identity.differs(msgpack.unpackb(driver)["package"])
    if why is not None:
        raise _unavailable(why)

    node: dict[str, Any] = msgpack.unpackb(start)
    environment = options.runtime_env(node.pop("runtime_env"))
    settings: dict[str, Any] = {
        "namespace": namespace,
        "runtime_env": {
            **environment,
            "py_modules": [os.path.join(folder, "ray_rust")],
            "env_vars": {**_WORKERS, **environment.get("env_vars", {})},
        },
        "log_to_driver": True,
        "logging_level": logging.WARNING,
    }
    if local is not None:
        stage(2)
        settings |= {"address": "local", "include_dashboard": False, "_temp_dir": local, **node}
    else:
        stage(1)
        settings["address"] = address = _check_head(address)
        stage(2)
    try:
        context = ray.init(**settings)
    except AuthenticationError as error:
        raise _unauthenticated(address) from error
    except Exception as error:
        raise _unavailable(_why_not_joined(address, text_of(error))) from error
    from .link import describe

    told = {**describe(), "dashboard_url": context.address_info.get("webui_url") or ""}
    return bytes(msgpack.packb(told))


def _unauthenticated(address: str) -> Refused:
    return Refused(
        "Authentication",
        f"the cluster `{address}` refuses the token of this program, or the program has none: set RAY_AUTH_MODE=token, and "
        "RAY_AUTH_TOKEN_PATH to a file with the cluster's token (or RAY_AUTH_TOKEN to the token)",
    )


def _why_not_joined(address: str, why: str) -> str:
    if "exceeds the maximum size" in why:
        return (
            f"Ray does not ship the program to the workers: {why} The program is in the package. Make it smaller (build it with "
            "`--release`, with `strip = true` in its profile, and install `strip` where the driver runs), or set "
            "RAY_max_grpc_message_size to a larger number of bytes for the driver and for the cluster"
        )
    return f"Ray cannot join `{address}`: {why}"


def _check_token() -> None:
    """Refuses a file without a token, for which Ray ends the process."""
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    if os.environ.get("RAY_AUTH_MODE") != "token" or os.environ.get("RAY_AUTH_TOKEN") or not path:
        return
    try:
        with open(path, "rb") as file:
            is_empty = not file.read(4096).strip()
    except OSError as error:
        raise Refused("Authentication", f"the file of RAY_AUTH_TOKEN_PATH cannot be read: {error}") from error
    if is_empty:
        raise Refused("Authentication", f"the file {path} of RAY_AUTH_TOKEN_PATH is empty: write the cluster's token into it")


def _check_head(address: str) -> str:
    """Asks the head for the versions of the cluster; returns its address, if the driver may join it from this machine."""
    import ray

    from .values import AuthenticationError

    _check_token()
    if address == "auto":
        address = _address_here()
    found = _within(_HEAD, lambda: _versions(address))
    if found is None:
        raise _unavailable(
            f"the head of a Ray cluster does not answer at `{address}` within {_HEAD:.0f} s: check that this is the address of the "
            "cluster's head (`ray status` prints it; by default its port is 6379), and that the head runs"
        )
    if isinstance(found, AuthenticationError):
        raise _unauthenticated(address)
    if isinstance(found, Exception):
        # The check is a help only: `ray.init` itself tells what is wrong.
        return address
    mine = (ray.__version__, sys.version.split()[0])
    if not _same(found, mine):
        raise _unavailable(
            f"the cluster `{address}` has Ray {found[0]} and Python {found[1]}, and {sys.executable} has Ray {mine[0]} and Python "
            f'{mine[1]}: set RAY_PYTHON to a Python {found[1]} with Ray {found[0]} (`pip install "ray[default]=={found[0]}"`)'
        )
    if not _has_raylet():
        raise _unavailable(
            f"the cluster `{address}` has no node on this machine, and a driver joins a cluster from one of its nodes: start the "
            "program there, with `ray job submit --address http://HEAD:8265 --working-dir . -- ./program`, or make this machine "
            f"a node with `ray start --address={address}`"
        )
    return address


def _address_here() -> str:
    """The address of the cluster of which this machine is a node."""
    try:
        from ray._private.services import canonicalize_bootstrap_address

        # Ray 2.0 to 2.60; a later Ray whose function differs finds the address itself.
        found = canonicalize_bootstrap_address("auto", None)
    except ConnectionError:
        found = None
    except (ImportError, TypeError):
        return "auto"
    if not found:
        raise _unavailable(
            "no Ray cluster runs on this machine: start one (`ray start --head`), set the address to that of a cluster, or to "
            "`local` for a private Ray"
        )
    return str(found)


def _versions(address: str) -> tuple[str, str]:
    """The versions of Ray and Python of a cluster."""
    # Ray 2.7 to 2.60. With a later Ray that differs this raises, and `ray.init` checks the versions alone, which takes longer.
    client = importlib.import_module("ray._raylet").GcsClient(address=address)
    metadata = json.loads(client.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=_HEAD))
    return metadata["ray_version"], metadata["python_version"]


def _same(theirs: tuple[str, str], mine: tuple[str, str]) -> bool:
    """Whether Ray lets these versions work together."""
    parts = 2 if os.environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL") == "minor" else 3
    return theirs[0] == mine[0] and theirs[1].split(".")[:parts] == mine[1].split(".")[:parts]


def _has_raylet() -> bool:
    """Whether a node of a cluster runs on this machine."""
    try:
        from ray._private.services import find_node_ids
    except ImportError:
        # Ray before 2.50 or after 2.60: `ray.init` finds it out.
        return True
    return bool(find_node_ids())


def _within(seconds: float, ask: Callable[[], Any]) -> Any:
    """The answer, or the exception, if it comes within this time."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(ask())
        except Exception as error:
            answers.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None


def _serve(channel: Channel) -> None:
    from .link import Link

    link = Link(channel, records=True)
    while True:
        link.handle_all(channel.take())
        channel.receive()


if __name__ == "__main__":
    main()
