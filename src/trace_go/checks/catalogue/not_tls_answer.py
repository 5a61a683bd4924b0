"""A server answered TLS with something else.

What it means
    After the ClientHello came bytes that are not TLS, usually an HTTP answer: the port speaks plain http or another
    protocol, or a portal or proxy answers in the server's place.

Why it matters
    go reports `server gave HTTP response to HTTPS client`, or `first record does not look like a TLS handshake`.

How we know
    The first bytes of the answer, in the packet that the finding names; go's error line.

False positives
    None known.

What to do
    Check scheme and port of the mirror. If the answer comes from a portal, log in to the network first. Do not write
    http:// into GOPROXY to make it work: find out who answers.

References
    RFC 8446 §5.1; crypto/tls (RecordHeaderError), net/http/transport.go.
"""

from collections.abc import Iterator

from trace_go.checks.command import port_of, shell, target
from trace_go.checks.framework import Meta, count, failed, finding
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=32)


def find(case: Case) -> Iterator[Finding]:
    for host, requests in failed(case, "not-tls").items():
        first = requests[0]
        name = target(first)
        url = f"http://{f'[{name}]' if ':' in name else name}:{port_of(case, first)}/"
        yield finding(
            case,
            "not-tls-answer",
            META,
            title=f"{host} does not speak TLS where https was expected",
            detail=f"The answer to the ClientHello is not TLS. {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="Check scheme and port of the URL, and see what answers there: it may be a captive portal.",
                command=shell("curl -v --max-time 10 {}", url),
            ),
            subject=host,
            requests=requests,
        )
