"""What a judgement says: details in words, what tells a missing intermediate from an interceptor, hostile chains."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_go.model.chain import ChainFault as F
from trace_go.trust.gopath import MAX_SIGNATURE_CHECKS
from trace_go.trust.judge import judge
from trace_go.trust.store import TrustStore
from trace_go.wire.certificates import certificate
from trust.authority import NAME, NOW_NS, Issued, chain, intermediate, issue, key, leaf, root, store


def told(*sent: Issued, **options: object) -> tuple[F | None, str]:
    trusted, fault, detail, part = judge(chain(*sent), **({"name": NAME, "at_ns": NOW_NS, "store": store()} | options))  # type: ignore[arg-type]
    assert trusted == (fault is None)
    assert part is None or not trusted
    return fault, detail


def test_details_name_the_certificate_and_the_reason() -> None:
    assert told(leaf(), intermediate()) == (None, "chains to CN=Test Root R1,O=Test Trust")
    assert told(leaf(days=(-90, -2)), intermediate()) == (
        F.EXPIRED,
        "the server's certificate expired on 2026-01-13 12:00 UTC",
    )
    late = issue("Late", root(), days=(-90, -2))
    assert told(leaf(late), late)[1] == "the intermediate certificate CN=Late expired on 2026-01-13 12:00 UTC"
    gone = issue("Gone", days=(-90, -2))
    assert told(leaf(gone), store=store(gone))[1].startswith(
        "the root certificate CN=Gone of the trust store (test) exp"
    )
    assert told(leaf(days=(2, 9)), intermediate())[1].endswith("is not valid before 2026-01-17 12:00 UTC")
    many = leaf(dns=[f"h{i}.example" for i in range(9)], ips=["192.0.2.1"])
    assert told(many, intermediate())[1] == (
        "the server's certificate is valid for h0.example, h1.example, h2.example, h3.example, h4.example and 5 more, "
        "not for proxy.golang.org"
    )
    assert "no host name at all" in told(issue("x", intermediate(), ca=False), intermediate())[1]
    assert "only in its Common Name" in told(issue(NAME, intermediate(), ca=False), intermediate())[1]
    assert told()[0] is F.UNREADABLE


def test_missing_intermediate_by_what_tells_it() -> None:
    strange = issue("Strange Root", o="Strange")
    fault, detail = told(leaf())
    assert (fault, "a root of Test Trust" in detail) == (F.INCOMPLETE, True)
    fault, detail = told(leaf(strange, aia="http://ca.example/x.cer"))
    assert (fault, "http://ca.example/x.cer" in detail) == (F.INCOMPLETE, True)
    between = issue("Between", root(), o="Elsewhere")
    fault, detail = told(leaf(between), others=chain(between))
    assert (fault, "seen elsewhere" in detail) == (F.INCOMPLETE, True)
    fault, detail = told(leaf(between), others=chain(issue("Between", strange, o="Elsewhere")))
    assert fault is F.UNKNOWN_AUTHORITY


def test_the_wrong_intermediate_is_named() -> None:
    other = issue("Old Intermediate", root(), o="Test Trust")
    fault, detail = told(leaf(aia="http://ca.example/e1.cer"), other)
    assert fault is F.INCOMPLETE
    assert "did not send the intermediate certificate CN=Test Intermediate E1,O=Test Trust but CN=Old" in detail
    assert "it can be had at http://ca.example/e1.cer" in detail


def test_a_public_host_without_sct_does_not_merely_lack_an_intermediate() -> None:
    assert told(leaf(sct=True), public=True)[0] is F.INCOMPLETE
    fault, detail = told(leaf(), public=True)
    assert fault is F.UNKNOWN_AUTHORITY
    assert "no SCT" in detail


def test_a_leaf_that_is_not_sent_first() -> None:
    fault, detail = told(intermediate(), leaf())
    assert fault is F.NAME_MISMATCH
    assert detail.endswith("the one for that name is sent behind it, and must come first")


def test_an_empty_store_is_told_with_where_go_looked() -> None:
    nothing = TrustStore("system", "SSL_CERT_FILE=/none (unreadable)", lambda: ())
    fault, detail = told(leaf(), intermediate(), store=nothing)
    assert (fault, detail.endswith("the trust store is empty: SSL_CERT_FILE=/none (unreadable)")) == (F.NO_ROOTS, True)
    assert told(issue(NAME, dns=[NAME]), store=nothing)[0] is F.SELF_SIGNED


def test_both_possibilities_are_named_when_nothing_tells_them_apart() -> None:
    fault, detail = told(leaf(issue("Somebody")))
    assert fault is F.UNKNOWN_AUTHORITY
    assert "interceptor" in detail
    assert "did not send" in detail


def test_a_known_interceptor_is_no_missing_intermediate() -> None:
    fault, detail = told(leaf(), interceptor="Corp Gateway")
    assert fault is F.UNKNOWN_AUTHORITY
    assert detail.startswith("made by Corp Gateway")


def test_forged_issuer_is_told_with_its_reason() -> None:
    fault, detail = told(leaf(signer=key("p256 forger")), intermediate())
    assert fault is F.BAD_SIGNATURE
    assert detail == (
        "the server's certificate names CN=Test Intermediate E1,O=Test Trust as issuer, which did not sign it"
    )


def test_cross_signing_maze_is_bounded() -> None:
    """Sixty CAs of one name and many keys that all sign each other: exponential without go's limit."""
    makers = [issue("Maze", use=f"p256 maze{i % 6}") for i in range(6)]
    sent = [issue("Maze", makers[i], use=f"p256 maze{j}") for i in range(6) for j in range(6)]
    started = time.perf_counter()
    fault, detail = told(leaf(makers[0]), *sent, *sent)
    assert time.perf_counter() - started < 5
    assert fault in (F.OTHER, F.UNKNOWN_AUTHORITY)
    assert fault is F.UNKNOWN_AUTHORITY or str(MAX_SIGNATURE_CHECKS) in detail


GOOD = [leaf().der, intermediate().der, root().der]
STORE = store()


@pytest.mark.parametrize("at_ns", [0, -1, 1, 2**63 - 1])
def test_any_time(at_ns: int) -> None:
    assert told(leaf(), intermediate(), at_ns=at_ns)[0] in (F.EXPIRED, F.NOT_YET_VALID)


@given(st.text(max_size=30))
def test_any_name(name: str) -> None:
    _, fault, _, _ = judge(tuple(map(certificate, GOOD)), name=name, at_ns=NOW_NS, store=STORE)
    assert fault in (None, F.NAME_MISMATCH)
    assert fault or name.lower() in ("", NAME, NAME + ".")


@settings(max_examples=60)
@given(st.data())
def test_mutated_chains(data: st.DataObject) -> None:
    """Never an exception; and no mutated leaf is trusted."""
    sent = list(GOOD)
    which = data.draw(st.integers(0, 2))
    mutated = bytearray(sent[which])
    at = data.draw(st.integers(0, len(mutated) - 1))
    mutated[at] ^= data.draw(st.integers(1, 255))
    sent[which] = bytes(mutated)
    trusted, fault, detail, _ = judge(tuple(map(certificate, sent)), name=NAME, at_ns=NOW_NS, store=STORE)
    assert trusted == (fault is None)
    assert detail
    assert not trusted or which == 2  # the root need not be sent at all
