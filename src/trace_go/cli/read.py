"""`trace-go read FILE…`: captures and bundles."""

import argparse
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from msgspec.structs import replace

from trace_go.capture.merge import captures_in
from trace_go.cli import common
from trace_go.model.errors import ConfigError
from trace_go.pipeline import Options, Source, analyse
from trace_go.report.escape import clean

_ZIP_MAGIC = b"PK"


def main(arguments: argparse.Namespace) -> int:
    if option := "--compare-tshark" if arguments.compare_tshark else "--follow" if arguments.follow else "":
        _expect_no_bundle(arguments.files, option)
    if arguments.compare_tshark:
        from trace_go.cli import compare  # with pyshark, which only this needs

        return compare.main(arguments, list(_captures(arguments.files)))
    common.expect_output(arguments)
    if arguments.follow:
        from trace_go.cli import follow  # with what a live view needs

        return follow.main(arguments)
    gc.disable()  # what an analysis makes has no cycles, and looking for some takes a third of its time
    with ExitStack() as stack:
        source, options = _bundle(arguments, stack) or (
            Source(captures=tuple(_captures(arguments.files)), key_logs=tuple(arguments.keylog)),
            common.options(arguments, os.environ, probe=False),
        )
        if arguments.beyond:
            source = replace(source, beyond=(arguments.beyond,))
        if arguments.max_flows:
            source = replace(source, max_flows=arguments.max_flows)
        with common.progress_bar() as progress:
            report = analyse(source, options, progress)
    common.tell_of_keys(report)
    nothing = all(item.problem and not item.packets for item in report.case.files) and not report.case.account.present
    if not nothing or arguments.format != "terminal":  # a page about nothing hides the one line that matters
        common.write(report, arguments, sys.stdout)
    return common.status(report, arguments.fail_on)


def _captures(names: Sequence[str]) -> Iterator[str]:
    """The files, and in place of folders the captures in them."""
    for name in names:
        if not Path(name).is_dir():
            yield name
            continue
        found, others = captures_in(name)
        if found and others:
            print(f"trace-go: {clean(name)}: {others:,} files that are no captures are left out", file=sys.stderr)
        yield from found or [name]


def _bundle(arguments: argparse.Namespace, stack: ExitStack) -> tuple[Source, Options] | None:
    """The bundle among the files, if there is one; raises ConfigError when it does not stand alone."""
    for path in filter(_may_be_bundle, arguments.files):
        from trace_go.capture.bundle import maybe_open_bundle  # with what a live run needs
        from trace_go.cli.bundles import options_of, source_of

        bundle = maybe_open_bundle(path)
        if bundle:
            stack.enter_context(closing(bundle))
            if len(arguments.files) > 1:
                raise ConfigError(f"{path} is a bundle, which holds one run: read it alone")
            return source_of(path, bundle), options_of(arguments, path, bundle)
    return None


def _expect_no_bundle(names: Sequence[str], option: str) -> None:
    for name in names:
        if Path(name).is_file() and _may_be_bundle(name):
            raise ConfigError(f"{name}: {option} takes a capture, not a zip: unpack it and give the capture in it")


def _may_be_bundle(name: str) -> bool:
    path = Path(name)
    if not path.is_file():
        return path.is_dir()
    try:
        with path.open("rb") as file:
            return file.read(2) == _ZIP_MAGIC
    except OSError:
        return False
