"""proxy-silent: CONNECT is never answered; a tunnel that is cut later is another matter."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "proxy-silent:proxy.corp.example"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "The forward proxy proxy.corp.example does not answer"
    assert "to CONNECT proxy.golang.org:443 nothing came in" in found.detail
    assert all(frame.payload.startswith(b"CONNECT proxy.golang.org:443") for frame in fires.frames(found))
    assert fires.frames(found)
    assert "--proxy proxy.corp.example:3128" in (found.remedy.command or "")
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_tunnel_that_is_cut_is_not_silence(regression: Run) -> None:
    assert regression.found == []
    assert checks_of(regression.whole) == checks_of(regression.packets) == {"reset-in-handshake"}
    finding = regression.whole.findings[0]
    assert "In the tunnel of proxy.corp.example:3128 the proxy may have done it" in finding.detail


def test_packets_alone(fires: Run) -> None:
    found = fires.in_packets
    assert found.title == "The forward proxy proxy.corp.example does not answer"
    assert {request.hops[-2].role for request in fires.packets.requests} == {"forward-proxy"}
    assert all(request.hops[-2].broken for request in fires.packets.requests)


def test_account_alone_does_not_know_who_is_silent(fires: Run) -> None:
    assert checks_of(fires.account) == {"response-timeout"}
