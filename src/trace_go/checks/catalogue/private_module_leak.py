"""A private module's name was told to a public mirror or checksum database.

What it means
    go asked a public party about a module that is yours: the mirror for the module itself, the checksum database for
    its hash. Neither can have it; both keep logs.

Why it matters
    The names and versions of private modules tell what you build and with what. And somebody who registers the name
    could be asked for it first.

How we know
    The requests that were answered, and one of: [policy] private-modules of trace-go.toml, GOPRIVATE, GONOPROXY or
    GONOSUMDB naming the module while another setting overrides it, its server's address in a private network, or the
    checksum database not getting what the module's own server delivers. Entries that cover half the world, such as `*`
    or `github.com`, call nothing private.

False positives
    A public module in GONOSUMDB, because its tag was moved. A public server that is only in your network private by
    address, as with a split DNS.

What to do
    Name your modules in GOPRIVATE: go then fetches them from their own server and asks nobody else. Where GONOPROXY or
    GONOSUMDB is set, it overrides GOPRIVATE for its part and must name them as well.

References
    https://go.dev/ref/mod#private-modules, https://go.dev/ref/mod#private-module-privacy,
    cmd/go/internal/modfetch/{repo,sumdb}.go.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import settings_command
from trace_go.checks.framework import Meta, count, finding, some
from trace_go.checks.privacy import Reason, learned, patterns_for, private_modules, with_patterns
from trace_go.gocmd.layers import in_effect
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=101)

MAX_MODULES = 5
"""named in a finding"""


def find(case: Case) -> Iterator[Finding]:
    reasons = private_modules(case)
    leaks: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        if request.module in reasons and learned(case, request):
            leaks[reasons[request.module].kind].append(request)
    for kind, requests in leaks.items():
        modules = list(dict.fromkeys(request.module or "" for request in requests))
        parties = sorted({name for request in requests for name in learned(case, request)})
        told: dict[str, Reason] = {module: reasons[module] for module in modules}
        what = modules[0] if len(modules) == 1 else count(len(modules), "private module")
        yield finding(
            case,
            "private-module-leak",
            META,
            title=f"{' and '.join(parties)} learned of {'the private module ' * (len(modules) == 1)}{what}",
            detail=f"{some(modules, MAX_MODULES)}: {told[modules[0]].text}.",
            remedy=_remedy(case, modules, parties),
            subject=kind,
            requests=requests,
            evidence=[piece for reason in told.values() for piece in reason.evidence],
            severity=Severity.NOTE if kind == "GONOSUMDB" else None,
            confidence=told[modules[0]].confidence,
        )


def _remedy(case: Case, modules: list[str], parties: list[str]) -> Remedy:
    """GOPRIVATE, or what overrides it: GONOPROXY for a mirror, GONOSUMDB for the checksum database."""
    patterns = patterns_for(modules, case.known)
    roles = {case.known[name].role for name in parties}
    overriding = [
        name
        for name, role in (("GONOPROXY", "mirror"), ("GONOSUMDB", "checksum-db"))
        if role in roles and (setting := in_effect(case.account, name)) and setting.role != "default"
    ]
    names = overriding or ["GOPRIVATE"]
    values = {name: with_patterns(case, name, patterns) for name in names}
    text = "Name your modules in GOPRIVATE: then go asks only their own server about them."
    if overriding:
        text = f"{' and '.join(names)} overrides GOPRIVATE: name your modules there as well."
    return Remedy(text=text, command=settings_command(case, values))
