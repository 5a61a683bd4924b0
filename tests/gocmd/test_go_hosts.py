"""Known hosts and trace-go.toml."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.gocmd.config import Config, load_config
from trace_go.gocmd.environment import settings
from trace_go.gocmd.hosts import load_hosts
from trace_go.model.errors import ConfigError

CONFIG = """
mirrors = ["goproxy.corp.example", "*.mirrors.corp.example", "github.com"]
sumdbs = ["sum.corp.example"]
forward-proxies = ["proxy.corp.example:3128", "[2001:db8::1]:3128"]
interception-cas = ["Corp TLS Inspection CA"]
"""


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("proxy.golang.org", "mirror"),
        ("PROXY.golang.org.", "mirror"),
        ("goproxy.cn", "mirror"),
        ("sum.golang.org", "checksum-db"),
        ("sum.golang.google.cn", "checksum-db"),
        ("storage.googleapis.com", "cdn"),
        ("github.com", "origin"),
        ("go.googlesource.com", "origin"),
        ("acme.jfrog.io", "mirror"),
        ("a.b.jfrog.io", "mirror"),
        ("jfrog.io", None),
        ("notgithub.com", None),
        ("x.github.com", None),
        ("", None),
        ("..", None),
    ],
)
def test_built_in(name: str, role: str | None) -> None:
    found = load_hosts().lookup(name)
    assert (found.role if found else None) == role
    assert found is None or found.source == "built in"


def test_goproxy_and_gosumdb_name_hosts() -> None:
    plan = settings(
        {
            "GOPROXY": "https://goproxy.cn,http://User@Mirror.Test:8080/go|https://github.com/x,file:///srv,direct",
            "GOSUMDB": "sum.test/db+0123abcd+AAAA https://sum.mirror.test",
        }
    )
    book = load_hosts(None, plan)
    found = {
        name: (host.role, host.source)
        for name in ("goproxy.cn", "mirror.test", "github.com", "sum.test", "sum.mirror.test")
        if (host := book.lookup(name))
    }
    assert found == {
        "goproxy.cn": ("mirror", "built in"),
        "mirror.test": ("mirror", "GOPROXY"),
        "github.com": ("mirror", "GOPROXY"),
        "sum.test": ("checksum-db", "GOSUMDB"),
        "sum.mirror.test": ("checksum-db", "GOSUMDB"),
    }


def test_the_users_hosts_come_first() -> None:
    book = load_hosts(load_config(CONFIG), settings({"GOPROXY": "https://proxy.corp.example"}))
    found = {
        name: (host.role, host.source)
        for name in (
            "goproxy.corp.example",
            "x.mirrors.corp.example",
            "github.com",
            "proxy.corp.example",
            "2001:db8::1",
        )
        if (host := book.lookup(name))
    }
    assert found == {
        "goproxy.corp.example": ("mirror", "trace-go.toml"),
        "x.mirrors.corp.example": ("mirror", "trace-go.toml"),
        "github.com": ("mirror", "trace-go.toml"),
        "proxy.corp.example": ("forward-proxy", "trace-go.toml"),
        "2001:db8::1": ("forward-proxy", "trace-go.toml"),
    }


def test_config() -> None:
    found = load_config(CONFIG)
    assert found.forward_proxies == ("proxy.corp.example:3128", "[2001:db8::1]:3128")
    assert found.interception_cas == ("Corp TLS Inspection CA",)
    assert load_config("") == Config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nmirrors = ]", "no valid TOML: .*line 2"),
        ("x = 1" + "0" * 5000, "no valid TOML: .*digits"),
        ("mirrors = " + "[" * 30_000, "no valid TOML: .*recursion"),
        ('# x\n\nmirors = ["a.test"]', "line 3: mirors is unknown; the keys are mirrors, "),
        ('mirrors = "a.test"', "line 1: mirrors must be a list of strings"),
        ("\nmirrors = [1]", "line 2: mirrors must be a list of strings"),
        ('mirrors = [""]', "line 1: mirrors must be a list of strings"),
        ('[mirrors]\nhost = "a.test"', "line 1: mirrors must be a list of strings"),
        ('sumdbs = ["https://a.test/x"]', "line 1: sumdbs: 'https://a.test/x' is no host"),
        ('\n"forward-proxies" = ["a.test:port"]', "line 2: forward-proxies: 'a.test:port' is no host"),
    ],
)
def test_config_errors_name_line_and_key(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(text)


@given(st.text(max_size=200))
def test_config_raises_nothing_else(text: str) -> None:
    with contextlib.suppress(ConfigError):
        load_hosts(load_config(text))


@given(st.text(max_size=300))
def test_lookup_never_raises(name: str) -> None:
    load_hosts().lookup(name)
