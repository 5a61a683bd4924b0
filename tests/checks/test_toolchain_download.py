"""toolchain-download: refused without the checksum database, and ways that it should not come by."""

import pytest

from checks.cases import case
from checks.conftest import Run, kinds
from trace_go.checks.catalogue.toolchain_download import find
from trace_go.model.finding import Severity

PATH = "golang.org/toolchain/@v/v0.0.1-go1.99.0.linux-amd64.zip"


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "toolchain-download:GOSUMDB"
    assert (found.severity, found.audience) == ("error", "security")
    assert found.title == "go takes no other toolchain while GOSUMDB is off"
    assert found.remedy.command == "unset GOSUMDB"
    assert {"env", "log"} <= kinds(found)
    assert {fires.whole.requests[number].module for number in found.requests} == {"golang.org/toolchain"}
    assert fires.whole.verdict.causes == [found.key]
    assert fires.in_account.detail == found.detail


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"
    assert any(request.module == "golang.org/toolchain" for request in silent.whole.requests)


def test_an_own_mirror(regression: Run) -> None:
    assert regression.found == []


def test_packets_alone_hide_it(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


@pytest.mark.parametrize(("scheme", "fires"), [("http", True), ("https", False)])
def test_plain_http(scheme: str, fires: bool) -> None:
    found = list(find(case(f"{scheme}://m.test/{PATH}", status=200, GOPROXY=f"{scheme}://m.test")))
    assert [(item.severity, item.title) for item in found] == (
        [(Severity.WARNING, "A Go toolchain came by plain http")] if fires else []
    )
