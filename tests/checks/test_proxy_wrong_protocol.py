"""proxy-wrong-protocol: http:// for a SOCKS proxy, https:// for one that speaks plain HTTP."""

from checks.conftest import Run, checks_of


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "proxy-wrong-protocol:proxy.corp.example"
    assert (found.severity, found.audience, found.confidence) == ("error", "developer", "high")
    assert found.title == "The forward proxy proxy.corp.example does not speak HTTP (CONNECT)"
    assert {frame.payload for frame in fires.frames(found)} == {b"\x05\xff"}
    assert found.remedy.command == "export HTTPS_PROXY=socks5://proxy.corp.example:3128"
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"
    assert {hop.role for request in silent.whole.requests for hop in request.hops} >= {"forward-proxy", "mirror"}


def test_tls_to_a_plain_proxy(regression: Run) -> None:
    found = regression.only
    assert found.title == "The forward proxy proxy.corp.example does not speak TLS"
    assert found.remedy.command == "export HTTPS_PROXY=http://proxy.corp.example:3128"
    assert all(frame.payload.startswith(b"HTTP/1.1 400") for frame in regression.frames(found))
    assert checks_of(regression.whole) == {"proxy-wrong-protocol"}


def test_packets_alone(fires: Run, regression: Run) -> None:
    """A CONNECT says what it is; TLS to a proxy that speaks HTTP is told by the proxy's port."""
    assert fires.in_packets.remedy == fires.only.remedy
    assert "does not look like a TLS handshake: it is HTTP" in regression.in_packets.detail


def test_account_alone(fires: Run, regression: Run) -> None:
    assert fires.in_account.title == fires.only.title
    assert regression.in_account.remedy == regression.only.remedy
