"""The trust store that go uses lacks the root of a public chain.

What it means
    The server's chain is in order, but go's trust store does not hold its root: SSL_CERT_FILE or SSL_CERT_DIR name
    something else than the system's roots, or nothing that can be read; or the machine has no roots, or old ones.

Why it matters
    go reports `x509: certificate signed by unknown authority` for hosts that every browser trusts, and often for all.

How we know
    The chain, seen on the wire (up to TLS 1.2) or probed, is verified twice: by the roots that go uses on this machine,
    and by Mozilla's (or those that trace-go.toml names as `public-roots`). Only the second time a root is found; or the
    first store is empty. The command's environment tells the settings.

False positives
    A machine that is meant to trust one company's authority alone.

What to do
    On Linux SSL_CERT_FILE replaces the system's bundle and SSL_CERT_DIR its directories: name a bundle that holds the
    system's roots and your own, or unset them. In a container or on a fresh machine install ca-certificates; on an old
    one update it.

References
    crypto/x509/root.go, crypto/x509/root_linux.go.
"""

from collections.abc import Iterator

from trace_go.checks.chains import Refused, authority, lacks_root, refused
from trace_go.checks.command import shell
from trace_go.checks.framework import Meta, count, finding, sentence
from trace_go.checks.proof import of_chain
from trace_go.model import evidence
from trace_go.model.chain import ChainFault
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=39)

_FILE, _FOLDERS = "SSL_CERT_FILE", "SSL_CERT_DIR"
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""of Debian, Ubuntu, Alpine, Arch and Gentoo"""


def find(case: Case) -> Iterator[Finding]:
    for found in refused(case):
        if not lacks_root(found):
            continue
        settings = {name: value for name in (_FILE, _FOLDERS) if (value := case.account.process_env.get(name))}
        empty = found.fault is ChainFault.NO_ROOTS
        yield finding(
            case,
            "trust-store-lacks-root",
            META,
            title=_title(found, settings, empty=empty),
            detail=f"{_detail(found, settings, empty=empty)} {count(len(found.requests), 'request')} failed.",
            remedy=_remedy(settings, empty=empty),
            subject=found.host,
            requests=found.requests,
            evidence=[
                *([of_chain(found.judgement)] if found.judgement else []),
                *(evidence.env(f"{name}={value}") for name, value in settings.items()),
            ],
        )


def _title(found: Refused, settings: dict[str, str], *, empty: bool) -> str:
    if empty:
        return f"go has no root certificates{f': {next(iter(settings))} names none' if settings else ''}"
    culprit = next(iter(settings), "go's trust store")
    return f"{culprit} leaves out the root certificate of {found.host}"


def _detail(found: Refused, settings: dict[str, str], *, empty: bool) -> str:
    judgement = found.judgement
    if empty or judgement is None:
        return found.why
    root = f"The chain of {found.host} leads to {authority(judgement.chain)}, which the public roots vouch for"
    instead = " and ".join(f"{name}={value}" for name, value in settings.items())
    reason = f"{instead} stands in place of the system's roots" if settings else "this machine's roots are old or few"
    return f"{root}; the trust store that go uses here does not: {reason}. {sentence(judgement.detail)}"


def _remedy(settings: dict[str, str], *, empty: bool) -> Remedy:
    if empty and settings:
        text = f"Name a file with root certificates, or unset {' and '.join(settings)}: go then uses the system's."
        return Remedy(text=text, command=f"unset {' '.join(settings)}")
    if _FILE in settings:
        text = f"Let {_FILE} name a bundle that holds the system's root certificates beside your own."
        command = shell(f"cat {_BUNDLE} {{}} >ca-bundle.pem && export {_FILE}=$PWD/ca-bundle.pem", settings[_FILE])
        return Remedy(text=text, command=command)
    if settings:
        return Remedy(text=f"Add the system's folders to {_FOLDERS}, or unset it.", command=f"unset {_FOLDERS}")
    do = "Install" if empty else "Update"
    text = f"{do} this machine's root certificates (package ca-certificates)."
    return Remedy(text=text, command="apt-get update && apt-get install ca-certificates")
