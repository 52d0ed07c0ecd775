"""Errors of this package that need no Ray."""


class ProgramError(Exception):
    """A reason why a worker cannot run the Rust program, and what to do."""
