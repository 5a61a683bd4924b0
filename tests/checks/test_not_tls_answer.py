"""not-tls-answer: HTTP and another protocol where TLS was expected."""

from checks.conftest import Run


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "not-tls-answer:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "proxy.golang.org does not speak TLS where https was expected"
    assert all(frame.payload.startswith(b"HTTP/1.1 400") for frame in fires.frames(found))
    assert found.remedy.command == "curl -v --max-time 10 http://proxy.golang.org:443/"
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_server_that_speaks_first(regression: Run) -> None:
    for found in (regression.only, regression.in_packets):
        assert any("SSH-2.0-lab" in frame.text for frame in regression.frames(found))


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.detail == fires.only.detail
    assert all(frame.payload.startswith(b"HTTP/1.1 400") for frame in fires.frames(fires.in_packets))


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title
