"""`trace-go read --follow FILE`: a capture that is still being written, until ctrl-C; with a view that updates."""

import argparse
import os
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from trace_go.capture.files import open_capture
from trace_go.capture.growing import Growing
from trace_go.capture.keys import KeyRing
from trace_go.cli import common
from trace_go.cli.live import View, until_stopped
from trace_go.flows.engine import MAX_FLOWS, Engine
from trace_go.gocmd.fingerprints import name_client
from trace_go.model.errors import ConfigError
from trace_go.model.report import Report
from trace_go.pipeline import Observed, Options, Source, analyse, judge


def main(arguments: argparse.Namespace) -> int:
    path = _expect_one(arguments)
    options = common.options(arguments, os.environ, probe=False)
    report = _follow(path, arguments.max_flows or MAX_FLOWS, options)
    if arguments.keylog and not report.case.files[0].problem:  # it has grown with the capture
        report = analyse(Source(captures=(path,), key_logs=tuple(arguments.keylog)), options)
    common.tell_of_keys(report)
    common.write(report, arguments, sys.stdout)
    return common.status(report, arguments.fail_on)


def _expect_one(arguments: argparse.Namespace) -> str:
    (path, *others) = arguments.files
    if others or arguments.beyond or Path(path).is_dir():
        raise ConfigError("--follow reads one capture")
    if arguments.keylog and not Path(path).is_file():
        raise ConfigError("--follow with --keylog reads the capture again at the end: give it as a file")
    return str(path)


def _follow(path: str, max_flows: int, options: Options) -> Report:
    engine, keys = Engine(name_client, max_flows=max_flows), KeyRing()
    with ExitStack() as stack:
        stop = stack.enter_context(until_stopped())
        view = stack.enter_context(View(options.config)) if sys.stderr.isatty() else None
        packets = 0

        def show() -> None:
            if view:
                view.show(engine, packets)

        reader = stack.enter_context(open_capture(path, source=partial(Growing, stop=stop, pause=show)))
        if "+" in reader.describe().format:
            raise ConfigError(f"{path}: is packed; only a plain capture can be followed")
        for batch in reader.batches():
            keys.add(reader.take_key_logs())
            engine.keys = keys.use()
            engine.add(batch)
            packets += len(batch)
            show()
    observed = Observed(files=(reader.describe(),), traffic=engine.finish(), keys=keys.describe())
    return judge(Source(captures=(path,)), observed, options, ())
