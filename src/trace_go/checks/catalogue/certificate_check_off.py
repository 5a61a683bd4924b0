"""A setting switches the check of certificates off.

What it means
    For modules that GOINSECURE names, go fetches `?go-get=1` pages from their origin without checking the certificate,
    and by plain http where https fails. With GIT_SSL_NO_VERIFY in the environment, whatever its value, git takes any
    certificate. (GOINSECURE does not concern mirrors.)

Why it matters
    Anybody on the way can then say where a module's repository is, or deliver another one. The checksum database, which
    private modules are not looked up in, is all that is left.

How we know
    The setting, and the requests to origins that it covers; where a certificate was seen that go would have refused,
    that is told as well.

False positives
    An origin inside an own network, on purpose. If no request is covered, an entry for half the world, such as `*`, is
    a note.

What to do
    Give the server a certificate, or add its authority to the trust store (SSL_CERT_FILE for go, GIT_SSL_CAINFO for
    git); then remove the setting.

References
    https://go.dev/ref/mod#environment-variables (GOINSECURE), cmd/go/internal/web/http.go, git-config(1)
    (http.sslVerify).
"""

from collections.abc import Iterator

from trace_go.checks.command import setting, shell, target, unset
from trace_go.checks.framework import Meta, count, finding, some
from trace_go.checks.privacy import narrow, wide
from trace_go.checks.proof import of_chain
from trace_go.gocmd.environment import match_globs
from trace_go.gocmd.layers import in_effect
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, Request
from trace_go.model.report import Case

META = Meta(group="configuration", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=105)

GIT = "GIT_SSL_NO_VERIFY"


def find(case: Case) -> Iterator[Finding]:
    yield from _goinsecure(case)
    if GIT in case.account.process_env:
        fetched = [item for item in case.requests if item.artifact is Artifact.GIT and _is_https(item)]
        if fetched:
            yield _finding(case, fetched, GIT, f"{GIT}={case.account.process_env[GIT]} from the environment")


def _goinsecure(case: Case) -> Iterator[Finding]:
    found = in_effect(case.account, "GOINSECURE")
    if not found:
        return
    pages = [
        item
        for item in case.requests
        if item.artifact is Artifact.GO_GET and item.module and match_globs(found.value, item.module)
    ]
    if pages:
        yield _finding(case, pages, found.name, found.text)
    elif case.requests and any(wide(text, case.known) for text in found.value.split(",") if text):
        own = ",".join(narrow(found.value, case.known))
        yield finding(
            case,
            "certificate-check-off",
            META,
            title=f"GOINSECURE={found.value} would switch certificate checks off for every origin",
            detail="Nothing was asked of an origin that it covers this time.",
            remedy=Remedy(
                text="Name only what needs it, or nothing, in GOINSECURE.",
                command=setting(case, found.name, own) if own else unset(case, found.name),
            ),
            subject=found.name,
            evidence=[evidence.env(found.text)],
            severity=Severity.NOTE,
        )


def _finding(case: Case, requests: list[Request], name: str, source: str) -> Finding:
    hosts = {target(item) for item in requests}
    faulty = [item for item in case.judgements if item.name in hosts and not item.trusted]
    plain = sum((item.url or "").startswith("http://") and item.status is not None for item in requests)
    detail = f"{count(len(requests), 'request')} went there with {name}"
    detail += f", {plain} of them by plain http." if plain else "."
    if faulty:
        detail += f" The certificate of {some(item.name for item in faulty)} would not have been accepted."
    return finding(
        case,
        "certificate-check-off",
        META,
        title=f"The certificate of {some(hosts)} is not checked ({name})",
        detail=detail,
        remedy=Remedy(
            text="Give the server a trusted certificate, or trust its authority; then remove the setting.",
            command=shell("unset {}", name) if name == GIT else unset(case, name),
        ),
        subject=name,
        requests=requests,
        evidence=[evidence.env(source), *map(of_chain, faulty)],
    )


def _is_https(request: Request) -> bool:
    return (request.url or "").startswith("https://")
