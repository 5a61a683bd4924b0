"""redirect-to-unknown-host: a note; storage services and the mirror's own domain are known."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "redirect-to-unknown-host:goproxy.corp.example:files.cdn.example"
    assert (found.severity, found.audience, found.confidence) == ("note", "security", "medium")
    assert found.title == "goproxy.corp.example sends go to files.cdn.example"
    assert [fires.whole.requests[number].artifact for number in found.requests] == ["zip"]
    assert fires.whole.verdict.status == "ok"


def test_a_storage_service(silent: Run) -> None:
    assert silent.found == []
    assert any(request.redirects for request in silent.whole.requests)


def test_the_mirrors_own_domain(regression: Run) -> None:
    assert regression.found == []
    assert any(request.redirects for request in regression.whole.requests)


def test_packets_alone_hide_it(fires: Run) -> None:
    assert checks_of(fires.packets) == set()
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title
