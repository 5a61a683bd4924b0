"""Follows one TLS handshake from the outside: collects hellos, certificates and alerts, and tells how far it went.

Without keys, TLS 1.3 shows only record sizes after the ServerHello. The client's first encrypted record decides: an
alert is 19 bytes, a Finished 53 or 69, and an empty Certificate, as a client without one answers a request for it, 25
(RFC 8446 §4.4.2, §4.4.4, §5.2, §6; facts checked against real go).
"""

from functools import lru_cache
from typing import Any

from trace_go.model.evidence import Visibility
from trace_go.model.tls import Alert, Certificate, ClientHello, ServerHello, TlsSession, TlsState
from trace_go.wire import tls
from trace_go.wire.certificates import certificate
from trace_go.wire.tls_stream import AlertRecord, ChangeCipherSpec, EncryptedRecord, HandshakeMessage, TlsReader

ALERT_RECORD = 19
"""length of an encrypted alert in TLS 1.3: 2 bytes, content type, 16 bytes of tag"""
EMPTY_CERTIFICATE_RECORD = 25
"""length of a Certificate message without certificates, encrypted alone: 8 bytes, content type, 16 bytes of tag"""
TLS13 = 0x0304
APPLICATION_DATA = 23
EARLY_DATA = 42
"""extension of a ClientHello that is followed by application data at once (RFC 8446 §4.2.10)"""
MAX_ALERTS = 8
"""alerts kept per conversation; two end one"""
MAX_FLIGHT = 256 * 1024
"""encrypted bytes of the server without a word of the client: that side is not in the capture (chains are shorter)"""
CACHED_CHAINS = 64
"""different chains remembered; a module download meets some tens"""
FATAL = 2
CLOSE_NOTIFY = 0
_REFUSED = (TlsState.REFUSED_BY_CLIENT, TlsState.REFUSED_BY_SERVER)


class TlsTracker:
    """Mutable while the handshake runs; `session()` freezes it."""

    __slots__ = (
        "alerts", "app_bytes", "certificate_request", "chain", "chain_packet", "client_ccs", "end_packet",
        "established_ns", "finished", "flight_bytes", "hello", "hello_ns", "hello_packet", "problem", "random",
        "refused_inferred", "retried", "server", "server_ccs", "server_ns", "server_packet", "state",
    )  # fmt: skip

    def __init__(self) -> None:
        self.hello: ClientHello | None = None
        self.random = b""
        self.hello_packet = self.hello_ns = 0
        self.server: ServerHello | None = None
        self.server_packet = self.server_ns = 0
        self.retried = False
        self.chain: tuple[Certificate, ...] = ()
        self.chain_packet = 0
        self.client_ccs = self.server_ccs = False
        self.established_ns = 0
        self.alerts: list[Alert] = []
        self.state = TlsState.PARTIAL
        self.end_packet = 0
        self.app_bytes = self.flight_bytes = 0
        self.refused_inferred = False
        self.certificate_request = Visibility.NOT_OBSERVABLE
        self.finished = False
        """nothing that follows tells more"""
        self.problem: str | None = None

    @property
    def awaits_refusal(self) -> bool:
        """The client had no certificate to send: whether the server takes that is told by its next record."""
        return self.certificate_request is Visibility.INFERRED and not self.finished

    def read(self, reader: TlsReader, from_client: bool, number: int, time_ns: int) -> None:
        """Take every event that the reader has; raises WireError when the stream is not TLS."""
        while not self.finished and (event := reader.next_event()) is not None:
            if isinstance(event, HandshakeMessage):
                handler = _MESSAGES.get((from_client, event.type))
                if handler:
                    handler(self, event.body, number, time_ns)
            else:
                _RECORDS[type(event)](self, event, from_client, number, time_ns)

    def broke(self, from_client: bool, reason: str, number: int, time_ns: int) -> None:
        """A side stopped being TLS."""
        self.problem = self.problem or reason
        if not from_client and not self.alerts:
            self.not_tls(b"", number, time_ns)

    def not_tls(self, start: bytes, number: int, time_ns: int) -> None:
        """The server's side begins with something else."""
        if self.state is TlsState.CLIENT_HELLO:
            self.state, self.end_packet, self.server_ns = TlsState.NOT_TLS_ANSWER, number, time_ns
            self.problem = "the answer is not TLS" + (f": {start[:32]!r}" if start else "")

    # -- handshake messages ------------------------------------------------------------------------------------------

    def _client_hello(self, body: bytes, number: int, time_ns: int) -> None:
        if self.hello is None:  # the second hello after a HelloRetryRequest repeats the first
            self.hello, self.random = tls.client_hello(body), tls.client_random(body)
            self.hello_packet, self.hello_ns = number, time_ns
            if self.server is None:
                self.state, self.end_packet = TlsState.CLIENT_HELLO, number

    def _server_hello(self, body: bytes, number: int, time_ns: int) -> None:
        self.server, self.server_packet, self.server_ns = tls.server_hello(body), number, time_ns
        self.retried = self.retried or self.server.hello_retry
        if self.state in (TlsState.PARTIAL, TlsState.CLIENT_HELLO, TlsState.SERVER_HELLO):
            self.state, self.end_packet = TlsState.SERVER_HELLO, number

    def _certificate(self, body: bytes, number: int, time_ns: int) -> None:
        self.chain, self.chain_packet = _chain(body), number

    def _certificate_request(self, body: bytes, number: int, time_ns: int) -> None:
        self.certificate_request = Visibility.SEEN

    # -- records -----------------------------------------------------------------------------------------------------

    def _alert(self, event: AlertRecord, from_client: bool, number: int, time_ns: int) -> None:
        if len(self.alerts) < MAX_ALERTS:
            self.alerts.append(
                Alert(
                    level=event.level,
                    description=event.description,
                    from_client=from_client,
                    packet=number,
                    time_ns=time_ns,
                )
            )
        over = self.state is TlsState.ESTABLISHED or self.state in _REFUSED
        if not over and event.level == FATAL and event.description != CLOSE_NOTIFY:
            self.state = TlsState.REFUSED_BY_CLIENT if from_client else TlsState.REFUSED_BY_SERVER
            self.end_packet = number

    def _change_cipher(self, event: ChangeCipherSpec, from_client: bool, number: int, time_ns: int) -> None:
        if from_client:
            self.client_ccs = True
        else:
            self.server_ccs = True

    def _encrypted(self, event: EncryptedRecord, from_client: bool, number: int, time_ns: int) -> None:
        is_data = event.content_type == APPLICATION_DATA
        if self.hello is None and self.server is None:
            self.finished = is_data  # the handshake is not in the capture
        elif self.state in _REFUSED:
            return
        elif self.state is TlsState.ESTABLISHED:
            if from_client and is_data:
                if event.length != ALERT_RECORD or not self._is_13():
                    self.app_bytes += event.length
                self.finished = self.certificate_request is not Visibility.INFERRED
            elif not from_client and self.certificate_request is Visibility.INFERRED:
                if event.length == ALERT_RECORD:  # in answer to the client's Certificate and Finished
                    self.state, self.end_packet, self.refused_inferred = TlsState.REFUSED_BY_SERVER, number, True
                self.finished = True
        elif from_client:
            self._from_client(event.length, is_data, number, time_ns)
        elif self._is_13():
            self.flight_bytes += event.length
            if self.flight_bytes > MAX_FLIGHT:
                self.state, self.finished = TlsState.PARTIAL, True
        elif is_data or self.client_ccs:  # the server's Finished, after the client's; or more, when that was missed
            self._establish(number, time_ns)

    def _from_client(self, length: int, is_data: bool, number: int, time_ns: int) -> None:
        """An encrypted record of the client before the handshake is known to be over."""
        if self._is_13():
            if length == ALERT_RECORD:
                self.state, self.end_packet, self.refused_inferred = TlsState.REFUSED_BY_CLIENT, number, True
            elif is_data:
                if length == EMPTY_CERTIFICATE_RECORD:
                    self.certificate_request = Visibility.INFERRED
                self._establish(number, time_ns)
        elif is_data:
            if self.server is None and self.hello and EARLY_DATA in self.hello.extension_types:
                return
            # Application data from the client means that the handshake is over, whatever else was missed.
            self._establish(number, time_ns)
            self.app_bytes += length
            self.finished = True
        elif self.client_ccs and self.server_ccs:  # abbreviated handshake: the client's Finished comes last
            self._establish(number, time_ns)

    def _is_13(self) -> bool:
        return self.server is not None and self.server.version >= TLS13

    def _establish(self, number: int, time_ns: int) -> None:
        self.state, self.end_packet, self.established_ns = TlsState.ESTABLISHED, number, time_ns

    # -- end ---------------------------------------------------------------------------------------------------------

    def session(self, client: str, *, lost_up: bool, lost_down: bool) -> TlsSession:
        """client: the name of the ClientHello's fingerprint, or empty; lost: bytes of that side are missing."""
        lost = {TlsState.CLIENT_HELLO: lost_down, TlsState.SERVER_HELLO: lost_up or lost_down}.get(self.state, False)
        return TlsSession(
            hello=self.hello,
            client_random=self.random,
            hello_packet=self.hello_packet,
            hello_ns=self.hello_ns,
            server=self.server,
            server_packet=self.server_packet,
            server_ns=self.server_ns,
            hello_retry=self.retried,
            chain=self.chain,
            chain_packet=self.chain_packet,
            chain_visibility=Visibility.SEEN if self.chain else Visibility.NOT_OBSERVABLE,
            established_ns=self.established_ns,
            alerts=tuple(self.alerts),
            state=TlsState.PARTIAL if lost else self.state,
            refusal_visibility=Visibility.INFERRED if self.refused_inferred else Visibility.SEEN,
            end_packet=self.end_packet,
            certificate_request=self.certificate_request,
            client_app_bytes=self.app_bytes,
            server_flight_bytes=self.flight_bytes,
            client=client,
            problem=self.problem,
        )


@lru_cache(CACHED_CHAINS)
def _chain(body: bytes) -> tuple[Certificate, ...]:
    return tuple(map(certificate, tls.certificate_chain(body)))


_MESSAGES: dict[tuple[bool, int], Any] = {
    (True, 1): TlsTracker._client_hello,
    (False, 2): TlsTracker._server_hello,
    (False, 11): TlsTracker._certificate,
    (False, 13): TlsTracker._certificate_request,
}
"""(from client, handshake type) → what to do with it; every other message is passed over"""

_RECORDS: dict[type, Any] = {
    AlertRecord: TlsTracker._alert,
    ChangeCipherSpec: TlsTracker._change_cipher,
    EncryptedRecord: TlsTracker._encrypted,
}
