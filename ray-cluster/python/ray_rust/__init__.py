"""Connects Rust programs to Ray.

A Rust program that uses the crate `ray-remote` is a driver or a worker of a Ray cluster. It speaks to a Python process through
frames on a socket that it inherits, and this package is the Python side of the socket:

* `bridge` is the process of a driver. It submits the driver's calls to Ray and sends the results back.
* `worker` has the functions and actor classes that Ray's workers run. Each worker starts the Rust program once and sends it calls.
* `link` is one end of the socket: the objects and actors that the Rust program has, and the requests that it makes.
* `identity` tells whether the two sides of a connection belong together.
* `frames` has the format of the frames, `values` that of values, arguments and errors, `options` that of Ray's options.
"""

#: The version of the frames. Both sides of a socket must have the same.
PROTOCOL = 3
