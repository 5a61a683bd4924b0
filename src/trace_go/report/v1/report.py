"""The report as a whole."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from trace_go.model import report
from trace_go.report.v1.capture import Capture, Command, of_capture, of_command
from trace_go.report.v1.crossing import Crossing, of_crossing
from trace_go.report.v1.dns import Dns, of_dns
from trace_go.report.v1.finding import Finding, Suppression, Verdict, of_excused, of_finding, of_verdict
from trace_go.report.v1.flow import Flow, of_flow
from trace_go.report.v1.ledger import Edge, Request, of_graph, of_request
from trace_go.report.v1.tls import Chain, of_chain

SCHEMA = "trace-go/1"


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    version: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    schema: str
    tool: Tool
    capture: Capture
    command: Command | None
    flows: list[Flow]
    dns: list[Dns]
    chains: list[Chain]
    requests: list[Request]
    hop_graph: list[Edge]
    crossings: list[Crossing]
    findings: list[Finding]
    suppressed: int
    suppressions: list[Suppression]
    verdict: Verdict


def of_report(item: report.Report, *, long_lists: bool = True) -> Report:
    """long_lists: False leaves those of LONG_LISTS empty."""
    case = item.case
    lists = {name: list(told(case)) if long_lists else [] for name, told in LONG_LISTS.items()}
    return Report(
        schema=SCHEMA,
        tool=Tool(name="trace-go", version=item.tool_version),
        capture=of_capture(case),
        command=of_command(case.account) if case.account.present else None,
        flows=lists["flows"],
        dns=lists["dns"],
        chains=[of_chain(x) for x in case.judgements],
        requests=lists["requests"],
        hop_graph=of_graph(case.requests),
        crossings=[of_crossing(x) for x in case.crossings],
        findings=[of_finding(x) for x in item.findings],
        suppressed=item.suppressed,
        suppressions=[of_excused(x) for x in item.excused],
        verdict=of_verdict(item.verdict),
    )


LONG_LISTS: dict[str, Callable[[report.Case], Iterator[Any]]] = {
    "flows": lambda case: map(of_flow, case.flows),
    "dns": lambda case: map(of_dns, case.lookups),
    "requests": lambda case: map(of_request, case.requests),
}
"""fields of Report that grow with the capture, each item as it is asked for"""
