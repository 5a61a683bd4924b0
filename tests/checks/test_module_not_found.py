"""module-not-found: mirror and origin said no; 404 that lead on, or belong to a search, are no fault."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key.startswith("module-not-found:corp.example/t")  # whichever of the two go was told of first
    assert (found.severity, found.audience, found.confidence) == ("error", "developer", "high")
    assert found.title.endswith(" was found nowhere that go may ask")
    assert "GOPRIVATE" in found.remedy.text
    assert found.remedy.command == f"go list -m -versions {found.key.partition(':')[2].partition('@')[0]}"
    assert "log" in kinds(found)
    assert "404 Not Found" in found.detail
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    """The same 404 of the mirror, and then an origin that has it."""
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
