"""checksum-mismatch: against the checksum database, and against go.sum."""

import pytest
from msgspec.structs import replace

from checks import cases
from checks.conftest import Run, kinds
from paths.made import Log, Net, account, ledger
from trace_go.checks.catalogue.checksum_mismatch import find


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "checksum-mismatch:example.com/alpha@v1.2.3"
    assert (found.severity, found.audience, found.confidence) == ("error", "security", "certain")
    assert found.title == "example.com/alpha@v1.2.3 does not match the checksum database"
    assert "SECURITY ERROR" in found.detail
    assert "log" in kinds(found)
    assert "do not switch the check off" in found.remedy.text
    assert "GOSUMDB" not in (found.remedy.command or "")
    modules = {fires.whole.requests[number].module for number in found.requests}
    assert modules == {"example.com/alpha"}
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_go_sum(regression: Run) -> None:
    assert regression.only.title == "example.com/beta@v1.0.1 does not match go.sum"


def test_packets_alone_hide_it(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail


@pytest.mark.parametrize("intercepted", [True, False])
def test_who_delivered_it_is_named_where_it_is_an_interceptor(*, intercepted: bool) -> None:
    base, net, log = "https://proxy.golang.org", Net(), Log()
    flow = net.flow()
    if intercepted:
        net.intercept(None)
    for ending in ("mod", "zip"):
        log.get(f"{base}/example.com/a/@v/v1.0.0.{ending}", sent=[200])
    words = "verifying module: checksum mismatch\n\tdownloaded: h1:AA=\n\tgo.sum:     h1:BB="
    log.say(f"go: example.com/a@v1.0.0: {words}\n\nSECURITY ERROR")
    told = account(log, go_env={"GOPROXY": base})
    requests = ledger(net, log, GOPROXY=base)
    [found] = find(replace(cases.case(), flows=(flow,), account=told, requests=requests))
    by = ", delivered by mitmproxy," if intercepted else ""
    assert found.title == f"example.com/a@v1.0.0{by} does not match go.sum"
    assert "go refused what " + ("mitmproxy, in the place of " * intercepted) + "proxy.golang.org" in found.detail
