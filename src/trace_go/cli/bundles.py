"""A kept bundle as the source of an analysis: the same account, packets, processes, probes and trust as in the run."""

import argparse
import os
from collections.abc import Iterator
from typing import BinaryIO

from msgspec.structs import replace

from trace_go.capture.bundle import Bundle
from trace_go.capture.run import MAX_LINE_BYTES
from trace_go.cli import common
from trace_go.cli.run import CAPTURE_NAME
from trace_go.gocmd.config import Config
from trace_go.gocmd.log import LogReader
from trace_go.model.errors import CaptureError
from trace_go.pipeline import Options, Source


def options_of(arguments: argparse.Namespace, bundle: Bundle) -> Options:
    """The run's own trust store and configuration, unless the arguments say otherwise."""
    site = None if arguments.config else Config()
    if bundle.config and not arguments.config:
        site = common.config(bundle.config)
        # never the file that a stranger's configuration names: it would be one of this machine
        site = replace(site, public_roots=str(bundle.public_roots) if bundle.public_roots else None)
    return common.options(arguments, os.environ, probe=False, trust=bundle.trust, site=site)


def source_of(name: str, bundle: Bundle) -> Source:
    """Raises CaptureError when the log cannot be read."""
    reader = LogReader(expect_x=bundle.asked_x, expect_http2=bundle.asked_http2)
    if bundle.log:
        try:
            with bundle.log.open("rb") as data:
                for line in _lines(data):
                    reader.feed(line.decode("utf-8", "backslashreplace"))
        except OSError as error:
            raise CaptureError(f"{name}: {error.strerror or error}") from error
    return Source(
        captures=(str(bundle.capture),) if bundle.capture else (),
        names=(CAPTURE_NAME,),
        account=replace(bundle.account, log=reader.finish()),
        owners=bundle.owners,
        probes=bundle.probes,
    )


def _lines(data: BinaryIO) -> Iterator[bytes]:
    """Lines without their newline, of each as much as the run itself looked at."""
    begins = True
    while part := data.readline(MAX_LINE_BYTES):
        if begins:
            yield part.removesuffix(b"\n")
        begins = part.endswith(b"\n")
