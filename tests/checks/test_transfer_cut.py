"""transfer-cut: in the middle of a zip; where the reset is forged, that is the finding."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "transfer-cut:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert "connection reset by peer" in found.detail
    assert "R" in fires.frames(found)[0].flags
    [request] = [item for item in fires.whole.requests if item.id in found.requests]
    assert (request.artifact, request.status) == ("zip", 200)
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_forged_reset(regression: Run) -> None:
    assert checks_of(regression.whole) == checks_of(regression.packets) == {"injected-reset"}


def test_packets_alone(fires: Run) -> None:
    assert "R" in fires.frames(fires.in_packets)[0].flags


def test_account_alone(fires: Run) -> None:
    assert "connection reset by peer" in fires.in_account.detail
