"""Key logs from files and from pcapng secrets blocks, also those that come after the packets."""

import struct
from pathlib import Path

import pytest

from capture.test_pcapng import block, epb, idb, shb
from flows.frames import Talk
from flows.keyed_talks import Http2, Said
from trace_go.capture import keys
from trace_go.capture.files import open_capture
from trace_go.capture.keys import KeyRing
from trace_go.model.errors import CaptureError
from trace_go.model.tls import Opening
from trace_go.pipeline import Source, observe

TLSK = 0x544C534B


def secrets(text: bytes, kind: int = TLSK, order: str = "<") -> bytes:
    return block(10, struct.pack(f"{order}II", kind, len(text)) + text, order)


def talk(said: Said) -> list[bytes]:
    made = Talk().open()
    for side, data in said:
        made.say(side, data)
    return [frame.data for frame in made.close().frames]


SAID, KEYS = Http2().get(1, "/a").answer(1, 200, end=True).wrapped()
PACKETS = [epb(packet, number, length=len(packet)) for number, packet in enumerate(talk(SAID), 1)]
CUT = KEYS.index(b"\nSERVER_TRAFFIC")


def openings(*paths: Path, key_logs: tuple[Path, ...] = ()) -> list[Opening]:
    seen = observe(Source(captures=tuple(map(str, paths)), key_logs=tuple(map(str, key_logs))))
    return [flow.tls.opening for flow in seen.traffic.flows if flow.tls]


@pytest.mark.parametrize("order", ["<", ">"])
def test_secrets_of_a_block(tmp_path: Path, order: str) -> None:
    file = tmp_path / "capture.pcapng"
    packets = [epb(packet, number, length=len(packet), order=order) for number, packet in enumerate(talk(SAID), 1)]
    file.write_bytes(b"".join([shb(order), secrets(KEYS, order=order), idb(order=order), *packets]))
    assert openings(file) == [Opening.OPENED]


@pytest.mark.parametrize("chunk", [1 << 20, 2000])
@pytest.mark.parametrize("where", [0, 5, len(PACKETS)])
def test_secrets_anywhere(tmp_path: Path, where: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets that come after packets are worth reading the file again."""
    monkeypatch.setattr("trace_go.capture.merge.open_capture", lambda path, _, memory: open_capture(path, chunk))
    file = tmp_path / "capture.pcapng"
    parts = [secrets(KEYS[:CUT]), *PACKETS[:where], secrets(KEYS[CUT:]), *PACKETS[where:]]
    file.write_bytes(b"".join([shb(), idb(), *parts]))
    assert openings(file) == [Opening.OPENED]


def test_other_secrets_and_damaged_blocks(tmp_path: Path) -> None:
    file = tmp_path / "capture.pcapng"
    odd = [secrets(KEYS, kind=0x57474B4C), block(10, b""), block(10, struct.pack("<II", TLSK, 1 << 30) + KEYS[:90])]
    file.write_bytes(b"".join([shb(), idb(), *odd, *PACKETS]))
    assert openings(file) == [Opening.NO_KEYS]


def test_several_files(tmp_path: Path) -> None:
    capture, one, two = (tmp_path / name for name in ("capture.pcapng", "one", "two"))
    capture.write_bytes(b"".join([shb(), idb(), *PACKETS]))
    one.write_bytes(KEYS[:CUT])
    two.write_bytes(KEYS[CUT:])
    assert openings(capture, key_logs=(one,)) == [Opening.PARTLY]
    assert openings(capture, key_logs=(one, two)) == [Opening.OPENED]


def test_keys_that_another_capture_carries(tmp_path: Path) -> None:
    """Also when all packets were read before them; the files of both vantages are numbered on."""
    one, two = (tmp_path / name for name in ("one.pcapng", "two.pcapng"))
    one.write_bytes(b"".join([shb(), idb(), *PACKETS]))
    two.write_bytes(b"".join([shb(), idb(), PACKETS[0], secrets(KEYS)]))
    assert openings(one) == [Opening.NO_KEYS]
    assert openings(one, two) == [Opening.OPENED]
    seen = observe(Source(captures=(str(one),), beyond=(str(two),)))
    assert [flow.tls.opening for flow in seen.traffic.flows if flow.tls] == [Opening.OPENED]
    assert [flow.file for flow in (*seen.traffic.flows, *seen.beyond.flows)] == [0, 1]
    assert [file.name for file in seen.files] == [str(one), str(two)]


def test_what_is_wrong_with_a_key_log_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_bytes(b"\x89PNG" + bytes(999))
    assert KeyRing([str(file)]).describe().notes == (  # type: ignore[union-attr]
        f"{file}: no line of it is one of a key log (LABEL CLIENT_RANDOM SECRET)",
    )
    file.write_bytes(KEYS + b"junk\nmore junk\n")
    (note,) = KeyRing([str(file)]).describe().notes  # type: ignore[union-attr]
    assert note.startswith(f"{file}: 2 of its lines are none of a key log; ")
    monkeypatch.setattr(keys, "MAX_BYTES", 400)
    assert f"{file}: is read up to 0 MB" in KeyRing([str(file)]).describe().notes  # type: ignore[union-attr]
    with pytest.raises(CaptureError, match="the key log cannot be read: No such file"):
        KeyRing([str(tmp_path / "none")])
    assert KeyRing().describe() is None
