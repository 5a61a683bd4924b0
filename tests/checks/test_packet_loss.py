"""packet-loss: each fifth segment; one or two sent again are normal."""

from checks.conftest import Run


def test_fires(fires: Run) -> None:
    for found in (fires.only, fires.in_packets):
        assert found.key == "packet-loss:proxy.golang.org"
        assert (found.severity, found.audience) == ("warning", "operator")
        assert found.title.endswith("% of the packets of proxy.golang.org had to be sent again")
        assert int(found.title.split()[0]) >= 10
    assert fires.whole.verdict.status == "degraded"
    assert fires.only.remedy.command == "mtr -rwc 100 -T -P 443 proxy.golang.org"


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_segment_or_two(regression: Run) -> None:
    assert any(flow.retransmissions.down for flow in regression.whole.flows)
    assert regression.found == []


def test_account_alone_shows_no_packets(fires: Run) -> None:
    assert fires.account.findings == []
