"""plain-http-mirror: directly, and through a forward proxy."""

from checks.conftest import Run


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "plain-http-mirror:mirror.corp.example"
    assert (found.severity, found.audience, found.confidence) == ("warning", "security", "high")
    assert found.title == "mirror.corp.example is used over plain http"
    assert all(b"HTTP/1.1" in frame.payload for frame in fires.frames(found))
    assert found.remedy.command == "export GOPROXY=https://mirror.corp.example"  # where the run had it from
    assert len(found.requests) == len(fires.whole.requests)
    assert fires.whole.verdict.status == "suspicious"


def test_silent(silent: Run) -> None:
    """The same mirror over https."""
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_through_a_forward_proxy(regression: Run) -> None:
    for found in (regression.only, regression.in_packets):
        assert found.key == "plain-http-mirror:mirror.corp.example"
    roles = {hop.role for request in regression.whole.requests for hop in request.hops}
    assert "forward-proxy" in roles


def test_packets_alone_do_not_know_the_list(fires: Run) -> None:
    found = fires.in_packets
    assert found.remedy.command == "curl -sSI https://mirror.corp.example/"
    assert not fires.packets.verdict.summary.startswith("It worked")  # nobody told


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.title == fires.only.title
