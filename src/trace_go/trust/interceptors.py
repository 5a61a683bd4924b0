"""Signs in a certificate chain that a machine in the path made it (mitmproxy, Squid, antivirus, gateways, states).

Only signs that stand by themselves name one: an issuer known for it, or a leaf made with its issuer's key pair. How
sure several signs make depends on how many kinds of them agree.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from msgspec import Struct

from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.tls import Certificate
from trace_go.trust.gopath import unix_ns
from trace_go.wire.x509 import X509, read

DAY_NS = 86_400_000_000_000
MITMPROXY_AGE_DAYS = 2  # mitmproxy dates a leaf two days back, counted from when it made it


class Kind(StrEnum):
    """What a sign rests on; signs of one kind are not independent of each other."""

    NAME = "name"
    """who the issuer is"""
    KEY = "key"
    """the leaf is made with its issuer's key"""
    TRUST = "trust"
    """whose roots accept the chain"""
    SHARED = "shared"
    """one key for unrelated names: a careless private authority looks the same"""
    SUPPORTING = "supporting"
    """says nothing by itself"""


class Sign(Struct, frozen=True, kw_only=True):
    kind: Kind
    text: str


_STRONG = frozenset({Kind.NAME, Kind.KEY, Kind.TRUST})


def confidence(signs: Iterable[Sign], visibility: Visibility) -> Confidence:
    """How sure these signs make: certain by two strong kinds on the wire; a shared key alone stays medium."""
    strong = {sign.kind for sign in signs} & _STRONG
    if not strong:
        return Confidence.MEDIUM
    return Confidence.CERTAIN if len(strong) > 1 and visibility is Visibility.SEEN else Confidence.HIGH


class Product(Struct, frozen=True, kw_only=True):
    """An interceptor and how its issuers are called."""

    name: str
    issuer: tuple[re.Pattern[str], ...]
    """searched in common name and organisation"""
    organisation: tuple[re.Pattern[str], ...]
    """must match the whole organisation"""


@cache
def products() -> tuple[Product, ...]:
    """data/interceptors.toml."""
    import tomllib

    text = (Path(__file__).parent / "data" / "interceptors.toml").read_text("utf-8")
    return tuple(
        Product(
            name=entry["name"],
            issuer=tuple(map(re.compile, entry.get("issuer", ()))),
            organisation=tuple(map(re.compile, entry.get("organisation", ()))),
        )
        for entry in tomllib.loads(text)["product"]
    )


def interceptor(
    chain: Sequence[Certificate], *, cas: Sequence[str] = (), at_ns: int | None = None
) -> tuple[str | None, tuple[Sign, ...]]:
    """(product or CA name, signs), or (None, ()).

    cas: the user's interception CAs: common name, organisation or RFC 4514 name of an issuer (`*` stands for anything),
    or the SHA-256 of a certificate in the chain. at_ns: when the chain was seen.
    """
    if not chain:
        return None, ()
    leaf = chain[0]
    culprit, signs = None, list[Sign]()
    for certificate in chain:
        if product := _product(certificate):
            culprit, told = product, certificate.issuer_cn or certificate.issuer_o
            signs.append(Sign(kind=Kind.NAME, text=f"its issuer, {told}, is that of the product {product}"))
            break
    if own := listed(chain, cas):
        culprit = culprit or own
        signs.append(Sign(kind=Kind.NAME, text=f"{own} is listed in interception-cas"))
    if leaf.signed_by_own_key and not leaf.is_ca:
        text = "it verifies under its own key although its issuer is another name"
        signs.append(Sign(kind=Kind.KEY, text=text))
    x = read(leaf.der)
    if not x.self_issued and x.authority_key_id and x.authority_key_id in (_key_id(x), x.subject_key_id):
        signs.append(Sign(kind=Kind.KEY, text="its authority key identifier is that of its own key"))
    if not signs:
        return None, ()
    if at_ns is not None and leaf.not_before and not x.subject_key_id:
        age_days = (at_ns - unix_ns(leaf.not_before)) / DAY_NS
        if MITMPROXY_AGE_DAYS <= age_days < MITMPROXY_AGE_DAYS + 1:
            text = "it was dated two days back and has no subject key identifier, as mitmproxy makes them"
            signs.append(Sign(kind=Kind.SUPPORTING, text=text))
    return culprit or issuer_name(leaf), tuple(signs)


def shared_keys(chains: Iterable[tuple[str, Sequence[Certificate]]]) -> dict[str, tuple[str, ...]]:
    """spki_sha256 → names, for leaf keys that serve names that have nothing else to do with each other.

    Names are related when they end in the same two labels or their certificates have a name in common.
    """
    by_key: dict[str, dict[str, set[str]]] = {}
    for name, chain in chains:
        if chain and chain[0].spki_sha256:
            ties = by_key.setdefault(chain[0].spki_sha256, {}).setdefault(name, set())
            ties.update(_domain(n) for n in (name, *chain[0].names))
    return {key: names for key, ties in by_key.items() if len(names := _unrelated(ties)) > 1}


def _unrelated(ties: dict[str, set[str]]) -> tuple[str, ...]:
    """One name, the first seen, for each group without a tie to another group."""
    groups: list[tuple[str, set[str]]] = []
    for name, domains in ties.items():
        tied = [group for group in groups if group[1] & domains]
        first = tied[0][0] if tied else name
        merged = domains.union(*(group[1] for group in tied))
        groups = [group for group in groups if group not in tied] + [(first, merged)]
    return tuple(name for name, _ in groups)


def _domain(name: str) -> str:
    return ".".join(name.lower().split(".")[-2:])


def _product(certificate: Certificate) -> str | None:
    organisation = certificate.issuer_o or ""
    texts = [text for text in (certificate.issuer_cn, organisation) if text]
    for product in products():
        if any(pattern.search(text) for pattern in product.issuer for text in texts) or any(
            pattern.fullmatch(organisation) for pattern in product.organisation
        ):
            return product.name
    return None


def listed(chain: Sequence[Certificate], cas: Sequence[str]) -> str | None:
    """The issuer that one of `cas` names, as `interceptor` takes them."""
    for ca in cas:
        wanted = ca.strip().casefold()
        digest = wanted.replace(":", "")
        for certificate in chain:
            texts = (certificate.issuer_cn, certificate.issuer_o, certificate.issuer)
            if certificate.sha256 == digest or any(t and fnmatchcase(t.casefold(), wanted) for t in texts):
                return issuer_name(certificate)
    return None


def issuer_name(certificate: Certificate) -> str:
    """What to call who issued it."""
    return certificate.issuer_cn or certificate.issuer_o or certificate.issuer or "an issuer without a name"


def _key_id(x: X509) -> bytes:
    """RFC 5280 §4.2.1.2 method 1."""
    return hashlib.sha1(x.key_bits, usedforsecurity=False).digest()
