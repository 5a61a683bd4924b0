"""Tells a web page from what the module protocol answers, of which nothing starts with `<` (go.dev/ref/mod)."""

import re
import zlib

START_BYTES = 256
"""of the content are looked at: as much as go's HTTP/2 log prints of a frame"""
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
"""zlib's number for gzip"""
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|meta|script|style|!--)", re.IGNORECASE)
_BLANK = b"\xef\xbb\xbf \t\r\n"


def maybe_page(start: bytes, content_type: str | None) -> bool | None:
    """Whether content with these first bytes is HTML; None where they do not tell. go asks for gzip, and gets it.

    >>> maybe_page(b"\\n<!DOCTYPE html><title>Log in</title>", None), maybe_page(b"module example.com/a", "text/html")
    (True, False)
    >>> maybe_page(b"<Error/>", "application/xml"), maybe_page(b"", "text/html")
    (False, None)
    """
    text = start[:START_BYTES]
    if text.startswith(_GZIP):
        try:
            text = zlib.decompressobj(_GZIP_WINDOW).decompress(text, START_BYTES)
        except zlib.error:
            return None
    text = text.lstrip(_BLANK)
    if not text:
        return None
    html = (content_type or "").lstrip().lower().startswith(("text/html", "application/xhtml"))
    return text.startswith(b"<") and (html or _HTML.match(text) is not None)
