"""Masking of secrets in URLs, environment variables and log lines, in the form of Go's url.Redacted: `user:xxxxx@host`.

Every function leaves text without secrets as it is, is idempotent, and masks when in doubt. Patterns are linear in the
length of hostile text: each may start only where a run of its characters starts.
"""

import re
from urllib.parse import unquote

MASK = "xxxxx"  # net/url Redacted

TOKEN_USER_CHARS = 20  # ours: a user name this long is an access token; GitHub's and GitLab's have 26 and more

# Tokens that name themselves: GitHub, GitLab, AWS key ids, JSON web tokens
_TOKEN = re.compile(
    r"(?<![\w-])(?:gh[opsur]_\w{20,}|github_pat_\w{20,}|gl[a-z]{2,5}-[\w-]{20,}|A[KS]IA[0-9A-Z]{16}"
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*)",
    re.ASCII,
)

_BEFORE_QUERY = re.compile(r"[^?#]*")
_USERINFO = re.compile(r"(^|//)([^/?#]*)@")
_USERINFO_IN_QUERY = re.compile(r"(//)([^/?#&]*)@")
# A bare `/`, `?` or `#` in a password: what stands behind the user's colon can be no port, and a later `@` ends it
_BROKEN_USERINFO = re.compile(r"^((?:[^/?#@:]*:)?(?://)?[^/?#@:\[\]]*:)(?![0-9]*(?:[/?#]|$))[^/?#@]*[/?#].*@", re.DOTALL)

_PARAMETER = re.compile(r"(?:[?&;#]|\\u0026)([^=?&;#\\]*)=")  # \u0026 is `&` in Go's JSON
_PARAMETER_END = re.compile(r"&|\\u0026|$")
_STRONG_NAME = re.compile(
    r"token|secret|passw|passphrase|credential|api[_-]?key|private[_-]?key|access[_-]?key", re.IGNORECASE
)
# Signed and authorised URLs: S3, Google, Aliyun, Tencent, Huawei, Azure, CloudFront, OAuth
_PARAMETER_NAME = re.compile(
    r"^x-(?:amz|goog|oss|cos|obs|ms)-|signature|session|jwt|hmac|(?:^|[_-])(?:auth|sign|key|pwd|pass)$|^auth[_-]"
    r"|^(?:sig|code|q-ak|googleaccessid)$",
    re.IGNORECASE,
)
_VARIABLE_NAME = re.compile(r"_(?:key|pat|pwd|pass|auth)$", re.IGNORECASE)

_URL = re.compile(r"://(?:[^\s/?#\"<>]*@)?[^\s\"'<>`]*")
_URL_TAIL = ":;,.)]}"  # punctuation of the sentence around a URL
_ASSIGNMENT = re.compile(r"(?<![\w.?&;#-])([\w.-]+)=(\"[^\"]*\"|'[^']*'|[^\s\"'&]*[^\s\"'&:;,.)\]}])", re.ASCII)
_SECRET_HEADERS = (
    r"(?:proxy-)?authorization|(?:set-)?cookie|private-token|job-token|x-auth-token|x-api-key|x-jfrog-art-api"
)
_AUTH_SCHEMES = r"(?:(?:basic|bearer|digest|negotiate|ntlm|token)\s+)?"
_HEADER_PAIR = re.compile(  # as JSON and go's http2debug log have it
    rf"(\"(?:{_SECRET_HEADERS})\"\s*[:=]\s*\[?\s*\"{_AUTH_SCHEMES})(?:\\.|[^\"\\])*", re.IGNORECASE | re.DOTALL
)
_HEADER_LINE = re.compile(
    rf"(([\"'])?(?<![\w-])(?:{_SECRET_HEADERS})[ \t]*:[ \t]*{_AUTH_SCHEMES})(?(2)(?:(?!\2)[^\r\n])+|[^\r\n]+)", re.IGNORECASE
)


def mask_url(url: str) -> str:
    """A URL, with or without scheme: passwords, users that are tokens, and the values of secret-bearing parameters."""
    url = _BROKEN_USERINFO.sub(rf"\1{MASK}@", url)
    cut = _BEFORE_QUERY.match(url).end()
    head = _USERINFO.sub(_masked_userinfo, url[:cut])
    tail = _USERINFO_IN_QUERY.sub(_masked_userinfo, url[cut:])
    return _TOKEN.sub(MASK, _masked_parameters(head + tail))


def mask_env(name: str, value: str) -> str:
    """The value of an environment variable, by its name: proxies and GOPROXY lists, GOAUTH commands, tokens, others."""
    if _STRONG_NAME.search(name) or _VARIABLE_NAME.search(name):
        return MASK if value else value
    if name.upper() == "GOAUTH":  # go help goauth: off, netrc, git DIR or a command, separated by semicolons
        return ";".join(map(_masked_command, value.split(";")))
    if name.upper().endswith("PROXY"):  # first whole: a password may hold what separates entries
        return "".join(map(mask_url, re.split(r"([,|])", mask_url(value))))
    return mask_text(value)


def mask_text(text: str) -> str:
    """Free text such as a log line: URLs, `NAME=value` with a telling name, credential headers, well-known tokens."""
    text = _HEADER_PAIR.sub(rf"\1{MASK}", text)
    text = _HEADER_LINE.sub(rf"\1{MASK}", text)
    text = _ASSIGNMENT.sub(lambda match: f"{match[1]}={MASK}" if _STRONG_NAME.search(match[1]) else match[0], text)
    return _TOKEN.sub(MASK, _URL.sub(_masked_url, text))


def _masked_userinfo(match: re.Match[str]) -> str:
    user, colon, _ = match[2].partition(":")
    if len(user) >= TOKEN_USER_CHARS:
        user = MASK
    return f"{match[1]}{user}{colon}{MASK if colon else ''}@"


def _masked_parameters(text: str) -> str:
    """A value reaches to the next `&`: what separates more finely may be part of it."""
    parts = []
    done = 0
    for match in _PARAMETER.finditer(text):
        name = unquote(match[1])
        if match.start() >= done and (_STRONG_NAME.search(name) or _PARAMETER_NAME.search(name)):
            parts += [text[done : match.end()], MASK]
            done = _PARAMETER_END.search(text, match.end()).start()
    return "".join([*parts, text[done:]])


def _masked_url(match: re.Match[str]) -> str:
    url = match[0].rstrip(_URL_TAIL)
    return mask_url(url) + match[0][len(url) :]


def _masked_command(command: str) -> str:
    words = command.split()
    return command if len(words) < 2 or words[0] == "git" else f"{words[0]} {MASK}"
