"""Two vantages of one run: relayed, terminated or not observable, whatever the clocks say."""

from typing import Any

import pytest
from msgspec import structs

from paths.made import MS, Net
from trace_go.gocmd.config import Config
from trace_go.gocmd.hosts import load_hosts
from trace_go.model.crossing import Crossing, Relation
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.flow import Flow, Outcome
from trace_go.paths.vantage import UNNAMED, crossings, with_crossings

HOUR_NS = 3_600_000_000_000
RELAYED, TERMINATED, ABSENT = Relation.RELAYED, Relation.TERMINATED, Relation.ABSENT


def hello(net: Net, random: int, name: str = "proxy.golang.org", shift_ns: int = 0, **changes: Any) -> Flow:
    """A connection whose ClientHello has this random, on a clock that is `shift_ns` ahead."""
    flow = net.flow(name, **changes)
    assert flow.tls
    tls = structs.replace(flow.tls, client_random=bytes([random]) * 32, hello_ns=flow.tls.hello_ns + shift_ns)
    net.flows[-1] = structs.replace(flow, tls=tls)
    return net.flows[-1]


def cross(near: Net, far: Net) -> tuple[Crossing, ...]:
    return crossings(near.traffic, far.traffic, load_hosts(Config()))


@pytest.mark.parametrize("shift_ns", [0, 3 * MS, HOUR_NS, -HOUR_NS])
def test_relayed(shift_ns: int) -> None:
    near, far = Net(), Net()
    for random in (1, 2, 3):
        hello(near, random)
        hello(far, random, shift_ns=shift_ns)
    found = cross(near, far)
    assert [item.relation for item in found] == [RELAYED] * 3
    assert {item.clock_s for item in found} == {shift_ns / 1e9}
    assert [(item.packet, item.beyond_packet) for item in found] == [(n, n) for n in (4, 14, 24)]
    assert with_crossings((), found, near.traffic) == ()


@pytest.mark.parametrize("shift_ns", [0, HOUR_NS, -HOUR_NS])
def test_terminated_without_a_common_clock(shift_ns: int) -> None:
    near, far = Net(), Net()
    hello(near, 1)
    hello(near, 2)
    hello(far, 8, shift_ns=shift_ns)
    hello(far, 9, shift_ns=shift_ns)
    found = cross(near, far)
    assert [(item.relation, item.beyond_packet, item.clock_s) for item in found] == [
        (TERMINATED, 4, None),
        (TERMINATED, 14, None),
    ]


def test_one_name_is_relayed_and_another_is_not() -> None:
    near, far = Net(), Net()
    hello(near, 1, "github.com")
    hello(near, 2)
    hello(far, 1, "github.com", HOUR_NS)
    hello(far, 9, shift_ns=HOUR_NS)
    assert {item.name: item.relation for item in cross(near, far)} == {
        "github.com": RELAYED,
        "proxy.golang.org": TERMINATED,
    }


def test_another_run_of_the_same_names_is_no_proof() -> None:
    """The clock, known from what was relayed, tells that the other connection is of another time."""
    near, far = Net(), Net()
    hello(near, 1, "github.com")
    hello(near, 2)
    hello(far, 1, "github.com")
    hello(far, 9, shift_ns=HOUR_NS)
    assert [item.relation for item in cross(near, far)] == [RELAYED, ABSENT]


def test_what_does_not_arrive_is_not_observable() -> None:
    near, far = Net(), Net()
    hello(near, 1)
    hello(far, 9, "github.com")
    (found,) = cross(near, far)
    assert (found.relation, found.beyond_packet, found.server) == (ABSENT, 0, "")
    assert with_crossings((), [found], near.traffic) == ()


def test_a_connection_that_nobody_answered_was_not_terminated() -> None:
    near, far = Net(), Net()
    silent = hello(near, 1, outcome=Outcome.SILENT)
    assert silent.tls
    near.flows[-1] = structs.replace(silent, tls=structs.replace(silent.tls, server=None))
    hello(far, 9)
    assert [item.relation for item in cross(near, far)] == [ABSENT]


def test_other_programs_are_left_out() -> None:
    near, far = Net(), Net()
    hello(near, 1, "www.example.com", client="")
    hello(far, 1, "www.example.com")
    assert cross(near, far) == ()


def terminated(outcome: Outcome = Outcome.OK) -> tuple[Net, tuple[Crossing, ...]]:
    near, far = Net(), Net()
    hello(near, 1, outcome=outcome)
    hello(far, 9)
    return near, cross(near, far)


@pytest.mark.parametrize(("outcome", "trusted"), [(Outcome.OK, True), (Outcome.REJECTED_CERTIFICATE, False)])
def test_a_hidden_chain_gets_an_interceptor_without_a_name(outcome: Outcome, trusted: bool) -> None:
    near, found = terminated(outcome)
    (judgement,) = with_crossings((), found, near.traffic)
    assert (judgement.interceptor, judgement.trusted, judgement.chain) == (UNNAMED, trusted, ())
    near.judgements.append(judgement)
    assert near.index().judgement(near.flows[0], "proxy.golang.org") == judgement


@pytest.mark.parametrize("seen", [True, False])
def test_a_known_interceptor_becomes_certain(seen: bool) -> None:
    near, found = terminated()
    before = near.intercept(near.flows[0] if seen else None)
    near.judgements[-1] = structs.replace(before, chain=before.chain or (Net().judge(None).chain))
    (after,) = with_crossings(near.judgements, found, near.traffic)
    assert (after.interceptor, after.interceptor_confidence) == ("mitmproxy", Confidence.CERTAIN)
    assert len(after.interceptor_why) == len(before.interceptor_why) + 1


def test_a_probed_chain_without_signs_is_the_interceptors() -> None:
    near, found = terminated()
    near.judge(None)
    (after,) = with_crossings(near.judgements, found, near.traffic)
    assert after.interceptor
    assert after.interceptor != UNNAMED
    assert (after.interceptor_confidence, after.visibility) == (Confidence.HIGH, Visibility.PROBED)
