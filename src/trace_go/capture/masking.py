"""Takes credentials out of a capture that is kept: packets of plain HTTP and SOCKS hold them in clear.

Every `Authorization` and `Proxy-Authorization` header (RFC 9110 §11), and the SOCKS logins (RFC 1929) that the traced
command's environment names. Bytes are overwritten where they stand, so that packet numbers and sizes stay as they were;
the checksums of those packets no longer fit. What a header carries over into a second packet is not found.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

from trace_go.capture.files import open_capture
from trace_go.model.errors import CaptureError
from trace_go.model.packets import Batch

_HEADER = rb"uthorization: *(?:[A-Za-z]+ +)?([!-~]+)"
_MASK = b"x"
_MAX_TEXT_BYTES = 255  # RFC 1929


def mask_credentials(path: Path, environment: Mapping[str, str]) -> int:
    """Mask what a plain capture file holds; returns the number of places. environment: with the proxies' credentials.

    Raises CaptureError when the file cannot be read or written.
    """
    secrets = [re.compile(pattern, re.DOTALL) for pattern in (_HEADER, *_logins(environment))]
    count = 0
    try:
        with open_capture(str(path)) as reader, path.open("r+b") as file:
            for batch in reader.batches():
                for start, end in _places(batch, secrets):
                    file.seek(reader.base + start)
                    file.write(_MASK * (end - start))
                    count += 1
    except OSError as error:
        raise CaptureError(f"cannot take the credentials out of {path}: {error.strerror}") from None
    return count


def _places(batch: Batch, secrets: Iterable[re.Pattern[bytes]]) -> Iterator[tuple[int, int]]:
    """Where in the batch's data secrets, which are the groups of the patterns, begin and end; each in its packet."""
    if not len(batch):
        return
    ends = batch.offset + batch.captured
    for pattern in secrets:
        for match in pattern.finditer(batch.data.data, int(batch.offset[0]), int(ends[-1])):
            end = int(ends[np.searchsorted(batch.offset, match.start(), "right") - 1])
            for start, stop in match.regs[1:]:
                if start < end:
                    yield start, min(stop, end)


def _logins(environment: Mapping[str, str]) -> set[bytes]:
    """Patterns of the SOCKS logins of the proxy variables: user name and password are groups, their lengths stay."""
    found = set()
    for name, value in environment.items():
        if name.upper().endswith("_PROXY") and value.startswith("socks"):
            try:
                url = urlsplit(value)
            except ValueError:
                continue
            texts = [unquote(text or "").encode()[:_MAX_TEXT_BYTES] for text in (url.username, url.password)]
            if any(texts):
                found.add(
                    b"\1" + b"".join(re.escape(bytes([len(text)])) + b"(" + re.escape(text) + b")" for text in texts)
                )
    return found
