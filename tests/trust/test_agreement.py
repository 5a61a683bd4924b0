"""The verdict on a chain is Go's: compared with crypto/x509 itself on generated chains and on x509-limbo."""

import datetime as dt
import ipaddress
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from random import Random

import pytest
from cryptography import x509

from trace_go.model.chain import ChainFault as F
from trace_go.trust import judge as judge_module
from trace_go.trust.gopath import verify
from trace_go.trust.judge import judge
from trace_go.trust.store import TrustStore, pem_certificates
from trace_go.wire.certificates import certificate
from trace_go.wire.x509 import read
from trust.authority import (
    CLIENT,
    NAME,
    NOW_NS,
    SERVER,
    Issued,
    full_name,
    intermediate,
    issue,
    key,
    leaf,
    root,
    with_sha1,
)
from trust.conftest import Oracle, Question

DAY_NS = 86_400 * 10**9
LIMBO = Path(__file__).parents[3] / "shared" / "corpora" / "x509-limbo" / "limbo.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    id: str
    fault: F | None
    chain: tuple[bytes, ...]
    roots: tuple[bytes, ...]
    name: str = NAME
    at_ns: int = NOW_NS


def cases() -> Iterator[Case]:
    good, middle = leaf(), intermediate()

    def case(
        label: str,
        fault: F | None,
        *chain: Issued,
        roots: tuple[Issued, ...] = (root(),),
        name: str = NAME,
        at_ns: int = NOW_NS,
    ) -> Case:
        ders = tuple(i.der for i in chain)
        return Case(id=label, fault=fault, chain=ders, roots=tuple(r.der for r in roots), name=name, at_ns=at_ns)

    def by(issuer: Issued, **options: object) -> Issued:
        return leaf(issuer, **options)

    # what is fine
    yield case("good", None, good, middle)
    for kind in ("rsa2048", "p224", "p384", "p521", "ed25519"):
        anchor = issue(f"Root {kind}", use=kind)
        yield case(f"good-{kind}", None, by(anchor, use=kind), roots=(anchor,))
    rsa_root = issue("Root rsa2048", use="rsa2048")
    yield case("good-pss", None, by(rsa_root, pss=True), roots=(rsa_root,))
    yield case("root-sent", None, good, middle, root())
    free = issue("Free", root())
    deep = issue("Deep", free)
    yield case("wrong-order", None, by(deep), free, deep)
    yield case("extra-certificate", None, good, issue("Nobody's CA"), middle)
    yield case("repeated", None, good, middle, middle, good)
    yield case("no-key-ids", None, by(plain := issue("Plain CA", ids=False), ids=False), roots=(plain,))
    yield case("private-ca-signs-leaf", None, by(corp := issue("Corp CA")), roots=(corp,))
    yield case("basic-constraints-not-critical", None, by(soft := issue("Soft CA", root(), critical_ca=False)), soft)
    yield case("leaf-without-basic-constraints", None, leaf(ca=None), middle)
    yield case("leaf-without-usage", None, leaf(usages=[]), middle)
    yield case("any-usage", None, leaf(usages=[x509.ObjectIdentifier("2.5.29.37.0")]), middle)
    yield case("both-usages", None, leaf(usages=[CLIENT, SERVER]), middle)
    yield case("no-subject", None, leaf(cn=None), middle)
    yield case("ten-years", None, leaf(days=(-10, 3650)), middle)
    yield case("rsa-1024", None, by(short := issue("Short", use="rsa1024")), roots=(short,))
    yield case("sha1-root", None, by(rsa_root), roots=(with_sha1(rsa_root, rsa_root.key),))
    yield case("pinned-leaf", None, alone := issue(NAME, dns=[NAME]), roots=(alone,))
    yield case("leaf-is-ca", None, leaf(ca=True), middle)
    if find_spec("cryptography.hazmat.primitives.asymmetric.mldsa"):
        anchor = issue("Root ML-DSA", use="mldsa44")
        yield case("good-mldsa", None, by(anchor, use="mldsa44 leaf"), roots=(anchor,))
    # dates
    yield case("expired-leaf", F.EXPIRED, leaf(days=(-90, -2)), middle)
    yield case("expired-intermediate", F.EXPIRED, by(late := issue("Late", root(), days=(-90, -2))), late)
    yield case("expired-root", F.EXPIRED, by(gone := issue("Gone Root", days=(-90, -2))), roots=(gone,))
    yield case("early-leaf", F.NOT_YET_VALID, leaf(days=(2, 90)), middle)
    yield case("early-intermediate", F.NOT_YET_VALID, by(soon := issue("Soon", root(), days=(2, 90))), soon)
    yield case("last-moment", None, good, middle, at_ns=NOW_NS + 80 * DAY_NS)
    yield case("half-a-second-late", F.EXPIRED, good, middle, at_ns=NOW_NS + 80 * DAY_NS + 500_000_000)
    yield case("first-moment", None, good, middle, at_ns=NOW_NS - 10 * DAY_NS)
    yield case("a-ns-early", F.NOT_YET_VALID, good, middle, at_ns=NOW_NS - 10 * DAY_NS - 1)
    yield case("expired-and-wrong-name", F.EXPIRED, leaf(days=(-90, -2), dns=["other.example"]), middle)
    # names
    yield case("wrong-name", F.NAME_MISMATCH, leaf(dns=["other.example", "more.example"]), middle)
    yield case("common-name-only", F.COMMON_NAME_ONLY, issue(NAME, middle, ca=False), middle)
    yield case("common-name-of-another", F.NAME_MISMATCH, issue("other.example", middle, ca=False), middle)
    yield case("common-name-wildcard", F.COMMON_NAME_ONLY, issue("*.golang.org", middle, ca=False), middle)
    yield case("wildcard", None, leaf(dns=["*.golang.org"]), middle)
    yield case("wildcard-upper-case", None, leaf(dns=["*.GoLang.ORG"]), middle, name="Proxy.golang.org")
    for label, pattern, host in (
        ("wildcard-two-labels", "*.golang.org", "a.b.golang.org"),
        ("wildcard-apex", "*.golang.org", "golang.org"),
        ("wildcard-partial", "pro*.golang.org", NAME),
        ("wildcard-middle", "proxy.*.org", NAME),
        ("wildcard-alone", "*", "localhost"),
        ("san-last-dot", NAME + ".", NAME),
    ):
        yield case(label, F.NAME_MISMATCH, leaf(dns=[pattern]), middle, name=host)
    yield case("wildcard-asked-for", None, leaf(dns=["*.golang.org"]), middle, name="*.golang.org")
    yield case("san-last-dot-asked-for", None, leaf(dns=[NAME + "."]), middle, name=NAME + ".")
    yield case("name-last-dot", None, good, middle, name=NAME + ".")
    yield case("underscore", None, leaf(dns=["a_b.example"]), middle, name="a_b.example")
    yield case("no-name-asked", None, good, middle, name="")
    yield case("ip", None, leaf(ips=["192.0.2.1", "2001:db8::1"]), middle, name="192.0.2.1")
    yield case("ip-6", None, leaf(ips=["192.0.2.1", "2001:db8::1"]), middle, name="2001:db8::1")
    yield case("ip-6-brackets", None, leaf(ips=["2001:db8::1"]), middle, name="[2001:db8::1]")
    yield case("ip-6-zone", None, leaf(ips=["fe80::1"]), middle, name="fe80::1%eth0")
    yield case("ip-mapped", None, leaf(ips=["192.0.2.1"]), middle, name="::ffff:192.0.2.1")
    yield case("ip-other", F.NAME_MISMATCH, leaf(ips=["192.0.2.1"]), middle, name="192.0.2.2")
    yield case("ip-as-dns-name", F.NAME_MISMATCH, leaf(dns=["192.0.2.1"]), middle, name="192.0.2.1")
    yield case("ip-as-common-name", F.COMMON_NAME_ONLY, issue("192.0.2.1", middle, ca=False), middle, name="192.0.2.1")
    # authorities
    strange = issue("Strange Root", o="Strange")
    yield case("self-signed", F.SELF_SIGNED, issue(NAME, dns=[NAME]))
    yield case("self-signed-sha1", F.SELF_SIGNED, with_sha1(old := issue(NAME, dns=[NAME], use="rsa2048"), old.key))
    yield case("self-signed-ca", F.SELF_SIGNED, issue(NAME, dns=[NAME], ca=True))
    yield case("own-issuer-forged", F.UNKNOWN_AUTHORITY, issue(NAME, dns=[NAME], signer=key("p256 forger")))
    yield case("unknown-root-sent", F.UNKNOWN_AUTHORITY, by(strange), strange)
    yield case("unknown-root-not-sent", F.UNKNOWN_AUTHORITY, by(between := issue("Strange CA", strange)), between)
    yield case("no-roots", F.UNKNOWN_AUTHORITY, good, middle, roots=())
    yield case("missing-intermediate", F.INCOMPLETE, good)
    yield case("missing-with-aia", F.INCOMPLETE, by(strange, aia="http://ca.example/strange.cer"))
    yield case("leaf-alone-nothing-known", F.UNKNOWN_AUTHORITY, by(strange))
    yield case("forged-intermediate", F.UNKNOWN_AUTHORITY, leaf(signer=key("p256 forger")), middle)
    yield case(
        "forged-root",
        F.UNKNOWN_AUTHORITY,
        leaf(signer=key("p256 forger"), signed_as=full_name("Test Root R1", "Test Trust")),
    )
    mitm = issue("mitmproxy", o="mitmproxy", use="rsa2048 mitm")
    yield case("mitm", F.UNKNOWN_AUTHORITY, by(mitm, use="rsa2048 mitm"), mitm)
    yield case("mitm-trusted", None, by(mitm, use="rsa2048 mitm"), mitm, roots=(mitm,))
    yield case("leaf-not-first", F.NAME_MISMATCH, middle, good)
    yield case("intermediate-no-ca", F.UNKNOWN_AUTHORITY, by(no := issue("No CA", root(), ca=False)), no)
    yield case(
        "leaf-signs-leaf", F.UNKNOWN_AUTHORITY, by(first := leaf(cn="a.example", dns=["a.example"])), first, middle
    )
    yield case("no-cert-sign", F.UNKNOWN_AUTHORITY, by(mute := issue("Mute", root(), cert_sign=False)), mute)
    yield case("root-without-cert-sign", F.UNKNOWN_AUTHORITY, by(dumb := issue("Dumb", cert_sign=False)), roots=(dumb,))
    yield case("path-length", F.OTHER, by(below := issue("Below", middle)), below, middle)
    yield case("usage-client-leaf", F.OTHER, leaf(usages=[CLIENT]), middle)
    yield case("usage-client-intermediate", F.OTHER, by(client := issue("Client CA", root(), usages=[CLIENT])), client)
    yield case(
        "usage-client-root", F.OTHER, by(client_root := issue("Client Root", usages=[CLIENT])), roots=(client_root,)
    )
    yield case("sha1-leaf", F.UNKNOWN_AUTHORITY, with_sha1(by(rsa_root), rsa_root.key), roots=(rsa_root,))
    yield case("unknown-critical", F.OTHER, leaf(unknown_critical=True), middle)
    yield case("unknown-critical-root", F.OTHER, by(odd := issue("Odd", unknown_critical=True)), roots=(odd,))
    # name constraints
    tree: Callable[[str], x509.GeneralName] = x509.DNSName
    for label, fault, permitted, excluded in (
        ("permitted", None, [tree("golang.org")], None),
        ("permitted-other", F.OTHER, [tree("example.com")], None),
        ("permitted-no-label", F.OTHER, [tree("lang.org")], None),
        ("permitted-other-kind", None, [x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))], None),
        ("excluded", F.OTHER, None, [tree("golang.org")]),
        ("excluded-other", None, None, [tree("example.com")]),
        ("directory-name", F.OTHER, [x509.DirectoryName(full_name("x"))], None),
    ):
        limited = issue(f"Limited {label}", root(), constraints=x509.NameConstraints(permitted, excluded))
        yield case(f"constraint-{label}", fault, by(limited), limited)
    nets = x509.NameConstraints([x509.IPAddress(ipaddress.ip_network("192.0.2.0/24"))], None)
    netted = issue("Netted", root(), constraints=nets)
    yield case("constraint-net", None, by(netted, ips=["192.0.2.9"]), netted, name="192.0.2.9")
    yield case("constraint-net-other", F.OTHER, by(netted, ips=["192.0.3.9"]), netted, name="192.0.3.9")
    starred = issue("Starred", root(), constraints=x509.NameConstraints(None, [tree("proxy.golang.org")]))
    yield case("constraint-excluded-wildcard", F.OTHER, by(starred, dns=["*.golang.org"]), starred)
    # more than one way
    twin_root = issue("Twin Root")
    crossed, lapsed = issue("Twin Root", root()), issue("Twin Root", root(), days=(-90, -2))
    yield case("cross-signed", None, by(twin_root), crossed)
    yield case("cross-signed-expired", F.EXPIRED, by(twin_root), lapsed)
    yield case("cross-signed-expired-and-root", None, by(twin_root), lapsed, roots=(root(), twin_root))
    yield case("cross-signed-expired-and-new", None, by(twin_root), lapsed, crossed)
    a, b = issue("A", use="p256 a"), issue("B", use="p256 b")
    loop = (issue("A", b, use="p256 a"), issue("B", a, use="p256 b"))
    yield case("loop", F.UNKNOWN_AUTHORITY, by(a), *loop)
    # what go cannot read or use
    yield case("unknown-curve", F.UNREADABLE, leaf(use="k256"), middle)
    yield case("unknown-curve-beside", F.UNREADABLE, good, middle, issue("Curve", use="k256"))
    yield case("dsa-leaf", F.OTHER, leaf(use="dsa"), middle)
    yield Case(
        id="garbage-beside",
        fault=F.UNREADABLE,
        chain=(good.der, middle.der, b"\x30\x03\x02\x01\x00"),
        roots=(root().der,),
    )
    yield Case(id="trailing-byte", fault=F.UNREADABLE, chain=(good.der + b"\x00", middle.der), roots=(root().der,))


CASES = list(cases())
GO_FAULTS = (
    ("failed to parse certificate", {F.UNREADABLE}),
    ("is after", {F.EXPIRED}),
    ("is before", {F.NOT_YET_VALID}),
    ("legacy Common Name", {F.COMMON_NAME_ONLY}),
    ("certificate is valid for", {F.NAME_MISMATCH}),
    ("not valid for any names", {F.NAME_MISMATCH}),
    ("cannot validate certificate for", {F.NAME_MISMATCH}),
    ("unknown authority", {F.UNKNOWN_AUTHORITY, F.SELF_SIGNED, F.INCOMPLETE}),
    ("", {F.OTHER}),
)


@pytest.fixture(scope="module")
def go_says(oracle: Oracle) -> dict[str, str]:
    questions = [Question(chain=c.chain, roots=c.roots, name=c.name, at_ns=c.at_ns) for c in CASES]
    return dict(zip((c.id for c in CASES), oracle.ask(questions), strict=True))


def given(ders: tuple[bytes, ...]) -> TrustStore:
    return TrustStore("test", "made by the test", lambda: ders)


each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
PATHS = [c for c in CASES if c.fault is not F.UNREADABLE and c.id != "dsa-leaf"]  # the others are decided around paths
each_path = pytest.mark.parametrize("case", PATHS, ids=lambda c: c.id)


@each_case
def test_fault(case: Case) -> None:
    chain = tuple(map(certificate, case.chain))
    trusted, fault, detail = judge(chain, name=case.name, at_ns=case.at_ns, store=given(case.roots))
    assert (trusted, fault) == (case.fault is None, case.fault), detail
    assert detail


@each_case
def test_go_agrees(case: Case, go_says: dict[str, str]) -> None:
    error = go_says[case.id]
    assert (error == "") == (case.fault is None), error
    assert case.fault is None or case.fault in next(faults for text, faults in GO_FAULTS if text in error), error


@each_path
def test_our_own_path_builder_alone_agrees(case: Case, go_says: dict[str, str]) -> None:
    sent = [read(der) for der in case.chain]
    found = verify(sent, name=case.name, at_ns=case.at_ns, roots=given(case.roots))
    assert isinstance(found, tuple) == (go_says[case.id] == ""), go_says[case.id]


@each_path
def test_what_cryptography_confirms_go_accepts(case: Case, go_says: dict[str, str]) -> None:
    sent = [read(der) for der in case.chain]
    if judge_module._confirmed(sent, case.name, case.at_ns, given(case.roots)):
        assert go_says[case.id] == ""


def limbo() -> list[Case]:
    """x509-limbo's server cases, less those that need options Go does not have."""
    found = []
    for entry in json.loads(LIMBO.read_text())["testcases"] if LIMBO.is_file() else ():
        name = (entry["expected_peer_name"] or {}).get("value", "")
        if entry["validation_kind"] != "SERVER" or set(entry["features"] or ()) & {"has-crl", "max-chain-depth"}:
            continue
        pems = [entry["peer_certificate"], *entry["untrusted_intermediates"]]
        at = (
            dt.datetime.fromisoformat(entry["validation_time"])
            if entry["validation_time"]
            else dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
        )
        sent, roots = (
            tuple(der for pem in group for der in pem_certificates(pem.encode()))
            for group in (pems, entry["trusted_certs"])
        )
        found.append(
            Case(id=entry["id"], fault=None, chain=sent, roots=roots, name=name, at_ns=int(at.timestamp() * 1e6) * 1000)
        )
    return found


@pytest.mark.skipif(not LIMBO.is_file(), reason="x509-limbo is not beside this checkout")
def test_limbo_as_go_judges_it(oracle: Oracle) -> None:
    entries = limbo()
    answers = oracle.ask([Question(chain=c.chain, roots=c.roots, name=c.name, at_ns=c.at_ns) for c in entries])
    differ = []
    for entry, error in zip(entries, answers, strict=True):
        chain = tuple(map(certificate, entry.chain))
        trusted, fault, detail = judge(chain, name=entry.name, at_ns=entry.at_ns, store=given(entry.roots))
        if trusted != (error == ""):
            differ.append((entry.id, str(fault), detail, error))
    print(f"x509-limbo: {len(entries) - len(differ)} of {len(entries)} as Go judges")
    assert len(differ) <= len(entries) * 0.05, differ


def mutants(count: int) -> Iterator[Case]:
    """The generated cases with one to three bytes changed somewhere in what was sent or in the roots."""
    random = Random(20260115)
    for _ in range(count):
        case = random.choice(CASES)
        sent, roots = ([bytearray(der) for der in ders] for ders in (case.chain, case.roots))
        for _ in range(random.randint(1, 3)):
            victim = random.choice(sent + roots)
            victim[random.randrange(len(victim))] = random.choice((random.randrange(256), 0x00, 0xFF, 0x80))
        yield replace(case, chain=tuple(map(bytes, sent)), roots=tuple(map(bytes, roots)))


def test_mutated_chains_as_go_judges_them(oracle: Oracle) -> None:
    entries = list(mutants(3000))
    answers = oracle.ask([Question(chain=c.chain, roots=c.roots, name=c.name, at_ns=c.at_ns) for c in entries])
    differ = []
    for entry, error in zip(entries, answers, strict=True):
        chain = tuple(map(certificate, entry.chain))
        _, fault, detail = judge(chain, name=entry.name, at_ns=entry.at_ns, store=given(entry.roots))
        expected = {None} if not error else next(faults for text, faults in GO_FAULTS if text in error)
        if fault not in expected:
            differ.append((entry.id, str(fault), detail, error))
    print(f"mutated chains: {len(entries) - len(differ)} of {len(entries)} as Go judges")
    assert len(differ) <= len(entries) * 0.01, differ[:10]
