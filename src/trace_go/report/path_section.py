"""The section of the paths: hop by hop, with the times of each stage and the place where it broke."""

from collections import defaultdict
from collections.abc import Sequence

from rich.text import Text

from trace_go.model.evidence import Visibility
from trace_go.model.ledger import Artifact, HandledBy, Hop, Request, Role
from trace_go.report.escape import clean, prose
from trace_go.report.page import Page, slowest

MAX_PATHS = 4

_STAGES = {"dns_s": "DNS", "connect_s": "connect", "tunnel_s": "tunnel", "tls_s": "TLS"}
_ROLE = {Role.FORWARD_PROXY: "forward proxy", Role.CHECKSUM_DB: "checksum database", Role.CDN: "CDN"}


def draw_paths(page: Page, requests: Sequence[Request]) -> None:
    groups: dict[tuple[object, ...], list[Request]] = defaultdict(list)
    for request in requests:
        if request.hops:
            way = tuple((hop.role, hop.host, hop.ip, hop.broken) for hop in request.hops)
            groups[way, request.failure and request.failure.kind].append(request)
    ranked = sorted(groups.values(), key=_rank)
    if ranked:
        page.head("Path")
    for number, group in enumerate(ranked[:MAX_PATHS]):
        if number:
            page.lines.append(Text())
        _path(page, group)
    if len(ranked) > MAX_PATHS:
        page.lines.append(Text())
        left = len(ranked) - MAX_PATHS
        page.add(("  ", ""), text=f"and {left} more {'path' if left == 1 else 'paths'}", style="dim")


def _rank(requests: Sequence[Request]) -> tuple[bool, bool, int]:
    """Paths that failed first, then those that were intercepted, then the busiest."""
    first = requests[0]
    return not first.failed, first.handled_by is not HandledBy.MITM, -len(requests)


def _path(page: Page, requests: Sequence[Request]) -> None:
    """One path, a hop a line, with the times of the stage that leads to it and the broken place marked."""
    first = requests[0]
    page.add(("  ● ", "green"), ("this client  ", ""), text=_requests(requests), style="dim")
    for hop in first.hops:
        page.add(("  │ ", "dim"), text=_stage(hop, requests), style="dim")
        if hop.broken:
            page.add(("  ✗ ", "bold red"), text=_party(hop), style="bold")
            page.add(("    ", ""), text=prose(first.failure.text if first.failure else "", 240), style="red")
            break
        unsure = "" if hop.visibility is Visibility.SEEN else f"  ({hop.visibility.value})"
        page.add(("  ● ", "green"), text=_party(hop) + unsure)


def _requests(requests: Sequence[Request]) -> str:
    number = len(requests)
    noun = "connection" if requests[0].artifact is Artifact.CONNECTION else "request"
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _party(hop: Hop) -> str:
    name = clean(hop.label if hop.role is Role.INTERCEPTOR else hop.host or hop.ip or "?", 120)
    address = f" [{clean(hop.ip, 60)}]" if hop.ip and hop.ip != name else ""
    known = hop.label and hop.role is not Role.INTERCEPTOR and name not in hop.label
    label = f", {clean(hop.label, 60)}" if known else ""
    role = "host" if hop.role is Role.CDN and not hop.label else _ROLE.get(hop.role, hop.role.value)
    return f"{role} {name}{address}{label}"


def _stage(hop: Hop, requests: Sequence[Request]) -> str:
    """Times of the stages that end at this hop of the first request; of several requests the slowest."""
    first = requests[0]
    roles = [item.role for item in first.hops]
    if hop.redirected:
        return "redirected"
    stages: tuple[str, ...] = ()
    if hop.role is Role.RESOLVER:
        stages = ("dns_s",)
    elif hop.role is Role.FORWARD_PROXY:
        stages = ("connect_s",)
    elif hop.role is Role.INTERCEPTOR or (hop is first.target and Role.INTERCEPTOR not in roles):
        stages = ("tunnel_s" if Role.FORWARD_PROXY in roles else "connect_s", "tls_s")
    told = [(_STAGES[name], slowest([getattr(item.timings, name) for item in requests])) for name in stages]
    return ", ".join(f"{name} {time}" for name, time in told if time)
