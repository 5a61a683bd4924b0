"""The result of one analysis: what `pipeline.analyse` returns, checks read and reporters draw. Picklable."""

from collections.abc import Iterable
from functools import cached_property
from typing import TypeVar

from msgspec import Struct, field

from trace_go.model.chain import Judgement
from trace_go.model.crossing import Crossing
from trace_go.model.dns import Lookup
from trace_go.model.evidence import Visibility
from trace_go.model.finding import Excused, Finding, Verdict
from trace_go.model.flow import Flow
from trace_go.model.go import GoAccount, KnownHost
from trace_go.model.ledger import Request
from trace_go.model.policy import Policy

_Item = TypeVar("_Item")


class CaptureFile(Struct, frozen=True, kw_only=True, gc=False):
    name: str
    format: str
    """`pcap`, `pcapng`, `pcap+gzip`, …"""
    link_types: tuple[str, ...]
    packets: int
    bytes: int
    """captured bytes of packets"""
    first_ns: int
    last_ns: int
    truncated_packets: int
    """packets cut by the snap length"""
    drops: int | None
    """packets the capturing system says it lost; None when it does not say"""
    problem: str | None
    """why reading stopped before the end, or what was skipped"""


def unreadable(name: str, problem: str) -> CaptureFile:
    return CaptureFile(
        name=name,
        format="unreadable",
        link_types=(),
        packets=0,
        bytes=0,
        first_ns=0,
        last_ns=0,
        truncated_packets=0,
        drops=None,
        problem=problem,
    )


class Keying(Struct, frozen=True, kw_only=True, gc=False):
    """The TLS keys that were given."""

    connections: int
    """for which there is a secret"""
    notes: tuple[str, ...]
    """lines about key logs that hold fewer secrets than it seems"""


class Seeing(Struct, frozen=True, kw_only=True, gc=False):
    """One line of `visibility`: a kind of fact and whether this input shows it."""

    fact: str
    visibility: Visibility
    why: str


class Case(Struct, frozen=True, kw_only=True, dict=True):
    """Everything known before judging: the input of every check. What many ask is found once, and not pickled."""

    files: tuple[CaptureFile, ...]
    flows: tuple[Flow, ...]
    """indexed by Flow.id"""
    lookups: tuple[Lookup, ...]
    judgements: tuple[Judgement, ...]
    account: GoAccount
    requests: tuple[Request, ...]
    """indexed by Request.id"""
    seeing: tuple[Seeing, ...]
    flows_left_out: int = 0
    """that were forgotten to bound memory"""
    known: dict[str, KnownHost] = field(default_factory=dict)
    """by host name, `*.example.com` among them; every host of the requests of which something is known has its own"""
    policy: Policy = Policy()
    keys: Keying | None = None
    """None: no keys were given"""
    crossings: tuple[Crossing, ...] = ()
    """what a second capture, beyond the gateway, tells of each connection"""

    @cached_property
    def carriers(self) -> list[Flow | None]:
        """Of each request, by its id: the connection on which it broke, else the one it used."""
        found = (request.carrier for request in self.requests)
        return [None if number is None else self.flows[number] for number in found]

    @cached_property
    def failures(self) -> dict[str, list[Request]]:
        """The requests that failed, by the kind of their failure."""
        return _grouped((item.failure.kind, item) for item in self.requests if item.failure)

    @cached_property
    def by_module(self) -> dict[str, list[Request]]:
        """The requests for each module, and those of git for each repository."""
        return _grouped((item.module, item) for item in self.requests if item.module)

    @cached_property
    def by_name(self) -> dict[str, list[Request]]:
        """The requests by each name that had to be resolved for them: of the hosts asked, else of the forward proxy."""
        names = ((dict.fromkeys(hop.host.lower() for hop in item.hops if hop.host), item) for item in self.requests)
        return _grouped((name, item) for several, item in names for name in several)

    @cached_property
    def attempts(self) -> dict[str, list[Flow]]:
        """TCP connections that the capture has from their beginning, by the server's address."""
        return _grouped((item.server.ip, item) for item in self.flows if item.syn_ns and item.transport == "tcp")

    @cached_property
    def lookups_by_name(self) -> dict[str, list[Lookup]]:
        """What DNS was asked, by name in lower case without the final dot; only where the question was seen."""
        return _grouped((item.name.rstrip(".").lower(), item) for item in self.lookups if item.query_packets)


def _grouped(pairs: Iterable[tuple[str, _Item]]) -> dict[str, list[_Item]]:
    found: dict[str, list[_Item]] = {}
    for key, item in pairs:
        found.setdefault(key, []).append(item)
    return found


class Report(Struct, frozen=True, kw_only=True, gc=False):
    tool_version: str
    case: Case
    findings: tuple[Finding, ...]
    """selected ones, worst first"""
    suppressed: int
    """findings that --select, --ignore or the configuration hid"""
    verdict: Verdict
    excused: tuple[Excused, ...] = ()
    """those of the suppressed findings that the configuration hid"""
