"""proxy-unreachable: the proxy refuses, or its name does not exist."""

from checks.conftest import Run


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "proxy-unreachable:proxy.corp.example"
    assert (found.severity, found.audience, found.confidence) == ("error", "developer", "high")
    assert found.title == "The forward proxy proxy.corp.example cannot be reached"
    assert "connection refused" in found.detail
    assert all("R" in frame.flags for frame in fires.frames(found))
    assert found.remedy.command == "env | grep -i _proxy="
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_the_proxys_name_does_not_exist(regression: Run) -> None:
    found = regression.only
    assert "no such host" in found.detail
    assert all(b"\x05proxy\x04corp\x07example\x00" in frame.payload for frame in regression.frames(found))
    assert regression.frames(found)


def test_packets_alone_tell_a_proxy_by_its_port(fires: Run) -> None:
    found = fires.in_packets
    assert (found.key, found.confidence) == (fires.only.key, "medium")
    assert "at port 3128, which is a forward proxy's" in found.detail
    assert {piece.kind for piece in found.evidence} == {"packet", "inference"}


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail
