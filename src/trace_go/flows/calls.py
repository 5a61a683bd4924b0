"""Requests with what came back so far, and the frozen exchanges that they become."""

from bisect import bisect_left
from typing import Protocol

from msgspec import Struct

from trace_go.flows.bodies import Body, Content, maybe_body
from trace_go.model.http import Exchange, HttpRequestHead, HttpResponseHead
from trace_go.wire.page import maybe_page
from trace_go.wire.secrets import mask_text, mask_url

_MAX_LENGTH_DIGITS = 15


class Moment(Struct, frozen=True):
    """Where and when in the capture."""

    packet: int
    time_ns: int


NEVER = Moment(0, 0)


class Moments(Struct, frozen=True):
    """When some bytes that follow each other came: those before `ends[i]` with packet `packets[i]` at the latest."""

    ends: list[int]
    packets: list[int]
    times_ns: list[int]

    def of(self, end: int) -> Moment:
        """When what ends there was whole; what ends behind them all began with the last."""
        place = min(bisect_left(self.ends, end), len(self.ends) - 1)
        return Moment(self.packets[place], self.times_ns[place])


class Call(Struct, kw_only=True):
    """A request under way; mutable, unlike the nouns."""

    request: HttpRequestHead
    asked: Moment
    scheme: str = "http"
    stream: int = 0
    decrypted: bool = False
    answer: HttpResponseHead | None = None
    answered: Moment = NEVER
    ended: Moment = NEVER
    counted_bytes: int = 0
    aborted: str | None = None
    start: bytes = b""
    """of the answer's body, page.START_BYTES at most"""
    body: Body | None = None
    content: Content = Content()

    @property
    def url(self) -> str:
        """Not masked."""
        target = self.request.target
        return target if self._absolute else f"{self.scheme}://{self.request.header('host') or ''}{target}"

    @property
    def _absolute(self) -> bool:
        target = self.request.target
        return "://" in target[:16] and not target.startswith("/")

    def exchange(self) -> Exchange:
        request, answer = self.request, self.answer
        host = request.header("host") or ""
        authority = request.target.split("/")[2] if self._absolute else ""
        location = answer.header("location") if answer else None
        referer = request.header("referer")
        return Exchange(
            method=request.method,
            url=mask_url(self.url),
            host=(authority if self._absolute else host).rpartition("@")[2],
            status=answer.status if answer else None,
            reason=mask_text(answer.reason) if answer else "",
            location=mask_url(location) if location is not None else None,
            user_agent=masked(request.header("user-agent")),
            server=masked(answer.header("server")) if answer else None,
            content_type=answer.header("content-type") if answer else None,
            via=masked(answer.header("via")) if answer else None,
            referer=mask_url(referer) if referer is not None else None,
            proxied=self._absolute,
            has_credentials="@" in authority
            or any(request.header(name) is not None for name in ("authorization", "proxy-authorization")),
            request_packet=self.asked.packet,
            request_ns=self.asked.time_ns,
            response_packet=self.answered.packet,
            response_ns=self.answered.time_ns,
            body_bytes=self.counted_bytes if self.ended.packet else _announced(answer),
            end_ns=self.ended.time_ns,
            version=request.version,
            stream=self.stream,
            decrypted=self.decrypted,
            aborted=self.aborted,
            h1=self.content.h1,
            sums=self.content.sums,
            web_page=maybe_page(self.start, answer.header("content-type")) if answer and self.start else None,
        )


def begin_answer(call: Call, answer: HttpResponseHead, moment: Moment) -> None:
    """The head of a final answer came."""
    call.answer, call.answered = answer, moment
    call.body = maybe_body(call.url, call.request, answer)


def end_answer(call: Call, moment: Moment) -> None:
    """Its last byte came."""
    call.ended = moment
    if call.body is not None:
        call.content, call.body = call.body.end(), None


class Http2(Protocol):
    """A conversation in HTTP/2; see http2_calls, which is imported where one is met."""

    def receive(self, from_client: bool, data: bytes, moments: Moments) -> None: ...

    def exchanges(self) -> list[Exchange]: ...


def masked(header: str | None) -> str | None:
    return mask_text(header) if header is not None else None


def _announced(answer: HttpResponseHead | None) -> int:
    """Content-Length; -1 = none that counts."""
    length = (answer.header("content-length") or "") if answer else ""
    return int(length) if length.isascii() and length.isdigit() and len(length) <= _MAX_LENGTH_DIGITS else -1
