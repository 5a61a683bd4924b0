"""Judging a whole input: one judgement for each name, chain and day, and interception across chains."""

from collections.abc import Callable
from functools import partial

import msgspec
import pytest

from trace_go.model.chain import ChainFault as F
from trace_go.model.evidence import Visibility
from trace_go.model.tls import Certificate
from trace_go.trust import judging
from trace_go.trust.judge import judge
from trace_go.trust.judging import Sighting, judge_all
from trust.authority import NAME, NOW_NS, chain, intermediate, issue, leaf, root, store

DAY_NS = 86_400 * 10**9
GOOD = chain(leaf(), intermediate())


def seen(sent: tuple[Certificate, ...] = GOOD, name: str = NAME, **options: object) -> Sighting:
    sighting = Sighting(
        name=name, flow=1, packet=7, file=0, chain=sent, at_ns=NOW_NS, visibility=Visibility.SEEN, public=False
    )
    return msgspec.structs.replace(sighting, **options)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    original: Callable[..., object] = judge

    def count(*args: object, **options: object) -> object:
        calls.append(1)
        return original(*args, **options)

    monkeypatch.setattr(judging, "judge", count)
    return calls


def test_many_equal_handshakes_cost_one_verification(counted: list[int]) -> None:
    sightings = [seen(flow=i, packet=10 * i, at_ns=NOW_NS + i) for i in range(60_000)]
    (judgement,) = judge_all(sightings, store())
    assert len(counted) == 1
    assert (judgement.flow, judgement.packet, judgement.at_ns) == (0, 0, NOW_NS)
    assert (judgement.trusted, judgement.fault, judgement.trust) == (True, None, "test")
    assert judgement.visibility is Visibility.SEEN
    assert judgement.public_trusted is None


def test_one_for_each_name_chain_and_day() -> None:
    other = chain(leaf(dns=[NAME, "x.example"]), intermediate())
    sightings = [seen(), seen(other), seen(name="x.example"), seen(at_ns=NOW_NS + DAY_NS), seen(()), seen(file=3)]
    assert [(j.name, j.fault) for j in judge_all(sightings, store())] == [
        (NAME, None), (NAME, None), ("x.example", F.NAME_MISMATCH), (NAME, None),
    ]  # fmt: skip


def test_a_certificate_that_expires_during_the_day_is_judged_on_both_sides() -> None:
    ends = chain(leaf(days=(-10, 0.1)), intermediate())
    sightings = [seen(ends, at_ns=NOW_NS + hours * 3600 * 10**9) for hours in (0, 1, 2, 3, 4)]
    assert [j.fault for j in judge_all(sightings, store())] == [None, F.EXPIRED]
    exact = NOW_NS + DAY_NS // 10
    sightings = [seen(ends, at_ns=at) for at in (exact, exact + 1)]
    assert [j.fault for j in judge_all(sightings, store())] == [None, F.EXPIRED]


def test_interceptor_is_filled_in() -> None:
    mitm = issue("mitmproxy", o="mitmproxy", use="rsa2048 mitm")
    made = chain(leaf(mitm, use="rsa2048 mitm", days=(-2, 363)), mitm)
    (judgement,) = judge_all([seen(made, public=True)], store())
    assert (judgement.trusted, judgement.fault) == (False, F.UNKNOWN_AUTHORITY)
    assert judgement.interceptor == "mitmproxy"
    assert len(judgement.interceptor_why) >= 2
    (judgement,) = judge_all([seen(made)], store(mitm))
    assert (judgement.trusted, judgement.interceptor) == (True, "mitmproxy")


def test_users_own_authority() -> None:
    corp = issue("Corp CA")
    (judgement,) = judge_all([seen(chain(leaf(corp), corp))], store(), ["Corp *"])
    assert judgement.interceptor == "Corp CA"
    assert judgement.detail.startswith("made by Corp CA")


def test_public_host_trusted_only_here() -> None:
    (judgement,) = judge_all([seen(public=True)], store())
    assert (judgement.trusted, judgement.public_trusted) == (True, False)
    assert judgement.interceptor == "Test Intermediate E1"
    assert "Mozilla" in judgement.interceptor_why[0]


def test_untrusted_here_but_by_the_public_roots() -> None:
    (judgement,) = judge_all([seen()], store(issue("Other Root")), public_store=store())
    assert (judgement.trusted, judgement.public_trusted, judgement.fault) == (False, True, F.UNKNOWN_AUTHORITY)
    (judgement,) = judge_all([seen()], store(issue("Other Root")), public_store=store(issue("Third Root")))
    assert judgement.public_trusted is False


def test_no_sct_supports_other_signs_only() -> None:
    def why(sent: tuple[Certificate, ...], trusted: bool) -> str:
        (judgement,) = judge_all([seen(sent, public=True)], store(), public_store=store() if trusted else None)
        return " ".join(judgement.interceptor_why)

    assert "no SCT" in why(GOOD, trusted=False)
    assert "no SCT" not in why(chain(leaf(sct=True), intermediate()), trusted=False)
    assert why(GOOD, trusted=True) == ""


def test_disorder_and_weak_keys_are_told_of_what_is_trusted() -> None:
    sent = chain(leaf(use="rsa1024 leaf"), issue("Nobody"), intermediate())
    (judgement,) = judge_all([seen(sent)], store())
    assert (judgement.trusted, len(judgement.disorder), len(judgement.weak)) == (True, 1, 1)


def test_public_host_trusted_by_mozilla_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "certifi_store", partial(store, root()))
    (judgement,) = judge_all([seen(public=True)], store())
    assert (judgement.public_trusted, judgement.interceptor) == (True, None)


def test_one_key_over_unrelated_names_separates_an_interceptor_from_a_missing_intermediate() -> None:
    """Issued in a name the store has a root of, so each alone looks incomplete."""
    gateway = issue("Gateway", o="Test Trust")
    one, two = (
        seen(chain(leaf(gateway, cn=host, dns=[host], use="p256 gateway leaf")), host) for host in (NAME, "github.com")
    )
    (alone,) = judge_all([one], store())
    assert (alone.fault, alone.interceptor) == (F.INCOMPLETE, None)
    both = judge_all([one, two], store())
    assert [(j.fault, j.interceptor) for j in both] == [(F.UNKNOWN_AUTHORITY, "Gateway")] * 2
    assert "github.com" in both[0].interceptor_why[0]


def test_intermediate_seen_in_another_chain_proves_that_one_is_missing() -> None:
    between = issue("Between", root(), o="Elsewhere")
    complete = seen(chain(leaf(between, dns=["x.example"]), between), "x.example")
    lacking = seen(chain(leaf(between)))
    first, second = judge_all([lacking, complete], store())
    assert (first.fault, second.fault) == (F.INCOMPLETE, None)
    assert "seen elsewhere" in first.detail


def test_nothing_to_judge() -> None:
    assert judge_all([], store()) == ()
