"""setting-mistyped: what go refuses or takes for something else, told in its words and with what was meant."""

import pytest
from msgspec.structs import replace

from checks.conftest import Run, kinds
from trace_go.checks.catalogue.setting_mistyped import find
from trace_go.model.finding import Finding, Severity
from trace_go.model.go import GoAccount, GoError, GoLog, SettingsFile
from trace_go.model.report import Case

NOTHING = Case(files=(), flows=(), lookups=(), judgements=(), account=GoAccount(), requests=(), seeing=())


def findings(
    said: str = "", kind: str = "invalid-setting", file: SettingsFile | None = None, **env: str
) -> list[Finding]:
    error = GoError(text=said, line=3, module=None, version=None, url=None, kind=kind)
    account = GoAccount(
        go_env={"GOPROXY": "direct", **env},
        process_env=env,
        settings_files=(file,) if file else (),
        log=GoLog(errors=(error,) if said else ()),
    )
    return list(find(replace(NOTHING, account=account)))


def test_fires(fires: Run) -> None:
    finding = fires.only
    assert finding.title == "GOPROXY has a typing error: https//proxy.golang.org,direct"
    assert finding.severity == "error"
    assert finding.remedy.command == "export GOPROXY=https://proxy.golang.org,direct"
    assert kinds(finding) == {"env", "log", "packet"}
    assert fires.in_account.severity == "error"
    assert fires.whole.verdict.causes[0] == finding.key


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_what_go_takes_is_no_error(regression: Run) -> None:
    assert regression.found == []
    assert regression.whole.command
    assert regression.whole.command.go_env["GOPROXY"].strip() == "proxy.golang.org ,, direct"


@pytest.mark.parametrize(
    ("value", "said", "kind", "command"),
    [
        ("htps://m.test", "go: a.test/m@v1.0.0: invalid proxy URL scheme", "invalid-setting", "GOPROXY=https://m.test"),
        (
            "m.test drect",
            'go: a.test/m@v1.0.0: parse "https://m.test drect": x',
            "invalid-url",
            "GOPROXY=m.test,direct",
        ),
        (",", "go: a.test/m@v1.0.0: GOPROXY list is not the empty string", "invalid-setting", None),
    ],
)
def test_go_refuses(value: str, said: str, kind: str, command: str | None) -> None:
    [finding] = findings(said, kind, GOPROXY=value)
    assert finding.severity is Severity.ERROR
    assert finding.remedy.command == (f"export {command}" if command else "unset GOPROXY")
    assert [piece.line for piece in finding.evidence] == [3, None]


def test_what_go_will_refuse_is_a_warning() -> None:
    [finding] = findings(GOSUMDB="sum.golang.org+x")
    assert (finding.severity, finding.subject) == (Severity.WARNING, "GOSUMDB")
    assert "malformed verifier id" in finding.detail


def test_the_command_goes_to_where_the_value_is() -> None:
    file = SettingsFile(role="user", path="/home/me/.config/go/env", values={"GOFLAGS": "-modcacher"})
    [finding] = findings("go: parsing $GOFLAGS: unknown flag -modcacher", file=file)
    assert finding.remedy.command == "go env -u GOFLAGS"
    assert "/home/me/.config/go/env" in finding.evidence[1].text


def test_a_pattern_that_matches_nothing() -> None:
    [finding] = findings(GOPRIVATE="corp.example, git.corp.example")
    assert finding.title == "GOPRIVATE holds “ git.corp.example”, which matches no module"
    assert finding.severity is Severity.WARNING
    assert finding.remedy.command == "export GOPRIVATE=corp.example,git.corp.example"


def test_proxy_variables_are_read_from_the_environment_only() -> None:
    file = SettingsFile(role="user", path="/e", values={"HTTPS_PROXY": "http://p.test:3128"})
    [finding] = findings(file=file)
    assert finding.remedy.command == "export HTTPS_PROXY=http://p.test:3128"
    assert findings(file=file, HTTPS_PROXY="http://p.test:3128") == []
