"""The numbers under which a Rust program has objects and actors."""

import threading
from typing import Any

from ray.actor import ActorHandle

#: The first number that this side gives.
_FIRST_NUMBER = 1 << 62


class Table:
    """Numbers of objects, or of actors."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: dict[int, Any] = {}
        self._keys: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._counts: dict[int, int] = {}
        #: Actors that were found by their names: handles of Ray that do not keep the actor alive, and that are not counted.
        self._found: dict[int, Any] = {}
        self._next = _FIRST_NUMBER

    def set(self, number: int, key: bytes, item: Any) -> None:
        """The Rust program has given this number."""
        with self._lock:
            self._items[number] = item
            self._keys[number] = key
            self._numbers.setdefault(key, number)
            self._counts[number] = self._counts.get(number, 0) + 1

    def enter(self, key: bytes, item: Any, proposed: int | None = None) -> int:
        """The number under which the Rust program gets the item, once more: the one that it has, or else the proposed one."""
        with self._lock:
            number = self._number(key, proposed)
            if self._items.get(number) is self._found.get(number):
                # There is none, or one that does not keep the actor alive.
                self._items[number] = item
            self._counts[number] = self._counts.get(number, 0) + 1
            return number

    def find(self, key: bytes, item: Any) -> int:
        """The number of an item that was found, and that the Rust program does not have by that."""
        with self._lock:
            number = self._number(key, None)
            self._found[number] = item
            return number

    def _number(self, key: bytes, proposed: int | None) -> int:
        number = self._numbers.get(key)
        if number is None:
            number = proposed
            if number is None:
                number = self._next
                self._next += 1
            self._keys[number] = key
            self._numbers[key] = number
        return number

    def get(self, number: int) -> Any:
        with self._lock:
            item = self._items.get(number)
            return self._found.get(number) if item is None else item

    def acquire(self, number: int) -> None:
        """The Rust program has the item once more, or has one that was found."""
        with self._lock:
            if number not in self._items and number in self._found:
                self._items[number] = self._found[number]
            if number in self._items:
                self._counts[number] = self._counts.get(number, 0) + 1

    def drop(self, number: int) -> bool:
        """The Rust program has the item once less; whether it has it no more."""
        with self._lock:
            left = self._counts.get(number, 0) - 1
            if left > 0:
                self._counts[number] = left
                return False
            item = self._items.pop(number, None)
            self._counts.pop(number, None)
            if number not in self._found:
                key = self._keys.pop(number, b"")
                if self._numbers.get(key) == number:
                    del self._numbers[key]
        # The drop of the last reference may call into Ray, so it happens without the lock.
        del item
        return True

    def __len__(self) -> int:
        return len(self._items)


def class_of(handle: ActorHandle) -> str:
    """The path of the actor's Rust class."""
    descriptor = handle._ray_actor_creation_function_descriptor
    return f"{descriptor.module_name}::{descriptor.class_name}"
