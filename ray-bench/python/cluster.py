"""The Python side of `ray-bench cluster`: the same work as the Rust driver's, with plain Ray.

    cluster.py start COMMAND..   starts a private Ray, runs the command with its address, and stops it
    cluster.py connect ADDRESS   prints the seconds to join the cluster, and those of the first task
    cluster.py drive ADDRESS     joins the cluster, and prints the samples of each case that it reads from its input

Values are arrays of 64-bit floats; without numpy, `bytes` of the same length.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

# Ray prints to the standard output, which is for the samples.
samples = os.fdopen(os.dup(1), "w", encoding="ascii")
os.dup2(2, 1)


def start(command):
    """Starts a private Ray, and runs the command with its address."""
    folder = tempfile.mkdtemp(prefix="ray-bench-")
    token = os.path.join(folder, "token")
    with open(os.open(token, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    # Workers with Ray's default niceness lose their processor to every other program of the machine.
    os.environ.update(
        RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=token, RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0"
    )
    import ray

    free = shutil.disk_usage("/dev/shm").free if os.path.isdir("/dev/shm") else 0
    try:
        context = ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=max(min(free // 3, 2_000_000_000), 100_000_000),
            _temp_dir=folder,
            # Otherwise the two drivers end each other's idle workers.
            _system_config={"num_workers_soft_limit": 64, "idle_worker_killing_time_threshold_ms": 3_600_000},
        )
        environment = dict(os.environ, RAY_ADDRESS=context.address_info["gcs_address"])
        # The command's output is that of this process.
        status = subprocess.call(command, env=environment, stdout=samples.fileno())
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status)


def join(address):
    """Joins the cluster."""
    import ray

    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    return ray


def noop(x):
    return x


class Actor:
    def noop(self, x):
        return x


def length(values):
    return len(values)


def make(n):
    """A value of `n` 64-bit floats."""
    try:
        import numpy
    except ImportError:
        return bytes(8 * n)
    return numpy.ones(n)


def connect(address):
    begin = time.perf_counter()
    ray = join(address)
    joined = time.perf_counter()
    ray.get(ray.remote(noop).remote(1))
    tell([joined - begin, time.perf_counter() - joined])


def tell(numbers):
    print(*numbers, file=samples, flush=True)


class Driver:
    """The cases; each returns its samples."""

    def __init__(self, address):
        self.ray = join(address)
        self.noop, self.make, self.length = map(self.ray.remote, [noop, make, length])
        self.actor = self.ray.remote(Actor).remote()
        self.ray.get(self.actor.noop.remote(0))

    def rate(self, call, n):
        begin = time.perf_counter()
        results = self.ray.get([call(i) for i in range(n)])
        seconds = time.perf_counter() - begin
        assert results == list(range(n))
        return [n / seconds]

    def trips(self, call, n):
        times = []
        for i in range(n):
            begin = time.perf_counter()
            assert self.ray.get(call(i)) == i
            times.append((time.perf_counter() - begin) * 1e6)
        times.sort()
        return [times[n // 2], times[n * 99 // 100]]

    def tasks(self, n):
        return self.rate(self.noop.remote, n)

    def task(self, n):
        return self.trips(self.noop.remote, n)

    def calls(self, n):
        return self.rate(self.actor.noop.remote, n)

    def call(self, n):
        return self.trips(self.actor.noop.remote, n)

    def median(self, rounds, once):
        times = sorted(once() for _ in range(rounds))
        return [times[rounds // 2] * 1e6]

    def put(self, n, rounds):
        value = make(n)

        def once():
            begin = time.perf_counter()
            ref = self.ray.put(value)
            seconds = time.perf_counter() - begin
            del ref
            return seconds

        return self.median(rounds, once)

    def get(self, n, rounds):
        def once():
            ref = self.make.remote(n)
            expected = self.ray.get(self.length.remote(ref))
            begin = time.perf_counter()
            value = self.ray.get(ref)
            seconds = time.perf_counter() - begin
            assert len(value) == expected
            return seconds

        return self.median(rounds, once)

    def argument(self, n, rounds):
        """Stores a value, and passes it to a task."""
        value = make(n)

        def once():
            begin = time.perf_counter()
            found = self.ray.get(self.length.remote(self.ray.put(value)))
            seconds = time.perf_counter() - begin
            assert found == len(value)
            return seconds

        return self.median(rounds, once)

    def result(self, n, rounds):
        def once():
            begin = time.perf_counter()
            value = self.ray.get(self.make.remote(n))
            seconds = time.perf_counter() - begin
            assert len(value) >= n
            return seconds

        return self.median(rounds, once)


def drive(address):
    driver = Driver(address)
    for line in sys.stdin:
        case, *numbers = line.split()
        tell(getattr(driver, case)(*map(int, numbers)))


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        if mode == "start":
            start(arguments)
        elif mode == "connect":
            connect(*arguments)
        else:
            drive(*arguments)
