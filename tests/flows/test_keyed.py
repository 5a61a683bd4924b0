"""What keys show inside TLS: HTTP/2 and HTTP/1 over genuine TLS by OpenSSL, through the whole engine."""

import gzip
from random import Random
from ssl import TLSVersion

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.frames import START_NS, Frame, Talk, later, traffic
from flows.keyed_talks import TLS12, TLS13, Http2, Said, keys_of, wrapped
from flows.tls_talks import CERTIFICATE
from lab.modules import Module
from trace_go.flows import http2_calls
from trace_go.model.evidence import Visibility
from trace_go.model.flow import Flow, Outcome
from trace_go.model.tls import Opening
from wire.tls_samples import NAME

BOTH = [TLS12, TLS13]
MOD = f"https://{NAME}/m/@v/v1.0.0.mod"


def spoken(said: Said, size: int = 1400) -> Talk:
    talk = Talk().open()
    for side, data in said:
        talk.say(side, data, size)
    return talk.close()


def flow_of(talk: Talk, *keys: bytes, sizes: tuple[int, ...] = ()) -> Flow:
    (flow,) = traffic([*talk.frames, later(talk.frames, 5)], *sizes, keys=keys_of(*keys)).flows
    return flow


def told(flow: Flow) -> list[tuple[str, int | None]]:
    return [(item.url, item.status) for item in flow.exchanges]


def get(path: str, host: str = NAME) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Go-http-client/1.1\r\n\r\n".encode()


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""])
    return head.encode() + body


def interleaved() -> Http2:
    """Three requests at a time; one is redirected, one has a long body."""
    talk = Http2().get(1, "/m/@v/v1.0.0.mod").get(3, "/m/@v/v1.0.0.zip", ("referer", MOD)).get(5, "/x/@v/list")
    talk.answer(3, 302, ("location", "https://storage.example/m.zip?X-Goog-Signature=hidden"), end=True)
    talk.answer(1, 200, ("content-type", "text/plain")).answer(5, 404).body(5, b"not found", end=False)
    return talk.body(1, bytes(40_000)).body(5, b"!")


@pytest.mark.parametrize("version", BOTH)
@pytest.mark.parametrize("size", [1400, 100, 60_000])
def test_http2(version: TLSVersion, size: int) -> None:
    said, keys = interleaved().wrapped(version)
    flow = flow_of(spoken(said, size), keys)
    one, two, three = flow.exchanges
    assert (one.url, one.status, one.body_bytes, one.stream) == (MOD, 200, 40_000, 1)
    assert (two.status, two.stream, two.body_bytes, two.referer) == (302, 3, 0, MOD)
    assert two.location == "https://storage.example/m.zip?X-Goog-Signature=xxxxx"
    assert (three.status, three.stream, three.body_bytes) == (404, 5, 10)
    assert all(item.decrypted and item.version == "HTTP/2.0" for item in flow.exchanges)
    assert all(item.request_ns <= item.response_ns <= item.end_ns for item in flow.exchanges)
    assert all(0 < item.request_packet <= item.response_packet for item in flow.exchanges)
    assert flow.tls is not None
    assert (flow.tls.opening, flow.outcome, flow.protocol) == (Opening.OPENED, Outcome.OK, "tls")


@pytest.mark.parametrize("version", BOTH)
def test_http1(version: TLSVersion) -> None:
    said = ((0, get("/a")), (1, answer(200, bytes(30_000))), (0, get("/b")), (1, answer(404, b"no")))
    wire, keys = wrapped(said, version)
    flow = flow_of(spoken(wire), keys)
    assert told(flow) == [(f"https://{NAME}/a", 200), (f"https://{NAME}/b", 404)]
    assert [item.body_bytes for item in flow.exchanges] == [30_000, 2]
    assert all(item.decrypted and not item.stream and item.end_ns for item in flow.exchanges)


def test_without_keys_nothing_of_it() -> None:
    said, _ = interleaved().wrapped()
    flow = flow_of(spoken(said))
    assert flow.exchanges == ()
    assert flow.tls is not None
    assert (flow.tls.opening, flow.tls.chain, flow.outcome) == (Opening.NO_KEYS, (), Outcome.OK)


@pytest.mark.parametrize("size", [1400, 100, 60_000])
def test_without_keys_sizes_are_kept(size: int) -> None:
    said = ((0, get("/a")), (1, answer(200, bytes(30_000))), (0, get("/bc")), (1, answer(404, b"no")))
    wire, _ = wrapped(said)
    tls = flow_of(spoken(wire, size)).tls
    assert tls is not None
    assert tls.client_records == (len(get("/a")) + 17, len(get("/bc")) + 17, 19)
    content = len(answer(200, bytes(30_000)) + answer(404, b"no"))
    assert content + 3 * 22 <= tls.answered_bytes <= content + 3 * 22 + 24 + 600  # its farewell, session tickets
    assert Opening.OPENED is not tls.opening


def test_without_keys_sizes_of_what_is_not_all_there_are_not_kept() -> None:
    wire, keys = wrapped(((0, get("/a")), (1, answer(200, bytes(30_000)))))
    tls = flow_of(spoken(wire), keys).tls
    assert tls is not None
    assert tls.client_records == ()
    wire, _ = wrapped(((0, get("/a")), (1, answer(200))), TLS12)
    tls = flow_of(spoken(wire)).tls
    assert tls is not None
    assert tls.client_records == ()


def test_tls13_shows_its_chain_and_protocol() -> None:
    said, keys = interleaved().wrapped()
    tls = flow_of(spoken(said), keys).tls
    assert tls is not None
    assert tls.server is not None
    assert [item.der for item in tls.chain] == [CERTIFICATE]
    assert (tls.chain_visibility, tls.server.alpn) == (Visibility.SEEN, "h2")
    assert tls.chain_packet > tls.hello_packet
    assert tls.established_ns > tls.hello_ns


def test_hello_retry() -> None:
    wire, keys = wrapped(((0, get("/a")), (1, answer(200))), retry=True)
    flow = flow_of(spoken(wire), keys)
    assert told(flow) == [(f"https://{NAME}/a", 200)]
    assert flow.tls is not None
    assert flow.tls.hello_retry


def test_in_a_tunnel() -> None:
    wire, keys = interleaved().wrapped()
    connect = f"CONNECT {NAME}:443 HTTP/1.1\r\nHost: {NAME}:443\r\n\r\n".encode()
    flow = flow_of(spoken(((0, connect), (1, b"HTTP/1.1 200 OK\r\n\r\n"), *wire)), keys)
    assert [item.status for item in flow.exchanges] == [200, 302, 404]
    assert flow.tunnel is not None
    assert flow.tunnel.status == 200


def test_tls_in_tls() -> None:
    """An https forward proxy: the inner connection counts, whose keys are in another log."""
    inside, keys = interleaved().wrapped()
    connect = f"CONNECT {NAME}:443 HTTP/1.1\r\nHost: {NAME}:443\r\n\r\n".encode()
    wire, proxy_keys = wrapped(((0, connect), (1, b"HTTP/1.1 200 OK\r\n\r\n"), *inside), TLS12)
    flow = flow_of(spoken(wire), keys, proxy_keys)
    assert [item.status for item in flow.exchanges] == [200, 302, 404]
    assert flow.tls is not None
    assert flow.tls.version == 0x0304
    assert flow.tunnel is not None
    assert flow.tunnel.authority == f"{NAME}:443"
    assert flow_of(spoken(wire), proxy_keys).exchanges == ()


@pytest.mark.parametrize(
    ("keep", "opening", "statuses", "certificates"),
    [
        (b"HANDSHAKE", Opening.PARTLY, [], 1),
        (b"TRAFFIC_SECRET_0", Opening.PARTLY, [200, 302, 404], 0),
        (b"SERVER_", Opening.PARTLY, [], 1),
        (b"EXPORTER", Opening.NO_KEYS, [], 0),
    ],
)
def test_partial_log(keep: bytes, opening: Opening, statuses: list[int], certificates: int) -> None:
    said, keys = interleaved().wrapped()
    part = b"\n".join(line for line in keys.splitlines() if keep in line)
    flow = flow_of(spoken(said), part)
    assert flow.tls is not None
    assert (flow.tls.opening, len(flow.tls.chain)) == (opening, certificates)
    assert [item.status for item in flow.exchanges] == statuses
    assert flow.outcome is Outcome.OK


@pytest.mark.parametrize("version", BOTH)
def test_wrong_keys_change_nothing(version: TLSVersion) -> None:
    said, keys = interleaved().wrapped(version)
    words = [line.split() for line in keys.splitlines() if not line.startswith(b"#")]
    wrong = b"\n".join(b" ".join([label, random, b"00" * (len(secret) // 2)]) for label, random, secret in words)
    without, flow = flow_of(spoken(said)), flow_of(spoken(said), wrong)
    assert flow.tls is not None
    assert without.tls is not None
    assert flow.tls.opening is Opening.WRONG_KEYS
    assert (flow.outcome, flow.tls.state, flow.exchanges) == (without.outcome, without.tls.state, ())
    assert flow.tls.established_ns == without.tls.established_ns
    assert [item.status for item in flow_of(spoken(said), wrong, keys).exchanges] == [200, 302, 404]


@given(st.randoms(use_true_random=False), st.integers(200, 3000))
@settings(max_examples=25, deadline=None)
def test_order_and_batches_make_no_difference(random: Random, size: int) -> None:
    said, keys = interleaved().wrapped()
    talk = spoken(said, size)
    expected = told(flow_of(talk, keys))
    frames = [*talk.frames]
    for _ in range(len(frames) // 3):  # neighbours of one side swapped, some repeated
        at = random.randrange(3, len(frames) - 1)
        if frames[at].data[26:30] == frames[at + 1].data[26:30]:
            frames[at : at + 2] = [frames[at + 1], frames[at]]
        frames.insert(at, frames[at])
    moved = [Frame(frame.data, talk.frames[0].time_ns + number * 1000) for number, frame in enumerate(frames)]
    sizes = [random.randrange(1, 20) for _ in range(random.randrange(5))]
    (flow,) = traffic(moved, *sizes, keys=keys_of(keys)).flows
    assert told(flow) == expected


def test_hellos_in_the_wrong_order() -> None:
    """As captures on several queues have them."""
    said, keys = interleaved().wrapped()
    frames = spoken(said, 60_000).frames
    frames[3:5] = [frames[4], frames[3]]
    (flow,) = traffic([*frames, later(frames, 5)], keys=keys_of(keys)).flows
    assert [item.status for item in flow.exchanges] == [200, 302, 404]
    assert flow.tls is not None
    assert len(flow.tls.chain) == 1


def test_a_lost_packet_keeps_what_was_before() -> None:
    talk = Http2().get(1, "/a").answer(1, 200, end=True).get(3, "/b").answer(3, 200).body(3, bytes(50_000))
    said, keys = talk.wrapped()
    frames = spoken(said).frames
    lost = [*frames[:-20], *frames[-19:]]
    (flow,) = traffic([*lost, later(lost, 5)], keys=keys_of(keys)).flows
    assert told(flow) == [(f"https://{NAME}/a", 200), (f"https://{NAME}/b", 200)]
    assert (flow.exchanges[0].end_ns > 0, flow.exchanges[1].end_ns) == (True, 0)


def test_a_window_behind_a_lost_segment_waits_for_it() -> None:
    said, keys = Http2().get(1, "/a").answer(1, 200).body(1, bytes(1_000_000)).get(3, "/b").answer(3, 404).wrapped()
    frames = spoken(said).frames
    late = [*frames[:12], *frames[13:-8], frames[12], *frames[-8:]]
    moved = [Frame(frame.data, frames[0].time_ns + number * 1000) for number, frame in enumerate(late)]
    (flow,) = traffic(moved, 100, 300, keys=keys_of(keys)).flows
    assert [(item.status, item.body_bytes) for item in flow.exchanges] == [(200, 1_000_000), (404, -1)]


def test_reset_streams_and_silence() -> None:
    talk = Http2().get(1, "/a").get(3, "/b").get(5, "/c").answer(1, 200)
    talk.add(1, (4).to_bytes(3, "big") + b"\3\0\0\0\0\1" + (2).to_bytes(4, "big"))
    talk.add(1, (8).to_bytes(3, "big") + b"\7\0\0\0\0\0" + (3).to_bytes(4, "big") + (11).to_bytes(4, "big"))
    said, keys = talk.wrapped()
    assert [(item.status, item.aborted) for item in flow_of(spoken(said), keys).exchanges] == [
        (200, "INTERNAL_ERROR from the server"),
        (None, None),
        (None, "GOAWAY ENHANCE_YOUR_CALM from the server"),
    ]


def test_headers_of_one_connection_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2_calls, "MAX_TEXT", 10_000)
    talk = Http2()
    for stream in range(1, 41, 2):
        talk.get(stream, "/a", ("cookie", "c" * 3000)).answer(stream, 200, end=True)
    said, keys = talk.wrapped()
    assert len(flow_of(spoken(said), keys).exchanges) == 4


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_bytes_inside(data: bytes, from_server: bool) -> None:
    said, keys = wrapped(((0, get("/a")), (1, answer(200)), (int(from_server), data or b"x")), close=False)
    flow = flow_of(spoken(said), keys)
    assert told(flow)[0] == (f"https://{NAME}/a", 200)


# -- what bodies say ---------------------------------------------------------------------------------------------------

MODULE = Module(path="example.com/a", version="v1.0.0", blob_bytes=30_000)
PROXY = f"https://{NAME}/example.com/a/@v"
LOOKUP = f"https://{NAME}/sumdb/sum.golang.org/lookup/example.com/a@v1.0.0"


def hashes(talk: Http2) -> list[str | None]:
    said, keys = talk.wrapped()
    return [item.h1 for item in flow_of(spoken(said), keys).exchanges]


def test_modules_are_hashed_as_go_does() -> None:
    zipped, mod = MODULE.sums.split()[2], MODULE.sums.split()[5]
    talk = Http2()
    for stream, name in ((1, "zip"), (3, "mod"), (5, "info")):
        talk.get(stream, f"/example.com/a/@v/v1.0.0.{name}").answer(stream, 200)
    talk.body(1, MODULE.zip(), end=False).body(3, MODULE.gomod).body(5, b"{}").body(1, b"")
    assert hashes(talk) == [zipped, mod, None]


def test_compressed_bodies() -> None:
    talk = Http2().get(1, "/example.com/a/@v/v1.0.0.mod").answer(1, 200, ("content-encoding", "gzip"))
    assert hashes(talk.body(1, gzip.compress(MODULE.gomod), size=5)) == [MODULE.sums.split()[5]]
    talk = Http2().get(1, "/example.com/a/@v/v1.0.0.mod").answer(1, 200, ("content-encoding", "gzip"))
    assert hashes(talk.body(1, gzip.compress(MODULE.gomod)[:-1])) == [None]


def test_the_storage_behind_a_mirror() -> None:
    talk = Http2().get(1, "/proxy-golang-org-prod/0f-a.zip?X-Goog-Signature=x", ("referer", f"{PROXY}/v1.0.0.zip"))
    assert hashes(talk.answer(1, 200).body(1, MODULE.zip())) == [MODULE.sums.split()[2]]


def test_bodies_that_say_nothing() -> None:
    talk = Http2().get(1, "/example.com/a/@v/v1.0.0.zip").answer(1, 200).body(1, b"no zip")
    talk.get(3, "/example.com/a/@v/v1.0.1.mod").answer(3, 404).body(3, b"not found")
    talk.get(5, "/example.com/a/@v/v1.0.2.zip").answer(5, 200).body(5, MODULE.zip()[:-9])
    talk.get(7, "/example.com/a/@v/v1.0.3.zip").answer(7, 200).body(7, MODULE.zip(), end=False)
    assert hashes(talk) == [None] * 4


def test_what_the_checksum_database_says() -> None:
    words = f"7\n{MODULE.sums}\ngo.sum database tree\n9\n".encode()
    path = LOOKUP.partition(NAME)[2]
    said, keys = Http2().get(1, path).answer(1, 200).body(1, words).wrapped()
    (lookup,) = flow_of(spoken(said), keys).exchanges
    assert [" ".join(line) for line in lookup.sums] == MODULE.sums.splitlines()


@pytest.mark.parametrize("chunked", [False, True])
def test_clear_http1_is_hashed_too(chunked: bool) -> None:
    body = MODULE.zip()
    sent = answer(200, body)
    if chunked:
        parts = b"".join(
            b"%x\r\n%b\r\n" % (len(body[at : at + 999]), body[at : at + 999]) for at in range(0, len(body), 999)
        )
        sent = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"
    talk = Talk(("10.0.0.2", 40001), ("192.0.2.80", 80)).open()
    path = f"/{PROXY.partition(NAME)[2]}/v1.0.0.zip"
    (flow,) = traffic(talk.up(get(path)).down(sent).up(get("/b")).down(answer(404)).close().frames).flows
    assert [(item.status, item.h1) for item in flow.exchanges] == [(200, MODULE.sums.split()[2]), (404, None)]
    assert flow.exchanges[0].body_bytes == len(body)


@settings(max_examples=60)
@given(size=st.sampled_from((90, 400, 1400, 5000)), seed=st.integers(0, 1 << 16), version=st.sampled_from(BOTH))
def test_segments_that_follow_each_other_tell_what_single_ones_tell(size: int, seed: int, version: TLSVersion) -> None:
    said, keys = interleaved().wrapped(version)
    frames, random = spoken(said, size).frames, Random(seed)
    if seed % 3:  # some change places
        for at in random.sample(range(4, len(frames) - 4), 3):
            frames.insert(min(at + random.randrange(12), len(frames) - 4), frames.pop(at))
    if seed % 2:  # all is sent once more
        frames[-4:-4] = frames[3:-4]
    frames = [Frame(frame.data, START_NS + place) for place, frame in enumerate(frames)]
    assert traffic(frames, keys=keys_of(keys)) == traffic(frames, *[1] * len(frames), keys=keys_of(keys))


def test_what_is_sent_again_tells_nothing_new() -> None:
    said, keys = Http2().get(1, "/m/@v/v1.0.0.mod").answer(1, 404, end=True).wrapped()
    talk = spoken(said, 200)
    talk.frames[-3:-3] = talk.frames[3:-3] * 3
    talk.frames = [Frame(frame.data, START_NS + place) for place, frame in enumerate(talk.frames)]
    assert told(flow_of(talk, keys)) == [(MOD, 404)]
