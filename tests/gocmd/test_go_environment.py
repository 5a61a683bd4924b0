"""GOPROXY, globs and forward proxies against tables made by Go's own functions (see gocmd/environment.py)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.gocmd.environment import (
    match_globs,
    matching_entries,
    proxy_for,
    settings,
    why_no_proxy,
)

TABLES = json.loads((Path(__file__).parent / "data" / "go_tables.json").read_text(encoding="utf-8"))


def test_match_globs_as_go() -> None:
    assert [case for case in TABLES["match_globs"] if match_globs(case[0], case[1]) is not case[2]] == []


@pytest.mark.parametrize(("value", "entries", "problem"), TABLES["goproxy"])
def test_goproxy_as_go(value: str, entries: list[list[str]], problem: str) -> None:
    found = settings({"GOPROXY": value})
    assert [[entry.url, entry.falls_through_on] for entry in found.proxies] == entries
    assert len(found.problems) == bool(problem)
    assert not problem or found.problems[0].startswith(problem)


def test_proxy_for_as_go() -> None:
    wrong = []
    for url, http_proxy, https_proxy, no_proxy, expected in TABLES["proxy_for"]:
        found = proxy_for(url, {"HTTP_PROXY": http_proxy, "HTTPS_PROXY": https_proxy, "NO_PROXY": no_proxy})
        if (found or "") != expected:
            wrong.append((url, no_proxy, found, expected))
    assert wrong == []


def test_proxy_variables_upper_case_first_and_empty_means_unset() -> None:
    environment = {"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:1", "ALL_PROXY": "http://all:1"}
    assert proxy_for("https://a.example/", environment) == "http://upper:1"
    assert proxy_for("https://a.example/", environment | {"HTTPS_PROXY": ""}) == "http://lower:1"
    assert proxy_for("http://a.example/", environment) is None


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:1"}, None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "a.example"}, "no_proxy"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "b.example"}, None),
        ({"NO_PROXY": "a.example"}, None),
        ({"http_proxy": "http://p:1"}, "http_proxy"),
        ({"http_proxy": "http://p:1", "NO_PROXY": "a.example"}, "http_proxy"),
        ({"ALL_PROXY": "socks5://p:1"}, "ALL_PROXY"),
        ({"ALL_PROXY": "socks5://p:1", "HTTP_PROXY": "http://p:1"}, "HTTP_PROXY"),
        ({"ALL_PROXY": ""}, None),
    ],
)
def test_why_no_proxy(environment: dict[str, str], variable: str | None) -> None:
    assert why_no_proxy("https://a.example/x", environment) == variable


def test_http_proxy_counts_for_http() -> None:
    assert why_no_proxy("http://a.example/x", {"HTTPS_PROXY": "http://p:1"}) is None
    assert why_no_proxy("http://a.example/x", {"ALL_PROXY": "http://p:1"}) == "ALL_PROXY"


def test_matching_entries() -> None:
    assert matching_entries("https://a.b.example/", "c.example, .b.example,10.0.0.0/8,b.example:443,,b.example:80") == [
        ".b.example",
        "b.example:443",
    ]


def test_http_proxy_is_not_used_in_cgi_programs() -> None:
    environment = {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}
    assert proxy_for("http://a.example/", environment) is None
    assert proxy_for("https://a.example/", environment) == "http://p:1"


def test_defaults() -> None:
    found = settings({})
    assert [entry.url for entry in found.proxies] == ["https://proxy.golang.org", "direct"]
    assert [entry.falls_through_on for entry in found.proxies] == ["not-found", "end"]
    assert (found.sumdb, found.sumdb_url, found.noproxy) == ("sum.golang.org", None, "")
    assert (found.version, found.problems) == (None, ())


def test_goprivate_feeds_what_is_not_set() -> None:
    assert settings({"GOPRIVATE": "*.corp.example"}).noproxy == "*.corp.example"
    assert settings({"GOPRIVATE": "*.corp.example", "GONOPROXY": "none"}).noproxy == "none"


@pytest.mark.parametrize(
    ("value", "name", "url", "problem"),
    [
        ("sum.golang.org", "sum.golang.org", None, ""),
        ("off", None, None, ""),
        ("sum.golang.google.cn", "sum.golang.org", "https://sum.golang.google.cn", ""),
        ("gosum.io+ce6e7565+AY5qEHUk", "gosum.io", None, ""),
        ("sum.golang.org https://mirror.test/sum", "sum.golang.org", "https://mirror.test/sum", ""),
        ("sum.corp.example/db+0123abcd+AAAA https://x.test", "sum.corp.example/db", "https://x.test", ""),
        ("a b c", None, None, "invalid GOSUMDB: too many fields"),
        ("unknown.example", None, None, "invalid GOSUMDB: malformed verifier id"),
        (" ", None, None, "missing GOSUMDB"),
    ],
)
def test_gosumdb(value: str, name: str | None, url: str | None, problem: str) -> None:
    found = settings({"GOSUMDB": value})
    assert (found.sumdb, found.sumdb_url, found.problems) == (name, url, (problem,) if problem else ())


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.27.3", (1, 27)), ("devel go1.28-abc123 Mon", (1, 28)), ("go1.21rc2", (1, 21)), ("", None), ("gotip", None)],
)
def test_version(text: str, version: tuple[int, int] | None) -> None:
    assert settings({"GOVERSION": text}).version == version


@given(st.text(alphabet="ab*?[]^-\\,/.", max_size=40), st.text(alphabet="ab/.", max_size=60))
def test_globs_never_raise(globs: str, target: str) -> None:
    assert match_globs(globs, target) in (True, False)


@given(st.lists(st.sampled_from(["a", "b.c", "d-e"]), min_size=1, max_size=5), st.integers(1, 5))
def test_a_plain_glob_is_a_path_prefix(elements: list[str], depth: int) -> None:
    glob = "/".join(elements[:depth])
    assert match_globs(glob, "/".join(elements))
    assert not match_globs(glob + "x", "/".join(elements))


def test_many_stars_take_no_exponential_time() -> None:
    assert not match_globs("*a" * 200 + "b", "a" * 5_000)


@given(st.text(max_size=80), st.text(max_size=40), st.text(max_size=40))
def test_proxies_never_raise(url: str, proxy: str, no_proxy: str) -> None:
    environment = {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "NO_PROXY": no_proxy}
    proxy_for(url, environment)
    proxy_for("https://a.example/", environment)
    settings({"GOPROXY": url, "GOSUMDB": proxy, "GOVERSION": no_proxy})
