"""TLS is broken open on the way.

What it means
    A machine between go and the server answered the TLS handshake with a certificate of its own for the server's name.
    It sees every request and can change every answer.

Why it matters
    If go does not trust its authority, every download fails with `x509: certificate signed by unknown authority`. If go
    does, downloads work, and their content is whatever that machine delivers: the checksum database is then the only
    protection.

How we know
    Signs in the certificate, each of them listed: it verifies under its own public key although another name issued it,
    its issuer is a known product, only the local trust store and not Mozilla's roots vouch for a public host,
    trace-go.toml lists its authority, or one key serves unrelated names. Two kinds that agree on the wire make it
    certain, one makes it likely; a shared key alone has medium confidence. TLS 1.3 encrypts the chain: it then comes
    from a probe of the same host through the same proxy. Where an interceptor that go does not trust was seen on one
    connection, others for the same name or by the same forward proxy whose certificate go refused are put down to it,
    and marked as inferred. What says nothing by itself is listed with the rest where it agrees: another TLS version,
    protocol, ServerHello or amount of certificates than the host is known for, a SYN-ACK from nearby, a proxy's header;
    it can raise a medium confidence, and makes no finding. A second capture from beyond the gateway (`read --beyond`)
    proves it without certificates: a relay passes the ClientHello on with its random, who breaks TLS open sends
    another.

False positives
    A private mirror with a private authority is no interceptor: none of the signs applies to it, unless that authority
    gives unrelated hosts one key. A site's own interceptor belongs into interception-cas of [policy] in trace-go.toml:
    where go trusts it, this is then a note.

What to do
    Ask the network's operator whether the inspection is meant. If it is, add its authority to the system's trust store,
    or to a copy of the system's bundle that SSL_CERT_FILE names; keep the checksum database on. If it is not, use
    another network.

References
    RFC 5280 §4.1.1.3; https://go.dev/ref/mod#checksum-database; crypto/x509/root_linux.go.
"""

from collections import defaultdict
from collections.abc import Iterator

from msgspec.structs import replace

from trace_go.checks.chains import approved
from trace_go.checks.command import handshake, target
from trace_go.checks.framework import Meta, count, finding, some
from trace_go.checks.proof import of_chain
from trace_go.model import evidence
from trace_go.model.chain import Judgement
from trace_go.model.crossing import Relation
from trace_go.model.evidence import Confidence, Evidence, Visibility
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Hop, Request, Role
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=34)

MAX_SIGNS = 8
"""shown of one interceptor; there are as many kinds of sign"""
_ASK = "Ask the network's operator whether this inspection is meant"
_ADVICE = {
    (False, True): f"{_ASK}, and keep the checksum database (GOSUMDB) on.",
    (False, False): f"{_ASK}; only if it is, add its authority to the trust store that go uses.",
    (True, True): "Nothing needs to be done; keep the checksum database (GOSUMDB) on.",
    (True, False): "Compare its authority with the site's own; if it is that, add it to the trust store that go uses.",
}
"""by whether the policy allows it and the trust store accepts it"""


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in case.judgements:
        if judgement.interceptor:
            groups[judgement.interceptor].append(judgement)
    for name, judgements in groups.items():
        requests = [item for item in case.requests if _reached(item, name)]
        inferred = [item for item in requests if _hop(item, name).visibility is Visibility.INFERRED]
        trusted = all(judgement.trusted for judgement in judgements)
        allowed = all(approved(case, judgement) for judgement in judgements)
        confidence = max((judgement.interceptor_confidence or Confidence.HIGH for judgement in judgements), key=_surety)
        many = count(len(requests), "request")
        judge = "The trust store" if any(judgement.chain for judgement in judgements) else "The client"
        effect = (
            f"{judge} accepts what it shows: downloads work, and it can read and change them. {many} went through it."
            if trusted
            else f"{judge} does not accept what it shows, so go refuses the connection. {many} ended there."
        )
        further = sorted({target(item) for item in inferred} - {judgement.name for judgement in judgements})
        unsure = confidence is Confidence.MEDIUM
        what = "A machine on the way answers"
        if unsure:
            what = f"Either a private authority gives unrelated hosts one key, or {what[0].lower()}{what[1:]}"
        hosts = some([*dict.fromkeys(judgement.name for judgement in judgements)])
        by_policy = f" [policy] of trace-go.toml allows {name} to do so." if allowed else ""
        yield finding(
            case,
            "interceptor-in-path",
            META,
            title=f"{name} {'seems to intercept' if unsure else 'intercepts'} TLS to {hosts}"
            + (", as the site's policy allows" if allowed else ""),
            detail=f"{what} in place of {hosts}{_issued(judgements)}. "
            f"{f'That it does so for {some(further)} too is inferred. ' if further else ''}{effect}{by_policy}",
            remedy=Remedy(
                text=_ADVICE[allowed, trusted],
                command=handshake(case, requests[0]) if requests and not (allowed and trusted) else None,
            ),
            subject=name,
            requests=requests,
            signs=_signs(case, judgements),
            severity=Severity.ERROR if not trusted else Severity.NOTE if allowed else Severity.WARNING,
            confidence=confidence,
        )


def _signs(case: Case, judgements: list[Judgement]) -> list[Evidence]:
    """One piece for each sign, at the first certificate that has it; the first tells whose certificate it is."""
    told: dict[str, Judgement] = {}
    for judgement in judgements:
        for text in judgement.interceptor_why:
            told.setdefault(text, judgement)
    pieces = [replace(of_chain(judgement), text=text) for text, judgement in told.items()]
    shown = next((judgement for judgement in judgements if judgement.chain), None)
    legs = _legs(case, {judgement.name for judgement in judgements})
    first = [of_chain(shown or judgements[0])] if shown or not pieces else []
    marks = {piece.text: piece for judgement in judgements for piece in judgement.interceptor_marks}
    return [*first, *pieces[:MAX_SIGNS], *list(marks.values())[:MAX_SIGNS], *legs]


def _legs(case: Case, names: set[str]) -> list[Evidence]:
    """Both ClientHellos of a connection that ends between two vantages."""
    ended = [item for item in case.crossings if item.relation is Relation.TERMINATED and item.name in names]
    return [
        evidence.packet(number, f"{text} for {item.name}", file)
        for item in ended[:1]
        for number, text, file in (
            (item.packet, "the ClientHello", item.file),
            (item.beyond_packet, "and beyond the gateway another", item.beyond_file),
        )
    ]


def _surety(confidence: Confidence) -> int:
    return -list(Confidence).index(confidence)


def _hop(request: Request, name: str) -> Hop:
    return next(hop for hop in request.hops if hop.role is Role.INTERCEPTOR and hop.label == name)


def _reached(request: Request, name: str) -> bool:
    """Whether a request came as far as this interceptor."""
    for hop in request.hops:
        if hop.role is Role.INTERCEPTOR and hop.label == name:
            return True
        if hop.broken:
            return False
    return False


def _issued(judgements: list[Judgement]) -> str:
    """By whom, as far as a certificate shows it."""
    leaf = next((judgement.chain[0] for judgement in judgements if judgement.chain), None)
    return f", with certificates issued by “{leaf.issuer_cn or leaf.issuer}”" if leaf else ""
