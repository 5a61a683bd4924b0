"""Judges every chain of an input once: one verification for each name, chain and day, however often seen."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from msgspec import Struct

from trace_go.model.chain import ChainFault, Judgement
from trace_go.model.evidence import Visibility
from trace_go.model.tls import Certificate
from trace_go.trust.gopath import unix_ns
from trace_go.trust.interceptors import DAY_NS, Kind, Sign, confidence, interceptor, issuer_name, shared_keys
from trace_go.trust.judge import Verdict, judge
from trace_go.trust.remarks import disorder, weak
from trace_go.trust.store import TrustStore, certifi_store
from trace_go.wire.x509 import read

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
    distinct = _distinct(sightings)
    court = _Court(distinct, store, interception_cas, public_store)
    return tuple(map(court.judgement, distinct))


class _Court:
    """What is the same for every chain of an input."""

    def __init__(
        self,
        distinct: Sequence[Sighting],
        store: TrustStore,
        interception_cas: Sequence[str],
        public_store: TrustStore | None,
    ) -> None:
        self.store = store
        self.public = public_store or (store if store.name == "certifi" else certifi_store())
        self.public_name = "the configured public roots" if public_store else "Mozilla's roots"
        self.interception_cas = interception_cas
        self.authorities: dict[str, dict[str, Certificate]] = {}
        """subject → SHA-256 → CA certificate"""
        for certificate in (c for sighting in distinct for c in sighting.chain if c.is_ca):
            self.authorities.setdefault(certificate.subject, {})[certificate.sha256] = certificate
        self.shared = shared_keys((sighting.name, sighting.chain) for sighting in distinct)

    def judgement(self, sighting: Sighting) -> Judgement:
        chain, name, at_ns = sighting.chain, sighting.name, sighting.at_ns
        culprit, signs = interceptor(chain, cas=self.interception_cas, at_ns=at_ns)
        names = self.shared.get(chain[0].spki_sha256, ())
        suspect = culprit or (issuer_name(chain[0]) if names else None)
        verdict = self._judge(sighting, self.store, suspect)
        trusted, fault = verdict.trusted, verdict.fault
        public = None
        if sighting.public or not trusted:
            public = trusted if self.store is self.public else self._judge(sighting, self.public, suspect).trusted
        if names and fault is ChainFault.UNKNOWN_AUTHORITY:
            text = f"one key serves the unrelated names {', '.join(names[:MAX_SHOWN_NAMES])}"
            signs += (Sign(kind=Kind.SHARED, text=text),)
            culprit = suspect
        if trusted and sighting.public and not public:
            only = f"only the trust store ({self.store.name}) accepts its chain, not {self.public_name}"
            signs += (Sign(kind=Kind.TRUST, text=f"{name} is a public host, yet {only}"),)
            culprit = culprit or issuer_name(chain[0])
        sent = [read(certificate.der) for certificate in chain]
        if signs and sighting.public and not sent[0].scts:
            text = "it has no SCT, which the certificates of public authorities have"
            signs += (Sign(kind=Kind.SUPPORTING, text=text),)
        return Judgement(
            name=name,
            flow=sighting.flow,
            packet=sighting.packet,
            file=sighting.file,
            chain=chain,
            visibility=sighting.visibility,
            trusted=trusted,
            fault=fault,
            detail=verdict.detail,
            part=verdict.part,
            trust=self.store.name,
            at_ns=at_ns,
            public=sighting.public,
            interceptor=culprit,
            interceptor_why=tuple(sign.text for sign in signs),
            interceptor_confidence=confidence(signs, sighting.visibility) if culprit else None,
            public_trusted=public,
            disorder=disorder(sent),
            weak=weak(sent) if trusted else (),
        )

    def _judge(self, sighting: Sighting, store: TrustStore, suspect: str | None) -> Verdict:
        return judge(
            sighting.chain,
            name=sighting.name,
            at_ns=sighting.at_ns,
            store=store,
            interceptor=suspect,
            others=_above(sighting.chain, self.authorities),
            public=sighting.public,
        )


def _distinct(sightings: Iterable[Sighting]) -> list[Sighting]:
    """The first of each name, chain and day; a day in which a certificate begins or expires counts as two."""
    dates: dict[tuple[str, ...], list[int]] = {}
    first: dict[tuple[str, tuple[str, ...], int, int], Sighting] = {}
    for sighting in sightings:
        prints = tuple(certificate.sha256 for certificate in sighting.chain)
        if prints not in dates:
            dates[prints] = _turning_points(sighting.chain)
        period = bisect_right(dates[prints], sighting.at_ns)
        first.setdefault((sighting.name, prints, sighting.at_ns // DAY_NS, period), sighting)
    return [sighting for sighting in first.values() if sighting.chain]


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
