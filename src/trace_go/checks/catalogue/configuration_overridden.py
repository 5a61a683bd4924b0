"""A setting that somebody wrote is overridden by another.

What it means
    A variable has one value in the file of `go env -w` and another in the environment: go uses the environment's. Or
    GOENV names another file (or `off`), and the settings in the usual one are not read at all.

Why it matters
    The command does not use the mirror, the database or the flags that the person at the keyboard has set, and
    `go env -w` seems to have no effect.

How we know
    The command's environment and the settings files, in go's own order: environment, file of GOENV, go.env of the
    toolchain.

False positives
    A variable that was set for this one command on purpose. While the command succeeds it is therefore a note, unless
    the value in effect switches a protection off.

What to do
    Keep one of the two: `unset` the variable (and take it out of the shell's profile, the CI job or the image), or
    take the other back with `go env -u`.

References
    cmd/go/internal/cfg/cfg.go (Getenv), `go help environment`.
"""

from collections.abc import Iterator

from trace_go.checks.command import shell
from trace_go.checks.framework import Meta, finding
from trace_go.gocmd.layers import Setting, layers, unused
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="configuration", severity=Severity.WARNING, audience=Audience.DEVELOPER, cause_rank=107)

NAMES = (
    *("GOPROXY", "GONOPROXY", "GOPRIVATE", "GOSUMDB", "GONOSUMDB", "GOINSECURE"),
    *("GOFLAGS", "GOVCS", "GOAUTH", "GOTOOLCHAIN"),
)


def find(case: Case) -> Iterator[Finding]:
    if not case.requests and not case.account.exit_code:
        return  # nothing was decided by it
    for name in NAMES:
        found = layers(case.account, name)
        wanted = next((item for item in found[1:] if item.role == "user"), None) or unused(case.account, name)
        if found and wanted and found[0].value != wanted.value:
            yield _finding(case, found[0], wanted)


def _finding(case: Case, used: Setting, wanted: Setting) -> Finding:
    by_goenv = wanted.role == "unused"
    goenv = case.account.process_env.get("GOENV", "")
    why = f"GOENV={goenv} keeps go from reading it" if by_goenv else "the environment comes first"
    weaker = used.name == "GOSUMDB" and used.value == "off"
    return finding(
        case,
        "configuration-overridden",
        META,
        title=f"{used.name} set with `go env -w` is overridden by {'GOENV' if by_goenv else used.place}",
        detail=f"go uses {used.value}, not {wanted.value}: {why}.",
        remedy=Remedy(
            text="If the value of `go env -w` is right, remove the other, also where the environment is set up.",
            command=shell("unset {}", "GOENV" if by_goenv and used.role != "environment" else used.name),
        ),
        subject=used.name,
        evidence=[evidence.env(used.text), evidence.env(wanted.text)],
        severity=Severity.WARNING if case.account.exit_code or weaker else Severity.NOTE,
    )
