"""Shares of a capture: every flow is in one, and together they are the whole."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.frames import SYN, UDP, Frame, Talk, batches, ip, link, udp
from flows.tls_talks import hello
from trace_go.flows.engine import Engine
from trace_go.flows.shares import PARTS, Share, join, pack
from trace_go.model.flow import Traffic


def read(frames: list[Frame], index: int = 0, count: int = 1, **options: Any) -> Traffic:
    engine = Engine(lambda _: "", share=Share(index * PARTS // count, (index + 1) * PARTS // count), **options)
    for batch in batches(frames, *[7] * (len(frames) // 7)):
        engine.add(batch)
    return engine.finish()


def packed(frames: list[Frame], index: int, count: int, **options: Any) -> Iterator[bytes]:
    seen = read(frames, index, count, **options)
    return pack(seen.flows, seen.left_out)


def query(number: int) -> Frame:
    asked = number.to_bytes(2, "big") + bytes.fromhex("01000001000000000000") + b"\1x\0" + b"\0\1\0\1"
    return Frame(link(ip("10.0.0.7", "192.0.2.53", UDP, udp(3000 + number, 53, asked))))


def frames(kinds: list[int]) -> list[Frame]:
    found: list[Frame] = []
    for number, kind in enumerate(kinds):
        client, server = ("2001:db8::1", "2001:db8::2") if kind % 2 else ("10.0.0.1", "10.1.0.1")
        ends = (client, 4000 + number), (server, 443)
        if kind == 4:
            found.append(query(number))
        elif kind < 2:
            found += Talk(*ends).open().up(hello()).frames
        else:
            found.append(Talk(*ends).packet(0, flags=SYN, seq=number))
    return found


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=30), st.integers(2, 4))
def test_together_they_are_the_whole(kinds: list[int], count: int) -> None:
    packets = frames(kinds)
    joined = read(packets, 0, count)
    for index in range(1, count):
        joined = join(joined, packed(packets, index, count))
    assert joined == read(packets)


def test_they_are_of_like_size() -> None:
    packets = frames([0] * 50 + [1] * 50)
    sizes = [len(read(packets, index, 2).flows) for index in range(2)]
    assert sum(sizes) == 100
    assert min(sizes) > 30


@pytest.mark.parametrize("kind", [2, 3])
def test_shares_keep_to_the_bound_together_and_never_change(kind: int) -> None:
    packets = frames([kind] * 700)
    joined = join(read(packets, 0, 2, max_flows=100), packed(packets, 1, 2, max_flows=100))
    assert len(joined.flows) <= 100 + 2 * 7
    assert joined.left_out + len(joined.flows) == 700
