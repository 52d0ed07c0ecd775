"""The versions and check sums of the two sides of a connection: the Python package that a process has loaded, and the driver that
has shipped this folder.

Two sides that differ would misread each other's frames, so each connection begins with a comparison.
"""

import os
import zlib
from typing import Any

import msgpack

from .errors import ProgramError

_FOLDER = os.path.dirname(os.path.abspath(__file__))
#: What to do if a Python has another package than that of the driver.
_UNINSTALL = (
    "another `ray_rust` hides the one that the program brings: remove it from that Python (`pip uninstall ray-rust`), from "
    "PYTHONPATH and from the `env_vars` of the runtime_env"
)


def _check_sum() -> int:
    """The check sum of the files of this package."""
    found = 0
    for name in sorted(name for name in os.listdir(_FOLDER) if name.endswith(".py")):
        with open(os.path.join(_FOLDER, name), "rb") as file:
            found = zlib.crc32(name.encode() + b"\0" + file.read(), found)
    return found


#: The check sum of the package that this process has loaded.
PACKAGE = _check_sum()


def differs(package: int) -> str | None:
    """Why this process has another package than a driver, whose check sum this is; none if it has the same."""
    if package == PACKAGE:
        return None
    return f"the driver brings the Python package ray_rust {package:08x}, and {_FOLDER} has ray_rust {PACKAGE:08x}: {_UNINSTALL}"


def check(package: int) -> None:
    """Refuses a call of a driver that has another package."""
    why = differs(package)
    if why is not None:
        raise ProgramError(why)


def of_driver() -> dict[str, Any]:
    """The identity of the driver that has shipped this folder."""
    try:
        with open(os.path.join(_FOLDER, "identity"), "rb") as file:
            identity: dict[str, Any] = msgpack.unpackb(file.read())
    except OSError as error:
        raise ProgramError(f"no driver has shipped the Python package of {_FOLDER}: {_UNINSTALL}") from error
    return identity


def check_program(program: str, build: int, registry: int) -> None:
    """Refuses a program that is not that of the driver."""
    driver = of_driver()
    if (build, registry) == (driver["build"], driver["registry"]):
        return
    different = "has other remote functions" if registry != driver["registry"] else "is another file"
    raise ProgramError(
        f"the program of this worker {different} than that of its driver: {program} is build {build:08x} with the functions "
        f"{registry:08x}, and the driver (ray-remote {driver['version']}) has shipped build {driver['build']:08x} with the "
        f"functions {driver['registry']:08x}: the two must be the same build, so start the driver again, and check that its "
        "`strip` only strips"
    )
