"""What circumstances tell to be go's: a client that asks as Go does, and gets nothing through."""

import pytest
from msgspec.structs import replace

from paths.made import OTHER, PROXY, Log, Net, ledger
from trace_go.model.evidence import Confidence
from trace_go.model.flow import Outcome
from trace_go.paths.guesses import GUESSED


def failing(ip: str = OTHER, port: int = 443, outcome: Outcome = Outcome.REFUSED, *, as_go: bool = True) -> Net:
    """A name asked for, and a connection to it that fails before anything is said."""
    net = Net()
    net.resolve("mirror.corp.example", ip)
    net.lookups[-1] = replace(net.lookups[-1], as_go_asks=as_go)
    net.flow(None, ip, port=port, outcome=outcome, client="")
    return net


def test_what_a_client_tried_that_asks_as_go_does() -> None:
    [row] = ledger(failing())
    assert (row.failure and row.failure.kind, row.hops[-1].host) == ("refused", "mirror.corp.example")
    assert GUESSED in row.evidence


def test_nothing_is_guessed_of_others() -> None:
    assert ledger(failing(as_go=False)) == ()
    net = failing()
    net.flow("www.example.com", PROXY, client="", outcome=Outcome.OK)
    assert ledger(net) == ()


def test_with_gos_account_nothing_is_guessed() -> None:
    log = Log()
    log.say("go: m.example@v1.0.0: something else")
    assert ledger(failing(), log) == ()


@pytest.mark.parametrize(("port", "kind"), [(443, "refused"), (3128, "proxy-connect"), (1080, "proxy-connect")])
def test_a_port_of_forward_proxies_tells_what_was_meant(port: int, kind: str) -> None:
    [row] = ledger(failing(port=port))
    assert row.failure is not None
    assert row.failure.kind == kind


def test_a_name_with_a_search_domain_is_the_same_name() -> None:
    net = Net()
    for name in ("mirror.lan.example", "mirror"):
        net.resolve(name, rcode="NXDOMAIN")
        net.lookups[-1] = replace(net.lookups[-1], as_go_asks=True)
    assert [row.hops[-1].host for row in ledger(net)] == ["mirror"]
    assert ledger(net)[0].confidence is Confidence.HIGH  # that it failed
