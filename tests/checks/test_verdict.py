"""The verdict: one sentence that names the cause, and never blames what did not stop the command."""

import pytest
from msgspec.structs import replace

from paths.made import Log, Net, ledger
from trace_go.checks.ranking import stopped_by
from trace_go.checks.verdict import verdict
from trace_go.gocmd.messages import parse_error
from trace_go.model import evidence
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.finding import Audience, Finding, Remedy, Severity, VerdictStatus
from trace_go.model.go import GoAccount, GoError, GoLog
from trace_go.model.report import Case, Seeing

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def case(exit_code: int | None, said: str = "") -> Case:
    errors = (GoError(text=said, line=1, module=None, version=None, url=None, kind="other"),) if said else ()
    account = GoAccount(exit_code=exit_code, argv=("go", "mod", "download"), log=GoLog(errors=errors, lines=1))
    return Case(files=(), flows=(), lookups=(), judgements=(), account=account, requests=(), seeing=())


def finding(
    title: str, severity: Severity = ERROR, audience: Audience = Audience.OPERATOR, rank: int = 50, fix: str = "Do it."
) -> Finding:
    return Finding(
        id="a-check",
        severity=severity,
        confidence=Confidence.HIGH,
        audience=audience,
        title=title,
        detail="",
        evidence=(evidence.log(1, "x"),),
        remedy=Remedy(text=fix),
        subject=title,
        cause_rank=rank,
    )


@pytest.mark.parametrize(
    ("exit_code", "severity", "audience", "status"),
    [
        (0, None, Audience.OPERATOR, VerdictStatus.OK),
        (0, NOTE, Audience.SECURITY, VerdictStatus.OK),
        (0, WARNING, Audience.OPERATOR, VerdictStatus.DEGRADED),
        (0, ERROR, Audience.DEVELOPER, VerdictStatus.DEGRADED),
        (0, WARNING, Audience.SECURITY, VerdictStatus.SUSPICIOUS),
        (1, None, Audience.OPERATOR, VerdictStatus.FAILED),
        (1, ERROR, Audience.SECURITY, VerdictStatus.FAILED),
        (None, ERROR, Audience.OPERATOR, VerdictStatus.FAILED),
        (None, WARNING, Audience.OPERATOR, VerdictStatus.DEGRADED),
        (None, WARNING, Audience.SECURITY, VerdictStatus.SUSPICIOUS),
        (None, None, Audience.OPERATOR, VerdictStatus.OK),
    ],
)
def test_status(exit_code: int | None, severity: Severity | None, audience: Audience, status: VerdictStatus) -> None:
    findings = [finding("a is b", severity, audience)] if severity else []
    assert verdict(case(exit_code), findings).status is status


def test_what_stops_a_request_earliest_comes_first() -> None:
    late, early, minor = finding("late", rank=50), finding("early", rank=10), finding("minor", WARNING, rank=1)
    found = verdict(case(1), [late, minor, early])
    assert found.summary == "early (2 more below)."
    assert found.causes == (early.key, late.key, minor.key)
    assert verdict(case(1), [early, minor, late]) == found


def test_a_fix_is_told_once() -> None:
    fixes = verdict(case(1), [finding(title, fix=fix) for title, fix in (("a", "A."), ("b", "A."), ("c", "C."))]).fix
    assert [fix.text for fix in fixes] == ["A.", "C."]


def test_it_worked_is_said_only_of_what_worked() -> None:
    warning = finding("The mirror is slow", WARNING)
    assert verdict(case(0), [warning]).summary == "It worked, but the mirror is slow."
    assert verdict(case(None), [warning]).summary == "The mirror is slow."


def test_a_warning_does_not_explain_a_failure() -> None:
    warning = finding("m is used over plain http", WARNING)
    found = verdict(case(2, "go: updates to go.mod needed\n\tgo mod tidy"), [warning])
    assert found.summary == (
        "The command failed with exit status 2; go says “updates to go.mod needed; go mod tidy”. "
        "Besides, m is used over plain http."
    )


def test_a_failure_that_nothing_explains() -> None:
    summary = "The command failed with exit status 1; nothing on the network path explains it."
    assert verdict(case(1), []).summary == summary


def test_nothing_was_asked() -> None:
    seen = Seeing(fact="Requests", visibility=Visibility.SEEN, why="")
    assert "made no module request" in verdict(replace(case(0), seeing=(seen,)), []).summary
    nobody = Case(files=(), flows=(), lookups=(), judgements=(), account=GoAccount(), requests=(), seeing=())
    assert verdict(nobody, []).summary == "No Go module request is visible in this input."


def told(*errors: str, asked_line: int = 0) -> Case:
    """Three requests that fail: a host is refused, a mirror forbids, an origin forbids; and what go says at last."""
    net, log = Net(), Log()
    log.get("https://a.example/m.example/x/@v/v1.0.0.mod", error="dial tcp 192.0.2.1:443: connect: connection refused")
    log.get("https://b.example/m.example/x/@v/v1.0.0.mod", 403)
    log.get("https://m.example/y?go-get=1", 403)
    requests = ledger(net, log, GOPROXY="https://a.example|https://b.example|direct")
    known = tuple(error for line, text in enumerate(errors, 100) if (error := parse_error(text, line)))
    fetches = tuple(replace(item, line=asked_line) for item in log.log.fetches)
    told = GoAccount(exit_code=1, log=GoLog(errors=known, lines=200, fetches=fetches))
    return Case(files=(), flows=(), lookups=(), judgements=(), account=told, requests=requests, seeing=())


@pytest.mark.parametrize(
    ("errors", "first"),
    [
        ((), 0),
        (('go: m.example/x@v1.0.0: Get "https://a.example/m.example/x/@v/v1.0.0.mod": EOF',), 0),
        (("go: m.example/x@v1.0.0: reading https://b.example/m.example/x/@v/v1.0.0.mod: 403 Forbidden",), 1),
        (('go: m.example/y@v1: unrecognized import path "m.example/y": reading https://m.example/y?go-get=1: 403',), 2),
        (("go: m.example/x@v1.0.0: something else",), 0),
        (("go: m.example/z@v1.0.0: not ours",), 0),
        (("go: m.example/y@v1: reading https://m.example/y?go-get=1: 403 Forbidden", "go: no such tool"), 2),
    ],
)
def test_what_go_says_last_comes_first(errors: tuple[str, ...], first: int) -> None:
    case = told(*errors)
    found = [replace(finding(str(number), rank=number), requests=(number,)) for number in range(3)]
    assert verdict(case, found).causes[0] == found[first].key
    warned = replace(found[first], severity=WARNING)
    assert verdict(case, [warned, replace(found[0], requests=(), subject="else")]).causes[0] != warned.key


def test_an_error_before_the_last_request_did_not_stop_a_script() -> None:
    errors = ("go: m.example/y@v1: reading https://m.example/y?go-get=1: 403 Forbidden", "go: m.example/x@v1.0.0: bad")
    case = told(*errors)
    assert stopped_by(case) == {0, 1, 2}
    assert stopped_by(told(*errors, asked_line=100)) == {0, 1}
    assert stopped_by(replace(case, account=replace(case.account, exit_code=0))) == set()
