"""module-not-found: nowhere else to ask; 404 that lead on, or belong to a search, are no fault."""

from checks.conftest import Run, checks_of, kinds, of, sound


def test_fires(fires: Run) -> None:
    """go names one of the modules; the mirror said 404 for both."""
    found = of(fires.check, fires.whole)
    for finding in found:
        sound(finding, fires.whole)
        assert (finding.severity, finding.audience, finding.confidence) == ("error", "developer", "high")
        assert finding.title.endswith(" was found nowhere that go may ask")
        assert "GOPRIVATE" in finding.remedy.text
        assert "log" in kinds(finding)
        assert {fires.whole.requests[number].status for number in finding.requests} == {404}
    assert {finding.key for finding in found} == {
        "module-not-found:corp.example/tool@v1.4.0",
        "module-not-found:corp.example/team/lib@v0.2.0",
    }
    assert {finding.remedy.command for finding in found} == {
        "go list -m -versions corp.example/tool",
        "go list -m -versions corp.example/team/lib",
    }
    assert any("404 Not Found" in finding.detail for finding in found)
    assert fires.whole.verdict.causes == [finding.key for finding in found]


def test_silent(silent: Run) -> None:
    """The same 404, and then `direct`."""
    assert silent.found == []
    assert any(request.status == 404 for request in silent.whole.requests)
    assert silent.whole.verdict.status == "ok"


def test_prefixes_of_a_package_are_a_search(regression: Run) -> None:
    assert any(request.status == 404 for request in regression.whole.requests)
    assert checks_of(regression.whole) == checks_of(regression.account) == set()


def test_packets_alone_hide_it(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert {item.key for item in fires.account.findings} == {item.key for item in fires.whole.findings}
