"""The `h1:` hashes that go.sum holds, computed from the bodies of `.mod` and `.zip` answers as they pass.

Sources: golang.org/x/mod/sumdb/dirhash (Hash1, HashZip), x/mod/zip (limits), .ZIP File Format Specification §4.3.
Sans-IO: memory does not grow with the body. Go reads a zip by its directory, which comes last: the local entries are
hashed as they come, and count only when the directory then says the same of them. A zip of which that cannot be said
has no hash (WireError), which is no verdict on it.
"""

import base64
import hashlib
import re
import struct
import zlib
from collections.abc import Callable
from itertools import islice

from trace_go.model.errors import WireError

MAX_UNZIPPED = 500 << 20  # MaxZipFile of x/mod/zip, for the zip and for its content
MAX_ENTRIES = 100_000  # ours: the largest public modules have some 30,000 files
MAX_MOD = 16 << 20  # MaxGoMod of x/mod/zip
MAX_SUMS = 100_000  # lines of a go.sum; large monorepos have 5,000
PIECE = 1 << 20  # inflated at once

_LOCAL, _CENTRAL, _END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
_ZIP64_END, _ZIP64_LOCATOR = b"PK\6\6", b"PK\6\7"
_DESCRIPTOR = b"PK\7\x08"
_LOCAL_HEAD = struct.Struct("<4xHHHHHIIIHH")
_CENTRAL_HEAD = struct.Struct("<4xHHHHHHIIIHHHHHII")
_END_HEAD = struct.Struct("<4xHHHHIIH")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _HAS_DESCRIPTOR = 0x1, 0x8
_ZIP64 = 0xFFFFFFFF
_ZIP64_EXTRA = 1
_LONGEST_DESCRIPTOR = 24
_SUM = re.compile(r"^(\S+) (v\S+) (h1:[A-Za-z0-9+/]{43}=)[ \t\r]*$", re.MULTILINE)

Sums = tuple[tuple[str, str, str], ...]
"""(module, version or `version/go.mod`, h1), as lines of go.sum have them"""


def sums(text: str) -> Sums:
    """The lines of a go.sum, or of an answer of the checksum database, that hold hashes.

    >>> sums("7\\nexample.com/a v1.0.0/go.mod h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\\n\\ntree\\n")
    (('example.com/a', 'v1.0.0/go.mod', 'h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='),)
    """
    return tuple((match[1], match[2], match[3]) for match in islice(_SUM.finditer(text), MAX_SUMS))


class ModHasher:
    """Of a go.mod file."""

    def __init__(self) -> None:
        self._hash, self._size = hashlib.sha256(), 0

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_MOD:
            raise WireError(self._size, "longer than a go.mod may be")
        self._hash.update(data)

    def end(self) -> str:
        return _h1({"go.mod": self._hash.hexdigest()})


class ZipHasher:
    """Of a module zip."""

    def __init__(self) -> None:
        self._data = b""
        self._base = 0  # offset of _data[0] in the file
        self._state: Callable[[ZipHasher], bool] = ZipHasher._read_head
        self._name, self._start, self._flags, self._sizes = "", 0, 0, (0, 0)
        self._hash = hashlib.sha256()
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left = self._in = self._out = 0  # of a stored entry; bytes of this entry packed and unpacked
        self._unzipped = 0
        self._entries: dict[int, tuple[str, int, int]] = {}
        """offset of the local header → name, packed size, unpacked size"""
        self._digests: dict[str, str] = {}
        self._listed = 0

    def feed(self, data: bytes) -> None:
        """Raises WireError for what cannot be hashed."""
        if self._base + len(self._data) + len(data) > MAX_UNZIPPED:
            raise WireError(self._base, "a zip longer than go takes")
        self._data += data
        while self._state(self):
            pass

    def end(self) -> str:
        """Raises WireError when the zip is not whole."""
        if self._state is not ZipHasher._read_rest:
            raise WireError(self._base, "the zip is not whole")
        return _h1(self._digests)

    def _drop(self, size: int) -> None:
        self._data = self._data[size:]
        self._base += size

    # States: each returns whether it went on

    def _read_head(self) -> bool:
        if len(self._data) < 4:
            return False
        if self._data.startswith(_LOCAL):
            return self._read_local()
        self._state = ZipHasher._read_directory
        return True

    def _read_local(self) -> bool:
        if len(self._data) < 30:
            return False
        _, flags, method, _, _, _, packed, size, name_bytes, extra_bytes = _LOCAL_HEAD.unpack_from(self._data)
        end = 30 + name_bytes + extra_bytes
        if len(self._data) < end:
            return False
        if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
            raise WireError(self._base, "an entry in a form that is not read")
        if method == _STORED and flags & _HAS_DESCRIPTOR:
            raise WireError(self._base, "a stored entry without its size")
        if len(self._entries) >= MAX_ENTRIES:
            raise WireError(self._base, f"more than {MAX_ENTRIES} entries")
        name = _name(self._data[30 : 30 + name_bytes], self._base)
        if name in self._digests:
            raise WireError(self._base, "two entries of one name")
        self._name, self._start, self._flags = name, self._base, flags
        self._sizes = _sizes(packed, size, self._data[30 + name_bytes : end], self._base)
        self._hash, self._in, self._out, self._left = hashlib.sha256(), 0, 0, self._sizes[0]
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._drop(end)
        self._state = ZipHasher._read_stored if method == _STORED else ZipHasher._read_deflated
        return True

    def _read_stored(self) -> bool:
        part = self._data[: self._left]
        self._take(part)
        self._left -= len(part)
        self._in += len(part)
        self._drop(len(part))
        return self._end_entry() if not self._left else False

    def _read_deflated(self) -> bool:
        if not self._data:
            return False
        packed = self._data
        while True:
            try:
                self._take(self._inflater.decompress(packed, PIECE))
            except zlib.error as error:
                raise WireError(self._base, "an entry does not inflate") from error
            packed = self._inflater.unconsumed_tail
            if self._inflater.eof or not packed:
                break
        rest = self._inflater.unused_data
        used = len(self._data) - len(rest)
        self._in += used
        self._drop(used)
        if not self._inflater.eof:
            return False
        if self._flags & _HAS_DESCRIPTOR:
            self._state = ZipHasher._read_descriptor
            return True
        return self._end_entry()

    def _read_descriptor(self) -> bool:
        """With or without its mark, sizes of 32 or 64 bits (§4.3.9): the one that fits what was read."""
        if len(self._data) < _LONGEST_DESCRIPTOR:
            return False  # a directory follows, so there is more
        for form in ("<4x4xII", "<4x4xQQ", "<4xII", "<4xQQ"):
            marked = form.startswith("<4x4x")
            fits = struct.unpack_from(form, self._data) == (self._in, self._out)
            if fits and marked is self._data.startswith(_DESCRIPTOR):
                self._drop(struct.calcsize(form))
                self._sizes = (self._in, self._out)
                return self._end_entry()
        raise WireError(self._base, "an entry ends with other sizes")

    def _end_entry(self) -> bool:
        if self._sizes != (self._in, self._out):
            raise WireError(self._base, "an entry has another size than it says")
        self._entries[self._start] = (self._name, self._in, self._out)
        self._digests[self._name] = self._hash.hexdigest()
        self._state = ZipHasher._read_head
        return True

    def _read_directory(self) -> bool:
        """Every entry must be the one that was hashed, and none may be missing."""
        if len(self._data) < 46:
            return self._read_end()
        if not self._data.startswith(_CENTRAL):
            return self._read_end()
        (_, _, _, _, _, _, _, packed, size, name_bytes, extra_bytes, comment_bytes, _, _, _, offset) = (
            _CENTRAL_HEAD.unpack_from(self._data)
        )
        end = 46 + name_bytes + extra_bytes + comment_bytes
        if len(self._data) < end:
            return False
        extra = self._data[46 + name_bytes : 46 + name_bytes + extra_bytes]
        sizes = _sizes(packed, size, extra, self._base)
        entry = (_name(self._data[46 : 46 + name_bytes], self._base), *sizes)
        if self._entries.pop(offset, None) != entry:
            raise WireError(self._base, "the directory tells of another entry")
        self._listed += 1
        self._drop(end)
        return True

    def _read_end(self) -> bool:
        if self._data.startswith(_CENTRAL):
            return False
        if self._data.startswith((_ZIP64_END, _ZIP64_LOCATOR)):
            raise WireError(self._base, "a zip of a size that no module has")
        if len(self._data) < 22:
            return False
        if not self._data.startswith(_END):
            raise WireError(self._base, "no zip directory")
        _, _, _, count, _, _, _ = _END_HEAD.unpack_from(self._data)
        if self._entries or count != self._listed:
            raise WireError(self._base, "the directory lacks an entry")
        self._state = ZipHasher._read_rest
        return True

    def _read_rest(self) -> bool:
        """A comment."""
        self._drop(len(self._data))
        return False

    def _take(self, data: bytes) -> None:
        self._out += len(data)
        self._unzipped += len(data)
        if self._unzipped > MAX_UNZIPPED:
            raise WireError(self._base, "more content than go takes")
        self._hash.update(data)


def _name(raw: bytes, at: int) -> str:
    if b"\n" in raw:
        raise WireError(at, "a line feed in a name")
    return raw.decode("utf-8", "surrogateescape")


def _sizes(packed: int, size: int, extra: bytes, at: int) -> tuple[int, int]:
    """Those of the 64-bit extension where the header says so (§4.5.3); of a local header with a descriptor, zeros."""
    if _ZIP64 not in (packed, size):
        return packed, size
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        if kind == _ZIP64_EXTRA:
            longs = [number for (number,) in struct.iter_unpack("<Q", extra[place + 4 : place + 4 + length // 8 * 8])]
            wanted = [size == _ZIP64, packed == _ZIP64]
            if len(longs) >= sum(wanted):
                size = longs.pop(0) if wanted[0] else size
                packed = longs.pop(0) if wanted[1] else packed
                return packed, size
        place += 4 + length
    raise WireError(at, "an entry of unknown size")


def _h1(digests: dict[str, str]) -> str:
    """Hash1: over the sorted lines of hash, two spaces and name."""
    whole = hashlib.sha256()
    for name in sorted(digests, key=_bytes):
        whole.update(f"{digests[name]}  ".encode() + _bytes(name) + b"\n")
    return f"h1:{base64.b64encode(whole.digest()).decode()}"


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
