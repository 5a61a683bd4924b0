"""unexpected-direct: a module that the mirror does not know (a note), and one that it fails for (a warning)."""

from checks.conftest import Run, of, sound


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "unexpected-direct:proxy.golang.org:not-found"
    assert (found.severity, found.audience, found.confidence) == ("note", "developer", "high")
    assert found.title == "2 modules came from the origin, not from proxy.golang.org"
    assert "corp.example/team/lib, corp.example/tool" in found.detail
    assert "404 before a comma goes on to direct" in found.detail
    assert found.remedy.command == "go env -w GOPRIVATE=corp.example/team/lib,corp.example/tool"
    assert {fires.whole.requests[number].status for number in found.requests} == {404}
    assert fires.whole.verdict.status == "ok"


def test_silent(silent: Run) -> None:
    """GONOPROXY names the modules: they are meant to come from their origin."""
    assert silent.found == []
    assert {request.handled_by for request in silent.whole.requests} == {"direct"}


def test_an_outage_of_the_mirror_is_a_warning(regression: Run) -> None:
    [found] = of(regression.check, regression.whole)
    sound(found, regression.whole)
    assert found.key == "unexpected-direct:proxy.golang.org:status-502"
    assert found.severity == "warning"
    assert found.remedy.command is None
    assert "GOPRIVATE" not in found.remedy.text
    assert regression.whole.verdict.status == "degraded"


def test_packets_alone_hide_why(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail
