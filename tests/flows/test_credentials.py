"""Credentials are found wherever packets end, in any order of packets, and nothing else is taken for one."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.frames import ETHERNET, SLL, Frame, Talk, batches
from trace_go.flows.credentials import Credentials

SECRET = b"bGFiOmh1c2g="
HEAD = b"GET /x HTTP/1.1\r\nHost: a.example\r\n%s\r\nX: y\r\n\r\n"
HEADERS = (
    b"Authorization: Basic " + SECRET,
    b"authorization:Bearer  " + SECRET,
    b"PROXY-AUTHORIZATION:  " + SECRET,
    b"Cookie: " + SECRET,
    b"Set-Cookie: " + SECRET,
    b"PRIVATE-TOKEN: " + SECRET,
    b"X-Auth-Token: " + SECRET,
)
GREETING, LOGIN, REQUEST = b"\5\2\0\2", b"\x01\x02me\x05h.sh!", b"\5\1\0\3\x01a\x01\xbb"


def masked(frames: Sequence[Frame], *sizes: int) -> list[bytes]:
    """The frames with `x` for each byte of a secret, read once or, where the finder wants it, twice."""
    finder, found = Credentials(), set()
    for _ in range(2):
        for number, batch in enumerate(parts := batches(frames, *sizes)):
            found |= {(number, *place) for place in finder.places(batch)}
        if not finder.again:
            break
    datas = [bytearray(batch.data.tobytes()) for batch in parts]
    for number, start, end in found:
        assert 0 <= start < end <= len(datas[number])
        datas[number][start:end] = b"x" * (end - start)
    return [
        bytes(data[at : at + size])
        for data, batch in zip(datas, parts, strict=True)
        for at, size in zip(batch.offset.tolist(), batch.captured.tolist(), strict=True)
    ]


def said(packets: Sequence[bytes], server_port: int = 80) -> bytes:
    """What Talk's client said, from its packets in any order."""
    mine = [packet for packet in packets if int.from_bytes(packet[36:38], "big") == server_port]
    return b"".join(packet[54:] for packet in sorted(mine, key=lambda packet: packet[38:42]))


def talk(*pieces: bytes, port: int = 80) -> list[Frame]:
    made = Talk(server=("192.0.2.80", port)).open()
    for piece in pieces:
        made.up(piece, size=60_000)
    return made.frames


def blank(data: bytes) -> bytes:
    return data.replace(SECRET, b"x" * len(SECRET))


@pytest.mark.parametrize("header", HEADERS, ids=bytes.decode)
def test_a_header_in_one_packet(header: bytes) -> None:
    data = HEAD % header
    assert said(masked(talk(data))) == blank(data)


@pytest.mark.parametrize("header", [HEADERS[0], HEADERS[2], HEADERS[5]], ids=bytes.decode)
def test_a_header_cut_anywhere(header: bytes) -> None:
    data = HEAD % header
    for cut in range(1, len(data)):
        for sizes in ((), (4,)):  # in one batch, and each packet in its own
            found = said(masked(talk(data[:cut], data[cut:]), *sizes))
            assert SECRET not in found
            assert len(found) == len(data)
            assert found.startswith(data[: data.index(header)])
            assert found.endswith(b"\r\nX: y\r\n\r\n")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(1, 130), max_size=60), st.randoms(), st.lists(st.integers(1, 9), max_size=8))
def test_a_header_in_many_packets_in_any_order(cuts: list[int], random: object, sizes: list[int]) -> None:
    data = HEAD % HEADERS[0]
    ends = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    frames = talk(*(data[a:b] for a, b in pairwise(ends)))
    shuffled = list(frames)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis' Random has no type
    assert said(masked(shuffled)) == blank(data)
    found = said(masked(frames, *sizes))
    assert SECRET not in found
    assert len(found) == len(data)


def test_what_comes_again_is_masked_again() -> None:
    data, made = HEAD % HEADERS[0], Talk(server=("192.0.2.80", 80)).open()
    cut = data.index(SECRET) + 4
    start = made.next[0]
    made.up(data[:cut]).up(data[cut:])
    made.frames.append(made.packet(0, data[cut - 20 :], seq=start + cut - 20))
    made.frames.append(made.packet(0, data[cut:], seq=start + cut))
    assert all(SECRET[4:] not in packet for packet in masked(made.frames))


def test_a_value_that_comes_before_its_header() -> None:
    data = HEAD % HEADERS[0]
    cut = data.index(SECRET) + 4
    frames = talk(data[:cut], data[cut:])
    back = [*frames[:3], frames[4], frames[3]]
    assert said(masked(back)) == blank(data)
    assert said(masked(back, 4)) == blank(data)  # in two batches


def test_other_streams_and_what_follows_stay() -> None:
    cut = HEAD % HEADERS[0]
    one = Talk(server=("192.0.2.80", 80)).open().up(cut[: cut.index(SECRET) + 3])
    other = Talk(("10.0.0.3", 40001), server=("192.0.2.80", 80)).open()
    other.next[0] = one.next[0]
    other.up(b"innocent\r\n")
    frames = [*one.frames, *other.frames]
    assert masked(frames)[-1] == other.frames[-1].data


@pytest.mark.parametrize("linktype", [ETHERNET, SLL])
def test_a_packet_that_is_cut_is_masked_to_its_end(linktype: int) -> None:
    data = HEAD % HEADERS[0]
    [frame] = talk(data)[3:]
    for size in range(54 + data.index(SECRET) + 1, len(frame.data)):
        short = Frame(frame.data[:size], linktype=linktype, length=len(frame.data))
        assert masked([short]) == [blank(frame.data)[:size]]


@pytest.mark.parametrize(
    "pieces",
    [
        (LOGIN,),
        *((LOGIN[:cut], LOGIN[cut:]) for cut in range(1, len(LOGIN))),
        tuple(LOGIN[at : at + 1] for at in range(len(LOGIN))),
    ],
)
def test_socks_logins(pieces: tuple[bytes, ...]) -> None:
    found = said(masked(talk(GREETING, *pieces, REQUEST, port=1080)), 1080)
    assert found == GREETING + b"\x01\x02xx\x05xxxxx" + REQUEST


def test_what_is_no_login() -> None:
    for pieces in ((GREETING, REQUEST), (b"\5\1\0", LOGIN), (LOGIN,), (b"\5\2\0\2x", LOGIN)):
        assert said(masked(talk(*pieces, port=1080)), 1080) == b"".join(pieces)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=80), max_size=12))
def test_bytes_without_such_words_stay(pieces: list[bytes]) -> None:
    quiet = [piece.replace(b"\5", b"\6").translate(None, b"nNeE") for piece in pieces]
    frames = talk(*filter(None, quiet))
    assert masked(frames) == [frame.data for frame in frames]
