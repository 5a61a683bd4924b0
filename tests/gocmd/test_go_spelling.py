"""Typing errors in GOPROXY and pattern lists: mended where there are some, left alone where there are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.gocmd.environment import match_globs, settings
from trace_go.gocmd.spelling import meaningless, meant_goproxy, meant_patterns

MIRRORS = ("proxy.golang.org", "goproxy.cn", "goproxy.io")


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("htps://proxy.golang.org", "https://proxy.golang.org"),
        ("https//proxy.golang.org", "https://proxy.golang.org"),
        ("https:/proxy.golang.org,direct", "https://proxy.golang.org,direct"),
        ("https:://proxy.golang.org", "https://proxy.golang.org"),
        ("drect", "direct"),
        ("https://proxy.golang.org,Direct", "https://proxy.golang.org,direct"),
        ("https://proxy.golang.org direct", "https://proxy.golang.org,direct"),
        ("https://proxy.golang.org;direct", "https://proxy.golang.org,direct"),
        ("https://goproxy.cn | drect", "https://goproxy.cn|direct"),
        ('"https://proxy.golang.org,direct"', "https://proxy.golang.org,direct"),
        ("https://proxy.golang.org\\,direct", "https://proxy.golang.org,direct"),
    ],
)
def test_mended(value: str, meant: str) -> None:
    assert meant_goproxy(value) == meant
    assert settings({"GOPROXY": meant}).problems == ()


@pytest.mark.parametrize(
    "value",
    [
        "off", "direct", "https://proxy.golang.org,direct", "proxy.golang.org,direct", " https://a.test , direct ",
        "https://proxy.golang.org,,direct", "https://goproxy.corp.example:8443/a|direct", "file:///srv/mirror", ",",
        "http://[2001:db8::1]:3000,direct", "https://me:secret@mirror.test,direct", "none", "",
    ],
)  # fmt: skip
def test_left_alone(value: str) -> None:
    assert meant_goproxy(value, MIRRORS) == value


def test_a_host_is_a_typing_error_only_when_nobody_has_the_name() -> None:
    assert meant_goproxy("https://proxy.golan.org,direct", MIRRORS) == "https://proxy.golan.org,direct"
    unknown = {"proxy.golan.org", "goproxy.corp.example"}
    assert meant_goproxy("https://proxy.golan.org,direct", MIRRORS, unknown) == "https://proxy.golang.org,direct"
    assert meant_goproxy("https://goproxy.corp.example", MIRRORS, unknown) == "https://goproxy.corp.example"


@given(st.text('htps:/.,| ;g"\\é', max_size=30))
def test_mending_never_raises(value: str) -> None:
    assert meant_goproxy(value, MIRRORS, (value,)) is not None


@pytest.mark.parametrize(
    ("patterns", "wrong", "meant"),
    [
        ("corp.example", (), "corp.example"),
        ("*.corp.example,github.com/corp/*,a.test/", (), "*.corp.example,github.com/corp/*,a.test/"),
        ("https://corp.example", ("https://corp.example",), "corp.example"),
        ("a.test, b.test", (" b.test",), "a.test,b.test"),
        ("a.test;b.test", ("a.test;b.test",), "a.test,b.test"),
        ("git.corp.example:443/x", ("git.corp.example:443/x",), "git.corp.example/x"),
        ("a[", ("a[",), "a["),
    ],
)
def test_patterns(patterns: str, wrong: tuple[str, ...], meant: str) -> None:
    assert meaningless(patterns) == wrong
    assert meant_patterns(patterns) == meant


@given(st.from_regex(r"[a-z]{1,3}(\.[a-z]{1,3})+(/[a-z0-9._-]{1,4}){0,3}", fullmatch=True), st.text(max_size=8))
def test_what_is_called_meaningless_matches_no_module(module: str, pattern: str) -> None:
    for entry in meaningless(pattern):
        assert not match_globs(entry, module)
