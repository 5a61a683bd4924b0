"""The http2debug account: against what the server saw, and under any interleaving of connections."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gocmd.go_logs import read_log
from trace_go.gocmd.http2log import Http2Reader, unquote
from trace_go.model.go import Http2Exchange

DATA = Path(__file__).parent / "data"


def read(lines: list[str]) -> tuple[Http2Exchange, ...]:
    reader = Http2Reader()
    for number, line in enumerate(lines, 1):
        assert reader.feed(line, number)
    return reader.finish()


@pytest.mark.parametrize("go_lines", [True, False])
def test_interleaved_connections_against_the_servers_log(go_lines: bool) -> None:
    """32 requests to a mirror and its storage, recorded with many threads: lines of both connections mix twice."""
    lines = (DATA / "interleaved.txt").read_text(encoding="utf-8").splitlines()
    found = read_log("\n".join(line for line in lines if go_lines or not line.startswith("# get"))).http2
    served: Counter[tuple[str, int | None, str]] = Counter(
        (f"https://{host}{path}", int(status), referer.strip('"'))
        for host, path, status, referer in map(str.split, (DATA / "interleaved.served.txt").read_text().splitlines())
    )
    told: Counter[tuple[str, int | None, str]] = Counter((it.url, it.status, it.referer or "") for it in found)
    assert told.total() == served.total() == 32
    assert (told & served).total() == 30
    assert {status for _, status, _ in told - served} == {None}  # two answers that cannot be told apart stay empty
    assert {item.remote for item in found} == {"127.0.0.1:9443", "127.0.0.2:9444"}
    assert all(item.remote == item.url.split("/")[2] for item in found)


def test_one_exchange_of_go_1_21() -> None:
    found = read_log((DATA / "go1.21.txt").read_text(encoding="utf-8")).http2
    assert len(found) == 7
    zip_request, storage = found[-2:]
    assert (zip_request.status, zip_request.location, zip_request.referer) == (302, storage.url, None)
    assert (storage.status, storage.referer) == (200, zip_request.url)
    assert (storage.remote, storage.method, storage.stream) == ("127.0.0.2:9444", "GET", 1)
    assert storage.user_agent == "Go-http-client/2.0"
    assert storage.connection != zip_request.connection


def test_pages_are_told_by_the_first_bytes_of_their_own_stream() -> None:
    page = r'data="<!DOCTYPE html>\n<html>" (999 bytes omitted)'
    lines = [*connection("0xa", "m.test", [("/a.mod", 200), ("/b.mod", 200)])]
    lines = [line for part in lines for line in part]
    lines += [f"http2: Framer 0xa: read DATA stream=3 len=1024 {page}"]
    lines += ['http2: Framer 0xa: read DATA flags=END_STREAM stream=1 len=9 data="module a\\n"']
    lines += [f"http2: Framer 0xb: read DATA stream=1 len=1024 {page}", "http2: Framer 0xa: read DATA stream=3 len=0"]
    assert [item.web_page for item in read(lines)] == [False, True]


def test_an_answer_whose_end_is_not_in_the_log() -> None:
    parts = connection("0xa", "m.test", [("/a.zip", 200), ("/b.zip", 200), ("/c.zip", 204)])
    lines = [line for part in parts for line in part]
    lines = [line.replace("END_HEADERS stream=5", "END_STREAM|END_HEADERS stream=5") for line in lines]
    lines += ["http2: Framer 0xa: read DATA stream=1 len=1024", "http2: Framer 0xa: read DATA stream=3 len=1024"]
    lines += ["http2: Framer 0xa: read DATA flags=END_STREAM stream=3 len=0"]
    assert [item.unfinished for item in read(lines)] == [True, False, False]


def test_lines_of_a_toolchain_download_have_the_prefix_of_go() -> None:
    lines = [line for part in connection("0xa", "m.test", [("/golang.org/toolchain/@v/list", 200)]) for line in part]
    assert read([f"go: {line}" for line in lines]) == read(lines)
    assert [item.status for item in read(lines)] == [200]


def connection(framer: str, host: str, paths: list[tuple[str, int]], prefix: str = "") -> list[list[str]]:
    """The lines of a connection: one list for its writer, one for its reader, each in order."""
    writer, reader = [f"http2: Framer {framer}: wrote SETTINGS len=0"], []
    for number, (path, status) in enumerate(paths):
        stream = 2 * number + 1
        fields = {":authority": host, ":method": "GET", ":path": path, ":scheme": "https", "user-agent": "Go"}
        writer += [f'http2: Transport encoding header "{name}" = "{value}"' for name, value in fields.items()]
        writer.append(f"http2: Framer {framer}: wrote HEADERS flags=END_STREAM|END_HEADERS stream={stream} len=9")
        frame = f"HEADERS flags=END_HEADERS stream={stream} len={status % 7}"
        reader += [f"http2: Framer {framer}: read {frame}"]
        reader += [f'http2: decoded hpack field header field ":status" = "{status}"']
        reader += [f'http2: decoded hpack field header field "location" = "https://s.test{path}"'] * (status == 302)
        reader += [f"http2: Transport received {frame}"]
    return [[prefix + line for line in lines] for lines in (writer, reader)]


PATHS = st.lists(
    st.tuples(st.sampled_from(["/a", "/b", "/c", "/d", "/e"]), st.sampled_from([200, 302, 404])), min_size=1, max_size=6
)


@settings(max_examples=300)
@given(st.lists(PATHS, min_size=1, max_size=4), st.randoms(use_true_random=False), st.booleans())
def test_nothing_wrong_is_told_under_any_interleaving(
    requests: list[list[tuple[str, int]]], random: Random, same_host: bool
) -> None:
    """Writers mix with writers and readers with readers; an answer comes after its request."""
    queues, truth = [], {}
    for number, paths in enumerate(requests):
        framer, host = f"0xc{number}", "one.test" if same_host else f"h{number}.test"
        queues.append(connection(framer, host, paths))
        for index, (path, status) in enumerate(paths):
            truth[framer, 2 * index + 1] = (f"https://{host}{path}", status)
    lines = []
    for part in (0, 1):
        waiting = [list(queue[part]) for queue in queues]
        while any(waiting):
            lines.append(random.choice([queue for queue in waiting if queue]).pop(0))
    found = read(lines)
    assert {(item.connection, item.stream) for item in found} == set(truth)
    for item in found:
        url, status = truth[item.connection, item.stream]
        assert item.url in ("", url)
        assert item.status in (None, status)
        assert item.location in (None, f"https://s.test{url[url.index('/', 8) :]}")
        if len(requests) == 1:
            assert (item.url, item.status) == (url, status)


def test_an_address_used_again_is_another_connection() -> None:
    once = [
        "http2: Transport creating client conn 0xa1 to 192.0.2.1:443",
        *connection("0xc0", "a.test", [("/", 200)])[0],
    ]
    again = [
        "http2: Transport creating client conn 0xa2 to 192.0.2.2:443",
        *connection("0xc0", "b.test", [("/", 200)])[0],
    ]
    first, second = read([*once, *again])
    assert (first.connection, first.remote, first.url) == ("0xc0", "192.0.2.1:443", "https://a.test/")
    assert (second.connection != "0xc0", second.remote, second.url) == (True, "192.0.2.2:443", "https://b.test/")


def test_two_just_dialled_addresses_cannot_be_told_apart() -> None:
    dialled = [f"http2: Transport creating client conn 0xa{n} to 192.0.2.{n}:443" for n in (1, 2)]
    greeted = [f"http2: Framer 0xc{n}: wrote SETTINGS len=0" for n in (1, 2)]
    asked = [*connection("0xc1", "a.test", [("/", 200)])[0][1:], *connection("0xc2", "b.test", [("/", 200)])[0][1:]]
    assert [item.remote for item in read([*dialled, *greeted, *asked])] == [None, None]


def test_programs_with_log_flags() -> None:
    for prefix in ("2026/11/20 09:12:21 ", "2026/11/20 09:12:21.123456 ", "09:12:21 main.go:12: "):
        writer, answers = connection("0xc0", "a.test", [("/x", 404)], prefix)
        (found,) = read([*writer, *answers])
        assert (found.url, found.status) == ("https://a.test/x", 404)


def test_interim_answers_and_trailers_do_not_count() -> None:
    writer, _ = connection("0xc0", "a.test", [("/x", 200)])
    lines = list(writer)
    for status in ("103", "200", None):
        lines.append("http2: Framer 0xc0: read HEADERS flags=END_HEADERS stream=1 len=3")
        lines += [f'http2: decoded hpack field header field ":status" = "{status}"'] * (status is not None)
        lines.append('http2: decoded hpack field header field "x" = "y"')
        lines.append("http2: Transport received HEADERS flags=END_HEADERS stream=1 len=3")
    (found,) = read(lines)
    assert found.status == 200


def test_a_log_that_starts_in_the_middle() -> None:
    writer, answers = connection("0xc0", "a.test", [("/x", 200), ("/y", 404)])
    found = read([*writer[3:], *answers])
    assert [(item.url, item.status) for item in found] == [("https://a.test/y", 404)]


def test_a_servers_lines_are_swallowed_and_no_exchanges() -> None:
    lines = [
        "http2: server connection from 192.0.2.1:4000 on 0xc1",
        "http2: server: client 192.0.2.1:4000 said hello",
        "http2: Framer 0xc1: read HEADERS flags=END_STREAM|END_HEADERS stream=1 len=5",
        'http2: decoded hpack field header field ":method" = "GET"',
        "http2: server read frame HEADERS flags=END_STREAM|END_HEADERS stream=1 len=5",
        'http2: server encoding header ":status" = "200"',
        "http2: Framer 0xc1: wrote HEADERS flags=END_STREAM|END_HEADERS stream=1 len=5",
    ]
    assert read(lines) == ()


OTHER_LINES = """
http2: Framer 0xc1: failed to decode just-written frame
http2: Framer 0xc1: read DATA flags=END_STREAM stream=1 len=300 data="\\x00\\n\\"" (44 bytes omitted)
http2: Framer 0xc1: read GOAWAY len=8 LastStreamID=1 ErrCode=NO_ERROR Debug=""
http2: Transport failed to get client conn for a.test:443: http2: no cached connection was available
http2: Transport closing idle conn 0xc1 (forSingleUse=false, maxStream=3)
http2: Transport readFrame error on conn 0xc1: (*net.OpError) read tcp: connection reset by peer
http2: Transport received GOAWAY len=8 LastStreamID=1 ErrCode=NO_ERROR Debug=""
http2: Transport conn 0xc1 received error from processing frame DATA stream=1 len=0: stream error
http2: Transport sending health check
http2: Transport health check success
http2: Transport health check failure: timeout
http2: header list too large
http2: invalid header: invalid header field name "A"
http2: invalid pseudo headers: mix of request and response pseudo headers
http2: 1xx informational responses too large
http2: server processing setting [MAX_FRAME_SIZE = 16384]
http2: server ignoring unknown setting [UNKNOWN_SETTING_9 = 1]
http2: server ignoring frame: WINDOW_UPDATE len=4
http2: server closing client connection; error reading frame from client 192.0.2.1:1: EOF
http2: server rejecting conn: PROTOCOL_ERROR, bad
http2: too many control frames in send queue, closing connection
Unhandled Setting: [NO_RFC7540_PRIORITIES = 1]
transport got GOAWAY with error code = NO_ERROR
GOAWAY close timer fired; closing conn from 192.0.2.1:1
"""


@pytest.mark.parametrize("line", OTHER_LINES.strip().splitlines())
def test_all_kinds_of_lines_are_known(line: str) -> None:
    assert Http2Reader().feed(line, 1)
    assert Http2Reader().feed("2026/11/20 09:12:21 " + line, 1)


def test_round_trip_lines_count_only_after_a_connection() -> None:
    reader = Http2Reader()
    line = "RoundTrip retrying after failure: http2: server sent GOAWAY"
    assert not reader.feed(line, 1)
    reader.feed("http2: Framer 0xc0: wrote SETTINGS len=0", 2)
    assert reader.feed(line, 3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"plain"', "plain"),
        (r'"a\"b\\c\td\x7f\xff"', 'a"b\\c\td\x7f\xff'),
        (r'"\u00e9\U0001f600"', "é😀"),
        (r'"\ud800\U00110000"', "\ufffd\ufffd"),
        ('"open', ""),
        ('"value" (sensitive)', "value"),
    ],
)
def test_unquote(text: str, value: str) -> None:
    assert unquote(text) == value


def test_a_failed_round_trip_is_hidden_once_a_connection_was_dialled() -> None:
    """Beside go the frames are sieved out before they are read: the dialling is not."""
    reader = Http2Reader()
    assert not reader.feed("RoundTrip failure: remote error: tls: certificate required", 1)
    assert reader.feed("http2: Transport creating client conn 0xc0 to 192.0.2.1:443", 2)
    assert reader.feed("RoundTrip failure: remote error: tls: certificate required", 3)
