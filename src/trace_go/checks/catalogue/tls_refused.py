"""The TLS handshake was refused.

What it means
    One side ended the handshake with an alert that is not about the certificate: no common version or cipher, an
    unknown server name.

Why it matters
    go reports `remote error: tls: …`; the server, or a box in front of it, does not accept go's handshake.

How we know
    The alert in clear (up to TLS 1.2, and in TLS 1.3 before the ServerHello); go's error line.

False positives
    None known.

What to do
    Look at the alert's name. `protocol version`: the server must learn TLS 1.2, below which go does not go.
    `handshake failure`: no common cipher. `unrecognized name`: the host name is wrong or not configured there.
    A server that wants a client certificate is told by client-certificate-required.

References
    RFC 8446 §6.2; crypto/tls/alert.go.
"""

from collections.abc import Iterator

from trace_go.checks.command import handshake
from trace_go.checks.framework import Meta, count, failed, finding, reason
from trace_go.checks.proof import flow_of, wanted_certificate
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case
from trace_go.wire.tls_names import alert_name

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=33)

_GO_SAYS = "remote error: tls: "
_ADVICE = {
    "protocol version": "The server must offer TLS 1.2 or 1.3: ask its operator, and see what it accepts.",
    "unrecognized name": "Check the host name: the server is not configured for it.",
}


def find(case: Case) -> Iterator[Finding]:
    for host, broken in failed(case, "tls-alert").items():
        requests = [item for item in broken if not wanted_certificate(case, item)]
        if not requests:
            continue
        name = next((found for item in requests if (found := _alert(case, item))), "")
        advice = next((text for alert, text in _ADVICE.items() if alert in name), "See what the server accepts.")
        yield finding(
            case,
            "tls-refused",
            META,
            title=f"The TLS handshake with {host} is refused{f': {name}' if name else ''}",
            detail=f"{reason(requests[0])} {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text=advice,
                command=handshake(case, requests[0]),
            ),
            subject=host,
            requests=requests,
        )


def _alert(case: Case, request: Request) -> str:
    """Name of the alert that ended the handshake, from the packets or go's words; empty when neither tells."""
    flow = flow_of(case, request)
    if flow and flow.tls and flow.tls.alerts:
        return alert_name(flow.tls.alerts[-1].description).replace("_", " ")
    text = request.failure.text if request.failure else ""
    return text.partition(_GO_SAYS)[2]
