"""Freezes a flow: its counters, what it spoke, and how it ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trace_go.flows.conversation import Conversation
from trace_go.flows.table import FLOW
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Endpoint, Flow, Outcome, Reset
from trace_go.model.http import Exchange
from trace_go.model.tls import ClientHello, TlsSession, TlsState

PATIENCE_NS = 1_000_000_000
"""silence at the end of the capture that counts as no answer: the first SYN is repeated after 1 s (RFC 6298 §2)"""
CERTIFICATE_ALERTS = frozenset({42, 43, 44, 45, 46, 48})
"""alerts by which a client refuses a certificate (RFC 8446 §6.2)"""
_QUIC_PORT, _DOT_PORT = 443, 853

_FIELD = {name: index for index, name in enumerate(FLOW.names or ())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What freezing a flow needs from the engine."""

    file: int
    last_ns: int
    """time of the last packet of the capture"""
    client_name: Callable[[ClientHello], str]
    endpoint: Callable[[int], Endpoint]
    owners: Mapping[tuple[str, int, str, int], str]


def flow(index: int, row: tuple[Any, ...], talk: Conversation | None, icmp: tuple[str, int] | None, context: Context) -> Flow:
    """row: the flow's record of the table as a tuple in the order of table.FLOW."""
    (low, high, client, first_packet, last_packet, start_ns, end_ns, packets, size, resent, syn_packet, syn_ns, syn_count, _,
     syn_ack_packet, syn_ack_ns, syn_ack_ttl, first_data, last_data, fin_ns, reset_packet, reset_ns, reset_side, reset_ttl,
     *_) = row  # fmt: skip
    if talk is not None:
        client = talk.client
    server = 1 - client
    udp = bool(low >> 60)
    ends = (context.endpoint(low & ~(1 << 60)), context.endpoint(high))
    reset = None
    if reset_packet:
        reset = Reset(packet=reset_packet, time_ns=reset_ns, from_client=reset_side == client, ttl=reset_ttl)
    tls = None
    if talk and talk.tls:
        hello = talk.tls.hello
        tls = talk.tls.session(context.client_name(hello) if hello else "")
    exchanges = talk.finish() if talk else ()
    facts = _Facts(
        syn_ns=syn_ns,
        syn_count=syn_count,
        answered=bool(syn_ack_packet) or packets[server] > (1 if reset and not reset.from_client else 0),
        fin_ns=(fin_ns[client], fin_ns[server]),
        reset=reset,
        icmp=icmp is not None,
        waited=context.last_ns - max(last_data[client], syn_ns) >= PATIENCE_NS,
        data=(size[client] > 0, size[server] > 0),
    )
    return Flow(
        id=index,
        transport="udp" if udp else "tcp",
        client=ends[client],
        server=ends[server],
        file=context.file,
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
        reset=reset,
        icmp=icmp[0] if icmp else None,
        icmp_packet=icmp[1] if icmp else 0,
        outcome=_udp_outcome(facts) if udp else _tcp_outcome(facts, tls, talk, exchanges),
        protocol=(talk.protocol if talk else "") or _by_port(udp, ends[server].port),
        tls=tls,
        tunnel=talk.tunnel if talk else None,
        exchanges=exchanges,
        process=context.owners.get((ends[client].ip, ends[client].port, ends[server].ip, ends[server].port)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    syn_ns: int
    syn_count: int
    answered: bool
    fin_ns: tuple[int, int]
    """first FIN of the client, of the server; 0 = none"""
    reset: Reset | None
    icmp: bool
    waited: bool
    data: tuple[bool, bool]
    """payload sent by the client, by the server"""


def _by_port(udp: bool, port: int) -> str:
    if udp:
        return {53: "dns", _QUIC_PORT: "quic"}.get(port, "")
    return "dot" if port == _DOT_PORT else ""


def _udp_outcome(facts: _Facts) -> Outcome:
    if facts.icmp:
        return Outcome.UNREACHABLE
    if facts.data[1]:
        return Outcome.OK
    return Outcome.NO_ANSWER if facts.waited else Outcome.OPEN


def _tcp_outcome(
    facts: _Facts, tls: TlsSession | None, talk: Conversation | None, exchanges: tuple[Exchange, ...]
) -> Outcome:
    if not facts.answered:
        return _unanswered(facts)
    if talk and talk.tunnel and talk.tunnel.status is not None and talk.tunnel.status // 100 != 2:
        return Outcome.TUNNEL_REFUSED
    if tls:
        return _tls_outcome(facts, tls)
    waiting = bool(talk and talk.tunnel) or bool(exchanges and exchanges[-1].status is None)
    if waiting:
        return _broken_off(facts, Outcome.SILENT if tls.state is TlsState.CLIENT_HELLO else Outcome.CLOSED_IN_HANDSHAKE)
    if facts.reset and not facts.reset.from_client and not all(facts.fin_ns):
        return Outcome.RESET
    closed = any(facts.fin_ns) or facts.reset is not None
    if not any(facts.data) and facts.syn_ns:
        return Outcome.IDLE if closed else Outcome.OPEN
    if not facts.syn_ns and not exchanges:
        return Outcome.PARTIAL
    return Outcome.OK if closed else Outcome.OPEN


def _unanswered(facts: _Facts) -> Outcome:
    if facts.reset and not facts.reset.from_client:
        return Outcome.REFUSED
    if facts.icmp:
        return Outcome.UNREACHABLE
    if not facts.syn_ns:
        return Outcome.PARTIAL
    return Outcome.NO_ANSWER if facts.syn_count > 1 or facts.waited else Outcome.OPEN


def _broken_off(facts: _Facts, silent: Outcome) -> Outcome:
    """How a conversation ended in which an answer was due."""
    if facts.reset and not facts.reset.from_client:
        return Outcome.RESET
    by_client, by_server = facts.fin_ns
    if by_server and not (by_client and by_client <= by_server):
        return Outcome.CLOSED_IN_HANDSHAKE
    return silent if facts.waited or any(facts.fin_ns) or facts.reset else Outcome.OPEN


def _tls_outcome(facts: _Facts, tls: TlsSession) -> Outcome:
    if tls.state is TlsState.REFUSED_BY_CLIENT:
        about = {alert.description for alert in tls.alerts if alert.from_client}
        inferred = tls.refusal_visibility is Visibility.INFERRED
        return Outcome.REJECTED_CERTIFICATE if inferred or about & CERTIFICATE_ALERTS else Outcome.REFUSED_HANDSHAKE
    if tls.state is TlsState.REFUSED_BY_SERVER:
        return Outcome.REFUSED_HANDSHAKE
    if tls.state is TlsState.NOT_TLS_ANSWER:
        return Outcome.NOT_TLS
    if tls.state is TlsState.PARTIAL:
        return Outcome.PARTIAL
    if tls.state is TlsState.ESTABLISHED:
        if facts.reset and not facts.reset.from_client and not all(facts.fin_ns):
            return Outcome.RESET
        closed = any(facts.fin_ns) or facts.reset is not None
        if not tls.client_app_bytes and closed:
            return Outcome.IDLE
        return Outcome.OK if closed else Outcome.OPEN
    return _broken_off(facts, Outcome.SILENT if tls.state is TlsState.CLIENT_HELLO else Outcome.CLOSED_IN_HANDSHAKE)
