"""Calls on their way through Ray.

Ray has a call as arguments of a Python function: a header, and then the arguments of the Rust function. If the call is plain, the
header contains everything, as the frame of the driver has it, and there are no further arguments: for each argument Ray needs about
as long as for the rest of this package.
"""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from .frames import Malformed

#: An argument in a frame: a value, an object, or several objects that are the elements of a vector.
VALUE, OBJECT, OBJECTS = 0, 1, 2
#: In the header of a call that is not plain: the argument is one value.
SINGLE = 0xFFFFFFFF

#: 1, the task, and the length of the specification.
_PLAIN = struct.Struct("<BQI")
#: 0, the task, the number of counts in the layout, and the length of the trace context.
_HEADER = struct.Struct("<BQHH")


class Call(NamedTuple):
    """A call of the Rust program."""

    task: int
    #: The specification.
    document: bytes
    header: bytes
    #: The other arguments for Ray.
    args: Sequence[Any]


def plain(call: bytes) -> Call:
    """A plain call, as it is in the frame."""
    try:
        _one, task, length = _PLAIN.unpack_from(call)
    except struct.error as error:
        raise Malformed("a call that is too short") from error
    return Call(task, call[_PLAIN.size : _PLAIN.size + length], call, ())


def header(task: int, layout: list[int], trace: bytes, document: bytes) -> bytes:
    """The header of a call that is not plain. The layout says of how many of Ray's arguments each Rust argument consists."""
    if layout.count(SINGLE) == len(layout):
        layout = []
    return struct.pack(f"<BQHH{len(layout)}I", 0, task, len(layout), len(trace), *layout) + trace + document


def parts(header: bytes) -> tuple[int, list[int], memoryview, memoryview]:
    """The task, the layout (empty: each argument is one value), the trace context and the specification of a call that is not
    plain."""
    _zero, task, count, traced = _HEADER.unpack_from(header)
    end = _HEADER.size + 4 * count
    layout = list(struct.unpack_from(f"<{count}I", header, _HEADER.size)) if count else []
    rest = memoryview(header)[end:]
    return task, layout, rest[:traced], rest[traced:]


def specification(header: bytes) -> bytes:
    """The specification of a call."""
    return plain(header).document if header[0] else bytes(parts(header)[3])
