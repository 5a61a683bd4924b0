"""tls-version-not-allowed: the version is in clear, so packets alone show it as well."""

from checks.conftest import Run


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "tls-version-not-allowed:proxy.golang.org"
    assert (found.severity, found.audience) == ("warning", "security")
    assert found.title == "proxy.golang.org uses TLS 1.2; the policy wants TLS 1.3"
    assert any(frame.payload[:1] == b"\x16" for frame in fires.frames(found))  # a handshake record
    assert fires.whole.verdict.status == "suspicious"


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_the_policy_may_want_no_more(regression: Run) -> None:
    assert regression.found == []
    assert any(flow.tls and flow.tls.version == "0x0303" for flow in regression.whole.flows)
