"""The flows of one capture divided among processes: all packets of a flow go to the same one.

Flows come back as msgpack, in which equal hellos and chains stand once.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct, msgpack
from msgspec.structs import force_setattr, replace

from trace_go.flows.decode import Segments
from trace_go.model.flow import Flow, Traffic
from trace_go.model.tls import Certificate, ClientHello

DNS_PORT = 53
"""its flows are all of the first share, which tells what was asked"""
PARTS = 256
"""in which flows can be divided"""
PIECE = 2048
"""flows sent at once"""


class Share(Struct, frozen=True):
    """The flows whose number is at least `begin` and below `end`, of the numbers below PARTS that all flows get."""

    begin: int = 0
    end: int = PARTS

    def of(self, number: int) -> int:
        """Its part of a number of flows, one at least."""
        return max(number * (self.end - self.begin) // PARTS, 1)

    def has(self, seg: Segments) -> npt.NDArray[np.bool_]:
        """(n,) which segments are of this share's flows."""
        pair = seg.src ^ seg.dst
        # The numbers of IPv6 addresses change, and not in every process at once.
        ends = np.where(seg.src >> 32, 0, pair) << 16 ^ seg.sport ^ seg.dport
        number = ends.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(56)
        number[(seg.sport == DNS_PORT) | (seg.dport == DNS_PORT)] = 0
        found: npt.NDArray[np.bool_] = (number >= np.uint64(self.begin)) & (number < np.uint64(self.end))
        return found


ALL = Share()


class _Piece(Struct, array_like=True):
    flows: list[Flow]
    """without their hellos and chains"""
    places: list[tuple[int, int]]
    """of each flow's hello and chain among those that came so far; -1 for none"""
    hellos: list[ClientHello]
    chains: list[tuple[Certificate, ...]]
    """those that no piece before has"""
    left_out: int


_decoder = msgpack.Decoder(_Piece)


class _Once:
    """Numbers objects. What readers make of equal bytes is mostly one object, as they remember what they read."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, Any]] = {}
        """by its id, which no other object gets as long as it is kept"""

    def place(self, item: Any, new: list[Any]) -> int:
        """The number of an object, which is added to `new` when it has none yet; -1 for nothing."""
        if not item:
            return -1
        found = self._known.get(id(item))
        if found is None:
            found = self._known[id(item)] = (len(self._known), item)
            new.append(item)
        return found[0]


def pack(flows: Iterable[Flow], left_out: int) -> Iterator[bytes]:
    """Flows for another process; here they are of no use afterwards. Lookups are left to the first share."""
    hellos, chains, rest = _Once(), _Once(), iter(flows)
    yield msgpack.encode(_Piece([], [], [], [], left_out))
    while some := list(islice(rest, PIECE)):
        piece = _Piece(some, [], [], [], 0)
        for flow in piece.flows:
            tls = flow.tls
            if tls is None:
                piece.places.append((-1, -1))
                continue
            piece.places.append((hellos.place(tls.hello, piece.hellos), chains.place(tls.chain, piece.chains)))
            force_setattr(tls, "hello", None)
            force_setattr(tls, "chain", ())
        yield msgpack.encode(piece)


def join(first: Traffic, packed: Iterable[bytes | memoryview]) -> Traffic:
    """The first share of a capture and what `pack` made of another one, which has no flow of the first."""
    flows, left_out = list(first.flows), first.left_out
    hellos: list[ClientHello] = []
    chains: list[tuple[Certificate, ...]] = []
    for data in packed:
        piece = _decoder.decode(data)
        hellos += piece.hellos
        chains += piece.chains
        left_out += piece.left_out
        for flow, (hello, chain) in zip(piece.flows, piece.places, strict=True):
            if flow.tls and hello >= 0:
                force_setattr(flow.tls, "hello", hellos[hello])
            if flow.tls and chain >= 0:
                force_setattr(flow.tls, "chain", chains[chain])
        flows += piece.flows
    flows.sort(key=attrgetter("first_packet"))
    for number, flow in enumerate(flows):
        force_setattr(flow, "id", number)
    return replace(first, flows=tuple(flows), left_out=left_out)
