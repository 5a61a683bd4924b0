"""Freezes a flow: its counters, what it spoke, and how it ended."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from trace_go.flows.conversation import Conversation
from trace_go.flows.reassembly import Side
from trace_go.flows.table import UDP_KEY
from trace_go.model.evidence import Visibility, file_of
from trace_go.model.flow import Endpoint, Flow, Outcome, Reset, Tunnel, Twice, Wait
from trace_go.model.http import Exchange
from trace_go.model.tls import ClientHello, TlsSession, TlsState

PATIENCE_NS = 1_000_000_000
"""silence at the end of the capture that counts as no answer: the first SYN is repeated after 1 s (RFC 6298 §2)"""
IN_VAIN = 2
"""a segment sent for the third time: twice the time-out has passed, and it doubles each time (RFC 6298 §5.5)"""
CERTIFICATE_ALERTS = frozenset({42, 43, 44, 45, 46, 48})
"""alerts by which a client refuses a certificate (RFC 8446 §6.2)"""
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

_HALF = 1 << 31
"""of the space of sequence numbers"""

Quoted = Mapping[int, tuple[str, int]]
"""side that sent the packet quoted by an ICMP error → the error's text and packet number"""


class Context(Struct, frozen=True, kw_only=True):
    """What freezing a flow needs from the engine."""

    ends_ns: Sequence[int]
    """when the capturing ended each time, rising: times of last packets"""
    client_name: Callable[[ClientHello], str]
    endpoint: Callable[[int], Endpoint]
    owners: Mapping[tuple[str, int, str, int], str]
    twice: Mapping[int, Twice]
    waits: Mapping[int, Wait]
    """by number of the flow"""

    def watched_until(self, time_ns: int) -> int:
        return self.ends_ns[min(bisect_left(self.ends_ns, time_ns), len(self.ends_ns) - 1)]


class _Facts(Struct, frozen=True, kw_only=True):
    syn_ns: int
    syn_count: int
    answered: bool
    one_sided: bool
    """the client acknowledges a server of which the capture has nothing"""
    fin_ns: tuple[int, int]
    """first FIN of the client, of the server; 0 = none"""
    reset: Reset | None
    icmp: bool
    waited: bool
    """silence after the client's last word that lasted long enough to mean something"""
    abandoned: bool
    """the client's process ended: it left before the server's answer came, or with the answer unread"""
    mute: bool
    """the same after the server's last word, until the client left"""
    unacked: int
    """bytes of the client"""
    hole: bool
    """bytes of the server are missing on the way, and others behind them came"""
    resent_up: int
    last_data_ns: tuple[int, int]
    """last payload of the client, of the server; 0 = none"""
    data: tuple[bool, bool]
    """payload sent by the client, by the server"""
    lost: tuple[bool, bool]
    """bytes that the capture misses of the client's head, of the server's"""

    @property
    def closed(self) -> bool:
        return any(self.fin_ns) or self.reset is not None

    @property
    def server_closed_first(self) -> bool:
        by_client, by_server = self.fin_ns
        return by_server > 0 and not 0 < by_client <= by_server

    @property
    def cut(self) -> bool:
        """Reset by the server or a device on the path, which no orderly end had gone before and which took effect."""
        reset = self.reset
        return (
            reset is not None
            and not reset.from_client
            and not any(0 < fin <= reset.time_ns for fin in self.fin_ns)
            and not all(last > reset.time_ns for last in self.last_data_ns)
        )

    @property
    def stalled(self) -> bool:
        """Nothing gets through any more: the client repeats itself in vain, or waits for a hole to be filled."""
        return self.mute and not self.fin_ns[1] and (self.hole or self.in_vain)

    @property
    def in_vain(self) -> bool:
        """The client repeats itself, and nothing comes back."""
        return self.mute and self.unacked > 0 and self.resent_up >= IN_VAIN


def flow(number: int, row: tuple[Any, ...], talk: Conversation | None, icmp: Quoted, context: Context) -> Flow:
    """row: the flow's record of the table as a tuple in the order of table.FLOW."""
    (low, high, client, first_packet, last_packet, start_ns, end_ns, syn_packet, syn_ns, syn_count, syn_ack_packet,
     syn_ack_ns, syn_ack_ttl, reset_packet, reset_ns, reset_side, reset_ttl, after_packet, after_ttl,
     packets, size, resent, first_data, last_data, fin_ns, resets, base, last, reach, acked, acked_ns,
     *_, quic) = row  # fmt: skip
    tls: TlsSession | None = None
    exchanges: tuple[Exchange, ...] = ()
    tunnel: Tunnel | None = None
    lost = (False, False)
    if talk is not None:
        client = talk.client
        near, far = talk.sides[client], talk.sides[1 - client]
        lost = (
            near.gap
            and not (acked_ns[1 - client] > last_data[client] and _is_missing(near, base[client], acked[1 - client])),
            far.gap
            and not (acked_ns[client] > last_data[1 - client] and _is_missing(far, base[1 - client], acked[client])),
        )
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
                answered_bytes=max(0, reach[1 - client] - base[1 - client] - far.position),
            )
    server = 1 - client
    udp = low >= UDP_KEY
    ends = (context.endpoint(low), context.endpoint(high))
    reset = None
    if reset_packet:
        reset = Reset(
            packet=reset_packet,
            time_ns=reset_ns,
            from_client=reset_side == client,
            ttl=reset_ttl,
            then_packet=after_packet,
            then_ttl=after_ttl,
        )
    up = _beyond(reach[client], acked[server]) if acked_ns[server] else 0
    down = _beyond(reach[server], acked[client]) if acked_ns[client] else 0
    left_ns = fin_ns[client] or (reset_ns if reset and reset.from_client else 0)
    watched_ns = context.watched_until(end_ns)
    waited_ns = left_ns or watched_ns
    # A SYN-ACK behind the reset comes too late.
    refused = reset is not None and not reset.from_client and reset.time_ns < syn_ack_ns
    # The last bytes of the server begin behind those that the client asks for after them.
    hole = down > 0 and acked_ns[client] > last_data[server] and _beyond(last[server], acked[client]) > 0
    facts = _Facts(
        syn_ns=syn_ns,
        syn_count=syn_count,
        answered=(bool(syn_ack_packet) or packets[server] > resets[server]) and not refused,
        one_sided=not packets[server] and acked_ns[client] > 0,
        fin_ns=(fin_ns[client], fin_ns[server]),
        reset=reset,
        icmp=client in icmp,
        mute=waited_ns - max(last_data[server], syn_ack_ns) >= PATIENCE_NS,
        waited=watched_ns - max(last_data[client], syn_ns) >= PATIENCE_NS,
        abandoned=0 < fin_ns[client] < first_data[server]
        or (not any(fin_ns) and bool(first_data[server]) and reset is not None and reset.from_client),
        unacked=up,
        hole=hole,
        resent_up=resent[client],
        last_data_ns=(last_data[client], last_data[server]),
        data=(size[client] > 0, size[server] > 0),
        lost=lost,
    )
    error = icmp.get(client) or icmp.get(server)
    return Flow(
        id=number,
        transport="udp" if udp else "tcp",
        client=ends[client],
        server=ends[server],
        file=file_of(first_packet),
        first_packet=first_packet,
        last_packet=last_packet,
        start_ns=start_ns,
        end_ns=end_ns,
        packets_up=packets[client],
        packets_down=packets[server],
        bytes_up=size[client],
        bytes_down=size[server],
        retransmissions_up=resent[client],
        retransmissions_down=resent[server],
        unacknowledged_up=up,
        unacknowledged_down=down,
        hole=hole,
        acknowledged_down_ns=acked_ns[server],
        syn_packet=syn_packet,
        syn_count=syn_count,
        syn_ns=syn_ns,
        syn_ack_packet=syn_ack_packet,
        syn_ack_ns=syn_ack_ns,
        syn_ack_ttl=syn_ack_ttl,
        first_up_ns=first_data[client],
        first_down_ns=first_data[server],
        last_up_ns=last_data[client],
        last_down_ns=last_data[server],
        fin_from_client=bool(fin_ns[client]),
        fin_from_server=bool(fin_ns[server]),
        server_closed_first=facts.server_closed_first,
        reset=reset,
        icmp=error[0] if error else None,
        icmp_packet=error[1] if error else 0,
        outcome=_udp_outcome(facts) if udp else _tcp_outcome(facts, tls, tunnel, talk, exchanges),
        protocol="quic" if quic else _protocol(talk, tls, udp=udp, port=ends[server].port),
        tls=tls,
        tunnel=tunnel,
        exchanges=exchanges,
        twice=context.twice.get(number),
        wait=None if udp else context.waits.get(number),
        process=context.owners.get((ends[client].ip, ends[client].port, ends[server].ip, ends[server].port)),
    )


def _beyond(reach: int, acked: int) -> int:
    """Bytes that a stream is ahead of what the other side acknowledged. reach: unwrapped, 0 = nothing was sent."""
    ahead = (reach - acked) & 0xFFFFFFFF if reach else 0
    return ahead if ahead < _HALF else 0  # more was acknowledged than the capture has


def _is_missing(side: Side, base: int, acked: int) -> bool:
    """Whether the other end waits for what misses in a head, so that the way lost it, not the capture."""
    return not side.lost and not _beyond(acked, (base + side.position) & 0xFFFFFFFF)


def _protocol(talk: Conversation | None, tls: TlsSession | None, *, udp: bool, port: int) -> str:
    spoken = talk.protocol if talk else ""
    if spoken == "tls" and tls:
        offered = tls.hello.alpn if tls.hello else ()
        if port == _DOT_PORT or _DOT_ALPN in offered:
            return "dot"
        if tls.hello and (tls.hello.sni or "").rstrip(".").lower() in _RESOLVERS:
            return "doh"
    return spoken or _PROTOCOLS.get((udp, port), "")


def _udp_outcome(facts: _Facts) -> Outcome:
    if facts.data[1]:
        return Outcome.OK
    if facts.icmp:
        return Outcome.UNREACHABLE
    return Outcome.NO_ANSWER if facts.waited else Outcome.OPEN


def _tcp_outcome(
    facts: _Facts,
    tls: TlsSession | None,
    tunnel: Tunnel | None,
    talk: Conversation | None,
    exchanges: tuple[Exchange, ...],
) -> Outcome:
    if not facts.answered:
        return Outcome.PARTIAL if facts.one_sided else _unanswered(facts)
    if tunnel and tunnel.status is not None and not tunnel.opened:
        return Outcome.TUNNEL_REFUSED
    if tls:
        return _tls_outcome(facts, tls)
    under_way = not facts.syn_ns and not exchanges and not tunnel
    if tunnel:
        waiting = tunnel.status is None
    elif exchanges:
        waiting = exchanges[-1].status is None
    else:
        waiting = facts.data == (True, False) and not under_way
    if waiting:
        return Outcome.PARTIAL if facts.lost[1] else _broken_off(facts, Outcome.SILENT)
    if facts.cut:
        return Outcome.RESET
    if facts.stalled:
        return Outcome.STALLED
    if under_way:
        return Outcome.PARTIAL
    idle = not any(facts.data) or (talk is not None and talk.unused_tunnel)
    if facts.closed:
        return Outcome.IDLE if idle else Outcome.OK
    return Outcome.OPEN


def _unanswered(facts: _Facts) -> Outcome:
    if not facts.syn_ns:
        return Outcome.PARTIAL
    if facts.reset and not facts.reset.from_client:
        return Outcome.REFUSED
    if facts.icmp:
        return Outcome.UNREACHABLE
    return Outcome.NO_ANSWER if facts.syn_count > 1 or facts.waited else Outcome.OPEN


def _broken_off(facts: _Facts, silent: Outcome) -> Outcome:
    """How a conversation ended in which an answer was due."""
    if facts.cut:
        return Outcome.RESET
    if facts.server_closed_first:
        return Outcome.CLOSED_IN_HANDSHAKE
    return silent if facts.waited or facts.in_vain or facts.closed else Outcome.OPEN


def _tls_outcome(facts: _Facts, tls: TlsSession) -> Outcome:
    if tls.state is TlsState.REFUSED_BY_CLIENT:
        about = {alert.description for alert in tls.alerts if alert.from_client}
        inferred = tls.refusal_visibility is Visibility.INFERRED
        return Outcome.REJECTED_CERTIFICATE if inferred or about & CERTIFICATE_ALERTS else Outcome.REFUSED_HANDSHAKE
    if tls.state is TlsState.ESTABLISHED:
        if facts.cut:
            return Outcome.RESET
        if facts.stalled:
            return Outcome.STALLED
        if not facts.closed:
            return Outcome.OPEN
        return Outcome.OK if tls.client_app_bytes or facts.lost[0] else Outcome.IDLE
    if tls.state in _TLS_OUTCOMES:
        return _TLS_OUTCOMES[tls.state]
    by_client, by_server = facts.fin_ns
    # Who refuses says so in an alert; a client that just leaves, and soon, no longer needs the connection.
    left = tls.state is TlsState.SERVER_HELLO and by_client > 0 and not 0 < by_server <= by_client and not facts.mute
    if facts.abandoned or left:
        return Outcome.IDLE
    if tls.state is TlsState.SERVER_HELLO and not (facts.closed or facts.hole or facts.in_vain):
        return Outcome.OPEN  # go gives up after 10 s, and closes
    return _broken_off(facts, Outcome.SILENT if tls.state is TlsState.CLIENT_HELLO else Outcome.CLOSED_IN_HANDSHAKE)


_TLS_OUTCOMES = {
    TlsState.REFUSED_BY_SERVER: Outcome.REFUSED_HANDSHAKE,
    TlsState.NOT_TLS_ANSWER: Outcome.NOT_TLS,
    TlsState.PARTIAL: Outcome.PARTIAL,
}
