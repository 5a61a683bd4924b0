"""list-ends-without-direct: nobody else may be asked, by a list that ends at a mirror or with off."""

from msgspec.structs import replace

from checks.conftest import Run, checks_of, kinds
from trace_go.checks.catalogue import list_ends_without_direct, module_not_found
from trace_go.model.finding import Finding
from trace_go.model.go import GoAccount, GoError, GoLog
from trace_go.model.report import Case

NOTHING = Case(files=(), flows=(), lookups=(), judgements=(), account=GoAccount(), requests=(), seeing=())


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "list-ends-without-direct:end"
    assert (found.severity, found.audience, found.confidence) == ("error", "developer", "high")
    assert found.title == "2 modules are not at proxy.golang.org, and GOPROXY ends there"
    assert found.remedy.command == "go env -w GOPRIVATE=corp.example/team/lib,corp.example/tool"
    assert {"env", "log"} <= kinds(found)
    assert {fires.whole.requests[number].status for number in found.requests} == {404}
    assert checks_of(fires.whole) == {"list-ends-without-direct"}
    assert fires.in_account.detail == found.detail


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert any(request.handled_by == "direct" for request in silent.whole.requests)


def test_a_version_that_does_not_exist(regression: Run) -> None:
    assert checks_of(regression.whole) == {"module-not-found"}


def test_packets_alone_hide_it(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


def found(goproxy: str) -> Finding:
    error = GoError(
        text="go: a.test/m@v1.0.0: module lookup disabled by GOPROXY=off",
        line=2,
        module="a.test/m",
        version="v1.0.0",
        url=None,
        kind="disabled-by-off",
    )
    env = {"GOPROXY": goproxy}
    case = replace(NOTHING, account=GoAccount(go_env=env, process_env=env, log=GoLog(errors=(error,))))
    assert list(module_not_found.find(case)) == []
    [finding] = list_ends_without_direct.find(case)
    return finding


def test_off_alone() -> None:
    finding = found("off")
    assert finding.title == "a.test/m@v1.0.0 is not in the module cache, and GOPROXY is off"
    assert finding.remedy.command == "unset GOPROXY"


def test_off_at_the_end() -> None:
    finding = found("https://m.test,off")
    assert finding.key == "list-ends-without-direct:off"
    assert finding.remedy.command == "go env -w GOPRIVATE=a.test/m"
