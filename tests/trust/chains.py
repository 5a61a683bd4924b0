"""Chains to compare our judgement with Go's: made by hand, generated with a fault each, mutated, and collected.

by_hand: one for each rule. generated: chains as they are found, with a fault of FAULTS or two. mutants: changed bytes.
limbo, collected: x509-limbo and the chains in foreign captures, when the corpora are there.
"""

import datetime as dt
import ipaddress
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from random import Random

from cryptography import x509

from trace_go.model.chain import ChainFault as F
from trace_go.trust.store import pem_certificates
from trust.authority import (
    CLIENT,
    DAY,
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

DAY_NS = 86_400 * 10**9
CORPORA = Path(os.environ.get("TRACE_GO_CORPORA", Path(__file__).parents[3] / "shared" / "corpora"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    id: str
    faults: frozenset[F | None]
    """what may be said of it, None = nothing is wrong; empty: whatever Go says"""
    chain: tuple[bytes, ...]
    roots: tuple[bytes, ...]
    name: str = NAME
    at_ns: int = NOW_NS


def by_hand() -> Iterator[Case]:
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
        given = tuple(r.der for r in roots)
        return Case(id=label, faults=frozenset({fault}), chain=ders, roots=given, name=name, at_ns=at_ns)

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
    yield case("no-roots", F.NO_ROOTS, good, middle, roots=())
    yield case("missing-intermediate", F.INCOMPLETE, good)
    yield case("missing-with-aia", F.INCOMPLETE, by(strange, aia="http://ca.example/strange.cer"))
    yield case("leaf-alone-nothing-known", F.UNKNOWN_AUTHORITY, by(strange))
    yield case("forged-intermediate", F.BAD_SIGNATURE, leaf(signer=key("p256 forger")), middle)
    yield case(
        "forged-root",
        F.BAD_SIGNATURE,
        leaf(signer=key("p256 forger"), signed_as=full_name("Test Root R1", "Test Trust")),
    )
    mitm = issue("mitmproxy", o="mitmproxy", use="rsa2048 mitm")
    yield case("mitm", F.UNKNOWN_AUTHORITY, by(mitm, use="rsa2048 mitm"), mitm)
    yield case("mitm-trusted", None, by(mitm, use="rsa2048 mitm"), mitm, roots=(mitm,))
    yield case("leaf-not-first", F.NAME_MISMATCH, middle, good)
    yield case("intermediate-no-ca", F.NOT_A_CA, by(no := issue("No CA", root(), ca=False)), no)
    yield case("leaf-signs-leaf", F.NOT_A_CA, by(first := leaf(cn="a.example", dns=["a.example"])), first, middle)
    yield case("no-cert-sign", F.NOT_A_CA, by(mute := issue("Mute", root(), cert_sign=False)), mute)
    yield case("root-without-cert-sign", F.NOT_A_CA, by(dumb := issue("Dumb", cert_sign=False)), roots=(dumb,))
    yield case("path-length", F.PATH_LENGTH, by(below := issue("Below", middle)), below, middle)
    yield case("usage-client-leaf", F.USAGE, leaf(usages=[CLIENT]), middle)
    yield case("usage-client-intermediate", F.USAGE, by(client := issue("Client CA", root(), usages=[CLIENT])), client)
    yield case(
        "usage-client-root", F.USAGE, by(client_root := issue("Client Root", usages=[CLIENT])), roots=(client_root,)
    )
    yield case("sha1-leaf", F.WEAK_SIGNATURE, with_sha1(by(rsa_root), rsa_root.key), roots=(rsa_root,))
    yield case("unknown-critical", F.CRITICAL_EXTENSION, leaf(unknown_critical=True), middle)
    yield case(
        "unknown-critical-root", F.CRITICAL_EXTENSION, by(odd := issue("Odd", unknown_critical=True)), roots=(odd,)
    )
    # name constraints
    tree: Callable[[str], x509.GeneralName] = x509.DNSName
    for label, fault, permitted, excluded in (
        ("permitted", None, [tree("golang.org")], None),
        ("permitted-other", F.NAME_CONSTRAINT, [tree("example.com")], None),
        ("permitted-no-label", F.NAME_CONSTRAINT, [tree("lang.org")], None),
        ("permitted-other-kind", None, [x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))], None),
        ("excluded", F.NAME_CONSTRAINT, None, [tree("golang.org")]),
        ("excluded-other", None, None, [tree("example.com")]),
        ("directory-name", F.CRITICAL_EXTENSION, [x509.DirectoryName(full_name("x"))], None),
    ):
        limited = issue(f"Limited {label}", root(), constraints=x509.NameConstraints(permitted, excluded))
        yield case(f"constraint-{label}", fault, by(limited), limited)
    nets = x509.NameConstraints([x509.IPAddress(ipaddress.ip_network("192.0.2.0/24"))], None)
    netted = issue("Netted", root(), constraints=nets)
    yield case("constraint-net", None, by(netted, ips=["192.0.2.9"]), netted, name="192.0.2.9")
    yield case("constraint-net-other", F.NAME_CONSTRAINT, by(netted, ips=["192.0.3.9"]), netted, name="192.0.3.9")
    starred = issue("Starred", root(), constraints=x509.NameConstraints(None, [tree("proxy.golang.org")]))
    yield case("constraint-excluded-wildcard", F.NAME_CONSTRAINT, by(starred, dns=["*.golang.org"]), starred)
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
    # certificate policies
    demanding = x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None)
    strict = issue("Strict", root(), more=[demanding])
    yield case("policy-demanded", F.OTHER, by(strict), strict)
    # what go cannot read or use
    yield case("unknown-curve", F.UNREADABLE, leaf(use="k256"), middle)
    yield case("unknown-curve-beside", F.UNREADABLE, good, middle, issue("Curve", use="k256"))
    yield case("dsa-leaf", F.KEY_KIND, leaf(use="dsa"), middle)
    yield Case(
        id="garbage-beside",
        faults=frozenset({F.UNREADABLE}),
        chain=(good.der, middle.der, b"\x30\x03\x02\x01\x00"),
        roots=(root().der,),
    )
    yield Case(
        id="trailing-byte",
        faults=frozenset({F.UNREADABLE}),
        chain=(good.der + b"\x00", middle.der),
        roots=(root().der,),
    )


# -- generated ---------------------------------------------------------------------------------------------------------

Options = dict[str, object]
HOSTS = ("proxy.golang.org", "goproxy.corp.example", "a.b.c.mirror.test", "xn--bcher-kva.example", "h_1.example")
CA_KEYS = ("p256 a", "p256 b", "p384 c", "rsa2048 d", "rsa2048 e", "ed25519 f")
LEAF_KEYS = ("p256 leaf", "p384 leaf", "p521 leaf", "rsa2048 leaf", "rsa1024 leaf", "ed25519 leaf")


@dataclass(slots=True, kw_only=True)
class Plan:
    """A chain before it is made: what each certificate is issued with."""

    host: str
    certificates: list[Options]
    """root first, leaf last"""
    sha1: set[int]
    """which of them are signed over SHA-1"""
    dropped: set[int]
    """which of them the server does not send"""
    trusted: bool = True
    """the root is in the store, beside another one"""
    empty: bool = False
    """the store holds nothing"""
    at: dt.timedelta

    @property
    def cas(self) -> range:
        return range(1, len(self.certificates) - 1)

    def any_ca(self, random: Random) -> Options:
        return self.certificates[random.choice(self.cas)]


def plan(random: Random, number: int) -> Plan:
    host = random.choice(HOSTS)
    depth = random.choice((1, 1, 1, 2, 2, 3))
    root_options: Options = {"cn": f"Root {number}", "use": random.choice(CA_KEYS), "days": (-700, 3000)}
    cas: list[Options] = [
        {
            "cn": f"CA {number}.{i}",
            "use": random.choice(CA_KEYS),
            "days": (-300, 1500),
            "path_length": random.choice((None, depth - 1 - i, 5)),
            "usages": random.choice(([], [SERVER], [SERVER, CLIENT])),
            "constraints": random.choice((None, None, None, permitting(host))),
        }
        for i in range(depth)
    ]
    names = random.choice(([host], [host.upper()], ["*." + host.partition(".")[2]], ["x.test", host, "y.test"]))
    leaf_options: Options = {
        "cn": random.choice((host, None)),
        "dns": names,
        "use": random.choice(LEAF_KEYS),
        "ca": random.choice((False, None)),
        "usages": random.choice(([SERVER], [SERVER, CLIENT])),
        "aia": random.choice((None, f"http://ca.test/{number}.cer")),
        "sct": random.random() < 0.5,
    }
    for options in (root_options, *cas):
        options["o"] = "Test Trust"
        options["ids"] = random.random() < 0.8
    return Plan(
        host=host,
        certificates=[root_options, *cas, leaf_options],
        sha1=set(),
        dropped={0},
        at=random.uniform(-9, 79) * DAY,
    )


def permitting(host: str) -> x509.NameConstraints:
    """Of a CA that may issue for `host` and its neighbours."""
    return x509.NameConstraints([x509.DNSName(host.partition(".")[2]), x509.DNSName("test")], None)


def excluding(host: str) -> x509.NameConstraints:
    return x509.NameConstraints(None, [x509.DNSName(host.rpartition(".")[2])])


def _dates(options: Options, *, early: bool) -> None:
    options["days"] = (100, 200) if early else (-600, -20)


def _sign_rsa(plan: Plan, place: int) -> None:
    """The certificate at `place` gets an issuer with an RSA key, and a signature over SHA-1."""
    plan.certificates[place - 1]["use"] = "rsa2048 d"
    plan.sha1.add(place)


def _distrust_sent(plan: Plan) -> None:
    plan.trusted = False
    plan.dropped.discard(0)


def _shorten(plan: Plan) -> None:
    """A CA that may stand above leaves only goes above the others."""
    plan.certificates.insert(1, {"cn": "Short", "o": "Test Trust", "use": "p256 s", "path_length": 0})


def _drop(plan: Plan, place: int) -> None:
    plan.dropped.add(place)


Change = Callable[[Plan, Random], object]
FAULTS: dict[str, tuple[set[F], Change]] = {
    "expired leaf": ({F.EXPIRED}, lambda p, r: _dates(p.certificates[-1], early=False)),
    "expired intermediate": ({F.EXPIRED}, lambda p, r: _dates(p.any_ca(r), early=False)),
    "expired root": ({F.EXPIRED}, lambda p, r: _dates(p.certificates[0], early=False)),
    "early leaf": ({F.NOT_YET_VALID}, lambda p, r: _dates(p.certificates[-1], early=True)),
    "early intermediate": ({F.NOT_YET_VALID}, lambda p, r: _dates(p.any_ca(r), early=True)),
    "early root": ({F.NOT_YET_VALID}, lambda p, r: _dates(p.certificates[0], early=True)),
    "wrong name": ({F.NAME_MISMATCH}, lambda p, r: p.certificates[-1].update(dns=["z.test", "*.z.test"])),
    "common name only": ({F.COMMON_NAME_ONLY}, lambda p, r: p.certificates[-1].update(cn=p.host, dns=[], ca=False)),
    "self-signed": ({F.SELF_SIGNED}, lambda p, r: p.certificates.__setitem__(slice(None), p.certificates[-1:])),
    "unknown root": ({F.UNKNOWN_AUTHORITY}, lambda p, r: setattr(p, "trusted", False)),
    "unknown root, sent": ({F.UNKNOWN_AUTHORITY}, lambda p, r: _distrust_sent(p)),
    "no roots": ({F.NO_ROOTS}, lambda p, r: setattr(p, "empty", True)),
    "missing intermediate": ({F.INCOMPLETE}, lambda p, r: _drop(p, len(p.certificates) - 2)),
    "missing upper intermediate": (
        {F.INCOMPLETE, F.UNKNOWN_AUTHORITY},
        lambda p, r: _drop(p, 1),
    ),
    "leaf only": ({F.INCOMPLETE}, lambda p, r: p.dropped.update(p.cas)),
    "issuer is no CA": ({F.NOT_A_CA}, lambda p, r: p.any_ca(r).update(ca=False)),
    "issuer may not sign": ({F.NOT_A_CA}, lambda p, r: p.any_ca(r).update(cert_sign=False)),
    "root may not sign": ({F.NOT_A_CA}, lambda p, r: p.certificates[0].update(cert_sign=False)),
    "path length": ({F.PATH_LENGTH}, lambda p, r: _shorten(p)),
    "path length of the root": ({F.PATH_LENGTH}, lambda p, r: p.certificates[0].update(path_length=0)),
    "name not permitted": (
        {F.NAME_CONSTRAINT},
        lambda p, r: p.any_ca(r).update(constraints=x509.NameConstraints([x509.DNSName("other.test")], None)),
    ),
    "name excluded": ({F.NAME_CONSTRAINT}, lambda p, r: p.any_ca(r).update(constraints=excluding(p.host))),
    "client certificate": ({F.USAGE}, lambda p, r: p.certificates[-1].update(usages=[CLIENT])),
    "intermediate for clients": ({F.USAGE}, lambda p, r: p.any_ca(r).update(usages=[CLIENT])),
    "unknown critical extension": (
        {F.CRITICAL_EXTENSION},
        lambda p, r: r.choice(p.certificates).update(unknown_critical=True),
    ),
    "weak key": ({F.WEAK_KEY}, lambda p, r: p.certificates[-1].update(use="rsa768 leaf")),
    "weak key of an intermediate": ({F.WEAK_KEY}, lambda p, r: p.any_ca(r).update(use="rsa768 ca")),
    "SHA-1": ({F.WEAK_SIGNATURE}, lambda p, r: _sign_rsa(p, len(p.certificates) - 1)),
    "SHA-1 intermediate": ({F.WEAK_SIGNATURE}, lambda p, r: _sign_rsa(p, r.choice(p.cas))),
    "forged leaf": ({F.BAD_SIGNATURE}, lambda p, r: p.certificates[-1].update(signer=key("p256 forger"))),
    "forged intermediate": ({F.BAD_SIGNATURE}, lambda p, r: p.any_ca(r).update(signer=key("rsa2048 forger"))),
    "DSA": ({F.KEY_KIND}, lambda p, r: p.certificates[-1].update(use="dsa")),
    "unknown curve": ({F.UNREADABLE}, lambda p, r: p.certificates[-1].update(use="k256")),
}
NEEDS_TWO = {"missing upper intermediate"}  # intermediates


def generated(count: int, seed: int = 20260115) -> Iterator[Case]:
    """`count` chains: a tenth without a fault, as many with two, the rest with each fault in turn."""
    random = Random(seed)
    labels = list(FAULTS)
    for number in range(count):
        made = plan(random, number)
        which = random.random()
        picked = [] if which < 0.1 else [labels[number % len(labels)]]
        if which > 0.9:
            picked.append(random.choice(labels))
        while any(label in NEEDS_TWO for label in picked) and len(made.cas) < 2:
            made = plan(random, number)
        try:
            for label in picked:
                FAULTS[label][1](made, random)
            yield build(made, random, f"{number}: {' and '.join(picked) or 'sound'}", picked)
        except IndexError:  # the second fault needs what the first took away
            yield build(plan(random, number), random, f"{number}: sound", [])


def build(made: Plan, random: Random, label: str, picked: list[str]) -> Case:
    issued: list[Issued] = []
    for place, options in enumerate(made.certificates):
        issuer = issued[-1] if issued else None
        certificate = issue(**{"issuer": issuer, **options})  # type: ignore[arg-type] # as Plan says
        if place in made.sha1 and issuer:
            certificate = with_sha1(certificate, issuer.key)
        issued.append(certificate)
    last = len(issued) - 1
    above = [issued[i] for i in reversed(range(last)) if i not in made.dropped]
    manner = random.choice(("plain", "plain", "shuffled", "root", "twice", "extra"))
    if manner == "shuffled":
        random.shuffle(above)
    elif manner == "root" and made.trusted and not made.empty and 0 in made.dropped and last:
        above.append(issued[0])
    elif manner == "twice":
        above += above
    elif manner == "extra":
        above.insert(random.randint(0, len(above)), issue("Nobody's CA", o="Nobody"))
    roots = [] if made.empty else [root(), *issued[: bool(last and made.trusted)]]
    faults: set[F | None] = {None} if not picked else {*FAULTS[picked[0]][0]} if len(picked) == 1 else set()
    return Case(
        id=label + (f" ({manner})" if manner != "plain" else ""),
        faults=frozenset(faults),
        chain=(issued[-1].der, *(i.der for i in above)),
        roots=tuple(i.der for i in roots),
        name=made.host,
        at_ns=NOW_NS + int(made.at.total_seconds()) * 10**9,
    )


def mutants(count: int, seed: int = 20260115) -> Iterator[Case]:
    """The chains made by hand with one to three bytes changed somewhere in what was sent or in the roots."""
    random, models = Random(seed), list(by_hand())
    for number in range(count):
        case = random.choice(models)
        sent, roots = ([bytearray(der) for der in ders] for ders in (case.chain, case.roots))
        for _ in range(random.randint(1, 3)):
            victim = random.choice(sent + roots)
            victim[random.randrange(len(victim))] = random.choice((random.randrange(256), 0x00, 0xFF, 0x80))
        yield replace(
            case,
            id=f"{number}: {case.id}",
            faults=frozenset(),
            chain=tuple(map(bytes, sent)),
            roots=tuple(map(bytes, roots)),
        )


# -- collected ---------------------------------------------------------------------------------------------------------


def limbo() -> Iterator[Case]:
    """x509-limbo's server cases, less those that need options Go does not have."""
    path = CORPORA / "x509-limbo" / "limbo.json"
    for entry in json.loads(path.read_text())["testcases"] if path.is_file() else ():
        name = (entry["expected_peer_name"] or {}).get("value", "")
        if entry["validation_kind"] != "SERVER" or set(entry["features"] or ()) & {"has-crl", "max-chain-depth"}:
            continue
        pems = [entry["peer_certificate"], *entry["untrusted_intermediates"]]
        asked = entry["validation_time"]
        at = dt.datetime.fromisoformat(asked) if asked else dt.datetime(2026, 1, 15, tzinfo=dt.UTC)
        sent, roots = (
            tuple(der for pem in group for der in pem_certificates(pem.encode()))
            for group in (pems, entry["trusted_certs"])
        )
        at_ns = int(at.timestamp() * 1e6) * 1000
        yield Case(id=entry["id"], faults=frozenset(), chain=sent, roots=roots, name=name, at_ns=at_ns)


def collected() -> Iterator[Case]:
    """Each chain of the foreign captures at packet time: by Mozilla's roots, and by the last one sent as root."""
    from trace_go.pipeline import Source, observe
    from trace_go.trust.store import certifi_store

    path = CORPORA / "truth_chains.jsonl"
    rows = map(json.loads, path.read_text().splitlines() if path.is_file() else ())
    mozilla = tuple(certificate.der for certificate in certifi_store().certificates)
    known: set[tuple[bytes, ...]] = set()
    for name in dict.fromkeys(row["file"] for row in rows):
        for flow in observe(Source(captures=(str(CORPORA / "captures" / name),))).traffic.flows:
            chain = tuple(certificate.der for certificate in flow.tls.chain) if flow.tls else ()
            if not chain or chain in known:
                continue
            known.add(chain)
            host = flow.name or next(iter(flow.tls.chain[0].names), "") if flow.tls else ""
            at_ns = flow.tls.server_ns or flow.start_ns if flow.tls else 0
            for label, roots in (("Mozilla", mozilla), ("its own root", chain[-1:])):
                where = f"{name} flow {flow.id} by {label}"
                yield Case(id=where, faults=frozenset(), chain=chain, roots=roots, name=host, at_ns=at_ns)
