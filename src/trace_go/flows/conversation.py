"""One TCP conversation: puts stream bytes back in order, finds out what they speak, and drives the readers of `wire`.

A conversation has two sides, numbered like the table's endpoints; which one is the client may change when the first
bytes show that the guess from the packets was wrong. Only the head is read: as soon as a reader has nothing more to
tell, its side closes and the engine stops handing it segments. What TLS hides is, where there are keys, a conversation
inside this one, and is read to its end. An event belongs to the packet that made its bytes readable.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from operator import itemgetter
from typing import ClassVar

from msgspec import Struct, field
from msgspec.structs import replace

from trace_go.flows.calls import NEVER, Call, Http2, Moment, Moments, begin_answer, end_answer, masked
from trace_go.flows.reassembly import LEAST_HELD, MAX_PENDING, MAX_PENDING_WHOLE, Held, Side
from trace_go.flows.tls_tracker import ESTABLISHED, Keys, TlsTracker
from trace_go.model.dns import DnsMessage
from trace_go.model.errors import WireError
from trace_go.model.flow import Tunnel
from trace_go.model.http import Exchange
from trace_go.wire import dns, http1, socks
from trace_go.wire.page import START_BYTES
from trace_go.wire.secrets import mask_text
from trace_go.wire.tls_stream import TlsReader, looks_like_tls

MAX_SNIFF = 16
"""bytes that decide what a side speaks"""
MAX_PREAMBLE = 16 * 1024
"""bytes of an unknown protocol that are searched for a hello; SMTP and FTP need some hundreds before STARTTLS"""
MAX_EXCHANGES = 20_000
"""HTTP exchanges kept per conversation; a module download of 5,000 modules makes 15,000"""
MAX_DNS_MESSAGES = 10_000
"""DNS messages read per conversation"""
MAX_DEPTH = 3
"""conversations inside each other: TLS to an https forward proxy, in it TLS to the server, in it HTTP"""
END = 1 << 60
"""a stream position that no stream reaches: the body until then is not needed"""

_HELLO = re.compile(rb"\x16\x03[\x00-\x04]..[\x01\x02]\x00..\x03", re.DOTALL)
"""the start of a record with a ClientHello or ServerHello, up to its version"""
_HELLO_START = 9
"""bytes that may be the start of one"""


class Conversation(Struct, eq=False):
    client: int
    is_dns: bool = False
    keys: Keys | None = None
    depth: int = 0
    """how many TLS connections this one is inside of"""
    held: Held = field(default_factory=Held)
    """counts what is kept with that of others"""
    sides: tuple[Side, Side] = field(default_factory=lambda: (Side(), Side()))
    protocol: str = ""
    tls: TlsTracker | None = None
    inner: "Conversation | None" = None
    """what TLS hides"""
    tunnel: Tunnel | None = None
    exchanges: list[Exchange] = []
    open_requests: list[Call] = []
    under_way: Call | None = None
    """whose answer's head was read, but not its body"""
    http2: Http2 | None = None
    dns: list[tuple[DnsMessage, bool, int, int]] = []
    """messages that nobody took yet: message, from client, packet number, time ns"""
    dns_count: int = 0
    upgraded: bool = False
    """TLS began amid another protocol"""

    # -- reassembly --------------------------------------------------------------------------------------------------

    def segment(self, which: int, offset: int, data: bytes, length: int, number: int, time_ns: int) -> None:
        """A segment of side `which` at stream `offset`; of its `length` bytes `data` were captured."""
        side = self.sides[which]
        if not side.open or offset + length <= side.position:
            return
        if offset == side.position and len(data) == length and not side.pending:
            if side.short > length:
                side.parts.append(data)
                side.position += length
                side.short -= length
            else:
                self._take_fresh(which, side, data, number, time_ns)
        elif offset <= side.position and not side.pending:
            self._take(which, side, offset, data, length, number, time_ns)
        else:
            side.keep(offset, data, length)
            while (found := side.maybe_next()) is not None:
                start, data, length = found
                if start + length > side.position:
                    self._take(which, side, start, data, length, number, time_ns)
        if (side.short or side.pending) and side.kept > LEAST_HELD:
            self.held.note(side)

    @property
    def opened(self) -> bool:
        """What comes is mostly records that keys open."""
        return self.tls is not None and self.tls.opener is not None and self.tls.state is ESTABLISHED

    def maybe_run(self, memory: memoryview, rows: Sequence[Sequence[int]]) -> bool:
        """Segments of one side, each whole and behind the one before, as the engine has them.

        Whether they were read, as one; else they go to `segment` one by one.
        """
        which, offset, *_ = rows[0]
        side = self.sides[which]
        reader = side.reader
        if not (self.opened and isinstance(reader, TlsReader) and reader.whole):
            return False
        if offset != side.position or side.pending or not side.open:
            return False
        shift = reader.received + sum(map(len, side.parts)) - offset
        ends = [row[1] + row[4] + shift for row in rows]
        moments = Moments(ends, [row[5] for row in rows], [row[6] for row in rows])
        side.parts += [memory[row[2] : row[2] + row[3]] for row in rows[:-1]]
        _, side.position, start, captured, _, number, time_ns = rows[-1]
        self._take_fresh(which, side, bytes(memory[start : start + captured]), number, time_ns, moments)
        if (side.short or side.pending) and side.kept > LEAST_HELD:
            self.held.note(side)
        return True

    def _take(self, which: int, side: Side, offset: int, data: bytes, length: int, number: int, time_ns: int) -> None:
        """Read what is new of a segment that begins at or behind the position."""
        self._take_fresh(which, side, data[side.position - offset :], number, time_ns)
        if side.open and side.position < offset + length:
            side.lose()  # cut by the snap length: what follows cannot be joined

    def _take_fresh(
        self, which: int, side: Side, fresh: bytes, number: int, time_ns: int, moments: Moments | None = None
    ) -> None:
        """moments: by the reader's offsets, of bytes that came in more packets than one."""
        side.position += len(fresh)
        if side.parts:
            rest = side.reader.taken_back() if isinstance(side.reader, TlsReader) else b""
            fresh = b"".join([rest, *side.parts, fresh])
            side.parts.clear()
        try:
            if side.reader is None:
                self._sniff(which, side, side.buffer + fresh, number, time_ns)
            else:
                self._read(which, side, fresh, number, time_ns, moments)
            side.short = min(len(side.buffer), 1) if side.reader is None else side.reader.short
        except WireError as error:
            error.__traceback__ = None  # the reader keeps the error, whose frames would keep the reader
            if self.tls and side.speaks == "tls":
                self.tls.broke(which == self.client, str(error), number, time_ns)
            elif side.speaks == "socks" and self.tunnel and self.tunnel.status is None and which != self.client:
                self._no_tunnel(self.tunnel, number, time_ns)
            side.close()

    def feed(self, from_client: bool, data: bytes, number: int, time_ns: int) -> None:
        """The next bytes of a side of a conversation inside another."""
        which = self.client if from_client else 1 - self.client
        if self.sides[which].open:
            self._take_fresh(which, self.sides[which], data, number, time_ns)

    def feed_all(self, from_client: bool, pieces: list[tuple[bool, bytes, int, int]]) -> None:
        """Several of them: direction, bytes, packet number, time ns."""
        side = self.sides[self.client if from_client else 1 - self.client]
        if side.speaks != "http2" or not side.open:
            for piece in pieces:
                self.feed(*piece)
            return
        _, parts, packets, times_ns = map(list, zip(*pieces, strict=True))
        moments = Moments(list(accumulate(map(len, parts))), packets, times_ns)
        assert self.http2 is not None
        try:
            self.http2.receive(from_client, b"".join(parts), moments)
        except WireError as error:
            error.__traceback__ = None
            side.close()

    # -- what is spoken ----------------------------------------------------------------------------------------------

    def _sniff(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        """Look at the first bytes of a side, or of what follows a CONNECT on it."""
        side.buffer = b""
        if side.speaks in self._RESUMED:
            self._RESUMED[side.speaks](self, which, side, data, number, time_ns)
            return
        tls = looks_like_tls(data)
        if tls:
            self._start_tls(which, side, data, number, time_ns)
            return
        if self.depth and self._maybe_http2(which, side, data, number, time_ns):
            return
        answer, request = http1.looks_like_response(data), http1.looks_like_request(data)
        asks_socks = self._undecided() and socks.looks_like_client(data)
        if answer:
            self._start_answers(which, side, data, number, time_ns)
        elif request:
            self._start_requests(which, side, data, number, time_ns)
        elif asks_socks:
            self._start_socks(which, side, data, number, time_ns)
        elif None in (tls, answer, request, asks_socks) and len(data) < MAX_SNIFF:
            side.buffer = data
        elif self.is_dns:
            side.speaks = self.protocol = "dns"
            self._dns(which, side, data, number, time_ns)
        else:
            self.protocol = self.protocol or ("ssh" if data.startswith(b"SSH-") else "")
            if self.tls and which != self.client and not self.upgraded:
                self.tls.not_tls(data, number, time_ns)
                side.close()
            elif self.tunnel and self.tunnel.status is None and which != self.client:
                self._no_tunnel(self.tunnel, number, time_ns)
                side.close()
            else:
                side.speaks = "unknown"
                self._search(which, side, data, number, time_ns)

    def _maybe_http2(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> bool:
        """Whether the side speaks HTTP/2, or more bytes are needed to tell."""
        from trace_go.wire.http2 import looks_like_client, looks_like_server  # with hpack

        found = (looks_like_client if which == self.client else looks_like_server)(data)
        if found:
            if self.http2 is None:
                from trace_go.flows.http2_calls import Http2Calls

                self.http2 = Http2Calls(most=MAX_EXCHANGES, decrypted=True)
            side.speaks = self.protocol = "http2"
            self._http2(which, side, data, number, time_ns)
        elif found is None:
            side.buffer = data
        return found is not False

    def _http2(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        assert self.http2 is not None
        self.http2.receive(which == self.client, data, Moments([len(data)], [number], [time_ns]))

    def _search(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        """TLS may begin amid another protocol: after STARTTLS and its kind, or behind a header of a load balancer."""
        if found := _HELLO.search(data):
            self.upgraded = True
            self._start_tls(which, side, data[found.start() :], number, time_ns)
        elif side.position > MAX_PREAMBLE:
            side.close()
        else:
            side.buffer = data[-_HELLO_START:]

    def _start_tls(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        if self.tls is None:
            # Handshake type 1 is a ClientHello, 2 a ServerHello; records cut off by a late start tell nothing.
            if data[0] == 22 and data[5] in (1, 2) and self.tunnel is None:
                self.client = which if data[5] == 1 else 1 - which
            self.tls = TlsTracker(self.keys if self.depth < MAX_DEPTH else None)
            self.protocol = self.protocol or "tls"
        side.speaks = "tls"
        side.reader = TlsReader(from_client=which == self.client)
        self._read(which, side, data, number, time_ns)

    def _undecided(self) -> bool:
        """No bytes have told yet who the client is."""
        return self.tunnel is None and all(side.speaks in ("", "unknown") for side in self.sides)

    def _start_requests(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        if self._undecided():
            self.client = which
        side.speaks = self.protocol = "http"
        side.reader = http1.RequestReader()
        self._read(which, side, data, number, time_ns)

    def _start_answers(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        if self._undecided():
            self.client = 1 - which
        if self.tls and not (self.tunnel and self.tunnel.status is None):
            self.tls.not_tls(data, number, time_ns)
        else:
            self.protocol = "http"
        side.speaks = "http"
        side.reader = http1.ResponseReader()
        for call in self.open_requests:
            side.reader.expect(call.request.method)
        self._read(which, side, data, number, time_ns)

    def _start_socks(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        """The client's first bytes; the other side's are then its proxy's."""
        self.client, self.protocol = which, "socks"
        proxy = self.sides[1 - which]
        side.speaks = proxy.speaks = "socks"
        side.reader, proxy.reader = socks.ClientReader(), socks.ServerReader(data[0])
        self.tunnel = Tunnel(
            protocol=f"socks{data[0]}",
            authority="",
            status=None,
            reason="",
            request_packet=number,
            request_ns=time_ns,
            response_packet=0,
            response_ns=0,
            user_agent=None,
            has_credentials=False,
        )
        self._read(which, side, data, number, time_ns)

    def _no_tunnel(self, tunnel: Tunnel, number: int, time_ns: int) -> None:
        """The answer is not in the protocol in which the tunnel was asked for."""
        reason = f"not {'HTTP' if tunnel.protocol == 'http' else 'SOCKS'}"
        self.tunnel = replace(tunnel, reason=reason, response_packet=number, response_ns=time_ns)

    # -- readers -----------------------------------------------------------------------------------------------------

    def _read(
        self, which: int, side: Side, data: bytes, number: int, time_ns: int, moments: Moments | None = None
    ) -> None:
        reader = side.reader
        assert reader is not None
        reader.receive(data)
        if isinstance(reader, TlsReader):
            tls = self.tls
            assert tls is not None
            tls.read(reader, which == self.client, number, time_ns, moments)
            if tls.state is ESTABLISHED or tls.finished or tls.opener is not None:
                self._follow_tls(tls)
        elif isinstance(reader, http1.RequestReader):
            self._requests(which, side, reader, number, time_ns)
        elif isinstance(reader, http1.ResponseReader):
            self._answers(which, side, reader, number, time_ns)
        else:
            self._socks(which, side, reader, number, time_ns)
        if side.reader is reader and (skip := reader.skip) and not self.depth:
            # Bytes that the reader does not need are not waited for, but for the last one of a body whose end tells.
            skip -= self.under_way is not None and self.under_way.body is not None
            side.position = min(side.position + skip, END)
            reader.skipped(skip)

    def _follow_tls(self, tls: TlsTracker) -> None:
        """Once the handshake is over, or there are keys."""
        client, server = self.sides[self.client], self.sides[1 - self.client]
        if tls.opener is not None:
            client.room = server.room = MAX_PENDING_WHOLE
            self._inside(tls, client, server)
        if tls.finished or tls.client_done:
            client.close()
        if tls.finished or (server.open and tls.state is ESTABLISHED and not (tls.awaits_refusal or tls.opens(False))):
            server.close()  # all that follows is encrypted

    def _inside(self, tls: TlsTracker, client: Side, server: Side) -> None:
        """Hand on what was opened; a side that nobody understands is not opened further."""
        if self.inner is None and tls.inside:
            self.inner = Conversation(0, keys=self.keys, depth=self.depth + 1)
        if self.inner is not None:
            for from_client, pieces in groupby(tls.inside, itemgetter(0)):
                self.inner.feed_all(from_client, list(pieces))
            tls.inside.clear()
            for side, within in zip((client, server), self.inner.sides, strict=True):
                if not within.open:
                    side.close()

    def _requests(self, which: int, side: Side, reader: http1.RequestReader, number: int, time_ns: int) -> None:
        while (event := reader.next_event()) is not None:
            if not isinstance(event, http1.RequestEvent):
                continue
            if len(self.exchanges) + len(self.open_requests) >= MAX_EXCHANGES:
                side.close()
                return
            self.open_requests.append(
                Call(
                    request=event.head,
                    asked=Moment(number, time_ns),
                    scheme="https" if self.depth else "http",
                    decrypted=self.depth > 0,
                )
            )
            answers = self.sides[1 - which].reader
            if isinstance(answers, http1.ResponseReader):
                answers.expect(event.head.method)
            if event.head.method == "CONNECT":
                self.tunnel = Tunnel(
                    authority=event.head.target.split(" ", 1)[0].rpartition("@")[2],
                    status=None,
                    reason="",
                    request_packet=number,
                    request_ns=time_ns,
                    response_packet=0,
                    response_ns=0,
                    user_agent=masked(event.head.header("user-agent")),
                    has_credentials=event.head.header("proxy-authorization") is not None,
                )
        if reader.switched:
            self._switch(which, side, reader.rest, number, time_ns)

    def _answers(self, which: int, side: Side, reader: http1.ResponseReader, number: int, time_ns: int) -> None:
        moment = Moment(number, time_ns)
        while (event := reader.next_event()) is not None:
            if isinstance(event, http1.BodyEnd):
                self._end_answer(reader.start, event.length, moment)
            elif isinstance(event, http1.ResponseEvent) and self.open_requests:
                if event.head.status // 100 == 1 and not reader.switched:
                    continue
                call = self.open_requests.pop(0)
                if call.request.method == "CONNECT" and self.tunnel:
                    self.tunnel = replace(
                        self.tunnel,
                        status=event.head.status,
                        reason=mask_text(event.head.reason),
                        response_packet=number,
                        response_ns=time_ns,
                    )
                else:
                    begin_answer(call, event.head, moment)
                    reader.wanted = call.body is not None
                    side.room = MAX_PENDING_WHOLE if reader.wanted else MAX_PENDING
                    self.under_way = call
            elif isinstance(event, http1.BodyData) and self.under_way and self.under_way.body:
                self.under_way.body.add(event.data)
                reader.wanted = not (self.under_way.body.mute and len(reader.start) == START_BYTES)
        if reader.switched:
            self._end_answer(b"", 0, NEVER)
            self._switch(which, side, reader.rest, number, time_ns)

    def _end_answer(self, start: bytes, size: int, moment: Moment) -> None:
        """The body's end. Where bodies are skipped it is noticed only with what follows."""
        if self.under_way:
            self.under_way.start = start
            if self.depth or self.under_way.body:  # else the end was skipped
                self.under_way.counted_bytes = size
                end_answer(self.under_way, moment)
            self.exchanges.append(self.under_way.exchange())
            self.under_way = None

    def _socks(
        self, which: int, side: Side, reader: socks.ClientReader | socks.ServerReader, number: int, time_ns: int
    ) -> None:
        while (event := reader.next_event()) is not None:
            assert self.tunnel is not None
            if isinstance(event, socks.Request):
                if event.command != socks.CONNECT:
                    self.tunnel = None
                    for each in self.sides:
                        each.close()
                    return
                self.tunnel = replace(
                    self.tunnel,
                    authority=event.authority,
                    request_packet=number,
                    has_credentials=self.tunnel.has_credentials or event.has_user,
                )
            elif isinstance(event, socks.Login):
                self.tunnel = replace(self.tunnel, has_credentials=True)
            elif (answer := _socks_answer(event)) is not None:
                status, reason = answer
                self.tunnel = replace(
                    self.tunnel,
                    status=status,
                    reason=reason,
                    response_packet=number,
                    response_ns=time_ns,
                )
        if reader.switched:
            side.speaks = ""
            self._switch(which, side, reader.rest, number, time_ns)

    def _switch(self, which: int, side: Side, rest: bytes, number: int, time_ns: int) -> None:
        """What follows a CONNECT is another protocol (or, after a refusal, the next request): look at it afresh."""
        side.reader = None
        if rest:
            self._sniff(which, side, rest, number, time_ns)

    def _dns(self, which: int, side: Side, data: bytes, number: int, time_ns: int) -> None:
        """RFC 7766 framing; the bytes of an unfinished message wait in the buffer."""
        position = 0
        while (found := dns.maybe_framed(data, position)) is not None:
            if self.dns_count >= MAX_DNS_MESSAGES:
                side.close()
                return
            body, position = found
            self.dns_count += 1
            self.dns.append((dns.message(body), which == self.client, number, time_ns))
        side.buffer = data[position:]

    _RESUMED: ClassVar = {"dns": _dns, "unknown": _search, "http2": _http2}
    """what a side without a reader speaks → who takes its bytes"""

    @property
    def tells(self) -> bool:
        """More than that there were bytes."""
        return bool(self.tls or self.tunnel or self.exchanges or self.open_requests)

    # -- end ---------------------------------------------------------------------------------------------------------

    def let_go(self) -> None:
        """Nobody asks for it any more."""
        for side in self.sides:
            side.close()

    @property
    def unused_tunnel(self) -> bool:
        """A CONNECT was answered, and nothing followed."""
        return self.tunnel is not None and all(side.open and not side.reader and not side.buffer for side in self.sides)

    def nested(self) -> Iterator["Conversation"]:
        """Those inside it, from the outside in."""
        talk = self.inner
        while talk is not None:
            yield talk
            talk = talk.inner

    def answered_and_waiting(self) -> tuple[Exchange, ...]:
        """The exchanges, unanswered ones last. (An unanswered CONNECT is the tunnel's business.)"""
        found = self.exchanges.copy()
        if self.under_way:
            found.append(self.under_way.exchange())
        found += [call.exchange() for call in self.open_requests if call.request.method != "CONNECT"]
        return tuple(found + self.http2.exchanges() if self.http2 else found)


def _socks_answer(event: socks.Event) -> tuple[int, str] | None:
    """(status, reason) of a message that ends the negotiation."""
    if isinstance(event, socks.Reply):
        return event.code, socks.reply_text(event.version, event.code)
    if isinstance(event, socks.Method) and event.method == socks.NONE_ACCEPTABLE:
        return event.method, "no acceptable authentication method"
    if isinstance(event, socks.LoginResult) and event.status:
        return event.status, "user name and password rejected"
    return None
