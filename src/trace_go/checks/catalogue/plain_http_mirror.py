"""A mirror is used over plain http.

What it means
    Module requests went to a GOPROXY entry with http://, readable and changeable by everyone on the way.

Why it matters
    Only the checksum database (or go.sum) then protects what is downloaded, and anyone on the way sees which modules
    you use.

How we know
    The requests are in clear in the packets, or go's log shows http:// URLs.

False positives
    A mirror on this machine (a loopback address) is not reported, nor one that your trace-go.toml names: it is yours.

What to do
    Serve the mirror over https and write https:// in GOPROXY. Do not switch the checksum database off meanwhile.

References
    https://go.dev/ref/mod#environment-variables (GOPROXY).
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import is_loopback, setting, shell, target
from trace_go.checks.framework import Meta, count, finding
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, Request, Role, Stage
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=80)

_SENT = (Stage.RESPONSE, Stage.STATUS, Stage.CONTENT)


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        if _in_clear(request) and request.artifact not in (Artifact.OTHER, Artifact.GO_GET):
            hop, host = request.target, target(request)
            if hop and hop.role in (Role.MIRROR, Role.CHECKSUM_DB) and not (hop.own or is_loopback(host)):
                groups[host].append(request)
    for host, requests in groups.items():
        yield finding(
            case,
            "plain-http-mirror",
            META,
            title=f"{host} is used over plain http",
            detail=f"{count(len(requests), 'module request')} went in clear: everyone on the way can read and change "
            "what comes back.",
            remedy=_remedy(case, host),
            subject=host,
            requests=requests,
        )


def _in_clear(request: Request) -> bool:
    """Whether it was sent so: go keeps credentials back from http."""
    found = request.failure
    sent = found is None or (found.stage in _SENT and found.kind != "insecure-credentials")
    return sent and (request.url or "").lower().startswith("http://")


def _remedy(case: Case, host: str) -> Remedy:
    """The user's own list with https in it, where it is known and holds no credentials; else a look at the port."""
    now = case.account.go_env.get("GOPROXY", "")
    secure = now.replace(f"http://{host}", f"https://{host}")
    if secure != now and "@" not in now:
        return Remedy(text="Serve the mirror over https, and use that.", command=setting(case, "GOPROXY", secure))
    text = "Serve the mirror over https, and write https:// in GOPROXY; see whether it does so already."
    return Remedy(text=text, command=shell("curl -sSI {}", f"https://{f'[{host}]' if ':' in host else host}/"))
