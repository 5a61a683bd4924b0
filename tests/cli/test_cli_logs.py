"""The sieve of stderr beside go takes no line that the reader of the log would leave to the user."""

from hypothesis import given
from hypothesis import strategies as st

from trace_go.cli.logs import told_apart_at_once
from trace_go.gocmd.log import LogReader

BEGINNINGS = (
    "# get ", "# get https://m.test/a", "# get https://m.test/a: ", "# get https://m.test/a: 200 OK (0.001s)",
    "http2: Framer 0xc0: read DATA stream=1 len=2", "http2: Framer 0xc0: wrote SETTINGS len=24",
    'http2: Transport encoding header ":path" = "', 'http2: decoded hpack field header field ":status" = "200"',
    "http2: Transport received HEADERS stream=1 len=2", "http2: Transport received unsolicited DATA frame",
    "go: downloading ", "http2: server: ",
)  # fmt: skip
LINE = st.tuples(st.sampled_from(BEGINNINGS), st.text(st.characters(exclude_characters="\n"), max_size=20)).map("".join)


@given(LINE, st.booleans(), st.booleans())
def test_only_lines_that_the_reader_takes(line: str, x: bool, http2: bool) -> None:
    sieve = told_apart_at_once(expect_x=x, expect_http2=http2)
    raw = f"{line}\n".encode("utf-8", "surrogatepass")
    if sieve and sieve.match(raw):
        text = raw[:-1].decode("utf-8", "backslashreplace")
        assert not LogReader(expect_x=x, expect_http2=http2).feed(text)


def test_nearly_all_lines_of_a_download() -> None:
    sieve = told_apart_at_once(expect_x=True, expect_http2=True)
    assert sieve
    assert [line for line in BEGINNINGS if not sieve.match(f"{line}\n".encode())] == [
        "# get ", "# get https://m.test/a: ", "http2: Transport received unsolicited DATA frame",
        "go: downloading ", "http2: server: ",
    ]  # fmt: skip
    assert told_apart_at_once(expect_x=False, expect_http2=False) is None
