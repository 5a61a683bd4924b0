"""interception-not-allowed: a machine that the policy does not name, and one that it does."""

from checks.conftest import Run, checks_of, kinds


def test_fires(fires: Run) -> None:
    found = fires.only
    assert found.key == "interception-not-allowed:mitmproxy"
    assert (found.severity, found.audience) == ("warning", "security")
    assert found.title == "The policy does not allow mitmproxy to break TLS open"
    assert "probe" in kinds(found)
    assert fires.whole.verdict.causes == ["interceptor-in-path:mitmproxy", found.key]
    assert len(fires.whole.verdict.fix) == 1  # both fixes are one command


def test_silent(silent: Run) -> None:
    assert silent.found == []
    assert silent.whole.verdict.status == "ok"


def test_the_machine_that_the_policy_names(regression: Run) -> None:
    assert regression.found == []
    assert "interceptor-in-path" in checks_of(regression.whole)
