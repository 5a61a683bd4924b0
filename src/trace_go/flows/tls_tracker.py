"""Follows one TLS connection: collects hellos, certificates and alerts, and tells how far the handshake went.

Without keys, TLS 1.3 shows only record sizes after the ServerHello. The client's first encrypted record decides: an
alert is 19 bytes, a Finished 53 or 69, and an empty Certificate, as a client without one answers a request for it, 25
(RFC 8446 §4.4.2, §4.4.4, §5.2, §6; facts checked against real go). With keys, what they open is read as if it were in
clear, and application data is handed on; what they do not open is judged by its size as ever.
"""

from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from trace_go.flows.calls import Moments
from trace_go.model.evidence import Visibility
from trace_go.model.tls import Alert, Certificate, ClientHello, Opening, ServerHello, TlsSession, TlsState
from trace_go.wire import tls
from trace_go.wire.certificates import certificate
from trace_go.wire.tls_stream import AlertRecord, ChangeCipherSpec, EncryptedRecord, HandshakeMessage, TlsReader

ALERT_RECORD = 19
"""length of an encrypted alert in TLS 1.3: 2 bytes, content type, 16 bytes of tag"""
EMPTY_CERTIFICATE_RECORD = 25
"""length of a Certificate message without certificates, encrypted alone: 8 bytes, content type, 16 bytes of tag"""
FINISHED_RECORDS = (53, 69)
"""length of a Finished, encrypted alone, by the hash of the cipher suite: SHA-256, SHA-384"""
MAX_SIZES = 512
"""records of the client behind its Finished whose lengths are kept, where they stay closed: go sends one for a request
and one for some 10 kB that it takes"""
TLS13 = 0x0304
APPLICATION_DATA = 23
EARLY_DATA = 42
"""extension of a ClientHello that is followed by application data at once (RFC 8446 §4.2.10)"""
MAX_ALERTS = 8
"""alerts kept per conversation; two end one"""
MAX_FLIGHT = 256 * 1024
"""encrypted bytes of the server without a word of the client: that side is not in the capture (chains are shorter)"""
MAX_HELD = 64 * 1024
"""encrypted bytes that wait for the ServerHello: early data, or packets captured out of order"""
CACHED_CHAINS = 64
"""different chains remembered; a module download meets some tens"""
FATAL = 2
CLOSE_NOTIFY = 0
FINISHED = 20
_PARTIAL, _CLIENT_HELLO, _SERVER_HELLO = TlsState.PARTIAL, TlsState.CLIENT_HELLO, TlsState.SERVER_HELLO
ESTABLISHED, _INFERRED = TlsState.ESTABLISHED, Visibility.INFERRED  # looked up once: in Python 3.11 that is slow
_REFUSED = (TlsState.REFUSED_BY_CLIENT, TlsState.REFUSED_BY_SERVER)

Secret: TypeAlias = dict[Any, tuple[bytes, ...]]


class Keys(Protocol):
    """Secrets by client random: wire.keylog.KeyLog."""

    def __contains__(self, client_random: bytes) -> bool: ...

    def secrets(self, client_random: bytes) -> Secret: ...


class Opener(Protocol):
    """wire.tls_open.TlsOpener"""

    supported: bool

    @property
    def opened(self) -> int: ...

    def start(self, hello: ServerHello) -> None: ...

    def blind(self, from_client: bool) -> bool: ...

    def open(
        self, event: EncryptedRecord, from_client: bool
    ) -> list[HandshakeMessage | AlertRecord | bytes] | None: ...


class TlsTracker(Struct, eq=False):
    """Mutable while the handshake runs; `session()` freezes it."""

    keys: Keys | None = None
    opener: Opener | None = None
    inside: list[tuple[bool, bytes, int, int]] = []
    """application data that nobody took yet: from client, bytes, packet number, time ns"""
    held: list[tuple[EncryptedRecord, bool, int, int]] = []
    held_bytes: int = 0
    missed: int = 0
    """records that the keys did not open"""
    fins: frozenset[bool] = frozenset()
    """sides whose Finished was opened"""
    hello: ClientHello | None = None
    random: bytes = b""
    hello_packet: int = 0
    hello_ns: int = 0
    server: ServerHello | None = None
    server_packet: int = 0
    server_ns: int = 0
    retried: bool = False
    chain: tuple[Certificate, ...] = ()
    chain_packet: int = 0
    client_ccs: bool = False
    server_ccs: bool = False
    established_ns: int = 0
    alerts: tuple[Alert, ...] = ()
    state: TlsState = _PARTIAL
    end_packet: int = 0
    app_bytes: int = 0
    flight_bytes: int = 0
    sizes: list[int] = []
    """lengths of the client's records behind its Finished"""
    sized: bool = False
    """they are worth keeping"""
    refused_inferred: bool = False
    certificate_request: Visibility = Visibility.NOT_OBSERVABLE
    heard: bool = False
    """application data of the server was opened"""
    client_done: bool = False
    """nothing that follows of the client tells more"""
    finished: bool = False
    """nothing that follows tells more"""
    problem: str | None = None

    @property
    def awaits_refusal(self) -> bool:
        """The client had no certificate to send: whether the server takes that is told by its next record."""
        return self.certificate_request is _INFERRED and not self.finished

    def read(
        self, reader: TlsReader, from_client: bool, number: int, time_ns: int, moments: Moments | None = None
    ) -> None:
        """Take every event that the reader has; raises WireError when the stream is not TLS.

        moments: of the reader's bytes, by their offsets, where they came in more packets than one.
        """
        if self.keys is not None:
            reader.whole = self.opens(from_client)
        while not self.finished and (event := reader.next_event()) is not None:
            if moments is not None:
                moment = moments.of(event.end)
                number, time_ns = moment.packet, moment.time_ns
            if type(event) is EncryptedRecord:
                self._encrypted(event, from_client, number, time_ns)
            elif isinstance(event, HandshakeMessage):
                handler = _MESSAGES.get((from_client, event.type))
                if handler:
                    handler(self, event.body, number, time_ns)
                    if self.keys is not None:
                        reader.whole = self.opens(from_client)
            else:
                _RECORDS[type(event)](self, event, from_client, number, time_ns)

    def opens(self, from_client: bool) -> bool:
        """Whether whole records of a side are wanted: the keys may open them, or it is not known yet whose they are."""
        if self.opener is not None:
            return not self.opener.blind(from_client)
        return self.keys is not None and self.hello is None and self.server is not None

    def broke(self, from_client: bool, reason: str, number: int, time_ns: int) -> None:
        """A side stopped being TLS."""
        self.problem = self.problem or reason
        if not from_client and not self.alerts:
            self.not_tls(b"", number, time_ns)

    def not_tls(self, start: bytes, number: int, time_ns: int) -> None:
        """The server's side begins with something else."""
        if self.state is _CLIENT_HELLO:
            self.state, self.end_packet, self.server_ns = TlsState.NOT_TLS_ANSWER, number, time_ns
            line = start.partition(b"\n")[0][:40].decode("ascii", "backslashreplace").strip()
            self.problem = "the answer is not TLS" + (f" but begins with “{line}”" if line else "")

    # -- handshake messages ------------------------------------------------------------------------------------------

    def _client_hello(self, body: bytes, number: int, time_ns: int) -> None:
        if self.hello is None:  # the second hello after a HelloRetryRequest repeats the first
            self.hello, self.random = tls.client_hello(body), tls.client_random(body)
            self.hello_packet, self.hello_ns = number, time_ns
            if self.keys is not None and self.random in self.keys:
                from trace_go.wire.tls_open import TlsOpener  # with cryptography's ciphers

                self.opener = TlsOpener(self.keys.secrets(self.random), self.random)
            if self.server is None:
                self.state, self.end_packet = _CLIENT_HELLO, number
            self._start_opening()

    def _server_hello(self, body: bytes, number: int, time_ns: int) -> None:
        self.server, self.server_packet, self.server_ns = tls.server_hello(body), number, time_ns
        self.retried = self.retried or self.server.hello_retry
        if self.state in (_PARTIAL, _CLIENT_HELLO, _SERVER_HELLO):
            self.state, self.end_packet = _SERVER_HELLO, number
        self._start_opening()

    def _start_opening(self) -> None:
        """Once both hellos are there, with what came before them."""
        if self.hello is None or self.server is None or self.server.hello_retry:
            return
        if self.opener is not None:
            self.opener.start(self.server)
        held, self.held = self.held, []
        for waiting in held:
            self._encrypted(*waiting)

    def _certificate(self, body: bytes, number: int, time_ns: int) -> None:
        self.chain, self.chain_packet = _chain(body, self._is_13()), number

    def _encrypted_extensions(self, body: bytes, number: int, time_ns: int) -> None:
        if self.server is not None:
            self.server = replace(self.server, alpn=tls.encrypted_alpn(body))

    def _certificate_request(self, body: bytes, number: int, time_ns: int) -> None:
        self.certificate_request = Visibility.SEEN

    # -- records -----------------------------------------------------------------------------------------------------

    def _alert(self, event: AlertRecord, from_client: bool, number: int, time_ns: int) -> None:
        if len(self.alerts) < MAX_ALERTS:
            alert = Alert(
                level=event.level,
                description=event.description,
                from_client=from_client,
                packet=number,
                time_ns=time_ns,
            )
            self.alerts += (alert,)
        # In TLS 1.3 the server answers the client's last flight when for the client the handshake is over.
        awaited = not from_client and self._is_13() and not self.heard
        over = (self.state is ESTABLISHED and not awaited) or self.state in _REFUSED
        if not over and event.level == FATAL and event.description != CLOSE_NOTIFY:
            self.state = TlsState.REFUSED_BY_CLIENT if from_client else TlsState.REFUSED_BY_SERVER
            self.end_packet = number

    def _change_cipher(self, event: ChangeCipherSpec, from_client: bool, number: int, time_ns: int) -> None:
        if from_client:
            self.client_ccs = True
        else:
            self.server_ccs = True

    def _encrypted(self, event: EncryptedRecord, from_client: bool, number: int, time_ns: int) -> None:
        if event.record and self._opened(event, from_client, number, time_ns):
            return
        self.missed += self.opener is not None
        is_data = event.content_type == APPLICATION_DATA
        if self.hello is None and self.server is None:
            self.finished = is_data  # the handshake is not in the capture
        elif self.state in _REFUSED:
            return
        elif self.state is ESTABLISHED:
            if from_client and is_data:
                if event.length != ALERT_RECORD or not self._is_13():
                    self.app_bytes += event.length
                if self.sized:
                    self.sizes.append(event.length)
                if len(self.sizes) >= MAX_SIZES or not self.sized:
                    self._finish()
            elif not from_client and self.certificate_request is _INFERRED:
                if event.length == ALERT_RECORD:  # in answer to the client's Certificate and Finished
                    self.state, self.end_packet, self.refused_inferred = TlsState.REFUSED_BY_SERVER, number, True
                self.finished = not self.opens(True)
        elif from_client:
            self._from_client(event.length, is_data, number, time_ns)
        elif self._is_13():
            self.flight_bytes += event.length
            if self.flight_bytes > MAX_FLIGHT:
                self.state, self.finished = _PARTIAL, True
        elif is_data or self.client_ccs:  # the server's Finished, after the client's; or more, when that was missed
            self._establish(number, time_ns)

    def _opened(self, event: EncryptedRecord, from_client: bool, number: int, time_ns: int) -> bool:
        """Whether the keys tell what is in a record, or will, once the ServerHello is there."""
        contents = self.opener.open(event, from_client) if self.opener is not None else None
        if contents is None:
            started = self.hello is not None and self.server is not None and not self.server.hello_retry
            if not started and self.held_bytes < MAX_HELD:
                self.held.append((event, from_client, number, time_ns))
                self.held_bytes += len(event.record)
                return True
            # What the server skips of early data must not be taken for the handshake.
            return from_client and EARLY_DATA in (self.hello.extension_types if self.hello else ())
        for content in contents:
            if isinstance(content, bytes):
                self.app_bytes += event.length if from_client else 0
                self.heard = self.heard or not from_client
                self.inside.append((from_client, content, number, time_ns))
            elif isinstance(content, AlertRecord):
                self._alert(content, from_client, number, time_ns)
            elif content.type == FINISHED:
                self.fins |= {from_client}
                if len(self.fins) == 2 or (from_client and self._is_13()):
                    self._establish(number, time_ns)
            elif handler := _MESSAGES.get((from_client, content.type)):
                handler(self, content.body, number, time_ns)
        return True

    def _finish(self) -> None:
        """Nothing that follows tells more, but what keys open."""
        self.client_done = not self.opens(True)
        self.finished = self.client_done and not self.opens(False) and not self.awaits_refusal

    def _from_client(self, length: int, is_data: bool, number: int, time_ns: int) -> None:
        """An encrypted record of the client before the handshake is known to be over."""
        if self._is_13():
            if length == ALERT_RECORD:
                self.state, self.end_packet, self.refused_inferred = TlsState.REFUSED_BY_CLIENT, number, True
            elif is_data:
                if length == EMPTY_CERTIFICATE_RECORD:
                    self.certificate_request = _INFERRED
                self.sized = self.opener is None and length in FINISHED_RECORDS
                self._establish(number, time_ns)
        elif is_data:
            if self.server is None and self.hello and EARLY_DATA in self.hello.extension_types:
                return
            # Application data from the client means that the handshake is over, whatever else was missed.
            self._establish(number, time_ns)
            self.app_bytes += length
            self._finish()
        elif self.client_ccs and self.server_ccs:  # abbreviated handshake: the client's Finished comes last
            self._establish(number, time_ns)

    def _is_13(self) -> bool:
        return self.server is not None and self.server.version >= TLS13

    def _establish(self, number: int, time_ns: int) -> None:
        self.state, self.end_packet, self.established_ns = ESTABLISHED, number, time_ns

    # -- end ---------------------------------------------------------------------------------------------------------

    def session(self, client: str, *, lost_up: bool, lost_down: bool, answered_bytes: int) -> TlsSession:
        """client: the name of the ClientHello's fingerprint, or empty; lost: bytes of that side are missing.

        answered_bytes: of the server's stream behind what was read of it.
        """
        lost = {_CLIENT_HELLO: lost_down, _SERVER_HELLO: lost_up or lost_down}.get(self.state, False)
        return TlsSession(
            self.hello,
            self.random,
            self.hello_packet,
            self.hello_ns,
            self.server,
            self.server_packet,
            self.server_ns,
            self.retried,
            self.chain,
            self.chain_packet,
            Visibility.SEEN if self.chain else Visibility.NOT_OBSERVABLE,
            self.established_ns,
            self.alerts,
            _PARTIAL if lost else self.state,
            _INFERRED if self.refused_inferred else Visibility.SEEN,
            self.end_packet,
            self.app_bytes,
            self.flight_bytes,
            client,
            self.certificate_request,
            () if lost_up or lost_down else tuple(self.sizes),
            answered_bytes if self.sized else 0,
            self.problem,
            self._opening(),
        )

    def _opening(self) -> Opening:
        if self.opener is None:
            return Opening.NO_KEYS
        if not self.opener.supported:
            return Opening.UNSUPPORTED
        if not self.opener.opened:
            return Opening.WRONG_KEYS if self.missed else Opening.NOTHING
        return Opening.PARTLY if self.missed else Opening.OPENED


@lru_cache(CACHED_CHAINS)
def _chain(body: bytes, is_13: bool) -> tuple[Certificate, ...]:
    chain = tls.certificate_chain13(body) if is_13 else tls.certificate_chain(body)
    return tuple(map(certificate, chain))


_MESSAGES: dict[tuple[bool, int], Any] = {
    (True, 1): TlsTracker._client_hello,
    (False, 2): TlsTracker._server_hello,
    (False, 8): TlsTracker._encrypted_extensions,
    (False, 11): TlsTracker._certificate,
    (False, 13): TlsTracker._certificate_request,
}
"""(from client, handshake type) → what to do with it; every other message is passed over"""

_RECORDS: dict[type, Any] = {
    AlertRecord: TlsTracker._alert,
    ChangeCipherSpec: TlsTracker._change_cipher,
}
