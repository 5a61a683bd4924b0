"""A kept bundle as the source of an analysis: the same account, packets, processes, probes and trust as in the run."""

import argparse
import os

from msgspec.structs import replace

from trace_go.capture.bundle import CONFIG, Bundle
from trace_go.cli import common
from trace_go.cli.logs import read_log
from trace_go.cli.run import CAPTURE_NAME
from trace_go.gocmd.config import Config
from trace_go.model.errors import CaptureError
from trace_go.model.go import GoLog
from trace_go.pipeline import Options, Source


def options_of(arguments: argparse.Namespace, name: str, bundle: Bundle) -> Options:
    """The run's own trust store and configuration, unless the arguments say otherwise."""
    site = None if arguments.config else Config()
    if bundle.config and not arguments.config:
        site = common.config(bundle.config, f"{name}: {CONFIG}")
        # never the file that a stranger's configuration names: it would be one of this machine
        site = replace(site, public_roots=str(bundle.public_roots) if bundle.public_roots else None)
    return common.options(arguments, os.environ, probe=False, trust=bundle.trust, site=site)


def source_of(name: str, bundle: Bundle) -> Source:
    """Raises CaptureError when the log cannot be read."""
    log = GoLog()
    if bundle.log:
        try:
            log = read_log(bundle.log, expect_x=bundle.asked_x, expect_http2=bundle.asked_http2)
        except OSError as error:
            raise CaptureError(f"{name}: {error.strerror or error}") from error
    return Source(
        captures=(str(bundle.capture),) if bundle.capture else (),
        names=(CAPTURE_NAME,),
        account=replace(bundle.account, log=log, go_sum=common.go_sum(bundle.go_sum)),
        owners=bundle.owners,
        probes=bundle.probes,
    )
