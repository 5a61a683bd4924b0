"""response-timeout: a mirror that takes the request and never answers, over https and over http."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "response-timeout:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "proxy.golang.org never answered 1 request"
    assert "s of silence" in found.detail
    assert found.remedy.command is not None
    assert found.remedy.command.startswith("curl -v --max-time 30 -o /dev/null https://proxy.golang.org/example.com/")
    assert fires.whole.command is not None
    assert fires.whole.command.exit_code == 143  # ended by SIGTERM
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_over_http_the_packets_show_the_request(regression: Run) -> None:
    for found in (regression.only, regression.in_packets):
        assert found.key == "response-timeout:proxy.golang.org"
        assert all(frame.payload.startswith(b"GET /example.com/beta/") for frame in regression.frames(found))
    assert checks_of(regression.packets) == {"response-timeout", "plain-http-mirror"}


def test_packets_alone_hide_it_over_https(fires: Run) -> None:
    assert fires.packets.findings == []
    assert "Requests" in fires.hidden


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title
