"""Masking of secrets in URLs, environment variables and log lines, in the form of Go's url.Redacted: `user:xxxxx@host`.

Every function leaves text without secrets as it is, is idempotent, and masks when in doubt. Patterns are linear in the
length of hostile text: each may start only where a run of its characters starts.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import unquote

MASK = "xxxxx"  # net/url Redacted

TOKEN_USER_CHARS = 20  # ours: a user name this long is an access token; GitHub's and GitLab's have 26 and more

# Tokens that name themselves: GitHub, GitLab, AWS key ids, JSON web tokens
_TOKEN = re.compile(
    r"(?<![\w-])(?:gh[opsur]_\w{20,}|github_pat_\w{20,}|gl[a-z]{2,5}-[\w-]{20,}|A[KS]IA[0-9A-Z]{16}"
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*)",
    re.ASCII,
)

_QUERY = re.compile(r"[?#]")
_USERINFO = re.compile(r"(^|//)([^/?#]*)@")
_USERINFO_IN_QUERY = re.compile(r"(//)([^/?#&]*)@")
# A bare `/`, `?` or `#` in a password: what stands behind the user's colon can be no port, and a later `@` ends it
_BROKEN_USERINFO = re.compile(
    r"^((?:[^/?#@:]*:)?(?://)?[^/?#@:\[\]]*:)(?![0-9]*(?:[/?#,|]|$))[^/?#@]*[/?#].*@", re.DOTALL
)

_STRONG = r"token|secret|passw|passphrase|credential|api[_-]?key|private[_-]?key|access[_-]?key"
_STRONG_NAME = re.compile(_STRONG, re.IGNORECASE)
_VARIABLE_NAME = re.compile(rf"{_STRONG}|_(?:key|pat|pwd|pass|auth)$", re.IGNORECASE)
# Signed and authorised URLs: S3, Google, Aliyun, Tencent, Huawei, Azure, CloudFront, OAuth
_PARAMETER_NAME = re.compile(
    rf"{_STRONG}|^x-(?:amz|goog|oss|cos|obs|ms)-|signature|session|jwt|hmac"
    r"|(?:^|[_-])(?:auth|sign|key|pwd|pass)$|^auth[_-]|^(?:sig|code|q-ak|googleaccessid)$",
    re.IGNORECASE,
)
_PARAMETER = re.compile(r"(?:[?&;#]|\\u0026)([^=?&;#\\]*)=")  # \u0026 is `&` in Go's JSON
_PARAMETER_VALUE = re.compile(r"(?:(?!\\u0026)[^&])*")  # what separates more finely may be part of the secret
_ASSIGNMENT = re.compile(r"(?<![\w.?&;#-])([\w.-]+)=", re.ASCII)
_QUOTES = ('"', "'")
_ASSIGNMENT_VALUE = re.compile(r"\"[^\"]*\"|'[^']*'|[^\s\"'&]*[^\s\"'&:;,.)\]}]")

_URL = re.compile(r"://(?:[^\s/?#\"<>]*@)?[^\s\"'<>`]*")
_URL_TAIL = ":;,.)]}"  # punctuation of the sentence around a URL

MAX_REMEMBERED = 256  # characters of a URL whose masked form is kept: connections to one host repeat it
_PATH_PAIR = re.compile(r"(?<=\":path\" = \")[^\"]*")  # go's http2debug log has the path of a URL by itself

_HEADERS = (
    r"(?:(?:proxy-)?authorization|(?:set-)?cookie|private-token|job-token|x-auth-token|x-api-key|x-jfrog-art-api)"
)
_SCHEME = r"(?:(?:basic|bearer|digest|negotiate|ntlm|token)[ \t]+)?"
_HEADER_PAIR = re.compile(  # as JSON and go's http2debug log have it
    rf"(\"{_HEADERS}\"\s*[:=]\s*\[?\s*\"{_SCHEME})(?:\\.|[^\"\\])*", re.IGNORECASE | re.DOTALL
)
_HEADER_LINE = re.compile(
    rf"(([\"'])?(?<![\w-]){_HEADERS}[ \t]*:[ \t]*{_SCHEME})(?(2)(?:(?!\2)[^\r\n])+|[^\r\n]+)", re.IGNORECASE
)


def mask_url(url: str) -> str:
    """A URL, with or without scheme: passwords, users that are tokens, and the values of secret-bearing parameters."""
    return _remembered(url) if len(url) <= MAX_REMEMBERED else _settled(_masked_url_once, url)


@lru_cache(maxsize=1024)
def _remembered(url: str) -> str:
    return _settled(_masked_url_once, url)


def mask_env(name: str, value: str) -> str:
    """The value of an environment variable, by its name: proxies and GOPROXY lists, GOAUTH commands, tokens, others."""
    if _VARIABLE_NAME.search(name):
        return MASK if value else value
    if name.upper() == "GOAUTH":  # go help goauth: off, netrc, git DIR or a command, separated by semicolons
        return ";".join(map(_masked_command, value.split(";")))
    if name.upper().endswith("PROXY"):  # first whole: a password may hold what separates entries
        return _settled(lambda text: "".join(map(mask_url, re.split(r"([,|])", mask_url(text)))), value)
    return mask_text(value)


def mask_text(text: str) -> str:
    """Free text such as a log line: URLs, `NAME=value` with a telling name, credential headers, well-known tokens."""
    return _remembered_text(text) if len(text) <= MAX_REMEMBERED else _settled(_masked_text_once, text)


@lru_cache(maxsize=1024)
def _remembered_text(text: str) -> str:
    return _settled(_masked_text_once, text)


def _settled(mask: Callable[[str], str], text: str) -> str:
    """Masks until nothing changes: what one mask takes away can bring two other parts together."""
    while (masked := mask(text)) != text:
        text = masked
    return text


def _masked_url_once(url: str) -> str:
    url = _BROKEN_USERINFO.sub(rf"\1{MASK}@", url)
    head = _QUERY.split(url, maxsplit=1)[0]
    tail = _USERINFO_IN_QUERY.sub(_masked_userinfo, url[len(head) :])
    url = _USERINFO.sub(_masked_userinfo, head) + tail
    return _TOKEN.sub(MASK, _masked_values(url, _PARAMETER, _PARAMETER_NAME, _PARAMETER_VALUE))


def _masked_text_once(text: str) -> str:
    text = _HEADER_PAIR.sub(rf"\1{MASK}", text)
    text = _HEADER_LINE.sub(rf"\1{MASK}", text)
    text = _PATH_PAIR.sub(lambda match: mask_url(match[0]), text)
    text = _masked_values(text, _ASSIGNMENT, _STRONG_NAME, _ASSIGNMENT_VALUE)
    return _TOKEN.sub(MASK, _URL.sub(_masked_url, text))


def _masked_userinfo(match: re.Match[str]) -> str:
    user, colon, _ = match[2].partition(":")
    if len(user) >= TOKEN_USER_CHARS:
        user = MASK
    return f"{match[1]}{user}{colon}{MASK if colon else ''}@"


def _masked_values(text: str, names: re.Pattern[str], secret: re.Pattern[str], values: re.Pattern[str]) -> str:
    """Replaces the value behind each name that `names` finds (its group 1) and `secret` knows."""
    parts = []
    done = 0
    for match in names.finditer(text):
        if match.start() < done or not secret.search(unquote(match[1])):
            continue
        if value := values.match(text, match.end()):
            quote = value[0][:1] if value[0][:1] in _QUOTES else ""
            parts += [text[done : match.end()], quote, MASK, quote]
            done = value.end()
    return "".join([*parts, text[done:]])


def _masked_url(match: re.Match[str]) -> str:
    url = match[0].rstrip(_URL_TAIL)
    return mask_url(url) + match[0][len(url) :]


def _masked_command(command: str) -> str:
    words = command.split()
    return command if len(words) < 2 or words[0] == "git" else f"{words[0]} {MASK}"
