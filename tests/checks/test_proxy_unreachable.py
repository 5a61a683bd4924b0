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


def test_packets_alone_do_not_know_that_it_is_a_proxy(fires: Run) -> None:
    assert fires.packets.findings == []


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail
