"""mirror-status-stops-list: 403 before a comma, which stops, and before a bar, which goes on."""

from checks.conftest import Run, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "mirror-status-stops-list:proxy.golang.org:403"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title.startswith("proxy.golang.org answered 403 Forbidden to ")
    assert "before a comma stops: only 404 and 410 go on to the next entry" in found.detail
    assert "log" in kinds(found)
    assert found.remedy.command is not None
    assert found.remedy.command.startswith("curl -i https://proxy.golang.org/example.com/alpha/@v/v1.2.3.")
    assert {fires.whole.requests[number].status for number in found.requests} == {403}
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_before_a_bar_it_is_a_warning(regression: Run) -> None:
    found = regression.only
    assert found.severity == "warning"
    assert "before a bar goes on to https://goproxy.cn" in found.detail
    assert regression.whole.verdict.status == "degraded"
    assert regression.whole.verdict.summary.startswith("It worked, but proxy.golang.org answered 403")


def test_packets_alone_hide_it(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail
