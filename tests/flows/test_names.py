"""DNS lookups from packets over UDP and TCP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.dns_talks import AAAA, HTTPS, RESOLVER, asked, framed, query, reply, told
from flows.frames import ICMP, Frame, Talk, icmp, ip, link, traffic
from trace_go.flows import names
from trace_go.flows.names import Names
from trace_go.model.dns import Lookup
from trace_go.wire import dns

NAME = "proxy.golang.org"
ONE, TWO, OTHER = "142.250.1.141", "142.250.2.141", "127.0.0.1"


def lookup_of(*frames: Frame) -> Lookup:
    (lookup,) = traffic(frames).lookups
    return lookup


def test_a_question_and_its_answer() -> None:
    lookup = lookup_of(
        asked(0, 5000, query(7, "Proxy.Golang.ORG")), told(12, 5000, reply(7, NAME, [ONE, TWO], alias="x.l.google.com"))
    )
    assert (lookup.name, lookup.type, lookup.client, lookup.resolver) == (NAME, "A", "10.0.0.2", RESOLVER)
    assert (lookup.transport, lookup.rcode, lookup.addresses, lookup.cnames) == (
        "udp",
        "NOERROR",
        (ONE, TWO),
        ("x.l.google.com",),
    )
    assert lookup.latency_s == pytest.approx(0.012)
    assert (lookup.retries, lookup.conflicting) == (0, False)
    assert (lookup.query_packets, lookup.answer_packets) == ((1,), (2,))


def test_types_are_lookups_of_their_own_on_one_port() -> None:
    frames = [
        asked(0, 5000, query(7, NAME)),
        asked(0, 5000, query(8, NAME, AAAA)),
        asked(0, 5000, query(9, NAME, HTTPS)),
    ]
    frames += [
        told(5, 5000, reply(8, NAME, ["2001:db8::1"], kind=AAAA)),
        told(6, 5000, reply(7, NAME, [ONE])),
        told(7, 5000, reply(9, NAME, kind=HTTPS)),
    ]
    found = {lookup.type: (lookup.addresses, lookup.rcode) for lookup in traffic(frames).lookups}
    assert found == {"A": ((ONE,), "NOERROR"), "AAAA": (("2001:db8::1",), "NOERROR"), "HTTPS": ((), "NOERROR")}


def test_failures_have_their_rcode() -> None:
    assert lookup_of(asked(0, 5000, query(7, NAME)), told(1, 5000, reply(7, NAME, rcode=3))).rcode == "NXDOMAIN"
    without = reply(7, NAME, rcode=2, question=False)
    assert lookup_of(asked(0, 5000, query(7, NAME)), told(1, 5000, without)).rcode == "SERVFAIL"


def test_silence() -> None:
    lookup = lookup_of(
        asked(0, 5000, query(7, NAME)), asked(5000, 5001, query(8, NAME)), asked(10_000, 5001, query(8, NAME))
    )
    assert (lookup.rcode, lookup.latency_s, lookup.retries, lookup.query_packets) == (None, None, 2, (1, 2, 3))


def test_retries_from_a_new_and_from_the_same_port() -> None:
    for port, number in ((5001, 8), (5000, 7)):
        lookup = lookup_of(
            asked(0, 5000, query(7, NAME)),
            asked(1000, port, query(number, NAME)),
            told(1010, port, reply(number, NAME, [ONE])),
        )
        assert lookup.latency_s == pytest.approx(1.01)
        assert (lookup.retries, lookup.addresses) == (1, (ONE,))


def test_a_query_captured_twice_is_no_retry() -> None:
    question = query(7, NAME)
    lookup = lookup_of(asked(0, 5000, question), asked(0.1, 5000, question), told(9, 5000, reply(7, NAME, [ONE])))
    assert (lookup.retries, lookup.query_packets) == (0, (1, 2))


def test_asking_again_after_the_answer_is_another_lookup() -> None:
    frames = [
        asked(0, 5000, query(7, NAME)),
        told(1, 5000, reply(7, NAME, [ONE])),
        asked(9, 5001, query(8, NAME)),
        told(10, 5001, reply(8, NAME, [TWO])),
    ]
    first, second = traffic(frames).lookups
    assert (first.addresses, second.addresses, first.conflicting, second.conflicting) == ((ONE,), (TWO,), False, False)


def test_a_question_after_a_minute_of_silence_is_another_lookup() -> None:
    found = traffic([asked(at * 1000, 5000, query(7, NAME)) for at in (0, 5, 64, 125)]).lookups
    assert [(lookup.retries, lookup.rcode) for lookup in found] == [(2, None), (0, None)]


def test_an_answer_that_was_recorded_before_its_query() -> None:
    """Two interfaces or queues of a card are not in step."""
    (found,) = traffic([told(1, 5000, reply(7, NAME, [ONE])), asked(1.001, 5000, query(7, NAME))]).lookups
    assert (found.addresses, found.latency_s, found.query_packets, found.answer_packets) == ((ONE,), 0, (2,), (1,))
    earlier, found = traffic([told(1, 5000, reply(7, NAME, [ONE])), asked(12, 5000, query(7, NAME))]).lookups
    assert (earlier.latency_s, earlier.rcode, found.rcode) == (None, "NOERROR", None)


def test_injected_answers_conflict() -> None:
    frames = [
        asked(0, 5000, query(7, NAME)),
        told(1, 5000, reply(7, NAME, [OTHER])),
        told(30, 5000, reply(7, NAME, [ONE])),
    ]
    lookup = lookup_of(*frames)
    assert (lookup.conflicting, lookup.conflicts, lookup.answer_packets) == (True, ((OTHER,), (ONE,)), (2, 3))
    assert lookup.conflict_packets == (2, 3)
    assert lookup.addresses == (OTHER,)
    assert lookup.latency_s == pytest.approx(0.001)
    denied = [*frames[:2], told(30, 5000, reply(7, NAME, rcode=3))]
    assert lookup_of(*denied).conflicts == ((OTHER,), ("NXDOMAIN",))


def test_equal_and_reordered_answers_agree() -> None:
    for second in ([ONE, TWO], [TWO, ONE], [TWO]):
        frames = [
            asked(0, 5000, query(7, NAME)),
            told(1, 5000, reply(7, NAME, [ONE, TWO])),
            told(2, 5000, reply(7, NAME, second)),
        ]
        lookup = lookup_of(*frames)
        assert (lookup.conflicting, lookup.conflicts, lookup.answer_packets) == (False, (), (2, 3))


def test_an_answer_without_its_query() -> None:
    lookup = lookup_of(told(3, 5000, reply(7, NAME, [ONE])), told(4, 5000, reply(7, NAME, [TWO])))
    assert (lookup.query_packets, lookup.latency_s, lookup.addresses, lookup.retries) == ((), None, (ONE,), 0)
    assert lookup.conflicting


@pytest.mark.parametrize(("port", "number", "name"), [(5001, 7, NAME), (5000, 8, NAME), (5000, 7, "other.example")])
def test_a_blind_forgery_does_not_answer(port: int, number: int, name: str) -> None:
    frames = [
        asked(0, 5000, query(7, NAME)),
        told(1, port, reply(number, name, [OTHER])),
        told(9, 5000, reply(7, NAME, [ONE])),
    ]
    real, forged = traffic(frames).lookups
    assert (real.addresses, real.answer_packets, real.conflicting) == ((ONE,), (3,), False)
    assert (forged.addresses, forged.query_packets) == ((OTHER,), ())


def over_tcp(start_ms: float, number: int) -> Talk:
    talk = Talk(("10.0.0.2", 6000), (RESOLVER, 53), start_ns=asked(start_ms, 1, b"").time_ns).open()
    talk.up(framed(query(number, NAME)), 5).down(framed(reply(number, NAME, [ONE, TWO])), 7)
    return talk.close()


@pytest.mark.parametrize("sizes", [(), (1,), (2, 1, 1, 1, 1, 1, 1, 1, 1)])
def test_truncated_then_over_tcp(sizes: tuple[int, ...]) -> None:
    frames = [
        asked(0, 5000, query(7, NAME)),
        told(1, 5000, reply(7, NAME, [ONE], truncated=True)),
        *over_tcp(2, 9).frames,
    ]
    seen = traffic(frames, *sizes)
    (lookup,) = seen.lookups
    assert (lookup.transport, lookup.retries, lookup.addresses, lookup.conflicting) == ("tcp", 0, (ONE, TWO), False)
    assert lookup.latency_s is not None
    assert 0.002 < lookup.latency_s < 1
    assert lookup.query_packets[0] == 1
    assert [flow.protocol for flow in seen.flows] == ["dns", "dns"]


def test_truncated_and_no_more() -> None:
    lookup = lookup_of(asked(0, 5000, query(7, NAME)), told(1, 5000, reply(7, NAME, truncated=True)))
    assert (lookup.rcode, lookup.addresses, lookup.transport) == ("NOERROR", (), "udp")


def test_several_messages_over_tcp_in_one_segment_and_byte_by_byte() -> None:
    up = b"".join(framed(query(number, f"{number}.example")) for number in range(1, 4))
    down = b"".join(framed(reply(number, f"{number}.example", [f"192.0.2.{number}"])) for number in (2, 1, 3))
    for size in (1400, 1):
        talk = Talk(("10.0.0.2", 6000), (RESOLVER, 53)).open().up(up, size).down(down, size).close()
        found = [(lookup.name, lookup.addresses, lookup.transport) for lookup in traffic(talk.frames).lookups]
        assert found == [(f"{number}.example", (f"192.0.2.{number}",), "tcp") for number in range(1, 4)]


def test_port_unreachable_on_the_query() -> None:
    queries = [
        asked(0, 5000, query(7, NAME)),
        asked(0, 5000, query(8, NAME, AAAA)),
        asked(0, 5001, query(9, "other.example")),
    ]
    quote = queries[0].data[14 : 14 + 28]
    error = Frame(link(ip(RESOLVER, "10.0.0.2", ICMP, icmp(3, 3, quote))), queries[0].time_ns + 1000)
    seen = traffic([*queries, error])
    assert [lookup.icmp_error for lookup in seen.lookups] == ["port unreachable", "port unreachable", None]
    assert [flow.icmp for flow in seen.flows] == ["port unreachable", None]


def test_a_client_that_does_not_wait_for_late_answers_is_no_failure() -> None:
    """Its port unreachable quotes the resolver's second answer."""
    frames = [
        asked(0, 5000, query(7, NAME)),
        told(1, 5000, reply(7, NAME, [ONE])),
        told(2, 5000, reply(7, NAME, [ONE])),
    ]
    error = Frame(link(ip("10.0.0.2", RESOLVER, ICMP, icmp(3, 3, frames[2].data[14:]))), frames[2].time_ns + 1000)
    seen = traffic([*frames, error])
    assert seen.lookups[0].icmp_error is None
    assert (seen.flows[0].outcome, seen.flows[0].icmp, seen.flows[0].icmp_packet) == ("ok", "port unreachable", 4)


def test_an_error_after_the_answer_belongs_to_no_lookup() -> None:
    frames = [
        asked(0, 5000, query(7, NAME)),
        told(1, 5000, reply(7, NAME, [ONE])),
        asked(9, 5000, query(8, "b.example")),
    ]
    error = Frame(link(ip(RESOLVER, "10.0.0.2", ICMP, icmp(3, 3, frames[2].data[14:]))), frames[2].time_ns + 1000)
    for sizes in ((), (1, 1, 1), (3,)):
        assert [lookup.icmp_error for lookup in traffic([*frames, error], *sizes).lookups] == [None, "port unreachable"]


def on_port(port: int, frame: Frame) -> Frame:
    """A datagram of port 53 as one of another port."""
    at = frame.data.index(b"\0\x35", 34, 38)
    return Frame(frame.data[:at] + port.to_bytes(2, "big") + frame.data[at + 2 :], frame.time_ns)


@pytest.mark.parametrize(("port", "lookups"), [(8053, 1), (5300, 1), (5353, 0), (5355, 0), (137, 0)])
def test_resolvers_on_other_ports(port: int, lookups: int) -> None:
    frames = [asked(0, 5000, query(7, NAME)), told(1, 5000, reply(7, NAME, [ONE, TWO], alias="a.example"))]
    found = traffic(on_port(port, frame) for frame in frames).lookups
    assert [lookup.addresses for lookup in found] == [(ONE, TWO)] * lookups


def test_other_datagrams_are_no_questions() -> None:
    noise = [bytes(40), b"\xc3" + bytes(1200), bytes([0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 120])]
    assert traffic(on_port(443, asked(0, 5000, data)) for data in noise).lookups == ()


def test_several_questions_in_one_message() -> None:
    both = query(7, "a.example")[:4] + b"\0\2" + query(7, "a.example")[6:] + query(7, "b.example")[12:]
    assert [lookup.name for lookup in traffic([asked(0, 5000, both)]).lookups] == ["a.example", "b.example"]


def test_caps(monkeypatch: pytest.MonkeyPatch) -> None:
    for cap in ("MAX_LOOKUPS", "MAX_ANSWERS", "MAX_QUERIES"):
        monkeypatch.setattr(names, cap, 3)
    kept = Names()
    for number in range(9):
        kept.add(dns.message(query(number, NAME)), "c", number, "r", "udp", number, number * 10**9)
        kept.add(dns.message(query(50 + number, f"{number}.example")), "c", number, "r", "udp", number, number * 10**9)
    for number in range(9):
        kept.add(dns.message(reply(0, NAME, [ONE])), "c", 0, "r", "udp", 100 + number, 10**12)
    lookups = kept.lookups()
    assert (len(lookups), len(lookups[0].query_packets), len(lookups[0].answer_packets)) == (3, 3, 3)
    assert kept.left_out == 7


messages = st.one_of(
    st.builds(query, st.integers(0, 2), st.sampled_from(["a", "b.c"]), st.sampled_from([1, 28])),
    st.builds(
        reply,
        st.integers(0, 2),
        st.sampled_from(["a", "b.c"]),
        st.lists(st.sampled_from([ONE, TWO]), max_size=2),
        truncated=st.booleans(),
        rcode=st.integers(0, 5),
        question=st.booleans(),
    ),
    st.binary(max_size=30),
)


@given(
    st.lists(st.tuples(messages, st.sampled_from([5000, 5001]), st.booleans()), max_size=12),
    st.lists(st.integers(0, 4), max_size=5),
)
def test_batches_make_no_difference(sample: list[tuple[bytes, int, bool]], sizes: list[int]) -> None:
    frames = [(asked if up else told)(at * 7, port, message) for at, (message, port, up) in enumerate(sample)]
    assert traffic(frames, *sizes) == traffic(frames)
