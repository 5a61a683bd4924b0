"""Errors that cross rooms. Each carries the exit code of design.md, so that the command line has nothing to decide."""


class TraceGoError(Exception):
    """One clear line for the user: what, where and what to do. `exit_code` is the process's exit status."""

    exit_code = 2


class CaptureError(TraceGoError):
    """A capture that cannot be opened or read further. What was read before it stays valid."""


class PrivilegeError(TraceGoError):
    """The machine does not allow what was asked (capture, namespaces) or lacks a tool."""

    exit_code = 3


class ConfigError(TraceGoError):
    """An option or a line of trace-go.toml that cannot be used."""


class WireError(Exception):
    """Bytes that are not what they claim to be. The only exception that leaves `wire`.

    offset: byte position in the buffer handed to the reader; reason: a short phrase without attacker text.
    """

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"{reason} at byte {offset}")
        self.offset = offset
        self.reason = reason
