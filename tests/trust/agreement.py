"""Our judgement of chains beside Go's: which fault each of Go's messages is, and where the two differ."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from trace_go.model.chain import ChainFault as F
from trace_go.trust.judge import judge
from trace_go.trust.store import TrustStore
from trace_go.wire.certificates import certificate
from trace_go.wire.x509 import read
from trust import chains
from trust.chains import Case
from trust.conftest import Oracle, Question

HINT = re.compile(r"signed by unknown authority \(possibly because of (.*) while trying to verify candidate", re.DOTALL)
MESSAGES: tuple[tuple[str, set[F]], ...] = (
    (r"failed to parse certificate", {F.UNREADABLE}),
    (r"RSA key larger than|unsupported type of public key", {F.KEY_KIND}),
    (r"current time \S+ is after", {F.EXPIRED}),
    (r"current time \S+ is before", {F.NOT_YET_VALID}),
    (r"legacy Common Name", {F.COMMON_NAME_ONLY}),
    (r"certificate is valid for|not valid for any names|doesn't contain any IP SANs", {F.NAME_MISMATCH}),
    (r"insecure algorithm", {F.WEAK_SIGNATURE}),
    (r"-bit keys are insecure", {F.WEAK_KEY}),
    (r"parent certificate cannot sign|not authorized to sign other certificates", {F.NOT_A_CA}),
    (r"too many intermediates", {F.PATH_LENGTH}),
    (r"not authorized to sign for this name", {F.NAME_CONSTRAINT}),
    (r"incompatible key usage", {F.USAGE}),
    (r"unhandled critical extension", {F.CRITICAL_EXTENSION}),
    (r"verification (?:failure|error)|algorithm specifies an|algorithm unimplemented", {F.BAD_SIGNATURE}),
    (r"signed by unknown authority", {F.UNKNOWN_AUTHORITY, F.SELF_SIGNED, F.INCOMPLETE, F.NO_ROOTS}),
)
"""regular expression on Go's message → the faults that it stands for; the first that is found counts"""


REASONS = {
    "policies": "certificate policies (RFC 5280 §6.1.3) are not followed: only CAs with policyConstraints, those "
    "of some states, demand them",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    about: str
    make: Callable[[], Iterable[Case]]
    at_least: int

    def cases(self) -> list[Case]:
        return _made(self.make)


SOURCES = {
    "by hand": Source(about="one chain for each rule", make=chains.by_hand, at_least=100),
    "generated": Source(
        about="chains as they are found, each with a fault put in, a tenth with none, a tenth with two",
        make=partial(chains.generated, 2500),
        at_least=2500,
    ),
    "mutated": Source(
        about="the chains by hand with one to three bytes changed", make=partial(chains.mutants, 3000), at_least=3000
    ),
    "x509-limbo": Source(about="server cases of x509-limbo", make=chains.limbo, at_least=180),
    "collected": Source(
        about="chains in captures by other projects, by Mozilla's roots and by their own",
        make=chains.collected,
        at_least=400,
    ),
}


@cache
def _made(make: Callable[[], Iterable[Case]]) -> list[Case]:
    return list(make())


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """What we say of a chain, and what Go says."""

    case: Case
    ours: F | None
    detail: str
    go: str
    """its message; empty where it accepts"""

    @property
    def same_decision(self) -> bool:
        return (self.ours is None) == (self.go == "")

    @property
    def same(self) -> bool:
        """Whether we name the fault that Go means, and that was put in."""
        return self.ours in go_faults(self.go) and (not self.case.faults or self.ours in self.case.faults)

    @property
    def about(self) -> str:
        return f"{self.case.id}: {self.ours or 'accepted'} ({self.detail}), Go: {self.go or 'accepted'}"


def go_faults(error: str) -> set[F | None]:
    """What Go's message may be called; {None} where it accepts."""
    if not error:
        return {None}
    if hint := HINT.search(error):
        return {*go_faults(hint[1]), F.SELF_SIGNED}
    return {*next((faults for pattern, faults in MESSAGES if re.search(pattern, error)), {F.OTHER})}


def given(ders: Sequence[bytes]) -> TrustStore:
    return TrustStore("test", "made by the test", lambda: tuple(ders))


def ours(case: Case) -> tuple[F | None, str]:
    chain = tuple(map(certificate, case.chain))
    _, fault, detail, _ = judge(chain, name=case.name, at_ns=case.at_ns, store=given(case.roots))
    return fault, detail


def compared(cases: Sequence[Case], oracle: Oracle) -> list[Opinions]:
    answers = oracle.ask([Question(chain=c.chain, roots=c.roots, name=c.name, at_ns=c.at_ns) for c in cases])
    return [
        Opinions(case=case, ours=fault, detail=detail, go=error)
        for case, error in zip(cases, answers, strict=True)
        for fault, detail in (ours(case),)
    ]


def reason(case: Case) -> str:
    """Why we may differ from Go on a chain: a key of REASONS; empty when we may not."""
    if any("2.5.29.36" in read(der).extensions for der in case.chain[1:]):
        return "policies"
    return ""
