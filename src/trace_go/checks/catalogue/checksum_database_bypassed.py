"""Public modules are downloaded without asking the checksum database.

What it means
    GOSUMDB=off, or an entry of GONOSUMDB or GOPRIVATE that covers public modules, such as `*` or `github.com`, keeps go
    from comparing what it downloads with what everybody else gets.

Why it matters
    For a module that go.sum does not hold yet, go then believes the mirror, and whoever can stand in its place, word
    for word. A changed module is not noticed, today or later: go.sum records the changed hash.

How we know
    The setting as go reads it, and the modules that were downloaded in this run. A module counts as public when a
    public mirror delivered it, or when only an entry that covers half the world exempts it.

False positives
    All modules were in go.sum before: then go would not have asked. A mirror of your own with a database of its own.

What to do
    Let GOSUMDB have its default again, and name only your own modules in GOPRIVATE. Where sum.golang.org cannot be
    reached, a mirror that passes the database on (/sumdb/…) serves as well: go asks it by itself.

References
    https://go.dev/ref/mod#checksum-database, https://go.dev/ref/mod#environment-variables,
    cmd/go/internal/modfetch/sumdb.go (useSumDB).
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import cache, partial

from trace_go.checks.command import setting, unset
from trace_go.checks.framework import Meta, count, finding, some
from trace_go.checks.privacy import TOOLCHAIN, is_published, narrow, private_modules
from trace_go.gocmd.environment import match_globs
from trace_go.gocmd.layers import Setting, in_effect
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, Request
from trace_go.model.report import Case

META = Meta(group="configuration", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=103)

_CONTENT = (Artifact.MOD, Artifact.ZIP, Artifact.GO_GET)
DEFAULT = "sum.golang.org"


def find(case: Case) -> Iterator[Finding]:
    private, exempting = private_modules(case), cache(partial(_exempting, case))
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        got = request.artifact in _CONTENT and not request.failure and (request.status or 0) == 200
        public = got and request.module not in private and request.module != TOOLCHAIN
        if public and request.module and (found := exempting(request.module)):
            groups[found.name].append(request)
    for name, requests in groups.items():
        found = in_effect(case.account, name)
        modules = {request.module or "" for request in requests}
        if found:
            yield finding(
                case,
                "checksum-database-bypassed",
                META,
                title=f"{name}={found.value} keeps {count(len(modules), 'module')} from the checksum database",
                detail=f"{some(modules)}: what go.sum had no hash for was accepted unchecked.",
                remedy=_remedy(case, found),
                subject=name,
                requests=requests,
                evidence=[evidence.env(found.text)],
            )


def _exempting(case: Case, module: str) -> Setting | None:
    """The setting that exempts a public module."""
    database = in_effect(case.account, "GOSUMDB")
    if database and database.value == "off":
        return database
    exempt = in_effect(case.account, "GONOSUMDB")
    if not exempt or not match_globs(exempt.value, module):
        return None
    by_name = match_globs(",".join(narrow(exempt.value, case.known)), module)
    if by_name and not is_published(case, module):
        return None
    return in_effect(case.account, "GOPRIVATE") if exempt.role == "default" else exempt


def _remedy(case: Case, found: Setting) -> Remedy:
    if found.name == "GOSUMDB":
        standing = setting(case, "GOSUMDB", DEFAULT) if found.role == "toolchain" else unset(case, "GOSUMDB")
        return Remedy(text="Let go ask the checksum database again, itself or through the mirror.", command=standing)
    own = ",".join(narrow(found.value, case.known))
    command = setting(case, found.name, own) if own else unset(case, found.name)
    return Remedy(text=f"Name only your own modules in {found.name}.", command=command)
