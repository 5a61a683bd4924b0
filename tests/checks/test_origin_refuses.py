"""origin-refuses: a repository that wants credentials; forbidden pages above the module's own belong to the search."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "origin-refuses:git.corp.example:status-401:team/lib"
    assert (found.severity, found.audience, found.confidence) == ("error", "developer", "high")
    assert found.title == "git.corp.example wants credentials for team/lib"
    assert "could not read Username" in found.detail
    assert found.remedy.command == "git ls-remote https://git.corp.example/team/lib.git"
    assert [fires.whole.requests[number].artifact for number in found.requests] == ["git"]
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_forbidden_prefixes_are_part_of_the_search(regression: Run) -> None:
    assert regression.found == []
    assert 403 in {request.status for request in regression.whole.requests}
    assert regression.whole.verdict.status == "ok"


def test_packets_alone_hide_it(fires: Run) -> None:
    assert checks_of(fires.packets) == set()
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail
