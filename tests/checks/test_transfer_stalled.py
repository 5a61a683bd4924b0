"""transfer-stalled: in the middle of a zip; a request that was never answered is another matter."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "transfer-stalled:proxy.golang.org"
    assert (found.severity, found.audience) == ("error", "operator")
    [request] = [item for item in fires.whole.requests if item.id in found.requests]
    assert (request.artifact, request.status, request.handled_by) == ("zip", 200, "mirror")
    assert request.url in found.detail
    assert "log" in kinds(found)
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_no_transfer_had_begun(regression: Run) -> None:
    assert regression.found == []
    assert checks_of(regression.whole) == {"response-timeout"}


def test_account_alone(fires: Run) -> None:
    """go's HTTP/2 log shows that the answer had begun and not ended."""
    found = fires.in_account
    assert found.confidence == "medium"
    assert "its end had not come when the command was ended" in found.detail
