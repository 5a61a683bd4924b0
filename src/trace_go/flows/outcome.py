"""How a flow ended, as its counters and what was read of it tell."""

from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from trace_go.flows.conversation import Conversation
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Outcome, Tunnel
from trace_go.model.http import Exchange
from trace_go.model.packets import I64
from trace_go.model.tls import TlsSession, TlsState

PATIENCE_NS = 1_000_000_000
"""silence at the end of the capture that counts as no answer: the first SYN is repeated after 1 s (RFC 6298 §2)"""
IN_VAIN = 2
"""a segment sent for the third time: twice the time-out has passed, and it doubles each time (RFC 6298 §5.5)"""
CERTIFICATE_ALERTS = frozenset({42, 43, 44, 45, 46, 48})
"""alerts by which a client refuses a certificate (RFC 8446 §6.2)"""
_HALF = 1 << 31
"""of the space of sequence numbers"""

Columns = dict[str, npt.NDArray[Any]]
"""name → (n,), a value for each flow"""


class Facts(Struct, frozen=True, gc=False):
    """What the counters of a flow tell of its end; made by position."""

    begun: bool
    """its SYN is in the capture"""
    insisted: bool
    """without an answer the SYN was sent again, or had the time to be"""
    answered: bool
    one_sided: bool
    """the client acknowledges a server of which the capture has nothing"""
    asked: bool
    """payload was sent by the client"""
    told: bool
    """by the server"""
    waited: bool
    """silence after the client's last word that lasted long enough to mean something"""
    in_vain: bool
    """the client repeats itself, and nothing came back until it left"""
    hole: bool
    """bytes of the server are missing on the way, and others behind them came"""
    stalled: bool
    """nothing gets through any more: the client repeats itself in vain, or waits for a hole to be filled"""
    closed: bool
    server_closed_first: bool
    left: bool
    """the client closed first, and soon"""
    abandoned: bool
    """the client's process ended: it left before the server's answer came, or with the answer unread"""
    denied: bool
    """reset by the server or a device on the path"""
    cut: bool
    """the same, where no orderly end had gone before and it took effect"""


def signs(rows: npt.NDArray[np.void], client: I64, up: Columns, down: Columns, watched_ns: I64) -> Columns:
    """The fields of Facts, and how much was not acknowledged. rows: of table.FLOW; up, down: of either side; all (n,).

    watched_ns: when the capturing ended that a flow was last seen in.
    """
    unheard = np.where(down["acked_ns"] > 0, beyond(up["reach"], down["acked"]), 0)
    behind = np.where(up["acked_ns"] > 0, beyond(down["reach"], up["acked"]), 0)
    # The last bytes of the server begin behind those that the client asks for after them.
    hole = (behind > 0) & (up["acked_ns"] > down["last_data_ns"]) & (beyond(down["last"], up["acked"]) > 0)
    by_client = rows["reset_side"] == client
    left_ns = np.where(up["fin_ns"], up["fin_ns"], np.where(by_client, rows["reset_ns"], 0))
    spoken_ns = np.maximum(down["last_data_ns"], rows["syn_ack_ns"])
    mute = np.where(left_ns, left_ns, watched_ns) - spoken_ns >= PATIENCE_NS
    waited = watched_ns - np.maximum(up["last_data_ns"], rows["syn_ns"]) >= PATIENCE_NS
    in_vain = mute & (unheard > 0) & (up["resent"] >= IN_VAIN)
    return _closing(rows, by_client, up, down, mute) | {
        "begun": rows["syn_ns"] > 0,
        "insisted": (rows["syn_count"] > 1) | waited,
        "one_sided": (down["packets"] == 0) & (up["acked_ns"] > 0),
        "asked": up["bytes"] > 0,
        "told": down["bytes"] > 0,
        "waited": waited,
        "in_vain": in_vain,
        "hole": hole,
        "stalled": mute & (down["fin_ns"] == 0) & (hole | in_vain),
        "unacknowledged_up": unheard,
        "unacknowledged_down": behind,
    }


def _closing(
    rows: npt.NDArray[np.void],
    by_client: npt.NDArray[np.bool_],
    up: Columns,
    down: Columns,
    mute: npt.NDArray[np.bool_],
) -> Columns:
    """Of FIN and RST. by_client: the reset is the client's; mute: silence after the server's last word, as `waited`."""
    here_ns, there_ns, reset_ns, reset = up["fin_ns"], down["fin_ns"], rows["reset_ns"], rows["reset_packet"] > 0
    here, there, denied = here_ns > 0, there_ns > 0, reset & ~by_client
    refused = denied & (reset_ns < rows["syn_ack_ns"])  # a SYN-ACK behind the reset comes too late
    orderly = (here & (here_ns <= reset_ns)) | (there & (there_ns <= reset_ns))
    in_vain = (up["last_data_ns"] > reset_ns) & (down["last_data_ns"] > reset_ns)
    unread = ~here & ~there & (down["first_data_ns"] > 0) & reset & by_client
    return {
        "answered": ((rows["syn_ack_packet"] > 0) | (down["packets"] > down["resets"])) & ~refused,
        "closed": here | there | reset,
        "server_closed_first": there & ~(here & (here_ns <= there_ns)),
        "left": here & ~(there & (there_ns <= here_ns)) & ~mute,
        "abandoned": (here & (here_ns < down["first_data_ns"])) | unread,
        "denied": denied,
        "cut": denied & ~orderly & ~in_vain,
    }


def beyond(reach: Any, acked: Any) -> Any:
    """Bytes that streams are ahead of what the other side acknowledged. reach: unwrapped, 0 = nothing was sent."""
    ahead = np.where(reach, (reach - acked) & 0xFFFFFFFF, 0)
    return np.where(ahead < _HALF, ahead, 0)  # more was acknowledged than the capture has


def of_udp(facts: Facts, *, quoted: bool) -> Outcome:
    """quoted: by an ICMP error, which came back to the client."""
    if facts.told:
        return Outcome.OK
    if quoted:
        return Outcome.UNREACHABLE
    return Outcome.NO_ANSWER if facts.waited else Outcome.OPEN


def of_tcp(
    facts: Facts,
    tls: TlsSession | None,
    tunnel: Tunnel | None,
    talk: Conversation | None,
    exchanges: tuple[Exchange, ...],
    lost: tuple[bool, bool],
    *,
    quoted: bool,
) -> Outcome:
    """lost: whether the capture misses bytes of the client's head, of the server's; quoted: as `of_udp`."""
    if not facts.answered:
        return Outcome.PARTIAL if facts.one_sided else _unanswered(facts, quoted=quoted)
    if tunnel and tunnel.status is not None and not tunnel.opened:
        return Outcome.TUNNEL_REFUSED
    if tls:
        return _of_tls(facts, tls, lost_up=lost[0])
    under_way = not facts.begun and not exchanges and not tunnel
    if tunnel:
        waiting = tunnel.status is None
    elif exchanges:
        waiting = exchanges[-1].status is None
    else:
        waiting = facts.asked and not facts.told and not under_way
    if waiting:
        return Outcome.PARTIAL if lost[1] else _broken_off(facts, Outcome.SILENT)
    if facts.cut:
        return Outcome.RESET
    if facts.stalled:
        return Outcome.STALLED
    if under_way:
        return Outcome.PARTIAL
    idle = not (facts.asked or facts.told) or (talk is not None and talk.unused_tunnel)
    if facts.closed:
        return Outcome.IDLE if idle else Outcome.OK
    return Outcome.OPEN


def _unanswered(facts: Facts, *, quoted: bool) -> Outcome:
    if not facts.begun:
        return Outcome.PARTIAL
    if facts.denied:
        return Outcome.REFUSED
    if quoted:
        return Outcome.UNREACHABLE
    return Outcome.NO_ANSWER if facts.insisted else Outcome.OPEN


def _broken_off(facts: Facts, silent: Outcome) -> Outcome:
    """How a conversation ended in which an answer was due."""
    if facts.cut:
        return Outcome.RESET
    if facts.server_closed_first:
        return Outcome.CLOSED_IN_HANDSHAKE
    return silent if facts.waited or facts.in_vain or facts.closed else Outcome.OPEN


def _of_tls(facts: Facts, tls: TlsSession, *, lost_up: bool) -> Outcome:
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
        return Outcome.OK if tls.client_app_bytes or lost_up else Outcome.IDLE
    if tls.state in _TLS_OUTCOMES:
        return _TLS_OUTCOMES[tls.state]
    # Who refuses says so in an alert; a client that just leaves, and soon, no longer needs the connection.
    if facts.abandoned or (facts.left and tls.state is TlsState.SERVER_HELLO):
        return Outcome.IDLE
    if tls.state is TlsState.SERVER_HELLO and not (facts.closed or facts.hole or facts.in_vain):
        return Outcome.OPEN  # go gives up after 10 s, and closes
    return _broken_off(facts, Outcome.SILENT if tls.state is TlsState.CLIENT_HELLO else Outcome.CLOSED_IN_HANDSHAKE)


_TLS_OUTCOMES = {
    TlsState.REFUSED_BY_SERVER: Outcome.REFUSED_HANDSHAKE,
    TlsState.NOT_TLS_ANSWER: Outcome.NOT_TLS,
    TlsState.PARTIAL: Outcome.PARTIAL,
}
