"""interception-not-allowed: a machine that the policy does not name, and one that it does."""

import pytest
from msgspec.structs import replace

from checks import cases
from checks.conftest import Run, kinds, of
from paths.made import Net, certificate
from trace_go.checks.catalogue import interception_not_allowed, interceptor_in_path
from trace_go.model.finding import Severity
from trace_go.model.policy import Policy


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
    """It is told, and nothing is to be done."""
    assert regression.found == []
    [found] = of("interceptor-in-path", regression.whole)
    assert (found.severity, found.remedy.command) == ("note", None)
    assert found.title == "mitmproxy intercepts TLS to proxy.golang.org, as the site's policy allows"
    assert "[policy] of trace-go.toml allows mitmproxy to do so." in found.detail
    assert regression.whole.verdict.status == "ok"
    assert {request.handled_by for request in regression.whole.requests} == {"mitm"}


NAMES = ("Corp TLS CA 7", "corp tls *", "CN=Corp TLS CA 7", f"{'AA:' * 31}AA", "Squid")


@pytest.mark.parametrize("allowed", [*NAMES, "Corp", ""])
@pytest.mark.parametrize("trusted", [True, False])
def test_how_the_policy_names_it(allowed: str, *, trusted: bool) -> None:
    """An authority that go does not trust stops it, whatever the policy allows; its name alone proves nothing."""
    net = Net()
    flow = net.flow(chain=(certificate(issuer="CN=Corp TLS CA 7", sha256="aa" * 32),))
    judgement = replace(net.intercept(flow, product="Squid"), trusted=trusted)
    told = replace(cases.case(policy=Policy(interception_cas=(allowed,))), judgements=(judgement,))
    [found] = interceptor_in_path.find(told)
    expected = Severity.ERROR if not trusted else Severity.NOTE if allowed in NAMES else Severity.WARNING
    assert found.severity is expected
    assert found.title.endswith("policy allows") == (allowed in NAMES)
    assert bool(list(interception_not_allowed.find(told))) == (allowed not in NAMES)
    if not trusted and allowed in NAMES:
        assert found.remedy.text.startswith("Compare its authority with the site's own")
