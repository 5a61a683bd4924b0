"""not-in-checksum-database: the download worked, the lookup did not."""

from msgspec.structs import replace

from checks.cases import case
from checks.conftest import Run, kinds
from trace_go.checks.privacy import database


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "not-in-checksum-database:sum.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "developer", "high")
    assert found.title == "sum.golang.org does not know 2 modules"
    assert "verifying" in found.detail
    assert found.remedy.command == "export GOPRIVATE=other.example,corp.example"
    assert "log" in kinds(found)
    assert {fires.whole.requests[number].artifact for number in found.requests} == {"sumdb-lookup"}
    assert {fires.whole.requests[number].status for number in found.requests} == {404}
    assert fires.whole.verdict.causes[0] == found.key
    assert [fix.command for fix in fires.whole.verdict.fix] == [found.remedy.command]  # told once
    assert fires.in_account.detail == found.detail


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_mirror_without_database(regression: Run) -> None:
    assert any(request.status == 404 for request in regression.whole.requests)
    assert regression.found == []
    assert regression.whole.verdict.status == "ok"


def test_packets_alone_hide_it(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


def test_urls_that_are_none() -> None:
    for url in ("http://[{}/sumdb/x", "https://a:99999/sumdb/", ""):
        request = replace(case("https://proxy.golang.org/x/@v/list").requests[0], url=url)
        assert database(request) in ("x", "proxy.golang.org")
