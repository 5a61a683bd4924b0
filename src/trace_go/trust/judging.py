"""Judges every chain of an input once: one verification for each name, chain and day, however often seen."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from msgspec import Struct

from trace_go.model.chain import ChainFault, Judgement
from trace_go.model.evidence import Visibility
from trace_go.model.tls import Certificate
from trace_go.trust.gopath import unix_ns
from trace_go.trust.interceptors import DAY_NS, interceptor, issuer_name, shared_keys
from trace_go.trust.judge import judge
from trace_go.trust.store import TrustStore, certifi_store

MAX_COMPLETING = (
    16  # CA certificates from elsewhere tried for one incomplete chain; real cross-signing has two or three
)
MAX_SHOWN_NAMES = 5  # names listed that share one key

Chain = tuple[Certificate, ...]


class Sighting(Struct, frozen=True, kw_only=True):
    """A chain as one handshake or probe showed it."""

    name: str
    """the host the client asked for: SNI, CONNECT authority or address"""
    flow: int | None
    """None for a probe"""
    packet: int
    file: int
    chain: Chain
    at_ns: int
    visibility: Visibility
    public: bool
    """`name` is known to be a public host, whose chain Mozilla's roots should cover"""


def judge_all(
    sightings: Iterable[Sighting],
    store: TrustStore,
    interception_cas: Sequence[str] = (),
    public_store: TrustStore | None = None,
) -> tuple[Judgement, ...]:
    """One judgement for each distinct (name, chain, day), in the order of their first sighting, whose flow it names.

    public_store: the roots that public hosts chain to; Mozilla's (certifi) when None. A day in which a sent
    certificate begins or expires counts as two.
    """
    dates: dict[tuple[str, ...], list[int]] = {}
    first: dict[tuple[str, tuple[str, ...], int, int], Sighting] = {}
    for sighting in sightings:
        prints = tuple(certificate.sha256 for certificate in sighting.chain)
        if prints not in dates:
            dates[prints] = _turning_points(sighting.chain)
        period = bisect_right(dates[prints], sighting.at_ns)
        first.setdefault((sighting.name, prints, sighting.at_ns // DAY_NS, period), sighting)
    distinct = [sighting for sighting in first.values() if sighting.chain]
    authorities: dict[str, dict[str, Certificate]] = {}
    for certificate in (c for sighting in distinct for c in sighting.chain if c.is_ca):
        authorities.setdefault(certificate.subject, {})[certificate.sha256] = certificate
    shared = shared_keys((sighting.name, sighting.chain) for sighting in distinct)
    public = public_store or (store if store.name == "certifi" else certifi_store())
    roots = "the configured public roots" if public_store else "Mozilla's roots"

    def judged(sighting: Sighting) -> Judgement:
        chain, name, at_ns = sighting.chain, sighting.name, sighting.at_ns
        culprit, why = interceptor(chain, name=name, cas=interception_cas, at_ns=at_ns)
        names = shared.get(chain[0].spki_sha256, ())
        suspect = culprit or (issuer_name(chain[0]) if names else None)
        others = _above(chain, authorities)
        trusted, fault, detail = judge(chain, name=name, at_ns=at_ns, store=store, interceptor=suspect, others=others)
        if names and fault is ChainFault.UNKNOWN_AUTHORITY:
            why += (f"its key also serves the unrelated names {', '.join(names[:MAX_SHOWN_NAMES])}",)
            culprit = suspect
        public_trusted = None
        if trusted and sighting.public:
            public_trusted = store is public or judge(chain, name=name, at_ns=at_ns, store=public)[0]
            if not public_trusted:
                why += (
                    f"{name} is a public host, yet only the trust store ({store.name}) accepts its chain, not {roots}",
                )
                culprit = culprit or issuer_name(chain[0])
        return Judgement(
            name=name,
            flow=sighting.flow,
            packet=sighting.packet,
            file=sighting.file,
            chain=chain,
            visibility=sighting.visibility,
            trusted=trusted,
            fault=fault,
            detail=detail,
            trust=store.name,
            at_ns=at_ns,
            interceptor=culprit,
            interceptor_why=why,
            public_trusted=public_trusted,
        )

    return tuple(map(judged, distinct))


def _turning_points(chain: Chain) -> list[int]:
    """When a certificate of the chain begins to be valid, and the first ns when it no longer is; sorted."""
    starts = [unix_ns(c.not_before) for c in chain if c.not_before]
    return sorted(starts + [unix_ns(c.not_after) + 1 for c in chain if c.not_after])


def _above(chain: Chain, authorities: dict[str, dict[str, Certificate]]) -> list[Certificate]:
    """CA certificates seen elsewhere that could stand above `chain`, nearest first, at most MAX_COMPLETING."""
    found: dict[str, Certificate] = {}
    wanted = [certificate.issuer for certificate in chain]
    for subject in wanted:
        for certificate in authorities.get(subject, {}).values():
            if certificate not in chain and certificate.sha256 not in found and len(found) < MAX_COMPLETING:
                found[certificate.sha256] = certificate
                wanted.append(certificate.issuer)
    return list(found.values())
