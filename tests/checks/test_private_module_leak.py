"""private-module-leak: why a module is private, who learned of it, and the setting that keeps it from them."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from checks.cases import KNOWN, PUBLIC, case
from checks.conftest import Run, checks_of, kinds
from paths.made import Log, Net, account, ledger
from trace_go.checks.catalogue.private_module_leak import find
from trace_go.checks.privacy import patterns_for, private_modules, wide
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Finding, Severity
from trace_go.model.policy import Policy
from trace_go.model.report import Case


def leaks(found: Case) -> Sequence[Finding]:
    return list(find(found))


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "private-module-leak:GOPRIVATE"
    assert (found.severity, found.audience, found.confidence) == ("warning", "security", "high")
    assert found.title == "proxy.golang.org learned of 2 private modules"
    assert found.detail == "corp.example/team/lib, corp.example/tool: named in GOPRIVATE."
    assert found.remedy.command == "export GONOPROXY=corp.example"  # which overrides GOPRIVATE there
    assert {"env", "log"} <= kinds(found)
    assert {fires.whole.requests[number].artifact for number in found.requests} == {"mod", "info", "zip"}
    assert fires.whole.verdict.status == "suspicious"
    assert checks_of(fires.whole) == {"private-module-leak"}  # and not unexpected-direct as well
    assert fires.in_account.key == found.key


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert {request.handled_by for request in silent.whole.requests} == {"direct"}


def test_half_the_world_is_not_private(regression: Run) -> None:
    assert regression.found == []
    assert any("sumdb" in (request.url or "") for request in regression.whole.requests) is False


def test_packets_alone_hide_it(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


URL = f"{PUBLIC}/git.corp.example/m/@v/v1.0.0.mod"
LOOKUP = "sumdb/sum.golang.org/lookup/git.corp.example/m@v1.0.0"


@pytest.mark.parametrize(
    ("env", "kind", "severity"),
    [
        ({"GONOPROXY": "none", "GOPRIVATE": "*.corp.example"}, "GOPRIVATE", Severity.WARNING),
        ({"GONOSUMDB": "git.corp.example"}, "GONOSUMDB", Severity.NOTE),
        ({"GONOSUMDB": "*"}, "", None),
        ({}, "", None),
    ],
)
def test_settings_call_modules_private(env: dict[str, str], kind: str, severity: Severity | None) -> None:
    found = leaks(case(URL, **env))
    assert [(item.subject, item.severity) for item in found] == ([(kind, severity)] if kind else [])


def test_the_policy_comes_first() -> None:
    policy = Policy(private_modules=("git.corp.example/m",))
    [found] = leaks(case(URL, policy=policy, GONOSUMDB="git.corp.example"))
    assert (found.subject, found.confidence) == ("policy", Confidence.CERTAIN)
    assert found.remedy.command == "go env -w GOPRIVATE=git.corp.example"


@pytest.mark.parametrize(
    ("base", "parties"),
    [
        (PUBLIC, "proxy.golang.org and sum.golang.org"),
        ("https://mirror.corp.example", "sum.golang.org"),
        ("https://corp.jfrog.io/go", "sum.golang.org"),
    ],
)
def test_a_mirror_passes_the_name_on_to_the_database(base: str, parties: str) -> None:
    policy = Policy(private_modules=("git.corp.example",))
    [found] = leaks(case(f"{base}/{LOOKUP}", policy=policy, GOPROXY=base))
    assert found.title == f"{parties} learned of the private module git.corp.example/m"


def test_an_own_mirror_may_know() -> None:
    policy = Policy(private_modules=("git.corp.example",))
    assert leaks(case("https://goproxy.corp.example/git.corp.example/m/@v/list", policy=policy)) == []


def test_an_address_of_a_private_network() -> None:
    net, log = Net(), Log()
    net.resolve("git.corp.example", "10.1.2.3")
    net.flow("git.corp.example", "10.1.2.3")
    log.get(URL, 404, sent=[404])
    log.get("https://git.corp.example/m?go-get=1", sent=[200])
    env = {"GOPROXY": f"{PUBLIC},direct"}
    found = replace(case(), account=account(log, go_env=env), requests=ledger(net, log, **env), flows=net.traffic.flows)
    assert private_modules(found)["git.corp.example/m"].kind == "address"
    assert [item.subject for item in leaks(found)] == ["address"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", True), ("*.com", True), ("*/*", True), ("github.com", True), ("github.com/*", True),
        ("golang.org/", True),
        ("*.corp.example", False), ("github.com/corp", False), ("*.corp", False), ("corp.example", False),
        ("git.corp.example/team-*", False),
    ],
)  # fmt: skip
def test_wide(pattern: str, expected: bool) -> None:
    assert wide(pattern, KNOWN) is expected


def test_patterns_cover_the_owner_and_nobody_else() -> None:
    modules = ["corp.example/a", "corp.example/b/c", "github.com/corp/x", "github.com/corp/y/v2"]
    assert patterns_for(modules, KNOWN) == ["corp.example", "github.com/corp"]
