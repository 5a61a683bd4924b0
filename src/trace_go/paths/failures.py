"""What went wrong with a request, in one vocabulary, whether go said it or the packets show it."""

from trace_go.model.chain import ChainFault, Judgement
from trace_go.model.dns import Lookup
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Flow, Outcome
from trace_go.model.ledger import Failure, Stage
from trace_go.model.tls import TlsState

_OF_FAULT = {
    ChainFault.NAME_MISMATCH: "wrong-name",
    ChainFault.SELF_SIGNED: "unknown-authority",
    ChainFault.INCOMPLETE: "unknown-authority",
    ChainFault.DISTRUSTED: "other-certificate",
    ChainFault.OTHER: "other-certificate",
}
"""what go does not call as we do"""

KIND_OF_FAULT = {fault: _OF_FAULT.get(fault, fault.value) for fault in ChainFault}

CERTIFICATE_KINDS = frozenset(KIND_OF_FAULT.values()) | {"certificate-rejected"}
"""a refused certificate: for the named fault, or, in TLS 1.3 without keys, for one that is not observable"""

STAGES: dict[str, Stage] = {
    "nxdomain": Stage.DNS,
    "dns-timeout": Stage.DNS,
    "dns-failure": Stage.DNS,
    "connect-timeout": Stage.CONNECT,
    "refused": Stage.CONNECT,
    "unreachable": Stage.CONNECT,
    "proxy-connect": Stage.PROXY,
    "proxy-refused": Stage.PROXY,
    "proxy-timeout": Stage.PROXY,
    "proxy-closed": Stage.PROXY,
    "proxy-protocol": Stage.PROXY,
    "handshake-timeout": Stage.TLS,
    "closed-in-handshake": Stage.TLS,
    "reset-in-handshake": Stage.TLS,
    "tls-alert": Stage.TLS,
    "not-tls": Stage.TLS,
    "ssh-host-changed": Stage.TLS,
    "ssh-host-unknown": Stage.TLS,
    "response-timeout": Stage.RESPONSE,
    "stalled": Stage.RESPONSE,
    "reset": Stage.RESPONSE,
    "eof": Stage.RESPONSE,
    "unexpected-eof": Stage.RESPONSE,
    "stream-error": Stage.RESPONSE,
    "insecure-redirect": Stage.RESPONSE,
    "redirect-loop": Stage.RESPONSE,
    "insecure-credentials": Stage.RESPONSE,
    "status": Stage.STATUS,
    "ssh-denied": Stage.STATUS,
    "checksum-mismatch": Stage.CONTENT,
    "sumdb-mismatch": Stage.CONTENT,
    "web-page": Stage.CONTENT,
    "bad-zip": Stage.CONTENT,
    "bad-info": Stage.CONTENT,
    "bad-mod": Stage.CONTENT,
    "bad-record": Stage.CONTENT,
    "wrong-version": Stage.CONTENT,
    "not-used": Stage.CONTENT,
} | dict.fromkeys(CERTIFICATE_KINDS, Stage.TLS)
"""failure kind → where it broke; kinds of gocmd.messages plus what only packets show"""

SSH_KINDS = frozenset({"ssh-host-changed", "ssh-host-unknown", "ssh-denied"})

OUTCOMES: dict[str, frozenset[Outcome]] = {
    "refused": frozenset({Outcome.REFUSED}),
    "unreachable": frozenset({Outcome.UNREACHABLE}),
    "connect-timeout": frozenset({Outcome.NO_ANSWER}),
    "handshake-timeout": frozenset({Outcome.SILENT, Outcome.CLOSED_IN_HANDSHAKE}),
    "response-timeout": frozenset({Outcome.SILENT, Outcome.STALLED, Outcome.NO_ANSWER}),
    "reset": frozenset({Outcome.RESET}),
    "eof": frozenset({Outcome.CLOSED_IN_HANDSHAKE, Outcome.RESET}),
    "not-tls": frozenset({Outcome.NOT_TLS}),
    "tls-alert": frozenset({Outcome.REFUSED_HANDSHAKE}),
    "proxy-refused": frozenset({Outcome.TUNNEL_REFUSED}),
    "proxy-protocol": frozenset({Outcome.NOT_TLS, Outcome.CLOSED_IN_HANDSHAKE, Outcome.RESET, Outcome.SILENT}),
    "proxy-connect": frozenset({Outcome.REFUSED, Outcome.NO_ANSWER, Outcome.UNREACHABLE, Outcome.RESET}),
} | {kind: frozenset({Outcome.REJECTED_CERTIFICATE, Outcome.REFUSED_HANDSHAKE}) for kind in CERTIFICATE_KINDS}
"""how the flow of a request ended that failed in this way before it had a connection, or alone on one"""

SHARED = frozenset({"response-timeout", "reset", "eof", "unexpected-eof", "stream-error"})
"""failures on a connection that other requests may use too"""

ANSWERED = frozenset({"status", "insecure-redirect", "redirect-loop", "bad-response"})
"""failures that are the server's answer"""

UNSENT = frozenset({"insecure-credentials", "disabled-by-off"})
"""failures before anything was sent"""


def failure(kind: str, text: str, status: int | None = None) -> Failure:
    if kind == "status" and status:
        return Failure(stage=Stage.STATUS, kind=f"status-{status}", text=text)
    return Failure(stage=STAGES.get(kind, Stage.RESPONSE), kind=kind, text=text)


def of_lookup(lookup: Lookup) -> Failure | None:
    """Why a name was not resolved; None when it was, or when the answer merely has no address of this type."""
    if lookup.addresses:
        return None
    if lookup.rcode is None:
        return failure("dns-timeout", f"{lookup.resolver} did not answer the query for {lookup.name}")
    if lookup.rcode == "NXDOMAIN":
        return failure("nxdomain", f"{lookup.resolver} says that {lookup.name} does not exist")
    if lookup.rcode != "NOERROR":
        return failure("dns-failure", f"{lookup.resolver} answered {lookup.rcode} for {lookup.name}")
    return None


def has_failed(flow: Flow) -> bool:
    """Whether the packets of one flow show a failure: `of_flow` tells which."""
    return flow.outcome in _TEXTS


def of_flow(flow: Flow, judgement: Judgement | None) -> Failure | None:
    """What the packets of one flow show to have failed; None for a flow that ended well, is idle or still open."""
    found = _TEXTS.get(flow.outcome)
    if found is None:
        return None
    kind, text = found
    if flow.tunnel and flow.tunnel.status is None and flow.outcome in _UNANSWERED_TUNNELS:
        kind, how = _UNANSWERED_TUNNELS[flow.outcome]
        if flow.tunnel.reason:
            kind, how = "proxy-protocol", f"answers {flow.tunnel.reason} to"
        text = f"the forward proxy {how} {flow.tunnel.request.split()[0]}"
    elif flow.outcome is Outcome.RESET:
        if flow.tls and flow.tls.state is not TlsState.ESTABLISHED:
            kind, text = "reset-in-handshake", "the connection was reset during the TLS handshake"
    elif flow.outcome is Outcome.SILENT:
        if flow.tls is None:
            kind, text = "response-timeout", "the request was never answered"
    elif flow.outcome is Outcome.CLOSED_IN_HANDSHAKE and flow.tls is None:
        kind, text = "eof", "the server closed the connection instead of answering"
    elif flow.outcome is Outcome.TUNNEL_REFUSED and flow.tunnel:
        text = f"the forward proxy answered {flow.tunnel.request.split()[0]} with {flow.tunnel.answer}"
    elif flow.outcome is Outcome.UNREACHABLE and flow.icmp:
        text = f"ICMP: {flow.icmp}"
    elif flow.outcome is Outcome.REJECTED_CERTIFICATE or _refused_unread(flow, judgement):
        return _certificate(judgement)
    return failure(kind, text)


def _refused_unread(flow: Flow, judgement: Judgement | None) -> bool:
    """Whether the client ended the handshake, with an alert of another name, for its certificate (crypto/tls)."""
    by_client = flow.tls is not None and flow.tls.state is TlsState.REFUSED_BY_CLIENT
    return by_client and judgement is not None and judgement.fault in (ChainFault.UNREADABLE, ChainFault.WEAK_KEY)


def sharpened(found: Failure, flow: Flow | None) -> Failure:
    """What go says in general words, as what the packets of its flow show: that the proxy did not answer."""
    shown = of_flow(flow, None) if flow and found.kind in _VAGUE else None
    return shown if shown and shown.stage is Stage.PROXY else found


def _certificate(judgement: Judgement | None) -> Failure:
    if judgement and judgement.visibility is Visibility.INFERRED:
        if not judgement.chain:
            text = "the client refused the certificate of a machine that ends TLS before the second vantage"
            return failure("certificate-rejected", text)
        who = f"{judgement.interceptor}, which answered in place of others on this way"
        return failure("certificate-rejected", f"the client refused the certificate: that of {who}, as inferred")
    if judgement and judgement.fault and not judgement.trusted:
        return failure(KIND_OF_FAULT[judgement.fault], judgement.detail)
    known = ""
    if judgement and judgement.visibility is Visibility.SEEN:
        known = f", which is in order by the trust store ({judgement.trust})"
    return failure("certificate-rejected", f"the client refused the server's certificate{known}; why is not observable")


_VAGUE = frozenset({"eof", "unexpected-eof", "reset", "response-timeout"})
_UNANSWERED_TUNNELS = {
    Outcome.SILENT: ("proxy-timeout", "did not answer"),
    Outcome.RESET: ("proxy-closed", "reset the connection instead of answering"),
    Outcome.CLOSED_IN_HANDSHAKE: ("proxy-closed", "closed the connection instead of answering"),
}
_TEXTS: dict[Outcome, tuple[str, str]] = {
    Outcome.NO_ANSWER: ("connect-timeout", "no answer to the connection attempts (SYN)"),
    Outcome.REFUSED: ("refused", "the connection was refused"),
    Outcome.UNREACHABLE: ("unreachable", "the network reported the address unreachable"),
    Outcome.RESET: ("reset", "the connection was reset"),
    Outcome.STALLED: ("stalled", "nothing got through any more"),
    Outcome.CLOSED_IN_HANDSHAKE: ("closed-in-handshake", "the connection was closed during the TLS handshake"),
    Outcome.REJECTED_CERTIFICATE: ("certificate-rejected", ""),
    Outcome.REFUSED_HANDSHAKE: ("tls-alert", "the TLS handshake was refused"),
    Outcome.NOT_TLS: ("not-tls", "the server answered the TLS handshake with something that is not TLS"),
    Outcome.SILENT: ("handshake-timeout", "nothing came back after the ClientHello"),
    Outcome.TUNNEL_REFUSED: ("proxy-refused", "the forward proxy refused CONNECT"),
}
