"""One capture read by two processes.

The second one reads, walks and decodes it into memory that both see. Where few packets make a flow, most work is with
flows: then it also looks after some of them, and hands them over at the end.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
from msgspec import Struct, msgpack

from trace_go.capture.beside import Beside, Sender
from trace_go.capture.files import CHUNK_BYTES
from trace_go.capture.keys import KeyRing
from trace_go.capture.merge import Merge, Progress
from trace_go.capture.pcapng import SLACK
from trace_go.flows.decode import Addresses, Segments, State, decode
from trace_go.flows.engine import Engine, SocketKey
from trace_go.flows.grouping import group
from trace_go.flows.shares import ALL, PARTS, Share, join, pack
from trace_go.model.flow import Traffic
from trace_go.model.packets import U8, Batch
from trace_go.model.report import CaptureFile

LEAST_BYTES = 64 << 20
"""of a capture that two processes read faster than one: a second one costs 30 ms"""
SAMPLE_BYTES, CROWDED = 8 << 20, 64
"""of its beginning, and packets per flow below which the second process gets flows, too"""
FIRST_PARTS = 140
"""of the flows of a crowded capture stay with the first process: the second one decodes besides"""
JOINED_BYTES = CHUNK_BYTES + (8 << 20)
"""for what fragments in a chunk make, and those that waited (fragments.MAX_WAITING_BYTES)"""

MakeEngine = Callable[[Share], Engine]
_Shown = tuple[str, int, int | None]


class _Decoded(Struct, array_like=True, tag=True):
    """Packets. The data lies in the cell, the segments beside this."""

    size: int
    """of the data"""
    addresses: list[bytes]
    """IPv6 addresses of the segments, which have their numbers from 2**32 up"""
    last_ns: int
    late: bool
    """fragments that nothing completed"""
    share: Share
    """of the first process"""
    secrets: list[bytes]
    """texts that came before these packets"""
    shown: _Shown | None
    """progress"""


class _End(Struct, array_like=True, tag=True):
    """Behind it come the flows of the second process."""

    files: tuple[CaptureFile, ...]
    ends_ns: tuple[int, ...]
    secrets: list[bytes]


_decoder = msgpack.Decoder(_Decoded | _End)


def read_together(
    path: str,
    name: str,
    keys: KeyRing,
    make_engine: MakeEngine,
    owners: Mapping[SocketKey, str],
    progress: Progress | None,
) -> tuple[Traffic, tuple[CaptureFile, ...]]:
    """What one process would make of the capture. Raises OSError when two of them cannot do it."""
    second = _Second(path, name, keys, make_engine, owners)
    with Beside(second.work, CHUNK_BYTES + SLACK + JOINED_BYTES) as other:
        messages, engine, share = other.messages(), None, ALL
        for message in messages:
            content = _decoder.decode(message.content)
            keys.add(content.secrets)
            if isinstance(content, _End):
                break
            if engine is None:
                share, engine = content.share, make_engine(content.share)
            if not content.late:
                engine.keys = keys.use()
            engine.take_foreign(
                message.cell[: content.size], _segments(message.blob), content.addresses, content.last_ns
            )
            if progress and content.shown:
                progress(*content.shown)
        traffic, engine = (engine or make_engine(ALL)).finish(owners, content.ends_ns, last=True), None
        return traffic if share == ALL else join(traffic, (message.blob.data for message in messages)), content.files


class _Overheard(KeyRing):
    """What a capture carries is kept for the first process, too."""

    def __init__(self, keys: KeyRing) -> None:
        super().__init__()
        self._keys, self._texts = keys, list[bytes]()

    def add(self, texts: Iterable[bytes]) -> None:
        new = list(texts)
        self._texts += new
        self._keys.add(new)

    def take(self) -> list[bytes]:
        taken, self._texts = self._texts, []
        return taken


class _Second:
    """The work of the second process."""

    def __init__(
        self, path: str, name: str, keys: KeyRing, make_engine: MakeEngine, owners: Mapping[SocketKey, str]
    ) -> None:
        self._path, self._name, self._keys, self._make_engine, self._owners = path, name, keys, make_engine, owners
        self._heard, self._state = _Overheard(keys), State()
        self._shown: _Shown | None = None
        self._engine: Engine | None = None
        self._share = ALL

    def work(self, sender: Sender) -> None:
        memory = partial(_memory, sender)
        merge = Merge([self._path], [self._name], self._heard, self._show, memory=memory)
        for batch in filter(len, merge.batches()):
            self._send(sender, batch)
        if pieces := self._state.fragments.leftovers():
            self._send(sender, pieces, late=True)
        if self._engine:
            sender.forget_cells()  # flows need the room
        sender.send(msgpack.encode(_End(merge.files, merge.ends_ns, self._heard.take())))
        if self._engine:
            flows = self._engine.flows(self._owners, merge.ends_ns, last=True)
            for piece in pack(flows, self._engine.left_out):
                sender.send(b"", [np.frombuffer(piece, np.uint8)])

    def _show(self, name: str, done: int, total: int | None) -> None:
        self._shown = name, done, total

    def _send(self, sender: Sender, batch: Batch, *, late: bool = False) -> None:
        self._state.addresses = Addresses()  # the first process numbers them as it likes
        data, segments = decode(batch, self._state)
        if batch.first_number == 1 and not late:
            self._divide(segments)
        lies = 0 if late else len(batch.data)
        if len(data) > lies:
            sender.settle()  # others may have put something there
            sender.cell[lies : len(data)] = data[lies:]
        addresses, last_ns = self._state.addresses.all, int(batch.time_ns.max())
        content = _Decoded(
            len(data),
            addresses,
            last_ns,
            late,
            self._share,
            self._heard.take(),
            self._shown,
        )
        columns = [getattr(segments, column) for column in segments.__struct_fields__]
        sender.send(msgpack.encode(content), [np.ascontiguousarray(column).view(np.uint8) for column in columns])
        if self._engine:
            if not late:
                self._engine.keys = self._keys.use()
            self._engine.take_foreign(data, segments, addresses, last_ns)

    def _divide(self, segments: Segments) -> None:
        """By the beginning of the capture."""
        sample = segments.take(np.flatnonzero(segments.payload < SAMPLE_BYTES))
        source, target = (sample.src << 16) | sample.sport, (sample.dst << 16) | sample.dport
        if len(group(np.minimum(source, target), np.maximum(source, target))[1]) * CROWDED > len(sample):
            self._share = Share(0, FIRST_PARTS)
            self._engine = self._make_engine(Share(FIRST_PARTS, PARTS))


def _memory(sender: Sender, size: int) -> U8:
    if size > CHUNK_BYTES + SLACK:
        raise MemoryError
    return sender.next_cell()[:size]


def _segments(blob: U8) -> Segments:
    names = Segments.__struct_fields__
    return Segments(**dict(zip(names, blob.view(np.int64).reshape(len(names), -1), strict=True)))
