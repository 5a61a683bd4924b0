"""h1 hashes of bodies in pieces, against hashes of whole files by another way, and go's own in the lab."""

import io
import random
import struct
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.modules import h1
from trace_go.model.errors import WireError
from trace_go.wire import modhash
from trace_go.wire.modhash import ModHasher, ZipHasher, sums

FILES = {
    "example.com/a@v1.0.0/go.mod": b"module example.com/a\n",
    "example.com/a@v1.0.0/a.go": b"package a\n" * 5000,
    "example.com/a@v1.0.0/empty": b"",
    "example.com/a@v1.0.0/blob.bin": random.Random(1).randbytes(70_000),
}


class Unseekable(io.BytesIO):
    """Makes zipfile write as Go's archive/zip does: sizes behind the data."""

    def seek(self, *_: Any) -> int:
        raise OSError

    def tell(self) -> int:
        raise OSError

    def seekable(self) -> bool:
        return False


def zipped(files: dict[str, bytes], *, streamed: bool = False, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = Unseekable() if streamed else io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def hashed(data: bytes, step: int = 0) -> str:
    hasher = ZipHasher()
    for start in range(0, len(data), step or len(data) or 1):
        hasher.feed(data[start : start + (step or len(data))])
    return hasher.end()


@pytest.mark.parametrize("step", [0, 1, 7, 1000, 16_384])
@pytest.mark.parametrize("streamed", [False, True])
def test_zip(streamed: bool, step: int) -> None:
    files = dict(list(FILES.items())[:3]) if step == 1 else FILES
    assert hashed(zipped(files, streamed=streamed), step) == h1(files)


def test_stored_entries() -> None:
    assert hashed(zipped(FILES, method=zipfile.ZIP_STORED), 999) == h1(FILES)
    with pytest.raises(WireError, match="stored entry without its size"):
        hashed(zipped(FILES, streamed=True, method=zipfile.ZIP_STORED))


@pytest.mark.parametrize("count", [0, 1, 300])
def test_any_number_of_files(count: int) -> None:
    files = {f"m@v1/{number:04}é": bytes(number) for number in range(count)}
    assert hashed(zipped(files, streamed=True), 500) == h1(files)


def test_a_comment_behind_it() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("m@v1/a", b"x")
        archive.comment = b"c" * 500
    assert hashed(out.getvalue(), 11) == h1({"m@v1/a": b"x"})


@pytest.mark.parametrize("end", [1, 30, 60, 200, -23, -1])
def test_cut_short(end: int) -> None:
    data = zipped(FILES)
    with pytest.raises(WireError, match="not whole"):
        hashed(data[:end])


def test_what_the_directory_says_counts() -> None:
    """Go reads by the directory: where it says something else, what was hashed is not what go gets."""
    files = {"m@v1/a": b"a" * 100, "m@v1/b": b"b" * 100}
    data = zipped(files, method=zipfile.ZIP_STORED)
    place = data.index(b"PK\1\2")
    renamed = data[:place] + data[place:].replace(b"m@v1/b", b"m@v1/c")
    with pytest.raises(WireError, match="tells of another entry"):
        hashed(renamed)
    second = data.index(b"PK\1\2", place + 4)
    lacking = data[:place] + data[second:].replace(struct.pack("<HH", 2, 2), struct.pack("<HH", 1, 1))
    with pytest.raises(WireError, match="lacks an entry"):
        hashed(lacking)
    with pytest.raises(WireError, match="no zip directory"):
        hashed(data[:place] + b"x" * 100)


def test_oddities() -> None:
    once = zipped({"m@v1/a": b"x"}, method=zipfile.ZIP_STORED)
    entry = once[: once.index(b"PK\1\2")]
    with pytest.raises(WireError, match="two entries of one name"):
        hashed(entry + once)
    with pytest.raises(WireError, match="line feed"):
        hashed(zipped({"m@v1/a\nb": b"x"}))
    with pytest.raises(WireError, match="form that is not read"):
        hashed(zipped(FILES, method=zipfile.ZIP_BZIP2))
    broken = bytearray(zipped({"m@v1/a": b"x" * 1000}))
    broken[40:44] = b"\xff\xff\xff\xff"
    with pytest.raises(WireError, match=r"does not inflate|another size"):
        hashed(bytes(broken))


def test_bombs_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modhash, "MAX_UNZIPPED", 1 << 20)
    with pytest.raises(WireError, match="more content"):
        hashed(zipped({"m@v1/a": bytes(2 << 20)}))
    with pytest.raises(WireError, match="longer than go takes"):
        hashed(zipped({"m@v1/a": random.Random(1).randbytes(2 << 20)}))
    monkeypatch.setattr(modhash, "MAX_ENTRIES", 3)
    with pytest.raises(WireError, match="more than 3 entries"):
        hashed(zipped(FILES))


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(1, 500))
def test_any_damage(data: bytes, at: int, step: int) -> None:
    """A hash of what is there, or WireError; the same in any pieces."""
    whole = zipped({"m@v1/a": b"abc" * 30, "m@v1/b": b""}, streamed=True)
    damaged = whole[:at] + data + whole[at + len(data) :]

    def outcome(size: int) -> str:
        try:
            return hashed(damaged, size)
        except WireError:
            return "error"

    assert outcome(step) == outcome(0)


def test_mod(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = ModHasher()
    for byte in FILES["example.com/a@v1.0.0/go.mod"]:
        hasher.feed(bytes([byte]))
    assert hasher.end() == h1({"go.mod": FILES["example.com/a@v1.0.0/go.mod"]})
    monkeypatch.setattr(modhash, "MAX_MOD", 10)
    with pytest.raises(WireError, match="longer than"):
        ModHasher().feed(bytes(11))


def test_sums() -> None:
    good = "h1:" + "A" * 43 + "="
    text = f"1234\nm v1.0.0 {good}\nm v1.0.0/go.mod {good}\r\n\nm tree\n5\nm v1.0.0 h1:short=\nm 1 {good}\n"
    assert sums(text) == (("m", "v1.0.0", good), ("m", "v1.0.0/go.mod", good))


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    assert isinstance(sums(text), tuple)
