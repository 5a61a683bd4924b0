import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trace_go.paths import urls


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://proxy.golang.org/a", "proxy.golang.org", 443),
        ("http://Mirror.Corp.Example.:8080/", "mirror.corp.example", 8080),
        ("https://user:xxxxx@mirror.example/", "mirror.example", 443),
        ("https://[2001:DB8:0:0::1]:8443/x", "2001:db8::1", 8443),
        ("git@github.com:owner/repo.git", "github.com", 22),
        ("ssh://git@git.example/x", "git.example", 22),
        ("git://git.example/x", "git.example", 9418),
        ("socks5://proxy.example", "proxy.example", 1080),
        ("file:///srv/mirror", "", 0),
        ("direct", "", 0),
        ("https://h:99999/", "", 0),
        ("https://h:x/", "", 0),
        ("https://[::1/", "", 0),
        ("", "", 0),
    ],
)
def test_host_and_port(url: str, host: str, port: int) -> None:
    assert (urls.host_of(url), urls.port_of(url)) == (host, port)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.10:443", ("203.0.113.10", 443)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
        ("proxy.example:3128", ("proxy.example", 3128)),
        ("h:0", None),
        ("h:65536", None),
        ("h:000000443", None),
        ("h:٤", None),
        ("h", None),
        (":443", None),
        ("", None),
    ],
)
def test_endpoint(text: str, expected: tuple[str, int] | None) -> None:
    assert urls.endpoint(text) == expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://storage.example/a", "https://storage.example/a"),
        ("/b?c=d", "https://h.example/b?c=d"),
        ("//cdn.example/b", "https://cdn.example/b"),
        ("http://[", "http://["),
    ],
)
def test_join(location: str, expected: str) -> None:
    assert urls.join("https://h.example/a/@v/list", location) == expected


@given(st.text())
@example("https://a\uff0fb/")
@example("//[@")
def test_nothing_raises(text: str) -> None:
    urls.split(text)
    urls.host_of(text)
    urls.port_of(text)
    urls.endpoint(text)
    urls.join("https://h/", text)
    urls.join(text, "/x")
