"""maybe_page: HTML by its first bytes, plain or gzip, and nothing else."""

import doctest
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.wire import page
from trace_go.wire.page import START_BYTES, maybe_page

LOGIN = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"


def test_doctest() -> None:
    assert doctest.testmod(page).failed == 0


@pytest.mark.parametrize(
    "start", [LOGIN, b"\xef\xbb\xbf\r\n  " + LOGIN, LOGIN.upper(), gzip.compress(LOGIN * 20, mtime=0)]
)
@pytest.mark.parametrize("content_type", [None, "text/html; charset=utf-8", "text/plain"])
def test_pages(start: bytes, content_type: str | None) -> None:
    assert maybe_page(start[:START_BYTES], content_type) is True


@pytest.mark.parametrize(
    "start",
    [
        *(b"v1.0.0\nv1.0.1\n", b'{"Version":"v1.0.0"}', b"module example.com/a\n", b"PK\x03\x04", b"<Error/>"),
        *(b"<?xml?>", gzip.compress(b"module example.com/a\n" * 20, mtime=0)),
    ],
)
def test_no_pages(start: bytes) -> None:
    assert maybe_page(start, "application/octet-stream") is False


@pytest.mark.parametrize(
    "start", [b"", b" \n", b"\x1f\x8b", b"\x1f\x8bgarbage that is no gzip", gzip.compress(LOGIN, mtime=0)[:10]]
)
def test_untold(start: bytes) -> None:
    assert maybe_page(start, "text/html") is None


@given(st.binary(max_size=600), st.none() | st.text(max_size=40))
def test_any_bytes(start: bytes, content_type: str | None) -> None:
    assert maybe_page(start, content_type) in (True, False, None)
    assert maybe_page(b"\x1f\x8b\x08\x00" + start, content_type) in (True, False, None)
