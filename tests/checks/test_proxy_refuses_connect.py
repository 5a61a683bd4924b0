"""proxy-refuses-connect: 403 by policy, 407 for want of a password."""

from checks.conftest import Run


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "proxy-refuses-connect:proxy.corp.example:403"
    assert (found.severity, found.audience, found.confidence) == ("error", "operator", "high")
    assert found.title == "The forward proxy proxy.corp.example refuses CONNECT to proxy.golang.org: 403 Filtered"
    assert "not from proxy.golang.org" in found.detail
    assert all(frame.payload.startswith(b"HTTP/1.1 403 Filtered") for frame in fires.frames(found))
    assert "allow this host" in found.remedy.text
    assert fires.whole.verdict.causes == [found.key]


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_a_password_is_wanted(regression: Run) -> None:
    found = regression.only
    assert found.key == "proxy-refuses-connect:proxy.corp.example:407"
    assert found.remedy.command == "export HTTPS_PROXY=http://USER:PASSWORD@proxy.corp.example:3128"
    assert regression.in_account.key == found.key  # go prints the reason phrase only
    assert regression.in_account.remedy == found.remedy


def test_packets_alone_know_the_proxy_by_the_name_that_was_resolved(fires: Run) -> None:
    assert fires.in_packets.key == "proxy-refuses-connect:proxy.corp.example:403"


def test_account_alone(fires: Run) -> None:
    """Filtered is no registered reason phrase: the status is not known then."""
    assert fires.in_account.key == "proxy-refuses-connect:proxy.corp.example:refused"
