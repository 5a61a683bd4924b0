"""KeyLog: every case is fed whole and byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.wire import keylog
from trace_go.wire.keylog import KeyLog, Label

RANDOM, OTHER = bytes(range(32)), bytes(range(1, 33))
SECRET = bytes(range(100, 132))


def line(label: str = "CLIENT_TRAFFIC_SECRET_0", random: bytes = RANDOM, secret: bytes = SECRET) -> bytes:
    return f"{label} {random.hex()} {secret.hex()}".encode()


def fed(data: bytes, step: int) -> KeyLog:
    log = KeyLog()
    for start in range(0, len(data), step):
        log.feed(data[start : start + step])
    log.end()
    return log


CASES = {
    "one line": (line() + b"\n", 1, 0, {Label.CLIENT_TRAFFIC_SECRET_0: (SECRET,)}),
    "no line feed at the end": (line(), 1, 0, {Label.CLIENT_TRAFFIC_SECRET_0: (SECRET,)}),
    "CRLF, comment, blank": (
        b"# made by\r\n\r\n" + line() + b"\r\n",
        1,
        0,
        {Label.CLIENT_TRAFFIC_SECRET_0: (SECRET,)},
    ),
    "CR": (b"#\r" + line() + b"\r" + line("CLIENT_RANDOM", OTHER), 2, 0, {Label.CLIENT_TRAFFIC_SECRET_0: (SECRET,)}),
    "upper case": (line().upper() + b" \n", 1, 0, {Label.CLIENT_TRAFFIC_SECRET_0: (SECRET,)}),
    "exporter": (line("EXPORTER_SECRET") + b"\n", 1, 0, {}),
    "twice": ((line() + b"\n") * 2, 2, 0, {Label.CLIENT_TRAFFIC_SECRET_0: (SECRET,)}),
    "contradiction": (
        line() + b"\n" + line(secret=bytes(48)),
        2,
        0,
        {Label.CLIENT_TRAFFIC_SECRET_0: (SECRET, bytes(48))},
    ),
    "short secret": (line(secret=b"short"), 0, 1, {}),
    "long secret": (line(secret=bytes(65)), 0, 1, {}),
    "odd digits": (line()[:-1] + b"\n" + line() + b"0\n", 0, 2, {}),
    "short random": (line(random=RANDOM[:-1]), 0, 1, {}),
    "no key log": (b"\x89PNG\r\n\x1a\n" + bytes(200), 0, 3, {}),
    "endless line": (b"x" * 5000 + line() + b"\n" + line("CLIENT_RANDOM"), 1, 1, {Label.CLIENT_RANDOM: (SECRET,)}),
    "nothing": (b"", 0, 0, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    data, lines, junk, secrets = CASES[name]
    for step in (len(data) or 1, 100, 1):
        log = fed(data, step)
        assert (log.lines, log.junk) == (lines, junk), step
        assert log.secrets(RANDOM) == secrets
        assert (RANDOM in log) == bool(secrets)


def test_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keylog, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(keylog, "MAX_KEPT", 100)
    randoms = [bytes([number]) * 32 for number in range(4)]
    log = fed(b"\n".join(line(random=random, secret=bytes([n]) * 32) for n in range(4) for random in randoms), 999)
    assert len(log) == 2
    assert len(log.secrets(randoms[0])[Label.CLIENT_TRAFFIC_SECRET_0]) == 2
    assert log.dropped == 16 - 4


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes(data: bytes, step: int) -> None:
    log = fed(data, step)
    assert log.junk >= 0
    assert len(log) == 0


@given(st.lists(st.sampled_from([line(), b"", b"#", b"junk", line()[:70]]), max_size=9), st.integers(1, 300))
def test_pieces_make_no_difference(lines: list[bytes], step: int) -> None:
    data = b"\n".join(lines)
    whole, pieces = fed(data, len(data) or 1), fed(data, step)
    assert (whole.lines, whole.junk, whole.secrets(RANDOM)) == (pieces.lines, pieces.junk, pieces.secrets(RANDOM))
