"""configuration-overridden: the environment, and GOENV, against `go env -w`."""

import pytest
from msgspec.structs import replace

from checks.cases import case
from checks.conftest import Run, kinds
from trace_go.checks.catalogue.configuration_overridden import find
from trace_go.model.finding import Finding, Severity
from trace_go.model.go import SettingsFile


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "configuration-overridden:GOPROXY"
    assert (found.severity, found.audience) == ("warning", "developer")
    assert found.title == "GOPROXY set with `go env -w` is overridden by the environment"
    assert "https://mirror.corp.example, not https://proxy.golang.org,direct" in found.detail
    assert found.remedy.command == "unset GOPROXY"
    assert kinds(found) == {"env"}
    assert fires.whole.verdict.causes == ["connection-refused:mirror.corp.example", found.key]
    assert fires.in_account.detail == found.detail


def test_silent(silent: Run) -> None:
    assert silent.found == []


def test_the_same_twice_overrides_nothing(regression: Run) -> None:
    assert regression.found == []


def test_packets_alone_do_not_show_settings(fires: Run) -> None:
    assert all(finding.id != "configuration-overridden" for finding in fires.packets.findings)


def findings(role: str, exit_code: int, value: str = "https://user.test", **env: str) -> list[Finding]:
    found = case("https://env.test/a.test/m/@v/list", status=200, **env)
    name = next(iter(env)) if "GOENV" not in env else "GOPROXY"
    file = SettingsFile(role=role, path="/home/me/.config/go/env", values={name: value})
    return list(find(replace(found, account=replace(found.account, settings_files=(file,), exit_code=exit_code))))


@pytest.mark.parametrize(
    ("exit_code", "env", "severity"),
    [
        (0, {"GOPROXY": "https://env.test"}, Severity.NOTE),
        (1, {"GOPROXY": "https://env.test"}, Severity.WARNING),
        (0, {"GOSUMDB": "off"}, Severity.WARNING),
    ],
)
def test_what_works_is_a_note(exit_code: int, env: dict[str, str], severity: Severity) -> None:
    assert [item.severity for item in findings("user", exit_code, **env)] == [severity]


def test_goenv_names_another_file() -> None:
    [found] = findings("unused", 0, GOENV="off")
    assert found.title == "GOPROXY set with `go env -w` is overridden by GOENV"
    assert found.remedy.command == "unset GOENV"


def test_nothing_was_decided_by_it() -> None:
    found = case(GOPROXY="direct")
    file = SettingsFile(role="user", path="/e", values={"GOPROXY": "off"})
    told = replace(found.account, settings_files=(file,), exit_code=0)
    assert list(find(replace(found, account=told, requests=()))) == []
