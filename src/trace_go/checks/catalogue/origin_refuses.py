"""A module's own server refused.

What it means
    The server that holds a module, or the page that says where it is held, answered git or go with a status such as
    401, 403, 429 or 5xx, or did not accept the client's ssh key.

Why it matters
    Direct is the last entry of GOPROXY: nobody else is asked. For a private module it usually means that git has no
    credentials here; in CI nobody can be asked for them, so git gives up at once.

How we know
    What git or ssh said, which go quotes; go's `# get` line with the status of the `?go-get=1` page.

False positives
    Hosts such as GitHub answer a request for a repository that does not exist in the same way as for a private one.

What to do
    Run the git command that the finding shows. 401: give git a credential (a credential helper or a ~/.netrc entry), or
    let it use ssh by url.….insteadOf. 403: your account has no access. ssh: the server does not know your key, or no
    key is loaded (ssh-add -l). 429 or 5xx: try later, or take the module from a mirror.

References
    https://go.dev/doc/faq#git_https, https://go.dev/ref/mod#private-module-repo-auth, git-credential(1).
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import place, shell
from trace_go.checks.framework import Meta, answer_text, finding, said
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, Request, Stage
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=53)

_NOT_FOUND = (404, 410)
_TITLES = {
    "status-401": "wants credentials for",
    "status-403": "forbids",
    "ssh-denied": "does not accept the ssh key for",
}
_ADVICE = {
    "status-401": "Give git a credential for it (credential helper, ~/.netrc, ssh), and check that it exists.",
    "status-403": "Ask its owner for access, and see which credential git uses for it.",
    "ssh-denied": "Add your ssh key there, or load the right one: ssh-add -l lists those that are offered.",
}


def find(case: Case) -> Iterator[Finding]:
    groups: dict[tuple[str, str, str], list[Request]] = defaultdict(list)
    for request in case.requests:
        failure = request.failure
        if failure and failure.stage is Stage.STATUS and request.status not in _NOT_FOUND and _decided(case, request):
            host = place(case, request)
            groups[host, failure.kind, (request.module or "a module").removeprefix(f"{host}/")].append(request)
    for (host, kind, name), requests in groups.items():
        first = requests[0]
        page = first.artifact is Artifact.GO_GET
        text = f"{first.status or ''} {first.status_text}".strip()
        title = f"{host} {_TITLES[kind]} {name}" if kind in _TITLES else f"{host} answered {text} for {name}"
        told = said(first.failure.text if first.failure else "", by="git")
        yield finding(
            case,
            "origin-refuses",
            META,
            title=title,
            detail=f"The page that says where the module is held answered {text}. {answer_text(case, requests)}".strip()
            if page
            else told,
            remedy=Remedy(text=_advice(kind, page=page), command=_command(first)),
            subject=f"{host}:{kind}:{name}",
            requests=requests,
        )


def _decided(case: Case, request: Request) -> bool:
    """go asks for pages at each prefix of a path: only one that its error names stopped it."""
    if request.artifact is Artifact.GO_GET:
        return any(error.url == request.url for error in case.account.log.errors)
    return request.artifact is Artifact.GIT


def _advice(kind: str, *, page: bool) -> str:
    if kind not in _ADVICE:
        return "The module's own server is failing or limits the rate: try later, or use a mirror that has the module."
    return (
        "Give go credentials for this page (~/.netrc, GOAUTH), or ask its owner to open it." if page else _ADVICE[kind]
    )


def _command(request: Request) -> str | None:
    if not request.url:
        return None
    return shell("curl -i {}" if request.artifact is Artifact.GO_GET else "git ls-remote {}", request.url)
