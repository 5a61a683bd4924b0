"""The TLS handshake was refused.

What it means
    One side ended the handshake with an alert that is not about the certificate: no common version or cipher, an
    unknown server name, a client certificate demanded.

Why it matters
    go reports `remote error: tls: …`; the server or a box in front of it does not accept go's handshake.

How we know
    The alert record in clear (up to TLS 1.2, and in TLS 1.3 before the ServerHello).

False positives
    None known.

What to do
    Look up the alert's name: `protocol version` needs a newer server (go accepts TLS 1.2 and up), `unrecognized name`
    a right host name, `certificate required` a client certificate, which go cannot send to a mirror.

References
    RFC 8446 §6.2; crypto/tls/alert.go.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding, sentence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=32)


def find(case: Case) -> Iterator[Finding]:
    for host, requests in failed(case, "tls-alert").items():
        failure = requests[0].failure
        assert failure
        yield finding(
            "tls-refused",
            META,
            title=f"The TLS handshake with {host} is refused",
            detail=f"{sentence(failure.text)} {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="See what the server accepts.",
                command=f"openssl s_client -connect {host}:443 -servername {host} </dev/null",
            ),
            subject=host,
            requests=requests,
        )
