"""name-not-resolved: NXDOMAIN, and a resolver that never answers."""

from checks.conftest import Run, kinds

NAME = b"\x05proxy\x06golang\x03org\x00"


def rcode(payload: bytes) -> int:
    return payload[3] & 15


def is_response(payload: bytes) -> bool:
    return bool(payload[2] & 0x80)


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "name-not-resolved:proxy.golang.org"
    assert (found.severity, found.audience, found.confidence) == ("error", "developer", "high")
    assert found.title == "proxy.golang.org does not exist, says the resolver"
    assert "no such host" in found.detail
    assert kinds(found) == {"packet", "log"}
    for frame in fires.frames(found):
        assert NAME in frame.payload
        assert is_response(frame.payload)
        assert rcode(frame.payload) == 3  # RFC 1035 §4.1.1: Name Error
    assert found.remedy.command == "dig @198.51.100.53 proxy.golang.org"
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_resolver_that_never_answers(regression: Run) -> None:
    for found in (regression.only, regression.in_packets):
        assert found.title == "The resolver does not answer for proxy.golang.org"
        frames = regression.frames(found)
        assert frames
        assert all(NAME in frame.payload and not is_response(frame.payload) for frame in frames)


def test_packets_alone(fires: Run) -> None:
    assert fires.in_packets.title == fires.only.title


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title
    assert fires.in_account.remedy.command == "dig proxy.golang.org"
