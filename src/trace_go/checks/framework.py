"""What checks are written with: their metadata, their findings, and the few questions and phrases that they share."""

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from trace_go.checks import proof
from trace_go.checks.interference import forged_data
from trace_go.gocmd.environment import why_no_proxy
from trace_go.model.evidence import Confidence, Evidence, EvidenceKind
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Outcome
from trace_go.model.ledger import Artifact, HandledBy, Request, Role, Stage
from trace_go.model.report import Case
from trace_go.model.words import count as count  # the phrases that checks share
from trace_go.model.words import some as some
from trace_go.paths.guesses import GUESSED

_RESPONSE = "\n\tserver response:"


SLOW_S = 2.0
"""a healthy server or proxy answers within this time even what it must fetch first"""


class Meta(Struct, frozen=True, kw_only=True):
    group: str
    """heading in the list of checks: `names`, `transport`, `tls`, `proxy`, `go`"""
    severity: Severity
    audience: Audience
    cause_rank: int
    """order among causes: what stops a request earliest comes first"""


def failed(case: Case, *kinds: str) -> dict[str, list[Request]]:
    """Requests that failed in one of these ways, by the party where they broke.

    Those that missed the forward proxy are left out, and those that somebody else answered: proxy-not-used and
    injected-data tell more.
    """
    groups: dict[str, list[Request]] = defaultdict(list)
    found = (request for kind in kinds for request in case.failures.get(kind, ()))
    for request in sorted(found, key=lambda item: item.id):
        if not (missed_proxy(case, request) or forged_data(proof.flow_of(case, request))):
            groups[where(request)].append(request)
    return groups


def missed_proxy(case: Case, request: Request) -> str | None:
    """The variable because of which a request to a public host went without a forward proxy, and got nowhere."""
    if not case.account.process_env:
        return None
    far = request.failure is None or request.failure.stage not in (Stage.DNS, Stage.CONNECT)
    public = request.asked is not None and request.asked.public
    if far or not public:
        return None
    return why_no_proxy(request.url or "", case.account.process_env)


def where(request: Request) -> str:
    """Host or address of the hop where a request broke, else of its last hop."""
    hop = next((item for item in request.hops if item.broken), request.hops[-1] if request.hops else None)
    return (hop.host or hop.ip or hop.role.value) if hop else "?"


def redirected_by(request: Request) -> str | None:
    """The host that sent go to the server that answered, where it is another."""
    hop, asked = request.target, request.asked
    return hop.host if hop and asked and asked.redirected and asked.host != hop.host else None


def went_direct(case: Case) -> set[str]:
    """Modules, and repositories that hold modules, that were asked for at their origin, less those that go lacks."""
    lacking = {error.module for error in case.account.log.errors} if case.account.exit_code else set()
    git = [item for item in case.requests if item.artifact is Artifact.GIT]
    if git and all(item.failure for item in git):
        return set()  # where git got nothing, the page that named its repository is not enough
    return {
        item.module
        for item in case.requests
        if item.module and not item.failure and item.module not in lacking
        if item.artifact is Artifact.GIT or (item.artifact is Artifact.GO_GET and (item.status or 0) < 400)
    }


def is_below(module: str, roots: set[str]) -> bool:
    """Whether a module is one of `roots` or lies below one.

    >>> is_below("example.com/a/b", {"example.com/a"}), is_below("example.com/ab", {"example.com/a"})
    (True, False)
    """
    parts = module.split("/")
    return any("/".join(parts[:length]) in roots for length in range(1, len(parts) + 1))


def recovered(case: Case, requests: Iterable[Request]) -> bool:
    """Whether what each request was for was obtained after all, from another entry of GOPROXY or from the origin."""
    requests = tuple(requests)
    wanted = {(item.module, item.version, item.artifact) for item in requests}
    if any(artifact in (Artifact.CONNECTION, Artifact.OTHER) for _, _, artifact in wanted):
        return all(map(_to_mirror, requests)) and _other_mirror_served(case, [item.start_ns for item in requests])
    got = {(item.module, item.version, item.artifact) for item in case.requests if not item.failure}
    origins = went_direct(case)
    return all(is_below(module or "", origins) for module, _, _ in wanted - got)


def _to_mirror(request: Request) -> bool:
    return request.artifact is Artifact.CONNECTION and request.target is not None and request.target.role is Role.MIRROR


def _other_mirror_served(case: Case, moments_ns: list[int]) -> bool:
    """What is left to tell without go's account: where a failure stops its list, go asks no further mirror.

    moments_ns: when the failed connections began. The other must begin after the first and answer after the last.
    """
    first, last = min(moments_ns), max(moments_ns)
    return any(
        (target := item.target) is not None
        and target.role is Role.MIRROR
        and (flow := proof.flow_of(case, item)) is not None
        and flow.last_down_ns > last
        and flow.outcome is not Outcome.IDLE
        for item in case.requests
        if item.start_ns > first and not item.failure and item.handled_by is not HandledBy.NONE
    )


def waited_s(case: Case, request: Request) -> float:
    """How long the connection had been silent at the end of the command, else of the connection; 0 = not known."""
    flow = proof.flow_of(case, request)
    if flow is None:
        return 0.0
    spoken_ns = max(flow.last_up_ns, flow.last_down_ns)
    return max(0, (case.account.ended_ns or flow.end_ns) - spoken_ns) / 1e9 if spoken_ns else 0.0


def reason(request: Request) -> str:
    """Why a request failed, as a sentence: in go's words, or in ours where only packets tell."""
    if not request.failure:
        return ""
    if any(piece.kind is EvidenceKind.LOG for piece in request.evidence):
        return said(request.failure.text)
    return sentence(request.failure.text)


def answer_text(case: Case, requests: Iterable[Request]) -> str:
    """What the server wrote beside its status, where go quotes it (web.HTTPError), as a sentence."""
    urls = {item.url for item in requests}
    texts = (error.text.partition(_RESPONSE) for error in case.account.log.errors if error.url in urls)
    answer = next((text for _, _, text in texts if text), "")
    return f"It wrote: “{_one_line(answer)}”." if answer else ""


def said(text: str, by: str = "go") -> str:
    """What go printed, as a sentence on one line."""
    return f"{by} says “{_one_line(text).removeprefix('go: ')}”."


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def sentence(text: str) -> str:
    """`text` as a sentence: first letter upper case, full stop at the end."""
    return text[:1].upper() + text[1:].rstrip(". ") + "." if text else ""


def finding(
    case: Case,
    check_id: str,
    meta: Meta,
    *,
    title: str,
    detail: str,
    remedy: Remedy,
    subject: str,
    requests: Iterable[Request] = (),
    evidence: Iterable[Evidence] = (),
    signs: Iterable[Evidence] = (),
    severity: Severity | None = None,
    confidence: Confidence = Confidence.HIGH,
) -> Finding:
    """A finding with its check's metadata. evidence: what proves it, before what the ledger says of its requests.

    signs: pieces that must all be shown, several of which may be about one packet.

    An error that was made good by another entry of GOPROXY is a warning, unless `severity` says otherwise.
    """
    requests = tuple(requests)
    if confidence is Confidence.HIGH and requests and all(GUESSED in item.evidence for item in requests):
        confidence = Confidence.MEDIUM
    default = Severity.WARNING if meta.severity is Severity.ERROR and requests and recovered(case, requests) else None
    return Finding(
        id=check_id,
        severity=severity or default or meta.severity,
        confidence=confidence,
        audience=meta.audience,
        title=title,
        detail=detail,
        evidence=(*signs, *proof.chosen([*evidence, *proof.of_requests(case, requests)], case))
        or proof.chosen((piece for request in requests for piece in request.evidence), case),
        remedy=remedy,
        subject=subject,
        requests=tuple(request.id for request in requests),
        cause_rank=meta.cause_rank,
    )
