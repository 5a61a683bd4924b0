"""A mirror's status ended the GOPROXY list.

What it means
    A GOPROXY entry answered with a status other than 404 or 410 (401, 403, 429, 5xx). After a comma go asks the next
    entry only for 404 and 410, so the list stopped here. After a bar it goes on: that is a warning.

Why it matters
    `direct` or another mirror stands in the list but is never asked; the error looks as if the module did not exist.

How we know
    go's `# get` line with the status, its HTTP/2 log, or the answer in clear HTTP; the separator comes from `go env
    GOPROXY`.

False positives
    None: the rule is go's own. A 403 may of course be meant by whoever runs the mirror.

What to do
    401 or 403: the mirror wants credentials (a .netrc entry or GOAUTH), or its policy refuses the module: ask its
    operator. 429: wait, or download less at once. 5xx: the mirror is broken: tell its operator, or use another. With
    `|` in place of `,` every failure would fall through: that hides outages and goes around the mirror's policy.

References
    cmd/go/internal/modfetch/proxy.go (TryProxies), https://go.dev/ref/mod#goproxy-protocol.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import place, shell, target
from trace_go.checks.framework import Meta, answer_text, count, finding, redirected_by, sentence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, HandledBy, Request, Stage
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=50)

_NOT_FOUND = (404, 410)
_ORIGIN_ARTIFACTS = (Artifact.GO_GET, Artifact.GIT, Artifact.OTHER)
_UPSTREAM = "The mirror does not reach what it gets modules from: try later, tell its operator, or use another mirror."
_ADVICE = {
    401: "The mirror asks for credentials: add them to ~/.netrc (or set GOAUTH), or ask its operator.",
    403: "The mirror's policy refuses this module: ask its operator.",
    407: "The forward proxy asks for credentials: put them into HTTP_PROXY.",
    429: "The mirror limits the rate: wait, or download less at once.",
    **dict.fromkeys((502, 503, 504), _UPSTREAM),
}


def find(case: Case) -> Iterator[Finding]:
    groups: dict[tuple[str, int], list[Request]] = defaultdict(list)
    for request in case.requests:
        stops = request.failure and request.failure.stage is Stage.STATUS and request.status not in _NOT_FOUND
        if stops and request.status and request.artifact not in _ORIGIN_ARTIFACTS:
            groups[_server(case, request), request.status].append(request)
    for (host, status), requests in groups.items():
        first = requests[0]
        text = f"{status} {first.status_text}".rstrip()
        by = " (the interceptor in its place)" if first.handled_by is HandledBy.MITM else ""
        sender = redirected_by(first)
        sent = f", to which {sender} redirects," if sender else ""
        told = f"{host}{by}{sent} answered {text} for {first.module or first.url or 'a request'}."
        yield finding(
            case,
            "mirror-status-stops-list",
            META,
            title=f"{host} answered {text} to {count(len(requests), 'request')}{_rule(first)}",
            detail=" ".join(filter(None, (told, answer_text(case, requests), sentence(first.next_entry or "")))),
            remedy=_remedy(first, status, sender),
            subject=f"{host}:{status}",
            requests=requests,
        )


def _server(case: Case, request: Request) -> str:
    return target(request) if redirected_by(request) else place(case, request)


def _remedy(request: Request, status: int, sender: str | None) -> Remedy:
    if sender:
        text = f"See what {target(request)} says, and whether this network allows it; then ask {sender}'s operator."
        return Remedy(text=text, command=shell("curl -iL {}", request.url) if request.url else None)
    text = _ADVICE.get(status, "The mirror is failing: tell its operator, or use another mirror.")
    return Remedy(text=text, command=shell("curl -i {}", request.url) if request.url else None)


def _rule(request: Request) -> str:
    """What the separator behind the entry makes of the status, as a part of the title."""
    why = request.next_entry or ""
    if "comma stops" in why:
        return "; a comma follows in GOPROXY, so no further entry is asked"
    return "; a bar follows in GOPROXY, so the next entry is asked" if "before a bar" in why else ""
