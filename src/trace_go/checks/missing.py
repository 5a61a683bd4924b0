"""Modules that go found nowhere, and whether GOPROXY let it look everywhere."""

from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from trace_go.gocmd.environment import settings
from trace_go.gocmd.replay import NOT_FOUND, route
from trace_go.model.go import GoError
from trace_go.model.ledger import Artifact, Request
from trace_go.model.report import Case

_KINDS = ("unknown-revision", "unrecognized-import", "disabled-by-off")
SUMDB = frozenset({Artifact.SUMDB_SUPPORTED, Artifact.SUMDB_LOOKUP, Artifact.SUMDB_TILE, Artifact.SUMDB_LATEST})


class Missing(Struct, frozen=True, kw_only=True):
    module: str
    version: str | None
    told: GoError | None
    """go's own words"""
    requests: tuple[Request, ...]
    """that ended its search; empty when nobody was asked"""
    cut_short: str
    """`off` or `end` when GOPROXY ends so before the module's own server, which may have it; else empty"""

    @property
    def name(self) -> str:
        return _name(self.module, self.version)


def missing(case: Case) -> Iterator[Missing]:
    errors: dict[str, GoError] = {}
    for error in case.account.log.errors:
        ended = error.kind in _KINDS or (error.kind == "status" and error.status in NOT_FOUND)
        if error.module and ended and not _of_sumdb(error):
            errors.setdefault(_name(error.module, error.version), error)
    requests: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        # Where the plan of GOPROXY is not known, a 404 may have been followed by another entry.
        if request.module and request.failure and request.status in NOT_FOUND and request.next_entry:
            requests[_name(request.module, request.version)].append(request)
    known = {item.module for item in case.requests if item.status == 200 and item.artifact not in SUMDB}
    for name in dict.fromkeys([*errors, *requests]):
        module, _, version = name.partition("@")
        told = errors.get(name)
        if not told and any(other.startswith(f"{module}/") for other in case.by_module):
            continue  # go looks for a package at every prefix of its path
        yield Missing(
            module=module,
            version=version or None,
            told=told,
            requests=tuple(requests.get(name) or case.by_module.get(module, [])),
            cut_short="" if module in known else _end(case, module, told),
        )


def _end(case: Case, module: str, told: GoError | None) -> str:
    if told and told.kind == "disabled-by-off":
        return "off"
    entries = route(module, settings(case.account.go_env)) if case.account.go_env else ()
    last = entries[-1].url if entries else "direct"
    return "" if last == "direct" else "off" if last == "off" else "end"


def _of_sumdb(error: GoError) -> bool:
    return error.url is not None and ("/sumdb/" in error.url or "/lookup/" in error.url)


def _name(module: str, version: str | None) -> str:
    return f"{module}@{version}" if version else module
