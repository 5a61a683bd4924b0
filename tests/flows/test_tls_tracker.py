"""TLS handshakes through the whole engine: genuine ones of OpenSSL in every segmentation, and the ends by hand."""

from collections.abc import Callable

import pytest

from flows.frames import Talk, later, traffic
from flows.tls_talks import (
    CERTIFICATE,
    CHANGE,
    FLIGHT13,
    HANDSHAKE,
    TLS12,
    TLS13,
    Turns,
    alert,
    answer12,
    answer13,
    encrypted,
    handshake,
    hello,
)
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Flow, Outcome
from trace_go.model.tls import TlsSession, TlsState
from wire.tls_samples import NAME, extension, message, record


def flow_of(talk: Talk, wait_s: float = 5) -> Flow:
    """The only flow, in a capture that went on for a while."""
    (flow,) = traffic([*talk.frames, later(talk.frames, wait_s)]).flows
    return flow


def tls_of(talk: Talk) -> TlsSession:
    session = flow_of(talk).tls
    assert session is not None
    return session


def spoken(*turns: tuple[int, bytes], size: int = 1400) -> Talk:
    talk = Talk().open()
    for side, data in turns:
        talk.say(side, data, size)
    return talk


def records(data: bytes) -> list[bytes]:
    """The records of one flight."""
    found = []
    while data:
        size = 5 + int.from_bytes(data[3:5], "big")
        found.append(data[:size])
        data = data[size:]
    return found


def whole(turns: Turns) -> Talk:
    return spoken(*turns, size=1400)


def bytewise(turns: Turns) -> Talk:
    return spoken(*turns, size=1)


def by_record(turns: Turns) -> Talk:
    return spoken(*((side, part) for side, data in turns for part in records(data)))


def resplit(turns: Turns) -> Talk:
    """Handshake records in clear cut into records of 100 bytes."""
    made, encrypted_sides = [], set()
    for side, data in turns:
        for part in records(data):
            if part[0] == 20:
                encrypted_sides.add(side)
            if part[0] == HANDSHAKE and side not in encrypted_sides:
                body = part[5:]
                part = b"".join(record(HANDSHAKE, body[at : at + 100]) for at in range(0, len(body), 100))
            made.append((side, part))
    return spoken(*made)


SPELLINGS = [whole, bytewise, by_record, resplit]


# -- genuine -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("wants_client", [False, True])
def test_tls_12(spelling: Callable[[Turns], Talk], wants_client: bool) -> None:
    flow = flow_of(spelling(handshake(TLS12, wants_client=wants_client)).close())
    tls = flow.tls
    assert tls is not None
    assert (flow.outcome, flow.protocol, tls.state, tls.version) == (Outcome.OK, "tls", TlsState.ESTABLISHED, 0x0303)
    assert tls.hello is not None
    assert (tls.hello.sni, tls.hello.alpn, tls.client) == (NAME, ("h2", "http/1.1"), f"client of {NAME}")
    assert ([one.der for one in tls.chain], tls.chain_visibility) == ([CERTIFICATE], Visibility.SEEN)
    assert tls.server is not None
    assert tls.server.alpn == "h2"
    assert tls.server_flight_bytes == 0
    assert tls.client_app_bytes > 0
    assert flow.start_ns < tls.hello_ns < tls.server_ns < tls.established_ns < flow.end_ns
    assert 0 < tls.hello_packet < tls.server_packet <= tls.chain_packet < tls.end_packet
    assert len(tls.client_random) == 32
    assert tls.problem is None


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("wants_client", [False, True])
@pytest.mark.parametrize("retry", [False, True])
def test_tls_13(spelling: Callable[[Turns], Talk], wants_client: bool, retry: bool) -> None:
    turns = handshake(TLS13, retry=retry, wants_client=wants_client)
    flow = flow_of(spelling(turns).close())
    tls = flow.tls
    assert tls is not None
    assert (flow.outcome, tls.state, tls.version) == (Outcome.OK, TlsState.ESTABLISHED, 0x0304)
    assert (tls.chain, tls.chain_visibility, tls.hello_retry) == ((), Visibility.NOT_OBSERVABLE, retry)
    flight = records(b"".join(data for side, data in turns[: 4 if retry else 2] if side))
    assert tls.server_flight_bytes == sum(len(part) - 5 for part in flight if part[0] == 23)
    assert tls.client_app_bytes > 0
    assert flow.tls_s is not None
    assert flow.tls_s > 0


def test_times_and_packets_are_those_of_the_bytes() -> None:
    """One segment a turn: SYN 1, SYN-ACK 2, ACK 3, ClientHello 4, …"""
    for version, established in ((TLS12, 7), (TLS13, 6)):
        turns = handshake(version)
        talk = spoken(*turns, size=9000)
        tls, at = tls_of(talk), [frame.time_ns for frame in talk.frames]
        assert [tls.hello_packet, tls.server_packet, tls.end_packet] == [4, 5, established]
        assert [tls.hello_ns, tls.server_ns, tls.established_ns] == [at[3], at[4], at[established - 1]]


def test_openssl_refuses_in_clear() -> None:
    for version in (TLS12, TLS13):
        flow = flow_of(whole(handshake(version, trusted=False)).fin(0))
        assert flow.tls is not None
        assert (flow.outcome, flow.tls.state) == (Outcome.REJECTED_CERTIFICATE, TlsState.REFUSED_BY_CLIENT)
        assert [(one.level, one.from_client) for one in flow.tls.alerts] == [(2, True)]
        assert flow.tls.refusal_visibility is Visibility.SEEN
        assert flow.tls.end_packet == flow.tls.alerts[0].packet


# -- ends by hand ------------------------------------------------------------------------------------------------------


def test_go_refuses_in_tls_13_by_a_record_of_19_bytes() -> None:
    talk = spoken((0, hello()), (1, answer13() + FLIGHT13), (0, CHANGE + encrypted(19))).fin(0)
    flow = flow_of(talk)
    assert flow.tls is not None
    assert (flow.outcome, flow.tls.state) == (Outcome.REJECTED_CERTIFICATE, TlsState.REFUSED_BY_CLIENT)
    assert (flow.tls.refusal_visibility, flow.tls.alerts, flow.tls.established_ns) == (Visibility.INFERRED, (), 0)
    assert flow.tls.server_flight_bytes == 32 + 900 + 281 + 53


def test_what_follows_a_refusal_does_not_undo_it() -> None:
    tls = tls_of(
        spoken((0, hello()), (1, answer13() + FLIGHT13), (0, CHANGE + encrypted(19) + encrypted(53)), (1, alert(80)))
    )
    assert (tls.state, tls.end_packet) == (TlsState.REFUSED_BY_CLIENT, 6)


@pytest.mark.parametrize("finished", [53, 69])
def test_a_later_record_of_19_bytes_is_close_notify(finished: int) -> None:
    talk = spoken(
        (0, hello()), (1, answer13() + FLIGHT13), (0, CHANGE + encrypted(finished)), (0, encrypted(19))
    ).close()
    flow = flow_of(talk)
    assert flow.tls is not None
    assert (flow.outcome, flow.tls.state, flow.tls.client_app_bytes) == (Outcome.IDLE, TlsState.ESTABLISHED, 0)


def test_application_data_makes_the_difference_to_idle() -> None:
    parts = (0, hello()), (1, answer13() + FLIGHT13), (0, CHANGE + encrypted(53) + encrypted(120))
    flow = flow_of(spoken(*parts).close())
    assert flow.tls is not None
    assert (flow.outcome, flow.tls.client_app_bytes) == (Outcome.OK, 120)


@pytest.mark.parametrize(
    ("description", "outcome"),
    [
        (42, "rejected-certificate"),
        (46, "rejected-certificate"),
        (48, "rejected-certificate"),
        (40, "refused-handshake"),
        (70, "refused-handshake"),
    ],
)
def test_alerts_of_the_client(description: int, outcome: str) -> None:
    flow = flow_of(spoken((0, hello()), (1, answer12(CERTIFICATE)), (0, alert(description))).close())
    assert flow.tls is not None
    assert (flow.outcome, flow.tls.state) == (outcome, TlsState.REFUSED_BY_CLIENT)
    assert [one.der for one in flow.tls.chain] == [CERTIFICATE]


@pytest.mark.parametrize("description", [40, 42, 70, 112])
def test_alerts_of_the_server(description: int) -> None:
    flow = flow_of(spoken((0, hello()), (1, alert(description))).close(1))
    assert flow.tls is not None
    assert (flow.outcome, flow.tls.state) == (Outcome.REFUSED_HANDSHAKE, TlsState.REFUSED_BY_SERVER)
    (one,) = flow.tls.alerts
    assert (one.description, one.from_client, one.packet) == (description, False, 5)


def test_warnings_do_not_end_a_handshake() -> None:
    tls = tls_of(spoken((0, hello()), (1, alert(112, level=1) + answer13() + FLIGHT13), (0, CHANGE + encrypted(53))))
    assert (tls.state, len(tls.alerts)) == (TlsState.ESTABLISHED, 1)


def test_the_answer_is_not_tls() -> None:
    for answer in (
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        bytes(40),
        b"\x15\x03\x03\x00\x02\x02\x28junk!!",
    ):
        flow = flow_of(spoken((0, hello()), (1, answer)).close(1))
        assert flow.tls is not None
        plain = answer[0] != 21
        assert flow.outcome is (Outcome.NOT_TLS if plain else Outcome.REFUSED_HANDSHAKE), answer
        assert flow.protocol == "tls"
        assert flow.tls.problem is not None
        if plain:
            assert (flow.tls.state, flow.tls.end_packet) == (TlsState.NOT_TLS_ANSWER, 5)
            assert answer[:10].decode() in flow.tls.problem


def test_nonsense_after_the_server_hello_is_a_problem_and_no_other_state() -> None:
    tls = tls_of(spoken((0, hello()), (1, answer13() + b"nonsense")))
    assert tls.state is TlsState.SERVER_HELLO
    assert tls.problem is not None


def test_silence_and_reset_after_the_hello() -> None:
    assert flow_of(spoken((0, hello()))).outcome is Outcome.SILENT
    assert flow_of(spoken((0, hello())), 0.1).outcome is Outcome.OPEN
    assert flow_of(spoken((0, hello())).fin(0)).outcome is Outcome.SILENT
    assert flow_of(spoken((0, hello())).reset(1)).outcome is Outcome.RESET
    assert flow_of(spoken((0, hello())).reset(0)).outcome is Outcome.SILENT
    assert flow_of(spoken((0, hello())).fin(1)).outcome is Outcome.CLOSED_IN_HANDSHAKE
    assert flow_of(spoken((0, hello())).fin(0).reset(1)).outcome is Outcome.SILENT


def test_after_the_server_hello() -> None:
    start = (0, hello()), (1, answer13() + FLIGHT13)
    assert flow_of(spoken(*start).fin(1)).outcome is Outcome.CLOSED_IN_HANDSHAKE
    assert flow_of(spoken(*start)).outcome is Outcome.OPEN
    assert flow_of(spoken(*start), 0.1).outcome is Outcome.OPEN
    assert flow_of(spoken(*start).reset(1)).outcome is Outcome.RESET


def test_hello_retry_by_hand() -> None:
    again = CHANGE + hello("second.example")
    talk = spoken(
        (0, hello()), (1, answer13(retry=True) + CHANGE), (0, again), (1, answer13() + FLIGHT13), (0, encrypted(69))
    )
    tls = tls_of(talk)
    assert (tls.state, tls.hello_retry, tls.version) == (TlsState.ESTABLISHED, True, 0x0304)
    assert tls.hello is not None
    assert (tls.hello.sni, tls.hello_packet, tls.server_packet, tls.end_packet) == (NAME, 4, 7, 8)
    open_tls = tls_of(spoken((0, hello()), (1, answer13(retry=True))))
    assert (open_tls.state, open_tls.version) == (TlsState.SERVER_HELLO, None)


def test_abbreviated_tls_12_ends_with_the_clients_finished() -> None:
    server = answer12()[: 5 + int.from_bytes(answer12()[3:5], "big")]  # the ServerHello alone
    talk = spoken((0, hello()), (1, server + CHANGE + encrypted(40, HANDSHAKE)), (0, CHANGE + encrypted(40, HANDSHAKE)))
    tls = tls_of(talk)
    assert (tls.state, tls.end_packet, tls.chain_visibility) == (TlsState.ESTABLISHED, 6, Visibility.NOT_OBSERVABLE)


def test_early_data_is_no_end_of_the_handshake() -> None:
    early = hello(NAME, extension(42))
    tls = tls_of(spoken((0, early + CHANGE + encrypted(400))))
    assert tls.state is TlsState.CLIENT_HELLO
    done = tls_of(
        spoken((0, early + CHANGE + encrypted(400)), (1, answer13() + FLIGHT13), (0, encrypted(69) + encrypted(90)))
    )
    assert (done.state, done.end_packet) == (TlsState.ESTABLISHED, 6)


# -- parts missing -----------------------------------------------------------------------------------------------------


def test_a_conversation_under_way() -> None:
    talk = Talk().up(encrypted(200)).down(encrypted(900)).close()
    flow = flow_of(talk)
    assert flow.tls is not None
    assert (flow.protocol, flow.outcome, flow.tls.state, flow.tls.hello) == (
        "tls",
        Outcome.PARTIAL,
        TlsState.PARTIAL,
        None,
    )


def test_only_the_client_is_captured() -> None:
    talk = spoken(*handshake(TLS13)).close()
    talk.frames = [frame for frame in talk.frames if frame.data[26:30] == b"\x0a\0\0\x02"]
    flow = flow_of(talk)
    assert flow.tls is not None
    assert flow.tls.hello is not None
    assert (flow.tls.hello.sni, flow.tls.server) == (NAME, None)


def test_only_the_server_is_captured() -> None:
    for version in (TLS12, TLS13):
        talk = spoken(*handshake(version), (1, encrypted(16000) * 30)).close()
        talk.frames = [frame for frame in talk.frames if frame.data[26:30] != b"\x0a\0\0\x02"]
        flow = flow_of(talk)
        assert flow.tls is not None
        assert (flow.client.port, flow.server.port) == (40001, 443)
        assert (flow.tls.hello, flow.tls.version) == (None, version.value)
        assert len(flow.tls.chain) == (version is TLS12)
        assert flow.tls.state is (TlsState.ESTABLISHED if version is TLS12 else TlsState.PARTIAL)


def test_a_capture_that_begins_with_the_certificate() -> None:
    hello_size = 5 + int.from_bytes(answer12()[3:5], "big")
    flow = flow_of(Talk().down(answer12(CERTIFICATE)[hello_size:]))
    assert flow.tls is not None
    assert (len(flow.tls.chain), flow.tls.hello, flow.tls.server) == (1, None, None)
    assert (flow.tls.state, flow.client.port) == (TlsState.PARTIAL, 40001)


def test_a_lost_segment_is_no_silence() -> None:
    """The ServerHello is not in the capture: what follows it shows that something is missing."""
    turns = handshake(TLS13)
    talk = Talk().open()
    talk.up(turns[0][1])
    talk.down(turns[1][1], 300)
    del talk.frames[4]  # the first segment of the server's flight
    flow = flow_of(talk)
    assert flow.tls is not None
    assert (flow.tls.state, flow.outcome) == (TlsState.PARTIAL, Outcome.PARTIAL)


def test_a_loss_behind_the_handshake_does_not_matter() -> None:
    talk = spoken(*handshake(TLS13), (1, bytes(range(256)) * 40), size=700).close()
    del talk.frames[-6]
    assert flow_of(talk).outcome is Outcome.OK


def test_a_hello_cut_by_the_snap_length() -> None:
    talk = spoken((0, hello()), (1, answer13() + FLIGHT13), (0, CHANGE + encrypted(53))).close()
    (flow,) = traffic([frame.cut(70) for frame in talk.frames]).flows
    assert flow.tls is not None
    assert (flow.protocol, flow.tls.hello, flow.tls.state) == ("tls", None, TlsState.PARTIAL)
    assert flow.bytes_up == len(hello()) + 6 + 58


def test_an_unreadable_hello() -> None:
    tls = tls_of(spoken((0, record(HANDSHAKE, message(1, b"short"))), (1, answer13())))
    assert tls.hello is None
    assert tls.problem is not None


def test_a_client_certificate_demanded_in_tls_1_2_is_seen() -> None:
    asking = answer12(CERTIFICATE) + record(HANDSHAKE, message(13, bytes(8)))
    tls = tls_of(spoken((0, hello()), (1, asking), (1, alert(40))))
    assert (tls.state, tls.certificate_request) == (TlsState.REFUSED_BY_SERVER, Visibility.SEEN)
    assert tls_of(spoken((0, hello()), (1, answer12(CERTIFICATE)))).certificate_request is Visibility.NOT_OBSERVABLE


def test_a_client_certificate_demanded_in_tls_1_3_is_inferred_from_sizes() -> None:
    """The client's empty Certificate, its Finished and requests; then the server's alert, or tickets and answers."""
    sent = ((0, hello()), (1, answer13() + FLIGHT13), (0, CHANGE + encrypted(25) + encrypted(69)), (0, encrypted(90)))
    refused = flow_of(spoken(*sent, (1, encrypted(19))).fin(1))
    assert refused.tls
    assert (refused.tls.state, refused.outcome) == (TlsState.REFUSED_BY_SERVER, Outcome.REFUSED_HANDSHAKE)
    assert refused.tls.certificate_request is refused.tls.refusal_visibility is Visibility.INFERRED
    content = flow_of(spoken(*sent, (1, encrypted(250)), (1, encrypted(19))).fin(1))
    assert content.tls
    assert (content.tls.state, content.outcome) == (TlsState.ESTABLISHED, Outcome.OK)
    usual = tls_of(spoken(*sent[:2], (0, CHANGE + encrypted(69)), (0, encrypted(90)), (1, encrypted(19))))
    assert (usual.state, usual.certificate_request) == (TlsState.ESTABLISHED, Visibility.NOT_OBSERVABLE)
