"""tls-refused: a server that is too old, and one that does not know the name."""

from checks.conftest import Run


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "tls-refused:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "The TLS handshake with proxy.golang.org is refused: protocol version"
    assert all(frame.payload == bytes.fromhex("15 0303 0002 02 46") for frame in fires.frames(found))
    assert "TLS 1.2" in found.remedy.text
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_an_unknown_name(regression: Run) -> None:
    found = regression.only
    assert found.title.endswith("is refused: unrecognized name")
    assert all(frame.payload == bytes.fromhex("15 0303 0002 02 70") for frame in regression.frames(found))
    assert "host name" in found.remedy.text


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.title == fires.only.title


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.remedy == fires.only.remedy
