"""Several captures as one: their packets in order of time, as mergecap has them, with numbers that tell the file.

Inside a file the order stays as it is: a packet that is earlier than one before it counts as simultaneous. One capture
alone passes through untouched.
"""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from trace_go.capture.files import CHUNK_BYTES, Memory, begins_as_capture, open_capture
from trace_go.capture.keys import KeyRing
from trace_go.capture.pcapng import SLACK
from trace_go.model.errors import CaptureError
from trace_go.model.evidence import FILE_SHIFT
from trace_go.model.packets import I64, Batch
from trace_go.model.report import CaptureFile, unreadable

Progress = Callable[[str, int, int | None], None]
"""(what is read, bytes so far, bytes in all or None)"""

PEEK_BYTES = 4096  # read of a file to learn when it begins
LEAST_CHUNK = 1 << 18  # read at once of each of very many files
TINY_BYTES = 1 << 14  # a file up to this size is read whole at once, so that 100,000 of them need no descriptors
SOME_ROWS = 1 << 16  # packets of small files are handed on together: a batch costs the engine about a millisecond
NEVER = 1 << 62
APART_NS = 1_000_000_000  # a pause between two files in which packets may have been missed


def captures_in(folder: str) -> tuple[list[str], int]:
    """The captures in a folder and the folders below, told by their content, and how many other files there are.

    Links to files are followed, links to folders are not; pipes and devices are left alone. Folders that cannot be read
    are among what is found, so that opening them tells.
    """
    closed: list[str] = []
    walk = os.walk(folder, onerror=lambda error: closed.append(str(error.filename)))
    paths = [f"{place}/{name}" for place, _, names in walk for name in names]
    found = list(filter(begins_as_capture, paths))
    return sorted(found + closed), len(paths) - len(found)


class Merge:
    """Iterate over `batches` once; then `files` says what was read, in order of time, those without a time last."""

    def __init__(
        self,
        paths: Sequence[str],
        names: Sequence[str] = (),
        keys: KeyRing | None = None,
        progress: Progress | None = None,
        *,
        first: int = 0,
        memory: Memory | None = None,
    ) -> None:
        """names: how the captures are called; default their paths. keys: gets the secrets that the captures carry.
        first: index of the first file. memory: of the chunks of one capture."""
        chunk, keys = max(CHUNK_BYTES // max(len(paths), 1), LEAST_CHUNK), keys or KeyRing()
        self._parts = [_Part(path, name, chunk, keys, memory) for path, name in zip_longest(paths, names[: len(paths)])]
        self._progress, self._first = progress, first

    @property
    def again(self) -> bool:
        """Whether all of it can be read a second time."""
        return all(part.bytes_total is not None for part in self._parts)

    @property
    def bytes_total(self) -> int:
        """Of the files as they are stored, streams left out."""
        return sum(part.bytes_total or 0 for part in self._parts)

    @property
    def files(self) -> tuple[CaptureFile, ...]:
        return tuple(part.file for part in self._parts)

    @property
    def ends_ns(self) -> tuple[int, ...]:
        """When the capturing ended each time, rising."""
        ends: list[int] = []
        for file in self.files:
            if ends and 0 < file.first_ns <= ends[-1] + APART_NS:
                ends[-1] = max(ends[-1], file.last_ns)
            elif file.last_ns:
                ends.append(file.last_ns)
        return tuple(ends)

    def batches(self) -> Iterator[Batch]:
        """The arrays of a batch are overwritten when the next one is asked for."""
        if len(self._parts) == 1:
            (part,) = self._parts
            for batch in part.batches():
                yield replace(batch, first_number=batch.first_number + (self._first << FILE_SHIFT))
                self._show(part.name, part.bytes_read, part.bytes_total)
            return
        for part in self._parts:
            part.peek()
        self._parts.sort(key=attrgetter("first_ns"))
        for index, part in enumerate(self._parts, self._first):
            part.first_number = index << FILE_SHIFT
        yield from _mixed(self._rounds())

    def _rounds(self) -> Iterator[list["_Rows"]]:
        """What the files hold up to some moment, each time."""
        waiting, active = deque(self._parts), list[_Part]()
        totals = [part.bytes_total for part in self._parts]
        total, done = None if None in totals else sum(filter(None, totals)), 0
        while waiting or active:
            moment = min((part.last_key for part in active), default=NEVER)
            while waiting and (not active or waiting[0].first_ns <= moment):
                if (part := waiting.popleft()).ready():
                    active.append(part)
                    moment = min(moment, part.last_key)
            yield [rows for part in active if len((rows := part.take(moment)).keys)]
            before, active = active, [part for part in active if part.ready()]
            if len(active) < len(before):
                done += sum(part.bytes_read for part in set(before) - set(active))
            self._show(f"{len(self._parts):,} files", done + sum(part.bytes_read for part in active), total)

    def _show(self, name: str, done: int, total: int | None) -> None:
        if self._progress:
            self._progress(name, done, total)


class _Rows(NamedTuple):
    """Packets of one file, with the times by which they are sorted."""

    batch: Batch
    keys: I64


class _Part:
    """One of the captures."""

    def __init__(self, path: str, name: str | None, chunk_bytes: int, keys: KeyRing, memory: Memory | None) -> None:
        self.name = name or path
        self.first_number = 0
        """added to the numbers of its packets"""
        self.first_ns = NEVER
        """time of its first packet; NEVER when no packet has one"""
        self.last_key = 0
        """of the packets at hand, the latest"""
        self.bytes_read, self.bytes_total = 0, _size(path)
        self.file = unreadable(self.name, "was not read")
        self._path, self._named, self._chunk_bytes, self._keys, self._memory = path, name, chunk_bytes, keys, memory
        self._batches: Iterator[Batch] | None = None
        self._rows: _Rows | None = None

    def batches(self, chunk_bytes: int | None = None) -> Iterator[Batch]:
        """From the beginning; `file` is right once they have ended."""
        try:
            with open_capture(self._path, chunk_bytes or self._chunk_bytes, memory=self._memory) as reader:
                for batch in reader.batches():
                    self.bytes_read = reader.bytes_read
                    self._keys.add(reader.take_key_logs())
                    yield batch
                self._keys.add(reader.take_key_logs())
                file = reader.describe()
                self.file = replace(file, name=self._named) if self._named else file
        except CaptureError as error:
            self.file = unreadable(self.name, str(error))

    def peek(self) -> None:
        """Learn when it begins. What can be read only once stays open."""
        if self.bytes_total is None:
            first = self._rows.batch if self.ready() and self._rows else None
        else:
            first = next(self.batches(PEEK_BYTES), None)
        self.first_ns = _first_ns(first) if first else NEVER

    def ready(self) -> bool:
        """Whether there are packets at hand, or more of them to read."""
        if self._rows is None:
            if self._batches is None:
                self._batches = self.batches()
                if (self.bytes_total or NEVER) <= TINY_BYTES:
                    self._batches = iter([replace(batch, data=batch.data.copy()) for batch in self._batches])
            batch = next(self._batches, None)
            if batch is None:
                return False
            keys = np.maximum.accumulate(np.maximum(batch.time_ns, self.last_key or _first_ns(batch)))
            self.last_key = int(keys[-1])
            self._rows = _Rows(replace(batch, first_number=batch.first_number + self.first_number), keys)
        return True

    def take(self, moment: int) -> _Rows:
        """The packets at hand up to that time."""
        assert self._rows is not None
        batch, keys = self._rows
        count = int(np.searchsorted(keys, moment, "right"))
        self._rows = _Rows(batch.part(count, len(keys)), keys[count:]) if count < len(keys) else None
        return _Rows(batch.part(0, count), keys[:count])


def _mixed(rounds: Iterator[list[_Rows]]) -> Iterator[Batch]:
    """Batches in order of time: the rounds follow each other in it."""
    held: list[_Rows] = []
    count = 0
    for pieces in rounds:
        alone = len(pieces) == 1 and len(pieces[0].keys) >= SOME_ROWS
        if not alone:
            held += map(_copy, pieces)
            count += sum(len(rows.keys) for rows in pieces)
        if held and (alone or count >= SOME_ROWS):
            yield _mix(held)
            held, count = [], 0
        if alone:
            yield pieces[0].batch
    if held:
        yield _mix(held)


def _copy(rows: _Rows) -> _Rows:
    """With data of their own, and no more of it than they need."""
    batch, keys = rows
    begin, end = int(batch.offset.min()), int((batch.offset + batch.captured).max())
    return _Rows(replace(batch, data=batch.data[begin:end].copy(), offset=batch.offset - begin), keys)


def _mix(pieces: list[_Rows]) -> Batch:
    """One batch of all, in order of time; what is simultaneous stays in the order of the files."""
    order = np.argsort(np.concatenate([keys for _, keys in pieces]), kind="stable")
    parts = [batch for batch, _ in pieces]
    begins = np.cumsum([0, *(len(part.data) for part in parts)])
    offsets = [part.offset + begin for part, begin in zip(parts, begins.tolist(), strict=False)]
    numbers = [part.number(np.arange(len(part))) for part in parts]
    return Batch(
        data=np.concatenate([*(part.data for part in parts), np.zeros(SLACK, np.uint8)]),
        offset=np.concatenate(offsets)[order],
        captured=np.concatenate([part.captured for part in parts])[order],
        length=np.concatenate([part.length for part in parts])[order],
        time_ns=np.concatenate([part.time_ns for part in parts])[order],
        linktype=np.concatenate([part.linktype for part in parts])[order],
        first_number=0,
        numbers=np.concatenate(numbers)[order],
    )


def _first_ns(batch: Batch) -> int:
    """Time of the first packet that has one; NEVER without."""
    return int(batch.time_ns[np.argmax(batch.time_ns > 0)]) or NEVER


def _size(path: str) -> int | None:
    """Bytes of a plain file; None for a stream, which can be read only once. 0 when there is no such file."""
    if path == "-":
        return None
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else None
