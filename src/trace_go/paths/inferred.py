"""What the sizes of TLS 1.3 records tell of a go command's connection that no key opens.

A record is 17 bytes longer than its content (RFC 8446 §5.2: content type and tag); padding is possible, and unknown
from all stacks that go meets. What go sends is told by its sources (net/http, h2_bundle.go): each request is flushed
alone, so it has a record of its own; beside requests an HTTP/2 client of go sends control frames, one or two in a
record. Checked against decrypted runs of Go 1.21 to 1.27.
"""

from collections.abc import Iterator
from itertools import combinations_with_replacement, pairwise

from trace_go.flows.tls_tracker import MAX_SIZES, TLS13
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.flow import Flow, Outcome
from trace_go.model.ledger import Inference
from trace_go.model.tls import TlsSession, TlsState

_SEALED = 17
"""bytes that encryption adds to the content of a record, without its header"""
_ALERT = _SEALED + 2
_PREFACES = frozenset(_SEALED + 24 + 9 + 6 * settings + 13 for settings in range(1, 6))
"""go's first record in HTTP/2: preface, SETTINGS (3 settings up to Go 1.26, 4 since), WINDOW_UPDATE"""
_FRAMES = (9, 13, 17)
"""control frames: SETTINGS acknowledged; WINDOW_UPDATE, RST_STREAM; PING, GOAWAY"""
_CONTROL = frozenset(_SEALED + sum(some) for count in (1, 2) for some in combinations_with_replacement(_FRAMES, count))
_HEADERS = _SEALED + 9 + 6
"""the shortest request in HTTP/2: six fields, each an index of the compression's table"""
_GET = _SEALED + len("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n")
_WHOLE = 1_100
"""go's first records on a connection hold some 1,190 bytes (crypto/tls, tcpMSSEstimate): a longer request goes on"""

_TICKETS = 1_200
"""bytes of what a server sends besides answers: session tickets of some 280 each, its settings, its farewell"""
_HEAD = 1_100
"""bytes of the head of an answer with its frames and records; those of the Go mirror have some 600"""
_ROOMY = 1_200
"""content of the records of a long answer, at least: crypto/tls begins with 1,190, others use 4,096 to 16,384"""
_OVERHEAD = 5 + _SEALED + 9
"""of each such record: its header, and a frame's"""


def inferred(flow: Flow) -> tuple[Inference, ...]:
    """Nothing for connections of another client than go, and for those that are open to us."""
    tls = flow.tls
    if tls is None or tls.version != TLS13 or not tls.client.startswith("go "):
        return ()
    return tuple(_of_end(flow, tls)) or tuple(_of_content(flow, tls))


def _of_end(flow: Flow, tls: TlsSession) -> Iterator[Inference]:
    """How it ended, where the only sign is an alert's size."""
    if tls.refusal_visibility is Visibility.INFERRED:
        by_client = tls.state is TlsState.REFUSED_BY_CLIENT
        yield Inference(
            kind="certificate-refused" if by_client else "client-certificate-refused",
            text="the client's first encrypted record is as long as an alert: it refused the certificate"
            if by_client
            else "the server's answer to a client without certificate is as long as an alert: it refused the client",
            confidence=Confidence.HIGH,
        )
    elif flow.outcome is Outcome.IDLE and tls.client_records == (_ALERT,):
        text = "closed behind the handshake: the client's only record is as long as an alert"
        yield Inference(kind="closed-unused", text=text, confidence=Confidence.HIGH)


def _of_content(flow: Flow, tls: TlsSession) -> Iterator[Inference]:
    """How much was asked, and how long the answers are."""
    counted = _requests(tls.client_records)
    if counted is None:
        return
    protocol, least, most = counted
    if len(tls.client_records) >= MAX_SIZES:
        left = flow.bytes_up - sum(tls.client_records) - 5 * MAX_SIZES
        most += max(0, left) // (5 + _HEADERS)
    noun = "request" if most == 1 else "requests"
    yield _bounded("requests", least, most, f"{noun} in {protocol}", Confidence.HIGH)
    came = max(0, tls.answered_bytes - 5 - _SEALED)
    content = (tls.answered_bytes - _TICKETS) * _ROOMY // (_ROOMY + _OVERHEAD) - most * _HEAD
    yield _bounded("answer-bytes", max(0, content), came, "bytes in the answers", Confidence.MEDIUM)


def _bounded(kind: str, least: int, most: int, noun: str, confidence: Confidence) -> Inference:
    number = f"{least:,} to {most:,}" if 0 < least < most else f"at most {most:,}" if least < most else f"{least:,}"
    return Inference(kind=kind, text=f"{number} {noun}", least=least, most=most, confidence=confidence)


def _requests(sizes: tuple[int, ...]) -> tuple[str, int, int] | None:
    """(protocol, how many requests at least, at most) of go's records; None where they do not begin as go's do."""
    if not sizes:
        return None
    continued = [False, *(before > _SEALED + _WHOLE for before, _ in pairwise(sizes))]
    if sizes[0] in _PREFACES:
        may = [(size, goes_on) for size, goes_on in zip(sizes[1:], continued[1:], strict=True) if size >= _HEADERS]
        return "HTTP/2", sum(size not in _CONTROL and not goes_on for size, goes_on in may), len(may)
    if sizes[0] < _GET:
        return None
    may = [(size, goes_on) for size, goes_on in zip(sizes, continued, strict=True) if size >= _GET or goes_on]
    return "HTTP/1.1", sum(not goes_on for _, goes_on in may), len(may)
