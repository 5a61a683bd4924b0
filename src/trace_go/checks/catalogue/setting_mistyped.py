"""A setting of go is written wrongly.

What it means
    go refuses the value of a variable, or reads something else out of it than was meant: in GOPROXY it takes any other
    word than `direct` and `off` for a URL, puts https:// before what looks like a host, and splits at commas and bars
    only; in GOPRIVATE and its like it splits at commas and trims nothing, so that an entry with a blank, a scheme or
    a port matches no module; proxy variables in the file of `go env -w` are read by nobody.

Why it matters
    A refused value stops every download. A misread one sends go to a host that nobody meant, or leaves private modules
    unprotected without a word.

How we know
    go's error line, and the value itself, read by go's own rules; where it comes from is told by the environment and
    go's settings files. A host name that does not exist and resembles a known mirror's is taken for a typing error.

False positives
    A mirror whose own name resembles a public one's, while its name cannot be resolved.

What to do
    Correct the value where it is set: in the environment, or with `go env -w`. `go env -changed` shows what differs
    from the defaults.

References
    https://go.dev/ref/mod#environment-variables, cmd/go/internal/modfetch/proxy.go (proxyList),
    golang.org/x/mod/module (MatchPrefixPatterns), cmd/go/internal/base/goflags.go.
"""

import re
from collections.abc import Iterator

from trace_go.checks.command import setting, shell, target, unset
from trace_go.checks.framework import Meta, finding, said, some
from trace_go.checks.misnamed import misnamed
from trace_go.gocmd.environment import match_globs, settings
from trace_go.gocmd.layers import in_effect
from trace_go.gocmd.spelling import meaningless, meant_goproxy, meant_patterns
from trace_go.model import evidence
from trace_go.model.evidence import Confidence, Evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request, Role
from trace_go.model.report import Case

META = Meta(group="configuration", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=2)

PATTERNS = ("GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE")
NOT_FROM_FILES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_NAMED = re.compile(r"GOSUMDB|GOFLAGS|GOTOOLCHAIN")


def find(case: Case) -> Iterator[Finding]:
    refused = dict(_refused(case))
    yield from refused.values()
    if "GOPROXY" not in refused:
        yield from _misread(case)
    for name in PATTERNS:
        yield from _matches_nothing(case, name)
    yield from _not_read(case)
    for request, title in misnamed(case):
        yield finding(
            case,
            "setting-mistyped",
            META,
            title=title,
            detail="Packets do not show which setting it stands in.",
            remedy=Remedy(text="Look for the name in GOPROXY and GOSUMDB.", command="go env GOPROXY GOSUMDB"),
            subject=target(request),
            requests=[request],
        )


def _refused(case: Case) -> Iterator[tuple[str, Finding]]:
    """Variables that go refused, in its own words; else those that it is going to."""
    told: dict[str, tuple[str, list[Evidence]]] = {}
    for error in case.account.log.errors:
        if error.kind == "invalid-setting" or (error.kind == "invalid-url" and not error.url and _goproxy(case)):
            found = _NAMED.search(error.text)
            name = found[0] if found else "GOPROXY"
            told.setdefault(name, (said(error.text), [evidence.log(error.line, error.text)]))
    stopped = set(told)
    for problem in settings(case.account.go_env).problems if case.account.go_env else ():
        name = "GOSUMDB" if "GOSUMDB" in problem else "GOPROXY"
        told.setdefault(name, (f"go will say “{problem}” as soon as it needs the network.", []))
    for name, (detail, proof) in told.items():
        found_in = in_effect(case.account, name)
        yield (
            name,
            finding(
                case,
                "setting-mistyped",
                META,
                title=f"go refuses the value of {name}" + (f", {found_in.value}" if found_in else ""),
                detail=detail,
                remedy=_goproxy_remedy(case) if name == "GOPROXY" else _back(case, name),
                subject=name,
                evidence=[*proof, *([evidence.env(found_in.text)] if found_in else [])],
                severity=None if name in stopped else Severity.WARNING,
                confidence=Confidence.CERTAIN,
            ),
        )


def _misread(case: Case) -> Iterator[Finding]:
    """GOPROXY entries that go takes for something else."""
    value, meant = _goproxy(case), _meant(case)
    found_in = in_effect(case.account, "GOPROXY")
    if not found_in or meant == value:
        return
    entries = {entry.url for entry in settings({"GOPROXY": meant}).proxies}
    wrong = [entry.url for entry in settings({"GOPROXY": value}).proxies if entry.url not in entries]
    structural = meant_goproxy(value) != value
    yield finding(
        case,
        "setting-mistyped",
        META,
        title=f"GOPROXY has a typing error: {value}",
        detail=f"go takes {some(wrong)} for a mirror; “{meant}” was probably meant.",
        remedy=_goproxy_remedy(case),
        subject="GOPROXY",
        requests=[item for item in case.requests if item.proxy_entry in wrong],
        evidence=[
            evidence.env(found_in.text),
            *(evidence.log(error.line, error.text) for error in case.account.log.errors if error.kind == "invalid-url"),
        ],
        confidence=Confidence.HIGH if structural else Confidence.MEDIUM,
    )


def _matches_nothing(case: Case, name: str) -> Iterator[Finding]:
    found_in = in_effect(case.account, name)
    wrong = meaningless(found_in.value) if found_in and found_in.role != "default" else ()
    if found_in and wrong:
        meant = meant_patterns(found_in.value)
        missed = [
            item
            for item in case.requests
            if item.module and match_globs(meant, item.module) and not match_globs(found_in.value, item.module)
        ]
        yield finding(
            case,
            "setting-mistyped",
            META,
            title=f"{name} holds {some(f'“{text}”' for text in wrong)}, which matches no module",
            detail="go compares each entry, as it stands between commas, with module paths: without scheme, port and "
            "blanks." + (f" So it did not cover {some(item.module or '' for item in missed)}." if missed else ""),
            remedy=Remedy(
                text=f"Correct the entries of {name}, and see that each is meant.",
                command=setting(case, name, meant),
            ),
            subject=name,
            requests=missed,
            evidence=[evidence.env(found_in.text)],
            severity=Severity.ERROR if any(item.failure for item in missed) else Severity.WARNING,
        )


def _not_read(case: Case) -> Iterator[Finding]:
    """Variables in the file of `go env -w` that go takes from the environment only."""
    for file in case.account.settings_files:
        names = [name for name in NOT_FROM_FILES if name in file.values and not case.account.process_env.get(name)]
        if file.role == "user" and names:
            yield finding(
                case,
                "setting-mistyped",
                META,
                title=f"{some(names)} in go's settings file has no effect",
                detail=f"It stands in {file.path}, but go takes it from the environment only.",
                remedy=Remedy(
                    text="Set it in the environment, for example in the shell's profile.",
                    command=shell("export {}", f"{names[0]}={file.values[names[0]]}"),
                ),
                subject=names[0],
                evidence=[evidence.env(f"{name}={file.values[name]} from {file.path}") for name in names],
                severity=Severity.WARNING,
            )


def _goproxy(case: Case) -> str:
    return case.account.go_env.get("GOPROXY", "")


def _meant(case: Case) -> str:
    unknown = {target(item) for item in case.requests if _has_no_address(item)}
    mirrors = {name for name, host in case.known.items() if host.role == Role.MIRROR} - unknown
    return meant_goproxy(_goproxy(case), sorted(mirrors), unknown)


def _has_no_address(request: Request) -> bool:
    return request.failure is not None and request.failure.kind == "nxdomain"


def _goproxy_remedy(case: Case) -> Remedy:
    meant = _meant(case)
    if meant == _goproxy(case) or settings({"GOPROXY": meant}).problems or "@" in meant:
        return _back(case, "GOPROXY")
    return Remedy(text="Correct GOPROXY; see that this is what you mean.", command=setting(case, "GOPROXY", meant))


def _back(case: Case, name: str) -> Remedy:
    return Remedy(text=f"Correct {name} where it is set, or go back to go's default.", command=unset(case, name))
