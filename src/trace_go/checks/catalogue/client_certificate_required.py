"""A server demands a client certificate, which go cannot send.

What it means
    The server asked for a certificate of the client in the TLS handshake and refused go, which has none.

Why it matters
    go has no setting for client certificates: every request to this server fails, with `certificate required` over TLS
    1.3, and `handshake failure` or `bad certificate` over TLS 1.2, which name no reason.

How we know
    Up to TLS 1.2 the server's CertificateRequest and its alert are in clear. In TLS 1.3 a client without a certificate
    answers the request with one record of 25 bytes, an empty Certificate, where a Finished of 53 or 69 would stand; the
    server's answer has the size of an alert, and is the end. go's error line says `certificate required`.

False positives
    None known: a server that asks and then does without is not told.

What to do
    Ask the server's operator for a way without client certificates: another name or port, a token (GOAUTH, .netrc), or
    a local proxy that holds the certificate and that GOPROXY names.

References
    RFC 8446 §4.3.2, §4.4.2, RFC 5246 §7.4.4; https://go.dev/ref/mod#private-module-proxy-auth.
"""

from collections.abc import Iterator

from trace_go.checks.command import handshake
from trace_go.checks.framework import Meta, count, failed, finding
from trace_go.checks.proof import wanted_certificate
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=29)


def find(case: Case) -> Iterator[Finding]:
    for host, requests in failed(case, "tls-alert").items():
        wanted = [item for item in requests if wanted_certificate(case, item)]
        if not wanted:
            continue
        yield finding(
            case,
            "client-certificate-required",
            META,
            title=f"{host} demands a client certificate, which go cannot send",
            detail="The server asks for a client certificate in the handshake and ends the connection without one. "
            f"{count(len(wanted), 'request')} failed.",
            remedy=Remedy(
                text="Ask the server's operator for a way without client certificates, such as a token by GOAUTH.",
                command=handshake(case, wanted[0]),
            ),
            subject=host,
            requests=wanted,
        )
