"""A module's own server is asked over plain http.

What it means
    git, or the question where a module is held (`?go-get=1`), went to http:// or git:// instead of https.

Why it matters
    Everyone on the way can read the code and put other code in its place. Private modules have no checksum database
    behind them: what comes first is recorded in go.sum.

How we know
    The requests are in clear in the packets, or go's log shows the address. It comes from the go-import page of the
    module (go accepts an http:// repository there, even from an https page), from git's own settings, or from
    GOINSECURE, which lets go fall back to http.

False positives
    A server on this machine (a loopback address) is not reported, nor one that your trace-go.toml names.

What to do
    Correct the go-import page or git's setting (git config --get-regexp insteadOf shows it). Until the page is right,
    url.https://HOST/.insteadOf http://HOST/ lets git ask over https. Take modules out of GOINSECURE once their server
    has a good certificate.

References
    cmd/go/internal/vcs/vcs.go (repoRootForImportDynamic), https://go.dev/ref/mod#vcs-find.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import is_loopback, shell, target
from trace_go.checks.framework import Meta, count, finding
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, Request
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=82)

_PLAIN = ("http://", "git://")


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        asked = request.artifact in (Artifact.GO_GET, Artifact.GIT) and request.target and not request.target.own
        if asked and (request.url or "").lower().startswith(_PLAIN) and not is_loopback(target(request)):
            groups[target(request)].append(request)
    for host, requests in groups.items():
        by_git = any(item.artifact is Artifact.GIT for item in requests)
        insecure = case.account.go_env.get("GOINSECURE", "")
        why = f" GOINSECURE allows it for {insecure}." if insecure else ""
        yield finding(
            case,
            "plain-http-origin",
            META,
            title=f"{host} is asked for modules over plain http",
            detail=f"{count(len(requests), 'request')} of {'git' if by_git else 'go'} went in clear: everyone on the "
            f"way can read the code and change it.{why}",
            remedy=_remedy(requests[0], host, by_git=by_git),
            subject=host,
            requests=requests,
        )


def _remedy(first: Request, host: str, *, by_git: bool) -> Remedy:
    if by_git:
        secure = f"https://{(first.url or host).partition('://')[2]}"
        return Remedy(
            text="Name https in the go-import page, or in git's insteadOf, whichever says http; try whether it works.",
            command=shell("git ls-remote {}", secure),
        )
    return Remedy(
        text="Give the server a good certificate and take its modules out of GOINSECURE.",
        command=shell("curl -sSI {}", f"https://{host}/"),
    )
