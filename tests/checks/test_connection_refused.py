"""connection-refused: nothing listens; and before a bar, where another mirror makes it good."""

from checks.conftest import Run


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "connection-refused:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "proxy.golang.org refuses connections"
    assert "connection refused" in found.detail
    assert all("R" in frame.flags for frame in fires.frames(found))
    assert found.remedy.command == "curl -v --connect-timeout 5 https://proxy.golang.org/"
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_what_a_bar_made_good_is_a_warning(regression: Run) -> None:
    assert regression.only.severity == regression.in_packets.severity == regression.in_account.severity == "warning"
    assert regression.whole.verdict.status == "degraded"
    assert regression.whole.verdict.summary == "It worked, but proxy.golang.org refuses connections."


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.title == fires.only.title
    assert all("R" in frame.flags for frame in fires.frames(fires.in_packets))


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail
