"""Bodies of answers that say something: modules are hashed as go does, the checksum database's words are read.

Of a body nothing is kept but its running hash, of a database's answer its few lines.
"""

import zlib
from typing import Protocol

from msgspec import Struct

from trace_go.model.errors import WireError
from trace_go.model.http import HttpRequestHead, HttpResponseHead
from trace_go.model.ledger import Artifact
from trace_go.wire.goproxy import maybe_module_url
from trace_go.wire.modhash import ModHasher, Sums, ZipHasher, sums

MAX_WORDS = 64 * 1024
"""bytes read of an answer of the checksum database; a lookup has some 700"""
PIECE = 1 << 20
"""unpacked at once"""
WAITING = 64 * 1024
"""bytes of a body that are read at once: frames bring 16 KiB at most, mostly less"""
_OK = 200
_GZIP = zlib.MAX_WBITS | 16


class Content(Struct, frozen=True, kw_only=True):
    """What a whole body says."""

    h1: str | None = None
    sums: Sums = ()


class _Reader(Protocol):
    def feed(self, data: bytes) -> None: ...

    def end(self) -> str: ...


class _Words:
    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > MAX_WORDS:
            raise WireError(MAX_WORDS, "longer than a lookup is")

    def end(self) -> str:
        return self._data.decode("utf-8", "replace")


class Body:
    """One body as it passes. What cannot be read says nothing."""

    def __init__(self, artifact: Artifact, coding: str) -> None:
        self._reader: _Reader | None = _READERS[artifact]()
        self._parts: list[bytes] = []
        self._waiting = WAITING  # the first ones at once: they tell whether it is a module
        self._unpacker = zlib.decompressobj(_GZIP) if coding == "gzip" else None

    @property
    def mute(self) -> bool:
        """It cannot be read, so that what follows says nothing, either."""
        return self._reader is None

    def add(self, data: bytes) -> None:
        if self._reader is None:
            return
        self._parts.append(data)
        self._waiting += len(data)
        if self._waiting >= WAITING:
            self._read()

    def _read(self) -> None:
        data = b"".join(self._parts)
        self._parts, self._waiting = [], 0
        if self._reader is None:
            return
        try:
            if self._unpacker is None:
                self._reader.feed(data)
                return
            while data:
                self._reader.feed(self._unpacker.decompress(data, PIECE))
                data = self._unpacker.unconsumed_tail
        except (WireError, zlib.error):
            self._reader = None

    def end(self) -> Content:
        self._read()
        reader, self._reader = self._reader, None
        if reader is None or (self._unpacker is not None and not self._unpacker.eof):
            return Content()
        try:
            said = reader.end()
        except WireError:
            return Content()
        return Content(sums=sums(said)) if isinstance(reader, _Words) else Content(h1=said)


_READERS: dict[Artifact, type[ModHasher | ZipHasher | _Words]] = {
    Artifact.MOD: ModHasher,
    Artifact.ZIP: ZipHasher,
    Artifact.TOOLCHAIN: ZipHasher,
    Artifact.SUMDB_LOOKUP: _Words,
}


def maybe_body(url: str, request: HttpRequestHead, answer: HttpResponseHead) -> Body | None:
    """For an answer whose body says something; that of a mirror's storage is told by the Referer."""
    if request.method != "GET" or answer.status != _OK:
        return None
    parts = maybe_module_url(url) or maybe_module_url(request.header("referer") or "")
    coding = (answer.header("content-encoding") or "").lower()
    if parts is None or parts.artifact not in _READERS or coding not in ("", "identity", "gzip"):
        return None
    return Body(parts.artifact, coding)
