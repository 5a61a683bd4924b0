"""Takes credentials out of a capture that is kept.

Bytes are overwritten where they stand, so that packet numbers and sizes stay as they were; the checksums of those
packets no longer fit.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from trace_go.capture.files import open_capture
from trace_go.model.errors import CaptureError
from trace_go.model.packets import Batch

_MASK = b"x"


class Finder(Protocol):
    """Tells where a batch's data hold secrets; see flows.credentials."""

    @property
    def again(self) -> bool:
        """Whether a second reading of the file would find more."""

    def places(self, batch: Batch) -> Iterable[tuple[int, int]]: ...


def mask_credentials(path: Path, finder: Finder) -> int:
    """Mask what a plain capture file holds; returns the number of places.

    Raises CaptureError when the file cannot be read or written.
    """
    count = _mask(path, finder)
    return max(count, _mask(path, finder)) if finder.again else count


def _mask(path: Path, finder: Finder) -> int:
    count = 0
    try:
        with open_capture(str(path)) as reader, path.open("r+b") as file:
            for batch in reader.batches():
                for start, end in finder.places(batch):
                    file.seek(reader.base + start)
                    file.write(_MASK * (end - start))
                    count += 1
    except OSError as error:
        raise CaptureError(f"cannot take the credentials out of {path}: {error.strerror}") from None
    return count
