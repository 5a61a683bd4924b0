"""Freezes flows: their counters by column, then one by one what they spoke and how they ended."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from trace_go.flows import outcome
from trace_go.flows.conversation import Conversation
from trace_go.flows.outcome import Columns, Facts, beyond
from trace_go.flows.reassembly import Side
from trace_go.flows.table import FLOW, UDP_KEY
from trace_go.model.evidence import FILE_SHIFT
from trace_go.model.flow import Endpoint, Flow, Reset, Tunnel, Twice, Wait
from trace_go.model.http import Exchange
from trace_go.model.packets import I64
from trace_go.model.tls import ClientHello, TlsSession

_PROTOCOLS = {(True, 53): "dns", (True, 443): "quic", (False, 853): "dot"}
"""(UDP, port of the server) → what it is taken for when its bytes do not tell"""
_DOT_PORT, _DOT_ALPN = 853, "dot"
_RESOLVERS = frozenset(
    [
        "chrome.cloudflare-dns.com",
        "cloudflare-dns.com",
        "dns.adguard-dns.com",
        "dns.alidns.com",
        "dns.google",
        "dns.nextdns.io",
        "dns.quad9.net",
        "dns10.quad9.net",
        "dns11.quad9.net",
        "doh.cleanbrowsing.org",
        "doh.dns.sb",
        "doh.opendns.com",
        "doh.pub",
        "mozilla.cloudflare-dns.com",
        "one.one.one.one",
    ]
)
"""hosts that answer DNS over HTTPS and nothing else (Chromium, net/dns/public/doh_provider_entry.cc)"""

Quoted = Mapping[int, tuple[str, int]]
"""side that sent the packet quoted by an ICMP error → the error's text and packet number"""

_SIDED = tuple(name for name in FLOW.names or () if FLOW[name].shape)
_COUNTERS = Flow.__struct_fields__[Flow.__struct_fields__.index("file") :]
"""the fields of a flow that are counted"""
_PLAIN = tuple(name for name in _COUNTERS if name in (FLOW.names or ()))


class Context(Struct, frozen=True, kw_only=True):
    """What freezing flows needs from the engine."""

    ends_ns: Sequence[int]
    """when the capturing ended each time, rising: times of last packets"""
    client_name: Callable[[ClientHello], str]
    endpoint: Callable[[int], Endpoint]
    owners: Mapping[tuple[str, int, str, int], str]
    quoted: Mapping[int, Quoted]
    twice: Mapping[int, Twice]
    waits: Mapping[int, Wait]
    """by number of the flow"""


def freeze(
    first: int, rows: npt.NDArray[np.void], talks: Sequence[Conversation | None], context: Context
) -> Iterator[Flow]:
    """rows: (n,) of table.FLOW, numbered from `first`; talks: (n,) what was read of them."""
    clients = [talk.client if talk else own for talk, own in zip(talks, rows["client"].tolist(), strict=True)]
    client = np.array(clients, np.int64)
    up, down = _sided(rows, client), _sided(rows, 1 - client)
    found = _counted(rows, up, down)
    found |= outcome.signs(rows, client, up, down, _watched_until(context.ends_ns, rows["end_ns"]))
    counters = zip(*(found[name].tolist() for name in _COUNTERS), strict=True)
    facts = map(Facts, *(found[name].tolist() for name in Facts.__struct_fields__))
    low, high, came = rows["low"], rows["high"], down["reach"] - down["base"]
    columns = (low >= UDP_KEY, np.where(client, high, low), np.where(client, low, high), came)
    ends, resets = zip(*(column.tolist() for column in columns), strict=True), _resets(rows, client)
    for place, item in enumerate(zip(clients, talks, facts, counters, ends, strict=True)):
        yield _flow(first + place, rows[place], resets.get(place), context, *item)


def _sided(rows: npt.NDArray[np.void], side: I64) -> Columns:
    """The columns that differ by side, of one side each. side: (n,)."""
    at = np.arange(len(rows))
    return {name: rows[name][at, side] for name in _SIDED}


def _counted(rows: npt.NDArray[np.void], up: Columns, down: Columns) -> Columns:
    return {name: rows[name] for name in _PLAIN} | {
        "file": rows["first_packet"] >> FILE_SHIFT,
        "packets_up": up["packets"],
        "packets_down": down["packets"],
        "bytes_up": up["bytes"],
        "bytes_down": down["bytes"],
        "retransmissions_up": up["resent"],
        "retransmissions_down": down["resent"],
        "acknowledged_down_ns": down["acked_ns"],
        "first_up_ns": up["first_data_ns"],
        "first_down_ns": down["first_data_ns"],
        "last_up_ns": up["last_data_ns"],
        "last_down_ns": down["last_data_ns"],
        "fin_from_client": up["fin_ns"] > 0,
        "fin_from_server": down["fin_ns"] > 0,
    }


def _watched_until(ends_ns: Sequence[int], time_ns: I64) -> I64:
    """When the capturing ended in which these times lie. Both (n,)."""
    until: I64 = np.array(ends_ns, np.int64)[np.minimum(np.searchsorted(ends_ns, time_ns), len(ends_ns) - 1)]
    return until


def _resets(rows: npt.NDArray[np.void], client: I64) -> dict[int, Reset]:
    """By place in the rows."""
    at = np.flatnonzero(rows["reset_packet"])
    return {
        place: Reset(
            packet=packet, time_ns=time_ns, from_client=side == own, ttl=ttl, then_packet=after, then_ttl=after_ttl
        )
        for place, own, packet, time_ns, side, ttl, after, after_ttl in zip(
            at.tolist(), client[at].tolist(), *(rows[name][at].tolist() for name in _RESET), strict=True
        )
    }


_RESET = ("reset_packet", "reset_ns", "reset_side", "reset_ttl", "after_reset_packet", "after_reset_ttl")


def _flow(
    number: int,
    row: np.void,
    reset: Reset | None,
    context: Context,
    client: int,
    talk: Conversation | None,
    facts: Facts,
    counters: tuple[Any, ...],
    ends: tuple[bool, int, int, int],
) -> Flow:
    """counters: the fields of that name; ends: whether UDP, client, server, bytes of the server's stream."""
    udp, here, there, came = ends
    tls: TlsSession | None = None
    exchanges: tuple[Exchange, ...] = ()
    tunnel: Tunnel | None = None
    lost = (False, False)
    if talk is not None:
        near, far = talk.sides[client], talk.sides[1 - client]
        lost = (near.gap and _is_lost(near, row, client), far.gap and _is_lost(far, row, 1 - client))
        exchanges, tunnel, tracker = talk.answered_and_waiting(), talk.tunnel, talk.tls
        for inside in talk.nested():
            exchanges += inside.answered_and_waiting()
            tunnel = tunnel or inside.tunnel
            tracker = inside.tls if inside.tls and inside.tls.hello else tracker
        if tracker:
            hello = tracker.hello
            tls = tracker.session(
                context.client_name(hello) if hello else "",
                lost_up=lost[0],
                lost_down=lost[1],
                answered_bytes=max(0, came - far.position),
            )
    own, server = context.endpoint(here), context.endpoint(there)
    icmp = context.quoted.get(number)
    quoted = icmp is not None and client in icmp
    error, error_packet = (icmp.get(client) or icmp[1 - client]) if icmp else (None, 0)
    if udp:
        ended = outcome.of_udp(facts, quoted=quoted)
    else:
        ended = outcome.of_tcp(facts, tls, tunnel, talk, exchanges, lost, quoted=quoted)
    return Flow(
        number,
        "udp" if udp else "tcp",
        own,
        server,
        reset,
        error,
        error_packet,
        ended,
        "quic" if row["quic"] else _protocol(talk, tls, udp=udp, port=server.port),
        tls,
        tunnel,
        exchanges,
        context.owners.get((own.ip, own.port, server.ip, server.port)) if context.owners else None,
        context.twice.get(number),
        None if udp else context.waits.get(number),
        *counters,
    )


def _is_lost(side: Side, row: np.void, which: int) -> bool:
    """Whether what misses in a head is the capture's fault; else the other end waits for it too: the way lost it."""
    base, acked = int(row["base"][which]), int(row["acked"][1 - which])
    missed = not side.lost and not beyond(acked, (base + side.position) & 0xFFFFFFFF)
    return not (missed and row["acked_ns"][1 - which] > row["last_data_ns"][which])


def _protocol(talk: Conversation | None, tls: TlsSession | None, *, udp: bool, port: int) -> str:
    spoken = talk.protocol if talk else ""
    if spoken == "tls" and tls:
        offered = tls.hello.alpn if tls.hello else ()
        if port == _DOT_PORT or _DOT_ALPN in offered:
            return "dot"
        if tls.hello and (tls.hello.sni or "").rstrip(".").lower() in _RESOLVERS:
            return "doh"
    return spoken or _PROTOCOLS.get((udp, port), "")
