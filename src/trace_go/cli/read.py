"""`trace-go read FILE…`: captures and bundles."""

import argparse
import os
import sys
from contextlib import ExitStack, closing

from trace_go.capture.bundle import maybe_open_bundle
from trace_go.cli import common
from trace_go.cli.bundles import source_of
from trace_go.model.errors import ConfigError
from trace_go.pipeline import Source, analyse


def main(arguments: argparse.Namespace) -> int:
    with ExitStack() as stack:
        source, kept = Source(captures=tuple(arguments.files)), None
        for path in arguments.files:
            bundle = maybe_open_bundle(path)
            if bundle:
                stack.enter_context(closing(bundle))
                if len(arguments.files) > 1:
                    raise ConfigError(f"{path} is a bundle, which holds one run: read it alone")
                source, kept = source_of(path, bundle), bundle
        options = common.options(arguments, os.environ, probe=False, bundle=kept)
        with common.progress_bar() as progress:
            report = analyse(source, options, progress)
    common.write(report, arguments, sys.stdout)
    return common.status(report, arguments.fail_on)
