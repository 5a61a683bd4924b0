"""Flows that a second vantage shows too."""

import msgspec

from trace_go.model import crossing
from trace_go.model.evidence import number_in_file


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    flow: int
    name: str
    relation: str
    file: int
    packet: int
    beyond_file: int | None
    beyond_packet: int | None
    server: str | None
    clock_s: float | None


def of_crossing(x: crossing.Crossing) -> Crossing:
    seen = bool(x.beyond_packet)
    return Crossing(
        flow=x.flow,
        name=x.name,
        relation=x.relation,
        file=x.file,
        packet=number_in_file(x.packet),
        beyond_file=x.beyond_file if seen else None,
        beyond_packet=number_in_file(x.beyond_packet) if seen else None,
        server=x.server or None,
        clock_s=x.clock_s,
    )
