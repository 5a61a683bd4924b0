"""`trace-go live -i IFACE`: watch an interface, with a view that updates; ctrl-C or a limit ends with the report."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trace_go.capture.live import live_batches, open_source
from trace_go.capture.masking import mask_credentials
from trace_go.capture.source import CaptureStats
from trace_go.cli import common
from trace_go.flows.credentials import Credentials
from trace_go.flows.engine import MAX_FLOWS, Engine
from trace_go.gocmd.config import Config
from trace_go.gocmd.fingerprints import name_client
from trace_go.gocmd.hosts import HostBook, load_hosts
from trace_go.model.flow import Flow
from trace_go.model.report import CaptureFile
from trace_go.paths.index import of_go_world
from trace_go.pipeline import Observed, Source, judge
from trace_go.report.escape import clean

RETIRE_MS = 100
VIEW_S = 1.0
"""between two views, or ten times what the last one cost"""
VIEW_ROWS = 12


def main(arguments: argparse.Namespace) -> int:
    common.expect_output(arguments)
    options = common.options(arguments, os.environ, probe=False)
    counter = _Counter()
    engine = Engine(name_client, max_flows=arguments.max_flows or MAX_FLOWS)
    kept = Path(arguments.write) if arguments.write else None
    source = open_source(arguments.interface, arguments.filter, out=kept, retire_ms=RETIRE_MS)
    try:
        with ExitStack() as stack:
            stop = stack.enter_context(until_stopped())
            view = stack.enter_context(View(options.config)) if sys.stderr.isatty() else None
            for batch in live_batches(source, stop, duration_s=arguments.duration, packet_limit=arguments.count):
                engine.add(batch)
                if len(batch):
                    counter.add(int(batch.captured.sum()), len(batch), int(batch.time_ns[0]), int(batch.time_ns[-1]))
                if view:
                    view.show(engine, counter.packets)
            stats = source.finish()
            if kept:
                mask_credentials(kept, Credentials())
    finally:
        source.close()
    observed = Observed(files=(counter.file(arguments.interface, stats),), traffic=engine.finish())
    report = judge(Source(), observed, options, ())
    common.write(report, arguments, sys.stdout)
    return common.status(report, arguments.fail_on)


@contextmanager
def until_stopped() -> Iterator[threading.Event]:
    """An event that ctrl-C and SIGTERM set, which then do nothing else."""
    stop = threading.Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=stop.set).start()  # this thread may be inside `stop` and hold its lock

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Counter:
    """What the report says of the live source."""

    def __init__(self) -> None:
        self.packets = self.bytes = self.first_ns = self.last_ns = 0

    def add(self, size: int, packets: int, first_ns: int, last_ns: int) -> None:
        self.packets += packets
        self.bytes += size
        self.first_ns = self.first_ns or first_ns
        self.last_ns = last_ns

    def file(self, interface: str, stats: CaptureStats) -> CaptureFile:
        return CaptureFile(
            name=f"live capture of {interface}",
            format=stats.method,
            link_types=(),
            packets=self.packets,
            bytes=self.bytes,
            first_ns=self.first_ns,
            last_ns=self.last_ns,
            truncated_packets=0,
            drops=stats.drops,
            problem=stats.problem,
        )


class View:
    """The latest connections of go, drawn over and over on standard error."""

    def __init__(self, config: Config) -> None:
        self._hosts: HostBook = load_hosts(config)
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._next = 0.0

    def __enter__(self) -> "View":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, engine: Engine, packets: int) -> None:
        begun = time.monotonic()
        if begun < self._next:
            return
        flows = engine.finish().flows
        rows = [flow for flow in flows if of_go_world(flow, self._hosts)]
        table = Table(box=None)
        for name in ("host", "server", "client", "outcome", "TLS"):
            table.add_column(name)
        for flow in rows[-VIEW_ROWS:]:
            table.add_row(*(Text(clean(cell, 60)) for cell in _cells(flow)))
        told = f"{packets:,} packets, {len(flows):,} flows, {len(rows):,} of them go's; ctrl-C for the report"
        self._live.update(Group(Text(told), table) if rows else Text(told), refresh=True)
        self._next = time.monotonic() + max(VIEW_S, 10 * (time.monotonic() - begun))


def _cells(flow: Flow) -> tuple[str, str, str, str, str]:
    client = (flow.tls.client if flow.tls else "") or flow.protocol
    took = f"{flow.tls_s * 1000:.0f} ms" if flow.tls_s is not None else ""
    return flow.name or "", f"{flow.server.ip}:{flow.server.port}", client, flow.outcome.value, took
