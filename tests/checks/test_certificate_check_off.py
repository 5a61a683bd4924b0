"""certificate-check-off: GOINSECURE for an origin, git's variable, and an entry for half the world."""

from msgspec.structs import replace

from checks.cases import case
from checks.conftest import Run, kinds
from paths.made import Log, Net, account, ledger
from trace_go.checks.catalogue.certificate_check_off import find
from trace_go.model.finding import Severity

PAGE = "https://corp.example/m?go-get=1"


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "certificate-check-off:GOINSECURE"
    assert (found.severity, found.audience, found.confidence) == ("warning", "security", "high")
    assert found.title == "The certificate of corp.example is not checked (GOINSECURE)"
    assert "would not have been accepted" in found.detail
    assert found.remedy.command == "unset GOINSECURE"
    assert {"env", "probe"} <= kinds(found)
    assert {fires.whole.requests[number].artifact for number in found.requests} == {"go-get"}
    assert (fires.whole.verdict.status, fires.in_account.title) == ("suspicious", found.title)


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_mirrors_are_not_concerned(regression: Run) -> None:
    assert regression.found == []


def test_packets_alone_do_not_show_settings(fires: Run) -> None:
    assert fires.packets.findings == []


def test_an_entry_for_half_the_world_is_a_note() -> None:
    [found] = find(case("https://proxy.golang.org/a.test/m/@v/list", status=200, GOINSECURE="*,corp.example"))
    assert found.severity is Severity.NOTE
    assert found.remedy.command == "export GOINSECURE=corp.example"


def test_plain_http_is_counted() -> None:
    [found] = find(case("http://corp.example/m?go-get=1", status=200, GOINSECURE="corp.example"))
    assert "1 of them by plain http" in found.detail


def test_git_takes_any_certificate() -> None:
    net, log = Net(), Log()
    net.flow("git.corp.example", client="git (libcurl with GnuTLS)")
    log.git("https://git.corp.example/m.git")
    env = {"GOPROXY": "direct"}
    told = account(log, go_env=env, process_env={"GIT_SSL_NO_VERIFY": "0"})
    found = list(find(replace(case(), account=told, requests=ledger(net, log, **env), flows=net.traffic.flows)))
    assert [(item.subject, item.remedy.command) for item in found] == [("GIT_SSL_NO_VERIFY", "unset GIT_SSL_NO_VERIFY")]
