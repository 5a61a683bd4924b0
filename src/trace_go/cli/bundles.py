"""A kept bundle as the source of an analysis: the same account, packets, processes and probes as in the run."""

from msgspec.structs import replace

from trace_go.capture.bundle import Bundle
from trace_go.cli.run import CAPTURE_NAME
from trace_go.gocmd.log import LogReader
from trace_go.model.errors import CaptureError
from trace_go.pipeline import Source


def source_of(name: str, bundle: Bundle) -> Source:
    """Raises CaptureError when the log cannot be read."""
    reader = LogReader(expect_x=bundle.asked_x, expect_http2=bundle.asked_http2)
    if bundle.log:
        try:
            with bundle.log.open(encoding="utf-8", errors="backslashreplace", newline="\n") as lines:
                for line in lines:
                    reader.feed(line.removesuffix("\n"))
        except OSError as error:
            raise CaptureError(f"{name}: {error.strerror or error}") from error
    return Source(
        captures=(str(bundle.capture),) if bundle.capture else (),
        names=(CAPTURE_NAME,),
        account=replace(bundle.account, log=reader.finish()),
        owners=bundle.owners,
        probes=bundle.probes,
    )
