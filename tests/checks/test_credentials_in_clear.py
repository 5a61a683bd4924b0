"""credentials-in-clear: git sends them, go refuses to; no report holds them."""

from checks.conftest import Run


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "credentials-in-clear:git.corp.example:sent"
    assert (found.severity, found.audience, found.confidence) == ("warning", "security", "high")
    assert found.title == "Credentials are sent to git.corp.example over plain http"
    assert any(b"Authorization: Basic" in frame.payload for frame in fires.frames(found))
    assert fires.whole.verdict.causes[0] == found.key


def test_silent(silent: Run) -> None:
    """The same credentials over https."""
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_go_refuses_to_send_them(regression: Run) -> None:
    found = regression.only
    assert found.key == "credentials-in-clear:goproxy.corp.example:kept"
    assert found.severity == "error"
    assert "go refuses to send them" in found.detail
    assert regression.whole.verdict.causes == [found.key]


def test_packets_alone_show_it(fires: Run) -> None:
    assert fires.in_packets.key == fires.only.key


def test_secrets_are_in_no_report(fires: Run, regression: Run) -> None:
    for run in (fires, regression):
        for report in (run.whole, run.packets, run.account):
            assert "s3cret" not in repr(report)
            assert "Y2k6czNjcmV0" not in repr(report)  # the same in base64
