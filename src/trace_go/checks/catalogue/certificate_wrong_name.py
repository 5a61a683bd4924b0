"""A certificate is for another name.

What it means
    The server's certificate does not list the host name that go asked for (or has it only in the Common Name, which go
    does not accept since 1.15).

Why it matters
    go refuses it: `certificate is valid for A, not B`. Usually the name points to the wrong server, a load balancer
    fell back to its default certificate, or a portal answers.

How we know
    The names in the server's certificate, on the wire (up to TLS 1.2) or from a probe; go's error line. With a forward
    proxy it is the proxy that resolves the name and connects.

False positives
    None: go refused the certificate.

What to do
    Check where the name points, and which certificate the server there has for it. If the address is right, the
    server's operator must add the name to the certificate.

References
    RFC 9525 §6, crypto/x509 (Certificate.VerifyHostname).
"""

import re
from collections.abc import Iterator

from msgspec.structs import replace

from trace_go.checks.chains import Refused, names, refusal, refused
from trace_go.checks.command import forward_proxy, handshake, shell, target
from trace_go.checks.framework import Meta
from trace_go.model.chain import ChainFault
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=35)

_GO_SAYS = re.compile(r"certificate is valid for (\S.*), not ")
_LOOK = "Check that the name points to the right server, and which certificate that server has for it."
_RENEW = "The server's operator must get a certificate that lists the name as subjectAltName."


def find(case: Case) -> Iterator[Finding]:
    for found in refused(case):
        if found.fault not in (ChainFault.NAME_MISMATCH, ChainFault.COMMON_NAME_ONLY):
            continue
        unlisted = found.fault is ChainFault.COMMON_NAME_ONLY
        what = "names it where go does not look" if unlisted else _is_for(found)
        proxy = forward_proxy(case, found.requests[0])
        through = f" The forward proxy {proxy} chose the server to which its tunnel leads." if proxy else ""
        yield refusal(
            case,
            "certificate-wrong-name",
            META,
            replace(found, why=f"{found.why}{through}"),
            title=f"The certificate of {found.host} {what}",
            remedy=_proxied(handshake(case, found.requests[0]))
            if proxy and not unlisted
            else Remedy(
                text=_RENEW if unlisted else _LOOK,
                command=None if unlisted else shell("dig {}", target(found.requests[0])),
            ),
        )


def _is_for(found: Refused) -> str:
    """What the certificate is for, from the chain or go's words."""
    if found.judgement and found.judgement.chain:
        listed = found.judgement.chain[0].names
    else:
        failure = found.requests[0].failure
        told = _GO_SAYS.search(failure.text) if failure else None
        listed = tuple(told[1].split(", ")) if told else ()
    return f"is for {names(listed)}" if listed else "is for another name"


def _proxied(command: str | None) -> Remedy:
    return Remedy(
        text="Ask the proxy's operator where its tunnel to this name leads: it resolves the name.", command=command
    )
