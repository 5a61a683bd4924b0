"""handshake-timeout: a server that says nothing to a ClientHello, directly and behind a CONNECT proxy."""

from checks.conftest import Run

CLIENT_HELLO = bytes.fromhex("16 0301")


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "handshake-timeout:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "proxy.golang.org accepts the connection but never answers TLS"
    assert all(frame.payload.startswith(CLIENT_HELLO) for frame in fires.frames(found))
    assert found.remedy.command is not None
    assert "-servername proxy.golang.org" in found.remedy.command
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_proxy_in_front_is_not_to_blame(regression: Run) -> None:
    found = regression.only
    assert found.key == "handshake-timeout:proxy.golang.org"
    assert "-proxy proxy.corp.example:3128" in (found.remedy.command or "")
    assert "-proxy proxy.corp.example:3128" in (regression.in_packets.remedy.command or "")
    assert all(frame.payload.startswith(CLIENT_HELLO) for frame in regression.frames(found))


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.title == fires.only.title


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title
