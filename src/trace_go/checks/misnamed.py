"""Names that nobody has and that look like a setting's typing error: all that packets alone show of it."""

from collections.abc import Iterator
from difflib import get_close_matches

from trace_go.checks.command import target
from trace_go.model.ledger import Request, Role
from trace_go.model.report import Case

_CLOSE = 0.9
"""similarity of difflib: one letter of a host name"""
_SCHEMES = ("http", "https")


def misnamed(case: Case) -> Iterator[tuple[Request, str]]:
    """Each request for a name that does not exist, and what the name shows; nothing where go's settings are known."""
    if case.account.present:
        return
    known = {name for name, host in case.known.items() if host.role in (Role.MIRROR, Role.CHECKSUM_DB)}
    for request in case.requests:
        if request.failure and request.failure.kind == "nxdomain" and (name := target(request)) not in known:
            if name in _SCHEMES:
                yield request, f"A host called {name} was asked for: a URL lacks the colon behind its scheme"
            elif close := get_close_matches(name, known, n=1, cutoff=_CLOSE):
                yield request, f"{name}, which nobody has, looks like {close[0]} with a typing error"
