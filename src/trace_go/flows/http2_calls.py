"""One HTTP/2 conversation: its streams become exchanges. Imported where one is met, with hpack."""

from collections.abc import Callable
from typing import Any

from trace_go.flows.calls import NEVER, Call, Moment, Moments, begin_answer, end_answer
from trace_go.model.http import HTTP2, Exchange, HttpRequestHead, HttpResponseHead
from trace_go.wire.http2 import Data, GoAway, Headers, Http2Reader, Reset, Settings
from trace_go.wire.page import START_BYTES

MAX_OPEN = 1_000
"""streams that wait for the end of their answer; servers allow 100 to 250 at a time"""
MAX_TEXT = 16 << 20
"""bytes of headers of the exchanges kept; compression may make 64 KiB of a few bytes, go's have some 500"""
_ERRORS = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
    "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip
"""RFC 9113 §7"""


class Http2Calls:
    """Both directions. most: exchanges kept; later ones are not."""

    def __init__(self, *, most: int, decrypted: bool) -> None:
        self._readers = (Http2Reader(from_client=False), Http2Reader(from_client=True))
        self._open: dict[int, Call] = {}
        self._done: list[Exchange] = []
        self._left, self._room, self._decrypted = most, MAX_TEXT, decrypted

    def receive(self, from_client: bool, data: bytes, moments: Moments) -> None:
        """The next bytes of a side; ends of moments: in them. Raises WireError when it cannot be read on."""
        reader = self._readers[from_client]
        before = reader.received
        reader.receive(data)
        while (event := reader.next_event()) is not None:
            # Nobody asks for the moment of a part of a body.
            moment = NEVER if type(event) is Data and not event.ends else moments.of(reader.taken - before)
            _HANDLERS[type(event)](self, event, from_client, moment)

    def exchanges(self) -> list[Exchange]:
        """In the order of the requests, unanswered ones too."""
        found = [*self._done, *(call.exchange() for call in self._open.values())]
        return sorted(found, key=lambda item: (item.request_packet, item.stream))

    # -- events --------------------------------------------------------------------------------------------------------

    def _settings(self, event: Settings, from_client: bool, moment: Moment) -> None:
        self._readers[not from_client].allow_table(event.table_bytes)

    def _headers(self, event: Headers, from_client: bool, moment: Moment) -> None:
        if from_client:
            self._request(event, moment)
        elif (call := self._open.get(event.stream)) is not None:
            answer = _answer(event)
            if call.answer is None and answer.status // 100 != 1:  # else trailers, or an interim answer
                begin_answer(call, answer, moment)
                self._room -= _size(event)
            if event.ends:
                self._end(event.stream, call, moment)

    def _request(self, event: Headers, moment: Moment) -> None:
        if event.stream in self._open or self._left <= 0 or self._room <= 0 or len(self._open) >= MAX_OPEN:
            return
        head = _maybe_head(event)
        if head is not None:
            self._left, self._room = self._left - 1, self._room - _size(event)
            self._open[event.stream] = Call(
                request=head,
                asked=moment,
                scheme="http" if (":scheme", "http") in event.fields else "https",
                stream=event.stream,
                decrypted=self._decrypted,
            )

    def _data(self, event: Data, from_client: bool, moment: Moment) -> None:
        call = self._open.get(event.stream) if not from_client else None
        if call is not None:
            if call.counted_bytes < START_BYTES:
                call.start += event.data[: START_BYTES - len(call.start)]
            call.counted_bytes += len(event.data)
            if call.body is not None:
                call.body.add(event.data)
            if event.ends:
                self._end(event.stream, call, moment)

    def _reset(self, event: Reset, from_client: bool, moment: Moment) -> None:
        call = self._open.pop(event.stream, None)
        if call is not None:
            call.aborted = f"{_error(event.code)} from the {'client' if from_client else 'server'}"
            self._done.append(call.exchange())

    def _go_away(self, event: GoAway, from_client: bool, moment: Moment) -> None:
        """Of a server: streams above the last will not be answered."""
        if from_client:
            return
        for stream in [number for number in self._open if number > event.last_stream]:
            self._open[stream].aborted = f"GOAWAY {_error(event.code)} from the server"
            self._done.append(self._open.pop(stream).exchange())

    def _end(self, stream: int, call: Call, moment: Moment) -> None:
        if call.answer:
            end_answer(call, moment)
        self._done.append(self._open.pop(stream).exchange())


_HANDLERS: dict[type, Callable[[Http2Calls, Any, bool, Moment], None]] = {
    Settings: Http2Calls._settings,
    Headers: Http2Calls._headers,
    Data: Http2Calls._data,
    Reset: Http2Calls._reset,
    GoAway: Http2Calls._go_away,
}


def _size(event: Headers) -> int:
    return sum(len(value) for _, value in event.fields)


def _maybe_head(event: Headers) -> HttpRequestHead | None:
    """None for a block that asks for nothing: trailers."""
    said = dict(event.fields)
    if ":method" not in said:
        return None
    fields = tuple(field for field in event.fields if not field[0].startswith(":"))
    if ":authority" in said:
        fields = (("host", said[":authority"]), *(field for field in fields if field[0] != "host"))
    return HttpRequestHead(
        method=said[":method"], target=said.get(":path", ""), version=HTTP2, headers=fields, head_bytes=0
    )


def _answer(event: Headers) -> HttpResponseHead:
    """A status that is none is 0."""
    status = dict(event.fields).get(":status", "")
    return HttpResponseHead(
        status=int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 0,
        reason="",
        version=HTTP2,
        headers=tuple(field for field in event.fields if not field[0].startswith(":")),
        head_bytes=0,
    )


def _error(code: int) -> str:
    return _ERRORS[code] if code < len(_ERRORS) else f"error {code}"
