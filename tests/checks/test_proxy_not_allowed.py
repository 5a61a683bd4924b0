"""proxy-not-allowed: by the packets, and by the variables alone."""

from checks.conftest import Run, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "proxy-not-allowed:proxy.corp.example:3128"
    assert (found.severity, found.audience) == ("warning", "security")
    assert found.title == "The policy does not allow the forward proxy proxy.corp.example:3128"
    assert "gate.corp.example" in found.detail
    assert {"packet", "env"} <= kinds(found)
    assert fires.whole.verdict.status == "suspicious"
    assert fires.in_account.key == found.key


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_the_allowed_proxy(regression: Run) -> None:
    assert regression.found == []
    assert any(hop.role == "forward-proxy" for request in regression.whole.requests for hop in request.hops)
