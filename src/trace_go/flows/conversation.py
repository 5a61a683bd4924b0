"""One TCP conversation: puts stream bytes back in order, finds out what they speak, and drives the readers of `wire`.

A conversation has two sides, numbered like the table's endpoints; which one is the client may change when the first bytes
show that the guess from the packets was wrong. Only the head is read: as soon as a reader has nothing more to tell, its
side closes and the engine stops handing it segments.
"""

from collections.abc import Callable

from trace_go.flows.tls_tracker import TlsTracker
from trace_go.model.dns import DnsMessage
from trace_go.model.errors import WireError
from trace_go.model.flow import Tunnel
from trace_go.model.http import Exchange, HttpRequestHead, HttpResponseHead
from trace_go.wire import dns, http1
from trace_go.wire.secrets import mask_url
from trace_go.wire.tls_stream import TlsReader, looks_like_tls

MAX_PENDING = 256 * 1024
"""out-of-order bytes kept per side; twice the largest receive window that a handshake flight needs"""
MAX_SNIFF = 16
"""bytes that decide what a side speaks"""
MAX_EXCHANGES = 20_000
"""HTTP exchanges kept per conversation; a module download of 5,000 modules makes 15,000"""
MAX_DNS_MESSAGES = 10_000

DnsSink = Callable[[DnsMessage, bool, int, int], None]
"""(message, from client, packet number, time ns)"""


class Side:
    """One direction: reassembly state, and the reader that its bytes go to."""

    __slots__ = ("buffer", "gap", "open", "pending", "pending_bytes", "position", "reader", "speaks")

    def __init__(self) -> None:
        self.position = 0
        self.open = True
        self.gap = False
        self.pending: dict[int, tuple[bytes, int, int]] = {}
        self.pending_bytes = 0
        self.buffer = b""
        self.reader: TlsReader | http1.RequestReader | http1.ResponseReader | None = None
        self.speaks = ""

    def close(self) -> None:
        self.open = False
        self.pending.clear()
        self.buffer = b""


class Conversation:
    __slots__ = ("client", "dns_count", "dns_sink", "exchanges", "is_dns", "open_requests", "protocol", "sides", "tls", "tunnel")

    def __init__(self, client: int, *, is_dns: bool, dns_sink: DnsSink) -> None:
        self.client = client
        self.sides = (Side(), Side())
        self.protocol = ""
        self.tls: TlsTracker | None = None
        self.tunnel: Tunnel | None = None
        self.exchanges: list[Exchange] = []
        self.open_requests: list[tuple[HttpRequestHead, int, int]] = []
        self.is_dns = is_dns
        self.dns_sink = dns_sink
        self.dns_count = 0

    # -- reassembly --------------------------------------------------------------------------------------------------

    def segment(self, which: int, offset: int, data: bytes, missing: bool, number: int, time_ns: int) -> None:
        """A segment of side `which` at stream `offset`; the first bytes to arrive for an offset win, as in most stacks."""
        side = self.sides[which]
        if not side.open or offset + len(data) <= side.position:
            return
        if offset > side.position:
            if offset not in side.pending:
                side.pending[offset] = (data, number, time_ns)
                side.pending_bytes += len(data)
            if side.pending_bytes > MAX_PENDING:
                self._lose(side)
            return
        self._deliver(which, side, data[side.position - offset :], number, time_ns)
        if missing and side.open and side.position == offset + len(data):
            self._lose(side)  # cut by the snap length: what follows cannot be joined
        while side.pending and side.open:
            start = min(side.pending)
            if start > side.position:
                break
            data, number, time_ns = side.pending.pop(start)
            side.pending_bytes -= len(data)
            if start + len(data) > side.position:
                self._deliver(which, side, data[side.position - start :], number, time_ns)

    def _lose(self, side: Side) -> None:
        side.gap = True
        side.close()
        if self.tls:
            self.tls.gap = True

    def _deliver(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        side.position += len(data)
        try:
            if side.reader is None:
                self._sniff(which, side, side.buffer + data, number, time_ns)
            else:
                self._read(which, side, data, number, time_ns)
        except WireError as error:
            if self.tls and side.speaks == "tls":
                self.tls.broke(which == self.client, str(error), number, time_ns)
            side.close()

    # -- what is spoken ----------------------------------------------------------------------------------------------

    def _sniff(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        side.buffer = b""
        if self.is_dns:
            side.buffer = self._dns(which, data, number, time_ns)
            return
        tls = looks_like_tls(data)
        if tls:
            self._start_tls(which, side, data, number, time_ns)
            return
        answer = http1.looks_like_response(data)
        request = http1.looks_like_request(data)
        if answer:
            if which == self.client and self.sides[1 - which].reader is None and not self.exchanges:
                self.client = 1 - which
            self._start_answers(which, side, data, number, time_ns)
        elif request:
            if which != self.client and self.sides[1 - which].reader is None:
                self.client = which
            side.speaks = self.protocol = "http"
            side.reader = http1.RequestReader()
            self._read(which, side, data, number, time_ns)
        elif None in (tls, answer, request) and len(data) < MAX_SNIFF:
            side.buffer = data
        else:
            self.protocol = self.protocol or ("ssh" if data.startswith(b"SSH-") else "")
            if self.tls and which != self.client:
                self.tls.not_tls(data[:64], number, time_ns)
            side.close()

    def _start_tls(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        if self.tls is None:
            # Handshake type 1 is a ClientHello, 2 a ServerHello; records cut off by a late start tell nothing.
            if data[0] == 22 and len(data) > 5 and data[5] in (1, 2) and self.tunnel is None:
                self.client = which if data[5] == 1 else 1 - which
            self.tls = TlsTracker()
            self.protocol = self.protocol or "tls"
        side.speaks = "tls"
        side.reader = TlsReader(from_client=which == self.client)
        self._read(which, side, data, number, time_ns)

    def _start_answers(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        if self.tls:
            self.tls.not_tls(data[:64], number, time_ns)
        else:
            self.protocol = "http"
        side.speaks = "http"
        side.reader = http1.ResponseReader()
        for head, _, _ in self.open_requests:
            side.reader.expect(head.method)
        self._read(which, side, data, number, time_ns)

    # -- readers -----------------------------------------------------------------------------------------------------

    def _read(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        reader = side.reader
        assert reader is not None
        if reader.skip:
            step = min(reader.skip, len(data))
            reader.skipped(step)
            data = data[step:]
            if not data:
                return
        reader.receive(data)
        if isinstance(reader, TlsReader):
            assert self.tls is not None
            self.tls.read(reader, which == self.client, number, time_ns)
            if self.tls.finished:
                self.sides[0].close()
                self.sides[1].close()
        elif isinstance(reader, http1.RequestReader):
            self._requests(which, side, reader, number, time_ns)
        else:
            self._answers(which, side, reader, number, time_ns)
        if side.reader is reader and reader.skip and side.open:
            self._jump(side, reader)

    def _jump(self, side: Side, reader: TlsReader | http1.RequestReader | http1.ResponseReader) -> None:
        """Bytes that the reader does not need are not waited for: the position moves over them at once."""
        if not side.pending:
            side.position += reader.skip
            reader.skipped(reader.skip)

    def _requests(self, which: int, side: Side, reader: http1.RequestReader, number: int, time_ns: int) -> None:
        while (event := reader.next_event()) is not None:
            if not isinstance(event, http1.RequestEvent):
                continue
            if len(self.exchanges) + len(self.open_requests) >= MAX_EXCHANGES:
                side.close()
                return
            self.open_requests.append((event.head, number, time_ns))
            answers = self.sides[1 - which].reader
            if isinstance(answers, http1.ResponseReader):
                answers.expect(event.head.method)
            if event.head.method == "CONNECT":
                self.tunnel = Tunnel(
                    authority=event.head.target,
                    status=None,
                    reason="",
                    request_packet=number,
                    request_ns=time_ns,
                    response_packet=0,
                    response_ns=0,
                    user_agent=event.head.header("user-agent"),
                    has_credentials=event.head.header("proxy-authorization") is not None,
                )
        if reader.switched:
            self._switch(which, side, reader.rest, number, time_ns)

    def _answers(self, which: int, side: Side, reader: http1.ResponseReader, number: int, time_ns: int) -> None:
        while (event := reader.next_event()) is not None:
            if not isinstance(event, http1.ResponseEvent) or event.head.status // 100 == 1:
                continue
            request = self.open_requests.pop(0) if self.open_requests else None
            if request and request[0].method == "CONNECT" and self.tunnel:
                self._answer_tunnel(event.head, number, time_ns)
            elif request:
                self.exchanges.append(_exchange(*request, event.head, number, time_ns))
        if reader.switched:
            self._switch(which, side, reader.rest, number, time_ns)

    def _answer_tunnel(self, head: HttpResponseHead, number: int, time_ns: int) -> None:
        assert self.tunnel is not None
        was = self.tunnel
        self.tunnel = Tunnel(
            authority=was.authority,
            status=head.status,
            reason=head.reason,
            request_packet=was.request_packet,
            request_ns=was.request_ns,
            response_packet=number,
            response_ns=time_ns,
            user_agent=was.user_agent,
            has_credentials=was.has_credentials,
        )

    def _switch(self, which: int, side: Side, rest: bytes, number: int, time_ns: int) -> None:
        """What follows a CONNECT is another protocol (or, after a refusal, the next request): look at it afresh."""
        side.reader = None
        if rest:
            self._sniff(which, side, rest, number, time_ns)

    def _dns(self, which: int, data: bytes, number: int, time_ns: int) -> bytes:
        """RFC 7766 framing; returns the bytes of an unfinished message."""
        self.protocol, position = "dns", 0
        while self.dns_count < MAX_DNS_MESSAGES and (found := dns.maybe_framed(data, position)) is not None:
            body, position = found
            self.dns_count += 1
            self.dns_sink(dns.message(body), which == self.client, number, time_ns)
        return data[position:] if self.dns_count < MAX_DNS_MESSAGES else b""

    # -- end ---------------------------------------------------------------------------------------------------------

    def finish(self) -> tuple[Exchange, ...]:
        """The exchanges, unanswered ones last. (An unanswered CONNECT is the tunnel's business.)"""
        waiting = [_exchange(*request) for request in self.open_requests if request[0].method != "CONNECT"]
        return tuple(self.exchanges + waiting)


def _exchange(
    request: HttpRequestHead,
    request_packet: int,
    request_ns: int,
    answer: HttpResponseHead | None = None,
    number: int = 0,
    time_ns: int = 0,
) -> Exchange:
    host = request.header("host") or ""
    absolute = "://" in request.target[:16]
    location = answer.header("location") if answer else None
    referer = request.header("referer")
    length = (answer.header("content-length") or "") if answer else ""
    return Exchange(
        method=request.method,
        url=mask_url(request.target if absolute else f"http://{host}{request.target}"),
        host=request.target.split("/")[2].rsplit("@", 1)[-1] if absolute else host,
        status=answer.status if answer else None,
        reason=answer.reason if answer else "",
        location=mask_url(location) if location is not None else None,
        user_agent=request.header("user-agent"),
        server=answer.header("server") if answer else None,
        content_type=answer.header("content-type") if answer else None,
        via=answer.header("via") if answer else None,
        referer=mask_url(referer) if referer is not None else None,
        proxied=absolute,
        has_credentials=any(request.header(name) for name in ("authorization", "proxy-authorization"))
        or "@" in request.target.split("/", 3)[2:3],
        request_packet=request_packet,
        request_ns=request_ns,
        response_packet=number,
        response_ns=time_ns,
        body_bytes=int(length) if length.isascii() and length.isdigit() and len(length) < 16 else -1,
    )
