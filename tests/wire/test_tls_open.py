"""TlsOpener against OpenSSL's conversations: every suite, resumption, early data, key updates, logs that lack keys."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.model.errors import WireError
from trace_go.wire import tls, tls_open
from trace_go.wire.keylog import KeyLog, Label, Secrets
from trace_go.wire.tls_open import Content, TlsOpener
from trace_go.wire.tls_protection import maybe_suite
from trace_go.wire.tls_stream import AlertRecord, EncryptedRecord, HandshakeMessage, TlsReader
from wire.openssl_talks import OPENSSL, QUESTION, Talk, talks

needs_openssl = pytest.mark.skipif(not OPENSSL, reason="no openssl program")
BACK = QUESTION.strip()[::-1] + b"\n"
APPLICATION = (Label.CLIENT_TRAFFIC_SECRET_0, Label.SERVER_TRAFFIC_SECRET_0)
HANDSHAKE = (Label.CLIENT_HANDSHAKE_TRAFFIC_SECRET, Label.SERVER_HANDSHAKE_TRAFFIC_SECRET)


@dataclass
class Inside:
    """What was found in a conversation. Index 0 is the server's, 1 the client's."""

    data: list[bytes] = field(default_factory=lambda: [b"", b""])
    messages: list[list[int]] = field(default_factory=lambda: [[], []])
    alerts: list[list[int]] = field(default_factory=lambda: [[], []])
    chain: tuple[bytes, ...] = ()
    closed: int = 0
    """records that nothing opened"""
    blind: tuple[bool, bool] = (False, False)


def secrets_of(talk: Talk, keys: bytes | None = None) -> tuple[Secrets, bytes]:
    log, reader = KeyLog(), TlsReader(from_client=True)
    log.feed(talk.keys if keys is None else keys)
    log.end()
    reader.receive(talk.sent(True))
    hello = reader.next_event()
    assert isinstance(hello, HandshakeMessage)
    random = tls.client_random(hello.body)
    return log.secrets(random), random


def look_inside(talk: Talk, secrets: Secrets, random: bytes) -> Inside:
    opener, found = TlsOpener(secrets, random), Inside()
    readers = [TlsReader(from_client=side, whole=True) for side in (False, True)]
    started = False

    def take(side: bool, event: EncryptedRecord) -> None:
        contents = opener.open(event, side)
        if contents is None:
            found.closed += 1
        for content in contents or ():
            keep(side, content)

    def keep(side: bool, content: Content) -> None:
        match content:
            case bytes():
                found.data[side] += content
            case AlertRecord():
                found.alerts[side].append(content.description)
            case HandshakeMessage():
                found.messages[side].append(content.type)
                if content.type == 11:
                    found.chain = tls.certificate_chain13(content.body)

    for side, data in talk.turns:
        readers[side].receive(data)
        while event := readers[side].next_event():
            if isinstance(event, HandshakeMessage) and event.type == 2:
                hello = tls.server_hello(event.body)
                if not hello.hello_retry:
                    opener.start(hello)
                    started = True
            elif isinstance(event, EncryptedRecord):
                early = tls_open.Label.CLIENT_EARLY_TRAFFIC_SECRET in secrets
                if started or early:
                    take(side, event)
                else:
                    raise AssertionError("a record before the ServerHello")
    found.blind = (opener.blind(False), opener.blind(True))
    return found


def inside(talk: Talk, keep: Callable[[Label], bool] = lambda _: True) -> Inside:
    secrets, random = secrets_of(talk)
    return look_inside(talk, {label: found for label, found in secrets.items() if keep(label)}, random)


SUITES13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
SUITES13 += ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"]
SUITES12 = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
SUITES12 += ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-SHA256"]
SUITES12 += ["ECDHE-ECDSA-AES256-SHA384"]


@needs_openssl
@pytest.mark.parametrize("suite", SUITES13)
def test_tls13(suite: str) -> None:
    (talk,) = talks(("-tls1_3", "-ciphersuites", suite), ("-ciphersuites", suite))
    found = inside(talk)
    assert found.data == [BACK, QUESTION]
    assert found.messages == [[8, 11, 15, 20, 4, 4], [20]]
    assert found.chain == (talk.certificate,)
    assert found.alerts == [[0], [0]]
    assert found.closed == 0


@needs_openssl
@pytest.mark.parametrize("suite", SUITES12)
@pytest.mark.parametrize("more", [(), ("-no_etm",)], ids=["", "mac-then-encrypt"])
def test_tls12(suite: str, more: tuple[str, ...]) -> None:
    (talk,) = talks(("-tls1_2", "-cipher", suite, *more))
    found = inside(talk)
    assert found.data == [BACK, QUESTION]
    assert found.messages == [[20], [20]]
    assert found.closed == 0


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_before_tls12(version: str) -> None:
    old = ("-cipher", "ALL:@SECLEVEL=0")
    (talk,) = talks((version, *old), old, says=(QUESTION, QUESTION))
    if not talk.sent(False):
        pytest.skip("this OpenSSL no longer speaks it")
    assert inside(talk).data == [BACK * 2, QUESTION * 2]


@needs_openssl
def test_hello_retry() -> None:
    (talk,) = talks(("-tls1_3", "-groups", "P-256:P-384"), ("-groups", "P-384"))
    found = inside(talk)
    assert found.data == [BACK, QUESTION]
    assert found.closed == 0


@needs_openssl
def test_key_update() -> None:
    (talk,) = talks(("-tls1_3",), says=(QUESTION, b"K\n", QUESTION, b"K\n", QUESTION))
    found = inside(talk)
    assert found.data == [BACK * 3, QUESTION * 3]
    assert found.messages[True] == [20, 24, 24]
    assert found.closed == 0


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_resumption(version: str) -> None:
    first, second = talks((version,), resumed=("-sess_in", "ticket"))
    assert inside(first).data == inside(second).data == [BACK, QUESTION]
    assert 11 not in inside(second).messages[False]


@needs_openssl
def test_early_data() -> None:
    _, second = talks(("-tls1_3",), ("-early_data",), resumed=("-sess_in", "ticket", "-early_data", "early"))
    found = inside(second)
    assert found.data[True] == b"early " + QUESTION * 2
    assert found.messages[True] == [5, 20]
    assert found.closed == 0


@needs_openssl
def test_early_data_without_its_key() -> None:
    _, second = talks(("-tls1_3",), ("-early_data",), resumed=("-sess_in", "ticket", "-early_data", "early"))
    secrets, random = secrets_of(second)
    early = secrets.pop(Label.CLIENT_EARLY_TRAFFIC_SECRET)
    secrets[Label.CLIENT_EARLY_TRAFFIC_SECRET] = (bytes(len(early[0])),)
    found = look_inside(second, secrets, random)
    assert found.data[True] == QUESTION
    assert found.closed == 2  # early data and the message that ends it


@needs_openssl
def test_application_secrets_only() -> None:
    (talk,) = talks(("-tls1_3",))
    found = inside(talk, lambda label: label in APPLICATION)
    assert found.data == [BACK, QUESTION]
    assert found.chain == ()
    assert found.closed > 1


@needs_openssl
def test_handshake_secrets_only() -> None:
    (talk,) = talks(("-tls1_3",))
    found = inside(talk, lambda label: label in HANDSHAKE)
    assert found.data == [b"", b""]
    assert found.chain == (talk.certificate,)
    assert found.blind == (True, True)


@needs_openssl
def test_one_side_only() -> None:
    (talk,) = talks(("-tls1_3",))
    found = inside(talk, lambda label: label.name.startswith("SERVER"))
    assert found.data == [BACK, b""]
    assert found.blind == (False, True)


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_wrong_secrets_open_nothing(version: str) -> None:
    (talk,) = talks((version,))
    secrets, random = secrets_of(talk)
    wrong = {label: tuple(bytes(len(secret)) for secret in found) for label, found in secrets.items()}
    found = look_inside(talk, wrong, random)
    assert found.data == [b"", b""]
    assert found.closed > 3


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_contradicting_logs(version: str) -> None:
    (talk,) = talks((version,))
    secrets, random = secrets_of(talk)
    both = {label: (bytes(len(found[0])), *found) for label, found in secrets.items()}
    assert look_inside(talk, both, random).data == [BACK, QUESTION]


@needs_openssl
def test_given_up_after_many_misses() -> None:
    (talk,) = talks(("-tls1_3",))
    secrets, random = secrets_of(talk)
    opener = TlsOpener({Label.SERVER_TRAFFIC_SECRET_0: secrets[Label.SERVER_TRAFFIC_SECRET_0]}, random)
    noise = EncryptedRecord(content_type=23, length=32, start=0, end=37, record=b"\x17\3\3\0\x20" + bytes(32))
    for _ in range(tls_open.MAX_MISSES + 1):
        assert not opener.blind(False)
        assert opener.open(noise, False) is None
    assert opener.blind(False)


@needs_openssl
@given(data=st.data())
def test_any_damage(data: st.DataObject) -> None:
    """Changed, cut and invented records open to nothing, or to what was sent before the damage."""
    (talk,) = talks(("-tls1_3",) if data.draw(st.booleans()) else ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"))
    secrets, random = secrets_of(talk)
    turns = list(talk.turns)
    which = data.draw(st.integers(0, len(turns) - 1))
    side, sent = turns[which]
    at = data.draw(st.integers(0, len(sent) - 1))
    turns[which] = (side, sent[:at] + data.draw(st.binary(min_size=1, max_size=40)) + sent[at + 1 :])
    try:
        found = look_inside(Talk(turns=tuple(turns), keys=b"", certificate=b""), secrets, random)
    except (WireError, AssertionError):
        return
    assert BACK.startswith(found.data[False])
    assert QUESTION.startswith(found.data[True])


def test_suites_by_name() -> None:
    for number in (0x000A, 0x0005, 0x1306, 0xC012):
        assert maybe_suite(number) is None
