"""What an interceptor that was seen on one connection tells of others, whose certificates TLS 1.3 hides."""

from msgspec import structs

from paths.made import Net, certificate
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Outcome
from trace_go.paths.failures import of_flow

REFUSED = Outcome.REJECTED_CERTIFICATE


def test_by_the_same_proxy() -> None:
    net = Net()
    net.intercept(net.through_proxy("goproxy.cn", outcome=REFUSED, chain=(certificate(),)), "goproxy.cn")
    hidden = net.through_proxy("proxy.golang.org", outcome=REFUSED)
    found = net.index().judgement(hidden, "proxy.golang.org")
    assert found
    assert (found.interceptor, found.name, found.visibility) == ("mitmproxy", "proxy.golang.org", Visibility.INFERRED)
    broken = of_flow(hidden, found)
    assert broken
    assert broken.kind == "certificate-rejected"
    assert "as inferred" in broken.text


def test_for_the_same_name() -> None:
    net = Net()
    net.intercept(net.flow(outcome=REFUSED))
    found = net.index().judgement(net.flow(outcome=REFUSED), "proxy.golang.org")
    assert found
    assert found.visibility is Visibility.INFERRED


def test_neither_name_nor_proxy_tells_nothing() -> None:
    net = Net()
    net.intercept(net.flow("goproxy.cn", outcome=REFUSED), "goproxy.cn")
    assert net.index().judgement(net.flow(outcome=REFUSED), "proxy.golang.org") is None


def test_what_was_accepted_is_not_put_down_to_it() -> None:
    net = Net()
    net.intercept(net.through_proxy("goproxy.cn", outcome=REFUSED), "goproxy.cn")
    assert net.index().judgement(net.through_proxy("proxy.golang.org"), "proxy.golang.org") is None


def test_one_that_go_trusts_does_not_explain_a_refusal() -> None:
    net = Net()
    trusted = net.intercept(net.through_proxy("goproxy.cn"), "goproxy.cn")
    net.judgements[-1] = structs.replace(trusted, trusted=True, fault=None)
    hidden = net.through_proxy("proxy.golang.org", outcome=REFUSED)
    assert net.index().judgement(hidden, "proxy.golang.org") is None
