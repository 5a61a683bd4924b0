"""Streams of bytes: a file as it is, and the unpacked content of a compressed one, told by its first bytes.

Sources: RFC 1952 (gzip), RFC 8878 (zstd), the xz file format 1.2, the LZ4 frame format 1.6. What can be unpacked before
damage, the end or a bomb's size is delivered; nothing is raised.
"""

import io
import sys
import zlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

PIECE_BYTES = 16 * 1024  # compressed bytes unpacked at once; with damage in it, of all but gzip a piece is lost
OUTPUT_BYTES = 1 << 20  # unpacked at once: lz4 takes this much memory in each call
MAX_EXPANSION, FREE_BYTES = 100, 1 << 30  # packets shrink to a tenth; deflate can make a thousandth, the others more
XZ_BYTES = 128 << 20  # of memory; `xz -9` needs 65 MiB to unpack. zstd has this limit of itself


class Source:
    """A stream of bytes. `trouble` says why it ended early; nothing is raised."""

    packing = ""
    taken = 0
    """bytes of the file read so far"""
    trouble: str | None = None
    grows = False
    """somebody may still be writing: what is not whole at its end is not cut off"""

    def goes_on(self) -> bool:
        """Whether there may be more behind an end that was reached; may wait for it."""
        return False

    def readinto(self, view: memoryview) -> int:
        """The number of bytes put at the front of `view`, which is not empty; 0 when there are no more."""
        raise NotImplementedError

    def read(self, count: int) -> bytes:
        """`count` bytes, fewer only at the end."""
        view, got = memoryview(bytearray(count)), 0
        while got < count and (more := self.readinto(view[got:])):
            got += more
        return bytes(view[:got])


class Plain(Source):
    """The bytes of a file as they are."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw

    def readinto(self, view: memoryview) -> int:
        try:
            got = self._raw.readinto(view) or 0
        except OSError as error:
            self.trouble = f"reading failed: {error.strerror}"
            return 0
        self.taken += got
        return got


class Decompressor(Protocol):
    """Of one frame, stream or member: what lzma, compression.zstd and lz4.frame have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Packing(NamedTuple):
    name: str
    magics: tuple[bytes, ...]
    load: Callable[[], tuple[Callable[[], Decompressor], type[Exception]]]
    """imports what unpacks it: the maker of a decompressor, and what that raises for damage"""


class Unpacked(Source):
    """The unpacked bytes of a file of one or more frames."""

    def __init__(self, packed: Source, head: bytes, packing: Packing) -> None:
        """head: what was already taken from `packed`"""
        self.packing = f"+{packing.name}"
        self._source, self._waiting, self._given = packed, head, 0
        self._make, self._damage = packing.load()
        self._frame = self._make()

    def readinto(self, view: memoryview) -> int:
        while not self.trouble and (not self._frame.eof or self._begin_frame()):
            hungry = self._frame.needs_input
            piece = self._waiting or (self._pull() if hungry else b"")
            self._waiting = b""
            try:
                data = self._frame.decompress(piece, min(len(view), OUTPUT_BYTES))
            except self._damage as error:
                large = "emory" in str(error)
                what = f"needs more than {XZ_BYTES >> 20} MiB of memory to be unpacked" if large else "is damaged"
                self.trouble = f"the {self.packing[1:]} data {what}"
                break
            if data:
                self._given += len(data)
                if self._given > FREE_BYTES + MAX_EXPANSION * self.taken:
                    self.trouble = (
                        f"it unpacks to more than {MAX_EXPANSION} times its size; if that is meant, unpack it first"
                    )
                view[: len(data)] = data
                return len(data)
            if hungry and not piece and not self._frame.eof:
                self.trouble = self._source.trouble or f"the {self.packing[1:]} data is cut off"
        return 0

    def _pull(self) -> bytes:
        piece = self._source.read(PIECE_BYTES)
        self.taken = self._source.taken
        return piece

    def _begin_frame(self) -> bool:
        """Whether another frame follows the last one and padding."""
        rest = self._frame.unused_data or b""
        while not (rest := rest.lstrip(b"\0")):
            if not (rest := self._pull()):
                return False
        self._frame, self._waiting = self._make(), rest
        return True


class _Inflater:
    """A gzip member as a Decompressor; delivers every byte in front of damage."""

    def __init__(self) -> None:
        self._zlib, self._rest, self._step = zlib.decompressobj(wbits=31), b"", sys.maxsize

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._rest

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data + self._rest

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        data, intact = self._rest + data, self._zlib.copy()
        try:
            unpacked = self._zlib.decompress(data[: self._step], max_length)
        except zlib.error:
            if self._step == 1:
                raise
            self._zlib, self._rest, self._step = intact, data, 1  # once more, byte by byte, up to the damage
            return b""
        tail = b"" if self._zlib.eof else self._zlib.unconsumed_tail  # at the end the same as unused_data
        self._rest = tail + data[self._step :]
        return unpacked


def _gzip() -> tuple[Callable[[], Decompressor], type[Exception]]:
    return _Inflater, zlib.error


def _xz() -> tuple[Callable[[], Decompressor], type[Exception]]:
    import lzma

    return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_BYTES), lzma.LZMAError


def _zstd() -> tuple[Callable[[], Decompressor], type[Exception]]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    return zstd.ZstdDecompressor, zstd.ZstdError


def _lz4() -> tuple[Callable[[], Decompressor], type[Exception]]:
    import lz4.frame

    return lz4.frame.LZ4FrameDecompressor, RuntimeError


PACKINGS = (
    Packing("gzip", (b"\x1f\x8b",), _gzip),
    Packing("xz", (b"\xfd7zXZ\0",), _xz),
    # A skippable frame comes first in what pzstd makes; lz4 has the same frames and puts none there.
    Packing("zstd", (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))), _zstd),
    Packing("lz4", (b"\x04\x22\x4d\x18",), _lz4),
)


def maybe_unpacked(packed: Source, head: bytes) -> Unpacked | None:
    """The unpacked bytes of `packed`, of which `head` was taken; None when that begins no compressed file."""
    found = next((packing for packing in PACKINGS if head.startswith(packing.magics)), None)
    return Unpacked(packed, head, found) if found else None
