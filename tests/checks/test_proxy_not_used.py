"""proxy-not-used: NO_PROXY matches a public host that only the proxy reaches."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "proxy-not-used:NO_PROXY"
    assert (found.severity, found.audience, found.confidence) == ("error", "developer", "medium")
    assert found.title == "go does not use the forward proxy for proxy.golang.org: NO_PROXY excludes it"
    assert "connection refused" in found.detail
    assert kinds(found) == {"packet", "env", "log"}
    assert found.remedy.text == "Take golang.org out of NO_PROXY."
    assert found.remedy.command == "unset NO_PROXY"
    assert checks_of(fires.whole) == {"proxy-not-used"}
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_direct_way_that_works_is_no_finding(regression: Run) -> None:
    assert regression.found == []
    assert regression.whole.verdict.status == "ok"
    assert "forward-proxy" not in {hop.role for request in regression.whole.requests for hop in request.hops}


def test_packets_alone_do_not_know_what_is_configured(fires: Run) -> None:
    assert checks_of(fires.packets) == {"connection-refused"}


def test_account_alone(fires: Run) -> None:
    assert fires.in_account.detail == fires.only.detail
