"""The TLS keys of an analysis: key logs in files, and the secrets that pcapng files carry.

The secrets go nowhere but into the KeyLog. Without any, none is made.
"""

from collections.abc import Iterable
from pathlib import Path

from trace_go.model.errors import CaptureError
from trace_go.model.report import Keying
from trace_go.wire.keylog import MAX_CONNECTIONS, KeyLog

MAX_BYTES = 256 << 20
"""of one file; TLS 1.3 connections fill some 900 each: 300,000 of them"""
PIECE = 1 << 20


class KeyRing:
    """Keys of several files, all for all captures."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        """Raises CaptureError for a file that cannot be read."""
        self.log: KeyLog | None = None
        self.late = False
        """keys came after packets: what was read is worth reading again"""
        self._notes: list[str] = []
        self._used = False
        for path in paths:
            self.log = self.log or KeyLog()
            self._notes += _read(path, self.log)

    def add(self, texts: Iterable[bytes]) -> None:
        """Secrets that a capture carries."""
        for text in texts:
            self.log = self.log or KeyLog()
            before = self.log.count
            self.log.feed(text)
            self.log.end()
            self.late = self.late or (self._used and self.log.count > before)

    def use(self) -> KeyLog | None:
        """The keys so far, for the next packets."""
        self._used = True
        return self.log

    def describe(self) -> Keying | None:
        return None if self.log is None else Keying(connections=len(self.log), notes=tuple(self._notes))


def _read(path: str, log: KeyLog) -> Iterable[str]:
    """Adds a file; a line for each way in which it held fewer secrets than it seems."""
    lines, junk, dropped, left = log.lines, log.junk, log.dropped, MAX_BYTES
    try:
        with Path(path).open("rb") as file:
            while left and (piece := file.read(min(PIECE, left))):
                log.feed(piece)
                left -= len(piece)
            log.end()
            cut = not left and bool(file.read(1))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CaptureError(f"{path}: the key log cannot be read: {reason}; check the path") from error
    lines, junk, dropped = log.lines - lines, log.junk - junk, log.dropped - dropped
    if not lines:
        yield f"{path}: no line of it is one of a key log (LABEL CLIENT_RANDOM SECRET)"
    elif junk:
        yield f"{path}: {junk:,} of its lines are none of a key log; {lines:,} are"
    if cut:
        yield f"{path}: is read up to {MAX_BYTES >> 20} MB"
    if dropped:
        yield f"{path}: {dropped:,} secrets are left out; those of {MAX_CONNECTIONS:,} connections are kept"
