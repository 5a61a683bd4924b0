"""The lines of GODEBUG=http2debug=2: which they are, and the exchanges they tell of.

Source: net/http/internal/http2/{frame,transport,server}.go of go 1.27 and net/http/h2_bundle.go of 1.21 to 1.26: every
text that is printed only with VerboseLogs. Header lines name neither connection nor stream: they belong to the HEADERS
frame that their connection writes next, or has begun to read. Where several connections print at once, what cannot be
told for certain stays empty.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from trace_go.model.go import Http2Exchange
from trace_go.wire.page import maybe_page

MAX_EXCHANGES = 150_000
"""ours: five requests and a redirect for each of 20,000 modules, and some asked twice"""
MAX_TANGLED = 64
"""ours: header frames that print at the same time before we give up on them"""
MAX_STREAM_DIGITS = 10
"""a stream number has 31 bits"""
MAX_CONNECTIONS = 4_096
"""ours: go opens a handful"""
MAX_EXPECTED = 10_000
"""ours: URLs in flight and redirect targets not yet asked"""

LOG_PREFIX = r"(?:go: )?(?:\d{4}/\d\d/\d\d )?(?:\d\d:\d\d:\d\d(?:\.\d{6})? )?(?:[^\s:]+\.go:\d+: )?"
"""what package log writes before a message: the go command sets no flags, and `go: ` while it selects a toolchain"""

_FRAME = r"(?P<frame>(?P<type>[A-Z][A-Z_]*\d*)(?: flags=(?P<flags>\S+))?(?: stream=(?P<stream>\d+))? len=\d+)"
_LINE = re.compile(
    LOG_PREFIX + r"(?:http2: (?:"
    rf"Framer (?P<framer>0x[0-9a-f]+): (?:(?P<op>read|wrote) {_FRAME}|failed to decode just-written frame)"
    r'|(?P<who>Transport encoding header|decoded hpack field header field) (?P<name>"(?:[^"\\]|\\.)*") = (?P<value>".*)'
    rf"|(?:Transport received|server read frame) {_FRAME.replace('P<', 'P<got_')}"
    r"|Transport creating client conn 0x[0-9a-f]+ to (?P<remote>\S+)"
    r"|Transport (?:failed to get client conn for |closing idle conn 0x|readFrame error on conn 0x)"
    r"|Transport (?:sending health check$|health check (?:success$|failure: ))"
    r"|Transport conn 0x[0-9a-f]+ received error from processing frame "
    r"|(?:header list too large|1xx informational responses too large)$"
    r"|too many control frames in send queue, closing connection$"
    r"|invalid (?:pseudo headers|header): "
    r"|server (?:connection from \S+ on 0x|rejecting conn: |ignoring (?:frame: |unknown setting ))"
    r'|server (?:processing setting \[|encoding header "|closing client connection; error reading frame from client )'
    r"|server: client \S+ said hello$"
    r")|Unhandled Setting: \[|transport got GOAWAY with error code = |GOAWAY close timer fired; closing conn from "
    r"|(?P<trip>RoundTrip (?:retrying after )?failure: ))"
)
_DATA = re.compile(r' data=("(?:[^"\\]|\\.)+")')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))")
_SHORT = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ASKED = frozenset({":authority", ":method", ":path", "user-agent", "referer"})
_FINAL_STATUS = re.compile(r"[2-9][0-9]{2}")
_LAST_CODE_POINT = 0x10FFFF
_USERINFO = re.compile(r"//[^/?#]*@")


@dataclass(slots=True)
class _Connection:
    name: str
    remote: str | None
    authority: str | None = None
    """of its first request: go coalesces no connections"""


@dataclass(slots=True)
class _Exchange:
    connection: _Connection
    stream: int
    line: int
    authority: str | None = None
    url: str = ""
    method: str = ""
    user_agent: str | None = None
    referer: str | None = None
    status: int | None = None
    location: str | None = None
    content_type: str | None = None
    web_page: bool | None = None
    ended: bool = False


@dataclass(slots=True)
class _Answer:
    """A HEADERS frame being read."""

    framer: str
    frame: str
    exchange: _Exchange | None
    status: str | None = None
    location: str | None = None
    content_type: str | None = None


@dataclass(slots=True)
class _Requests:
    """Requests being written by several connections, and their header values that are not yet given to one."""

    values: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    begun: int = 0
    written: int = 0
    unsettled: list[_Exchange] = field(default_factory=list)

    def take(self, name: str, fitting: Callable[[str], bool] = lambda value: True) -> str | None:
        """The value of a header that the frame just written must have, where only one can be meant."""
        values = self.values[name]
        found = set(values) if len(set(values)) == 1 else set(filter(fitting, values))
        if len(found) != 1:
            return None
        values.remove(value := found.pop())
        return value


class Http2Reader:
    """Feed it each line of a log, in order."""

    def __init__(self) -> None:
        self._exchanges: list[_Exchange] = []
        self._expected: dict[str, int] = {}
        self._connections: dict[str, _Connection] = {}
        self._streams: dict[tuple[str, int], _Exchange] = {}
        self._dialled: list[str] = []
        self._greeted = 0
        """connections of `_dialled` that have written their first frame"""
        self._greetings = 0
        self._targets: dict[str, None] = {}
        """URLs that a redirect named: their requests have a referer"""
        self._requests = _Requests()
        self._answers: list[_Answer] = []
        self._loose: list[str] = []
        """`:status` values that may belong to more than one of the answers"""

    def expect(self, url: str) -> None:
        """go said that it asks for this URL: helps to sort the lines of several connections."""
        plain = _USERINFO.sub("//", url)
        self._expected[plain] = self._expected.get(plain, 0) + 1
        _trim(self._expected)

    def forget(self, url: str) -> None:
        """The URL of an earlier `expect` has its answer."""
        plain = _USERINFO.sub("//", url)
        left = self._expected.pop(plain, 1) - 1
        if left:
            self._expected[plain] = left

    def feed(self, text: str, line: int) -> bool:
        """Whether the line exists only because of http2debug."""
        found = _LINE.match(text)
        if not found or (found["trip"] and not (self._connections or self._dialled)):
            return False
        if found["who"]:
            self._header(found["who"].startswith("T"), unquote(found["name"]), unquote(found["value"]))
        elif found["op"]:
            self._frame(found, line)
            if found["type"] == "DATA" and found["op"] == "read":
                self._data(found, text[found.end() :])
        elif found["got_type"] == "HEADERS":
            alike = [answer for answer in self._answers if answer.frame == found["got_frame"]]
            self._close(alike[0] if len(alike) == 1 else None)
        elif found["remote"]:
            self._dialled = [*self._dialled[-MAX_TANGLED:], found["remote"]]
        return True

    def finish(self) -> tuple[Http2Exchange, ...]:
        while self._answers:
            self._close(self._answers[0])
        return tuple(
            Http2Exchange(
                connection=it.connection.name,
                remote=it.connection.remote,
                stream=it.stream,
                method=it.method,
                url=it.url,
                user_agent=it.user_agent,
                referer=it.referer,
                status=it.status,
                location=it.location,
                line=it.line,
                web_page=it.web_page,
                unfinished=it.status is not None and not it.ended,
            )
            for it in self._exchanges
        )

    def _header(self, asking: bool, name: str, value: str) -> None:
        if asking and name in _ASKED:
            if name == ":authority" and self._requests.begun - self._requests.written >= MAX_TANGLED:
                self._requests = _Requests()
            self._requests.begun += name == ":authority"
            values = self._requests.values[name]
            if len(values) < MAX_TANGLED:
                values.append(value)
        elif name == ":status" and self._answers:
            self._loose.append(value)
            self._deal()
        elif name == "location":
            self._targets[value] = None
            _trim(self._targets)
            redirects = [answer for answer in self._answers if not answer.status or answer.status.startswith("3")]
            if len(redirects) == 1:
                redirects[0].location = value
        elif name == "content-type" and len(self._answers) == 1:
            self._answers[0].content_type = value

    def _frame(self, found: re.Match[str], line: int) -> None:
        framer, kind, stream = found["framer"], found["type"], int((found["stream"] or "0")[:MAX_STREAM_DIGITS])
        if found["op"] == "read":
            exchange = self._streams.get((framer, stream))
            if exchange and "END_STREAM" in (found["flags"] or ""):
                exchange.ended = True
            if kind != "CONTINUATION":  # a connection reads one frame after the other
                self._close(next((answer for answer in self._answers if answer.framer == framer), None))
            if kind == "HEADERS":
                if len(self._answers) >= MAX_TANGLED:
                    self._answers, self._loose = [], []
                self._answers.append(_Answer(framer, found["frame"], exchange))
        elif kind == "SETTINGS" and not found["flags"]:
            self._connect(framer)
        elif kind == "HEADERS":
            self._ask(framer, stream, line)

    def _deal(self) -> None:
        """Give the loose status to the only answer that has none."""
        waiting = [answer for answer in self._answers if not answer.status and not _is_answered(answer)]
        if len(waiting) == len(self._loose) == 1:
            waiting[0].status = self._loose.pop()

    def _close(self, answer: _Answer | None) -> None:
        """A header frame is read to its end: its status has been printed."""
        if answer is None:
            return
        self._answers.remove(answer)
        if not answer.status and not _is_answered(answer) and len(set(self._loose)) == 1:
            answer.status = self._loose.pop()
        if not self._answers:
            self._loose.clear()
        self._deal()
        if answer.exchange and answer.status and _FINAL_STATUS.fullmatch(answer.status):
            answer.exchange.status, answer.exchange.location = int(answer.status), answer.location
            answer.exchange.content_type = answer.content_type

    def _data(self, found: re.Match[str], rest: str) -> None:
        """How the content of an answer begins."""
        exchange = self._streams.get((found["framer"], int((found["stream"] or "0")[:MAX_STREAM_DIGITS])))
        if exchange and exchange.web_page is None and (start := _DATA.match(rest)):
            exchange.web_page = maybe_page(unquote(start[1]).encode("latin-1", "replace"), exchange.content_type)

    def _connect(self, framer: str) -> None:
        """The first frame of a connection. Several just dialled: their addresses can be told only if they are equal."""
        remote = self._dialled[0] if len(set(self._dialled)) == 1 else None
        self._greeted += 1
        if self._greeted >= len(self._dialled):
            self._dialled, self._greeted = [], 0
        if len(self._connections) >= MAX_CONNECTIONS:
            self._connections.clear()
        self._greetings += 1
        again = f"#{self._greetings}" if framer in self._connections else ""
        self._connections[framer] = _Connection(framer + again, remote)

    def _ask(self, framer: str, stream: int, line: int) -> None:
        if not self._requests.begun:  # a server's answer, or a log that starts in the middle
            self._requests = _Requests()
            return
        connection = self._connections.setdefault(framer, _Connection(framer, None))
        asked = _Exchange(connection, stream, line)
        if len(self._exchanges) < MAX_EXCHANGES:
            self._exchanges.append(asked)
            self._streams[framer, stream] = asked
        requests = self._requests
        requests.written += 1
        requests.unsettled.append(asked)
        self._settle(asked)
        if requests.written >= requests.begun:
            for _ in list(requests.unsettled):  # each URL that can be told leaves fewer for the others
                for one in list(requests.unsettled):
                    self._settle(one)
            self._requests = _Requests()

    def _settle(self, one: _Exchange) -> None:
        """Give a request its header values, if they can be told from those of other connections."""
        requests, connection = self._requests, one.connection
        one.method = one.method or requests.take(":method") or ""
        one.user_agent = one.user_agent or requests.take("user-agent")
        one.authority = one.authority or requests.take(":authority", lambda value: value == connection.authority)
        if one.authority is None:
            return
        connection.authority = one.authority
        base = f"https://{one.authority}"
        path = requests.take(":path", lambda value: base + value in self._expected or base + value in self._targets)
        if path is None:
            return
        one.url = base + path
        requests.unsettled.remove(one)
        if len(requests.values["referer"]) == 1 and (requests.begun == 1 or one.url in self._targets):
            one.referer = requests.values["referer"].pop()


def _trim(urls: dict[str, int] | dict[str, None]) -> None:
    if len(urls) > MAX_EXPECTED:
        del urls[next(iter(urls))]


def _is_answered(answer: _Answer) -> bool:
    """Whether the frame holds trailers, which have no status."""
    return answer.exchange is not None and answer.exchange.status is not None


def unquote(text: str) -> str:
    """A Go %q literal at the start of text, quotes removed; `\\xNN` becomes the character of that number."""
    quoted = _QUOTED.match(text)
    return _ESCAPE.sub(_unescaped, quoted[1]) if quoted else ""


def _unescaped(match: re.Match[str]) -> str:
    if match[4]:
        return _SHORT.get(match[4], match[4])
    code = int(match[1] or match[2] or match[3], 16)
    return chr(code) if code <= _LAST_CODE_POINT and not 0xD800 <= code < 0xE000 else "\ufffd"
