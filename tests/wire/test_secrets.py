"""Masking: what must go, what must stay, twice as well as once, and in time linear in the text."""

import string
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.wire.secrets import MASK, TOKEN_USER_CHARS, mask_env, mask_text, mask_url

GITHUB = "ghp_" + "a1B2" * 9
JWT = "eyJhbGciOi.eyJzdWIiOi-x.c2ln_"

URLS = [
    ("https://user:secret@h/x", "https://user:xxxxx@h/x"),
    ("https://user:se@cr:et@h:1/x@v1", "https://user:xxxxx@h:1/x@v1"),
    ("http://:secret@[::1]:80/", "http://:xxxxx@[::1]:80/"),
    ("https://user:a&b=c;d@h/", "https://user:xxxxx@h/"),
    ("https://user:@h/", "https://user:xxxxx@h/"),
    ("https://user:***@h/", "https://user:xxxxx@h/"),
    ("user:secret@proxy:3128", "user:xxxxx@proxy:3128"),
    ("https://user:se/cr#et@h:80/x", "https://user:xxxxx@h:80/x"),
    ("http://user:se?cret@h/x", "http://user:xxxxx@h/x"),
    (f"https://{GITHUB}@github.com/a", "https://xxxxx@github.com/a"),
    (f"https://{GITHUB}:x-oauth-basic@github.com/a", "https://xxxxx:xxxxx@github.com/a"),
    (f"https://h/{GITHUB}/m", "https://h/xxxxx/m"),
    ("https://h/?jwt=a&x=1", "https://h/?jwt=xxxxx&x=1"),
    (
        "https://h/x?X-Amz-Date=1&X-Amz-Signature=abc&Expires=5",
        "https://h/x?X-Amz-Date=xxxxx&X-Amz-Signature=xxxxx&Expires=5",
    ),
    ("https://h/x?x-goog-credential=a%2Fb", "https://h/x?x-goog-credential=xxxxx"),
    (
        "https://s/x?Expires=1&OSSAccessKeyId=k&Signature=s%3D&security-token=t",
        "https://s/x?Expires=1&OSSAccessKeyId=xxxxx&Signature=xxxxx&security-token=xxxxx",
    ),
    ("https://b/x?sv=2020&se=2030&sig=abc%3D&sp=r", "https://b/x?sv=2020&se=2030&sig=xxxxx&sp=r"),
    ("https://h/?a=1;access_token=s;x#f&auth_key=1", "https://h/?a=1;access_token=xxxxx&auth_key=xxxxx"),
    ("https://h/#id_token=abc", "https://h/#id_token=xxxxx"),
    ("https://h/?X%2DAmz%2DSignature=abc", "https://h/?X%2DAmz%2DSignature=xxxxx"),
    ("https://h/?proxy=http://u:p@q&x=@", "https://h/?proxy=http://u:xxxxx@q&x=@"),
]

UNTOUCHED = [
    "",
    "https://proxy.golang.org/github.com/a/b/@v/v1.0.0.zip",
    "https://sum.golang.org/lookup/github.com/a/b@v1.0.0",
    "https://h:8443/lookup/a.b@v1.0.0",
    "https://[2001:db8::1]:443/a.b/@v/list?x=1&Expires=5#frag",
    "ssh://git@github.com/a/b",
    "git@github.com:a/b.git",
    "https://x?go-get=1",
    "https://h/x?keyboard=1&author=me&monkey=2",
    "proxy.example:3128",
    "/local/path",
]


@pytest.mark.parametrize(("url", "masked"), URLS)
def test_url(url: str, masked: str) -> None:
    assert mask_url(url) == masked
    assert mask_url(masked) == masked


@pytest.mark.parametrize("url", UNTOUCHED)
def test_url_without_secrets(url: str) -> None:
    assert mask_url(url) == url
    assert mask_text(f'Get "{url}": EOF') == f'Get "{url}": EOF'


@pytest.mark.parametrize(
    ("name", "value", "masked"),
    [
        ("GOPROXY", "https://u:p@a.example,https://b.example|c:d@e,direct", "https://u:xxxxx@a.example,https://b.example|c:xxxxx@e,direct"),
        ("GOPROXY", "https://a:8443|https://u:p@b,off", "https://a:8443|https://u:xxxxx@b,off"),
        ("GOPROXY", "https://a/b,u:p@c/d", "https://a/b,u:xxxxx@c/d"),
        ("GOPROXY", "https://proxy.golang.org,direct", "https://proxy.golang.org,direct"),
        ("https_proxy", "http://u:p,w|x@h:3128", "http://u:xxxxx@h:3128"),
        ("HTTP_PROXY", "u:p@h:3128", "u:xxxxx@h:3128"),
        ("NO_PROXY", ".corp.example,10.0.0.0/8,[::1]:80", ".corp.example,10.0.0.0/8,[::1]:80"),
        ("GONOPROXY", "*.corp.example,github.com/team", "*.corp.example,github.com/team"),
        ("GITHUB_TOKEN", "abc", MASK),
        ("aws_secret_access_key", "abc", MASK),
        ("DB_PASSWORD", "abc", MASK),
        ("DEPLOY_KEY", "abc", MASK),
        ("GITHUB_TOKEN", "", ""),
        ("PWD", "/home/me", "/home/me"),
        ("SSH_AUTH_SOCK", "/run/agent", "/run/agent"),
        ("GOAUTH", "off", "off"),
        ("GOAUTH", "netrc; git /home/me/src", "netrc; git /home/me/src"),
        ("GOAUTH", "netrc;login --with abc", "netrc;login xxxxx"),
        ("GOFLAGS", "-mod=mod -ldflags=-X=main.apiKey=abc -x", "-mod=mod -ldflags=-X=main.apiKey=xxxxx -x"),
        ("GOSUMDB", "sum.golang.org+033de0ae+Ac4z https://u:p@h/x", "sum.golang.org+033de0ae+Ac4z https://u:xxxxx@h/x"),
        ("GODEBUG", "http2debug=2", "http2debug=2"),
    ],
)  # fmt: skip
def test_env(name: str, value: str, masked: str) -> None:
    assert mask_env(name, value) == masked
    assert mask_env(name, masked) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("# get https://u:xxxxx@h/a.b/@v/list: 404 Not Found (0.123s)", None),
        ("# get https://h/x?sig=abc: 200 OK (0.123s)", "# get https://h/x?sig=xxxxx: 200 OK (0.123s)"),
        ('# get https://h: Get "http://u:p@h/?sig=a": EOF', '# get https://h: Get "http://u:xxxxx@h/?sig=xxxxx": EOF'),
        ("see (https://h/?token=abc), then", "see (https://h/?token=xxxxx), then"),
        ("GET / x\r\nAuthorization: Basic abc=\r\nHost: h", "GET / x\r\nAuthorization: Basic xxxxx\r\nHost: h"),
        ("proxy-authorization: abc", "proxy-authorization: xxxxx"),
        ("Authorization: basic\nHost: h", "Authorization: xxxxx\nHost: h"),
        ('Authorization: Digest username="u", response="r"', "Authorization: Digest xxxxx"),
        ("curl -H 'Authorization: Bearer abc' https://h/x", "curl -H 'Authorization: Bearer xxxxx' https://h/x"),
        ('header "authorization" = "Basic ab\\"c" next', 'header "authorization" = "Basic xxxxx" next'),
        ('{"Authorization":["Basic abc"],"Host":["h"]}', '{"Authorization":["Basic xxxxx"],"Host":["h"]}'),
        ("Set-Cookie: session=abc; Path=/", "Set-Cookie: xxxxx"),
        ("PRIVATE-TOKEN: abc", "PRIVATE-TOKEN: xxxxx"),
        ('field "location" = "https://s/x?X-Amz-Signature=a&e=3"', 'field "location" = "https://s/x?X-Amz-Signature=xxxxx&e=3"'),
        ('{"URL":"https://s/x?a=1\\u0026Signature=abc\\u0026b=2"}', '{"URL":"https://s/x?a=1\\u0026Signature=xxxxx\\u0026b=2"}'),
        ("+ GITHUB_TOKEN=abc MY_PASSWORD='a b' git fetch", "+ GITHUB_TOKEN=xxxxx MY_PASSWORD='xxxxx' git fetch"),
        ("env=A,API_KEY=abc; make", "env=A,API_KEY=xxxxx; make"),
        (f"remote: {GITHUB} and {JWT}.", "remote: xxxxx and xxxxx."),
        ("x509: certificate is valid for A, not B; unexpected token: foo", None),
        ('go: a.b@v1.0.0: Get "https://h/a.b/@v/v1.0.0.mod": dial tcp 10.0.0.1:443: i/o timeout', None),
        ("cd /tmp; git -c protocol.version=2 ls-remote -q https://git.example/a/b", None),
    ],
)  # fmt: skip
def test_text(text: str, masked: str | None) -> None:
    expected = text if masked is None else masked
    assert mask_text(text) == expected
    assert mask_text(expected) == expected


def test_user_that_is_a_token() -> None:
    assert mask_url(f"https://{'u' * (TOKEN_USER_CHARS - 1)}@h/") == f"https://{'u' * (TOKEN_USER_CHARS - 1)}@h/"
    assert mask_url(f"https://{'u' * TOKEN_USER_CHARS}@h/") == "https://xxxxx@h/"


SECRETS = st.text(string.ascii_letters + string.digits + "!$&'()*+,;=:@%^|{}[]\\`~ ", min_size=4, max_size=30).map(
    lambda text: f"Q7{text}Z9"
)
RAW_SECRETS = SECRETS | st.text("/?#:,|", max_size=4).map(lambda text: f"Q7a{text}bZ9")
SECRET_PARAMETERS = st.sampled_from(
    [
        "X-Amz-Signature",
        "x-goog-signature",
        "Signature",
        "sig",
        "token",
        "access_token",
        "auth",
        "key",
        "X-Amz-Security-Token",
    ]
)


def leaks(secret: str, text: str) -> bool:
    """Whether a start or an end of the secret is still there; its marks appear nowhere else."""
    return secret in text or "Q7" in text or "Z9" in text


@given(
    secret=RAW_SECRETS, path=st.sampled_from(["", "/", "/a.b/@v/list", "/x?y=1", "/lookup/a@v1"]), port=st.booleans()
)
def test_no_password_is_left_in_a_url(secret: str, path: str, port: bool) -> None:
    quoted = quote(secret, safe="")
    for password in (secret, quoted):
        url = f"https://user:{password}@h.example{':8443' if port else ''}{path}"
        assert not leaks(password, mask_url(url))
        assert not leaks(password, mask_env("HTTPS_PROXY", url))
        if not set(password) & set(",|"):  # go itself would take it for two entries
            assert not leaks(password, mask_env("GOPROXY", f"https://a.example:80,{url}|direct"))
    assert not leaks(quoted, mask_text(f'go: x: Get "{url}": EOF'))


@given(secret=SECRETS, name=SECRET_PARAMETERS, before=st.sampled_from(["?", "?a=1&", "?a=1;", "#", "?b=c%26&"]))
def test_no_parameter_is_left_in_a_url(secret: str, name: str, before: str) -> None:
    value = quote(secret, safe="!$'()*,;:@|")
    url = f"https://h.example/x{before}{name}={value}&Expires=5"
    assert not leaks(value, mask_url(url))
    assert mask_url(url).endswith("&Expires=5")
    assert not leaks(value, mask_text(f"location: {url.replace(chr(39), '%27')} next"))


PARTS = [
    *(
        "https://",
        "//",
        "/",
        "@",
        ":",
        "?",
        "&",
        "#",
        ";",
        "=",
        "token=",
        "TOKEN=",
        "a",
        "80",
        " ",
        "\n",
        "'",
        '"',
        ",",
    ),
    *("|", "Authorization: ", "Basic ", '"authorization" = "', GITHUB, "eyJ", ".", "-", "\\u0026", "\\", "[", "xxxxx"),
    "u" * TOKEN_USER_CHARS,
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=20).map("".join)


@given(TEXTS)
def test_masking_twice_is_masking_once(text: str) -> None:
    assert mask_url(mask_url(text)) == mask_url(text)
    assert mask_text(mask_text(text)) == mask_text(text)
    for name in ("GOPROXY", "GOAUTH", "GOFLAGS", "MY_TOKEN"):
        assert mask_env(name, mask_env(name, text)) == mask_env(name, text)


@given(st.text(max_size=40))
def test_any_text_is_taken(text: str) -> None:
    assert mask_url(mask_url(text)) == mask_url(text)
    assert mask_text(mask_text(text)) == mask_text(text)


HOSTILE = [
    *(
        "a",
        "?token",
        "://",
        "https://",
        "a=:",
        'a="',
        "token='",
        "authorization:",
        "'authorization: ",
        '"authorization":"',
    ),
    *(
        "-eyJ",
        "eyJ.",
        "//a@",
        "//a:b",
        "@",
        ":",
        "\\u0026",
        "?x=\\u0026",
        "a.",
        "?token=a",
        "x-amz-",
        "glab-",
        "\\",
        " = ",
    ),
]


@pytest.mark.parametrize("part", HOSTILE)
def test_long_hostile_text_costs_little(part: str) -> None:
    text = part * (60_000 // len(part))
    for mask in (mask_url, mask_text, lambda text: mask_env("GOPROXY", text)):
        start = time.perf_counter()
        mask(text)
        assert time.perf_counter() - start < 1


def test_the_path_of_a_request_in_the_http2_log() -> None:
    line = 'http2: Transport encoding header ":path" = "/m/@v/v1.0.0.zip?X-Goog-Signature=0123abcd&x=1"'
    assert mask_text(line) == line.replace("0123abcd", "xxxxx")
