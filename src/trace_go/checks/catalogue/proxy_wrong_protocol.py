"""The forward proxy speaks another protocol.

What it means
    The scheme of the proxy variable does not fit what listens there: `https://` (TLS to the proxy itself) for a proxy
    that speaks plain HTTP, `http://` for a SOCKS proxy, or `socks5://` for an HTTP proxy.

Why it matters
    Nothing gets through, and go's message reads as if the mirror were broken: `malformed HTTP response`, `first record
    does not look like a TLS handshake`.

How we know
    go's error line; the first bytes of the proxy's answer, which are not in the protocol in which it was asked.

False positives
    None known.

What to do
    Correct the scheme: `http://` means a proxy that takes CONNECT, also for https URLs; `https://` one to which the
    connection itself is TLS; `socks5://` one that speaks SOCKS.

References
    golang.org/x/net/http/httpproxy; net/http/transport.go (dialConn).
"""

from collections.abc import Iterator

from trace_go.checks.command import forward_proxy, proxy_variable, shell
from trace_go.checks.framework import Meta, count, failed, finding, reason
from trace_go.checks.proof import flow_of
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="proxy", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=16)

_PLAIN = "does not look like a TLS handshake"
_ASKED = {"http": "HTTP (CONNECT)", "https": "TLS", "socks5": "SOCKS"}


def find(case: Case) -> Iterator[Finding]:
    for proxy, requests in failed(case, "proxy-protocol").items():
        first = requests[0]
        asked, right = _schemes(case, first)
        variable, place = proxy_variable(case, first), forward_proxy(case, first)
        yield finding(
            case,
            "proxy-wrong-protocol",
            META,
            title=f"The forward proxy {proxy} does not speak {_ASKED[asked]}",
            detail=f"{reason(first)} {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text=f"Correct the scheme in {variable}: it is {asked}://, and the proxy seems to want {right}://.",
                command=shell(f"export {variable}={{}}", f"{right}://{place.rpartition('/')[2]}") if place else None,
            ),
            subject=proxy,
            requests=requests,
        )


def _schemes(case: Case, request: Request) -> tuple[str, str]:
    """(scheme by which the proxy was asked, scheme that fits its answer)."""
    flow = flow_of(case, request)
    text = request.failure.text if request.failure else ""
    if _PLAIN in text:
        return "https", "http"
    by_socks = flow.tunnel.protocol != "http" if flow and flow.tunnel else "socks connect" in text
    return ("socks5", "http") if by_socks else ("http", "socks5")
