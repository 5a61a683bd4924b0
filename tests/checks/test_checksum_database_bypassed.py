"""checksum-database-bypassed: switched off, or by an entry that covers public modules."""

import pytest

from checks.cases import case
from checks.conftest import Run, kinds
from trace_go.checks.catalogue.checksum_database_bypassed import find

URL = "https://proxy.golang.org/example.com/a/@v/v1.0.0.mod"


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "checksum-database-bypassed:GOSUMDB"
    assert (found.severity, found.audience, found.confidence) == ("warning", "security", "high")
    assert found.title == "GOSUMDB=off keeps 1 module from the checksum database"
    assert found.remedy.command == "unset GOSUMDB"
    assert "env" in kinds(found)
    assert fires.whole.verdict.status == "suspicious"
    assert fires.in_account.title == found.title


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert any(request.artifact == "sumdb-lookup" for request in silent.whole.requests)


def test_private_modules_are_in_no_database(regression: Run) -> None:
    assert regression.found == []
    assert regression.whole.verdict.status == "ok"


def test_packets_alone_hide_it(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


@pytest.mark.parametrize(
    ("env", "title", "command"),
    [
        ({"GOSUMDB": "off"}, "GOSUMDB=off", "unset GOSUMDB"),
        ({"GONOSUMDB": "*"}, "GONOSUMDB=*", "unset GONOSUMDB"),
        ({"GONOSUMDB": "*,corp.example"}, "GONOSUMDB=*,corp.example", "export GONOSUMDB=corp.example"),
        ({"GONOSUMDB": "example.com"}, "GONOSUMDB=example.com", "export GONOSUMDB=example.com"),
        ({"GOPRIVATE": "*.com", "GONOPROXY": "none"}, "GOPRIVATE=*.com", "unset GOPRIVATE"),
        ({"GONOSUMDB": "corp.example"}, "", None),
        ({}, "", None),
    ],
)
def test_a_public_module(env: dict[str, str], title: str, command: str | None) -> None:
    found = list(find(case(URL, status=200, **env)))
    assert [item.title.partition(" keeps")[0] for item in found] == ([title] if title else [])
    assert [item.remedy.command for item in found] == ([command] if command else [])


def test_what_was_not_downloaded_is_not_counted() -> None:
    assert list(find(case(URL, status=404, GOSUMDB="off"))) == []
