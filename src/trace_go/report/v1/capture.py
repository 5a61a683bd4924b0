"""What was read, what of it can be seen, and the command that was traced."""

import msgspec

from trace_go.model import report
from trace_go.model.go import GoAccount
from trace_go.report.v1.values import time


class File(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    format: str
    link_types: list[str]
    packets: int
    bytes: int
    first_time: str | None
    last_time: str | None
    truncated_packets: int
    drops: int | None
    problem: str | None


class Seeing(msgspec.Struct, frozen=True, kw_only=True):
    fact: str
    visibility: str
    why: str


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    files: list[File]
    packets: int
    bytes: int
    drops: int | None
    visibility: list[Seeing]
    flows_left_out: int


class Command(msgspec.Struct, frozen=True, kw_only=True):
    argv: list[str]
    exit_code: int | None
    started: str | None
    duration_s: float | None
    go_env: dict[str, str]
    environment: dict[str, str]
    notes: list[str]


def of_capture(x: report.Case) -> Capture:
    drops = [file.drops for file in x.files if file.drops is not None]
    return Capture(
        files=[_file(file) for file in x.files],
        packets=sum(file.packets for file in x.files),
        bytes=sum(file.bytes for file in x.files),
        drops=sum(drops) if drops else None,
        visibility=[Seeing(fact=item.fact, visibility=item.visibility, why=item.why) for item in x.seeing],
        flows_left_out=x.flows_left_out,
    )


def _file(x: report.CaptureFile) -> File:
    return File(
        name=x.name,
        format=x.format,
        link_types=list(x.link_types),
        packets=x.packets,
        bytes=x.bytes,
        first_time=time(x.first_ns),
        last_time=time(x.last_ns),
        truncated_packets=x.truncated_packets,
        drops=x.drops,
        problem=x.problem,
    )


def of_command(x: GoAccount) -> Command:
    return Command(
        argv=list(x.argv),
        exit_code=x.exit_code,
        started=time(x.started_ns),
        duration_s=(x.ended_ns - x.started_ns) / 1e9 if x.ended_ns else None,
        go_env=x.go_env,
        environment=x.process_env,
        notes=list(x.notes),
    )
