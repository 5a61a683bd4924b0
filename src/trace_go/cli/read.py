"""`trace-go read FILE…`: captures and bundles."""

import argparse
import os
import sys
from contextlib import ExitStack

from trace_go.capture.bundle import maybe_open_bundle
from trace_go.cli import common
from trace_go.cli.bundles import source_of
from trace_go.model.errors import ConfigError
from trace_go.pipeline import Source, analyse


def main(arguments: argparse.Namespace) -> int:
    with ExitStack() as stack:
        source, store = Source(captures=tuple(arguments.files)), None
        bundles = [(path, found) for path in arguments.files if (found := maybe_open_bundle(path))]
        if bundles:
            if len(arguments.files) > 1:
                raise ConfigError("a bundle holds one run: read it alone")
            path, bundle = bundles[0]
            stack.enter_context(bundle)
            source, store = source_of(path, bundle)
        options = common.options(arguments, os.environ, probe=False, store=store)
        with common.progress_bar() as progress:
            report = analyse(source, options, progress)
    common.write(report, arguments, sys.stdout)
    return common.status(report, arguments.fail_on)
