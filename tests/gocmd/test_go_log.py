"""The log of -x: what is read from it, and which lines are the user's own. Logs in data/ are from real runs."""

import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gocmd.go_logs import read_log
from trace_go.gocmd.log import MAX_LINE_CHARS, LogReader, uses_network
from trace_go.model.go import GoLog

DATA = Path(__file__).parent / "data"


def log_of(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def shown(text: str, *, x: bool = True, http2: bool = True) -> list[str]:
    reader = LogReader(expect_x=x, expect_http2=http2)
    return [line for line in text.split("\n") if reader.feed(line)]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("go1.21.txt", []),
        ("interleaved.txt", []),
        ("ping.txt", []),
        ("list-json.txt", []),
        ("direct.txt", ["go: downloading go.example.test/lib v1.1.0", "go: added go.example.test/lib v1.1.0"]),
        ("goauth.txt", [log_of("goauth.txt").splitlines()[-1]]),
    ],
)
def test_only_the_users_own_lines_are_shown(name: str, own: list[str]) -> None:
    text = log_of(name).removesuffix("\n")
    assert shown(text) == own
    assert shown(text, x=False, http2=False) == text.split("\n")


def test_each_account_is_swallowed_by_itself() -> None:
    lines = log_of("go1.21.txt").removesuffix("\n").split("\n")
    requests = [line for line in lines if line.startswith("# get")]
    assert shown("\n".join(lines), x=False) == requests
    assert shown("\n".join(lines), http2=False) == [line for line in lines if not line.startswith("# get")]


def test_fetches() -> None:
    found = read_log(log_of("get.txt"))
    assert len(found.fetches) == 27
    assert all(fetch.finished for fetch in found.fetches)
    missing = next(fetch for fetch in found.fetches if fetch.status == 404)
    assert missing.url == "https://127.0.0.1:9443/example.test/@v/list"
    assert (missing.reason, missing.error, missing.line - missing.start_line > 1) == ("Not Found", None, True)
    assert missing.elapsed_s is not None
    assert found.lines == 59


def test_fetch_endings() -> None:
    url, plain = "https://m.test/a/@v/list", "http://u:xxxxx@m.test/a/@v/list"
    error = f'Get "{url}": dial tcp: lookup m.test on 192.0.2.53:53: no such host'
    text = f"# get {url}\n# get {url}: {error}\n# get {plain}: insecure credentials\n"
    text += f"# get {url}: 499  (1.500s)\n# get {url}"
    first, second, third, last = read_log(text).fetches
    assert (first.status, first.error, first.start_line, first.line, first.finished) == (None, error, 1, 2, True)
    assert (second.url, second.error, second.start_line) == (plain, "insecure credentials", 3)
    assert (third.status, third.reason, third.elapsed_s) == (499, "", 1.5)
    assert (last.finished, last.status, last.line) == (False, None, 5)


def test_identical_urls_end_in_the_order_they_began() -> None:
    url = "https://m.test/a/@v/list"
    text = f"# get {url}\n# get {url}\n# get {url}: 404 Not Found (0.100s)\n# get {url}: 200 OK (0.200s)\n"
    assert [(it.start_line, it.line, it.status) for it in read_log(text).fetches] == [(1, 3, 404), (2, 4, 200)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
def test_pairing_is_a_multiset(events: list[tuple[str, bool]]) -> None:
    lines, running, ended = [], Counter[str](), Counter[str]()
    for name, ends in events:
        url = f"https://m.test/{name}"
        if ends and running[url]:
            running[url] -= 1
            ended[url] += 1
            lines.append(f"# get {url}: 200 OK (0.001s)")
        else:
            running[url] += 1
            lines.append(f"# get {url}")
    found = read_log("\n".join(lines)).fetches
    assert Counter(fetch.url for fetch in found if fetch.finished) == +ended
    assert Counter(fetch.url for fetch in found if not fetch.finished) == +running
    for url in ended:
        finished = sorted((fetch for fetch in found if fetch.finished), key=lambda item: item.line)
        starts = [fetch.start_line for fetch in finished if fetch.url == url]
        assert starts == sorted(starts)


def test_version_control() -> None:
    found = read_log(log_of("direct.txt")).vcs
    assert {command.remote for command in found} == {"https://git.example.test/lib.git"}
    assert all(command.elapsed_s is not None for command in found)
    assert all(command.directory.startswith("/home/gopher/go/pkg/mod/cache/vcs/979b20d5") for command in found)
    assert [command.command for command in found if uses_network(command)] == [
        "git ls-remote -q --end-of-options https://git.example.test/lib.git",
        "git -c protocol.version=2 fetch -f --depth=1 --end-of-options origin refs/tags/v1.1.0:refs/tags/v1.1.0",
    ]
    assert found[0].elapsed_s == 0.063


def test_commands_without_an_end_line() -> None:
    (found,) = read_log(log_of("ping.txt")).vcs
    assert (found.command, found.directory) == ("git ls-remote https://git.example.test/lib", "/home/gopher/go/pkg/mod")
    assert (found.remote, found.elapsed_s, found.line) == ("https://git.example.test/lib", None, 4)
    local = read_log(log_of("list-json.txt")).vcs
    assert [command.remote for command in local] == [None] * 7
    assert not any(uses_network(command) for command in local)


def test_mercurial_template_goes_over_two_lines() -> None:
    run = "cd /m/cache/vcs/0a; hg log '--rev=ancestors(1) and tag()' --template '{tags}"
    text = f"{run}\n'\n0.100s # {run}\n'\n'"
    assert shown(text) == ["'"]
    (found,) = read_log(text).vcs
    assert found.elapsed_s == 0.1


def test_errors_with_their_continuation_lines() -> None:
    text = (
        "go: a.test/m@v1.0.0: reading https://m.test/a.test/m/@v/v1.0.0.info: 403 Forbidden\n"
        "\tserver response:\n\tmodule is quarantined\n"
        "# get https://m.test/x\n"
        'go: b.test/app imports\n\tc.test/x: c.test/x@v1.2.0: Get "https://m.test/c": EOF\n'
        "verifying a.test/m@v1.0.0: checksum mismatch\n\tdownloaded: h1:AA=\n\tgo.sum:     h1:BB=\n\n"
        "SECURITY ERROR\nThis download does NOT match an earlier download recorded in go.sum.\nThe bits …\n"
        "go: d.test/m@v1.0.0: verifying module: checksum mismatch\n\tdownloaded: h1:AA=\n\tsum.test: h1:BB=\n\n"
        "SECURITY ERROR\nThis download does NOT match the one reported by the checksum server.\n"
    )
    found = read_log(text).errors
    assert [(error.kind, error.module, error.line) for error in found] == [
        ("status", "a.test/m", 1),
        ("eof", "c.test/x", 5),
        ("checksum-mismatch", "a.test/m", 7),
        ("sumdb-mismatch", "d.test/m", 14),
    ]
    assert found[0].text.endswith("\n\tmodule is quarantined")
    assert found[2].text.endswith("recorded in go.sum.")


def test_empty_log() -> None:
    assert read_log("") == GoLog()


OWN = st.one_of(
    st.text(max_size=200).filter(lambda text: not text.lstrip().startswith(("#", "http2", "cd ", "mkdir", "WORK"))),
    st.sampled_from(
        [
            "# example.test/e",
            "# get something done",
            "#get https://x.test",
            "mkdir -p /srv/x",
            "cd src && go build",
            "git status",
            "'",
            "0.123s # done",
            "http2: something else",
            "http2: Transport received unsolicited DATA frame; closing connection",
            "protocol error: received DATA before a HEADERS frame",
            "RoundTrip failure: nothing of go's",
            "  GOAUTH=x: y",
            "WORK=hard",
            "go: downloading a.test/m v1.0.0",
            "\tserver response: # get https://x.test/",
            "# ignoring directory",
        ]
    ),
)


@given(st.lists(OWN, max_size=20))
def test_the_users_lines_are_never_swallowed(lines: list[str]) -> None:
    reader = LogReader(expect_x=True, expect_http2=True)
    lines = [line for line in lines if not (line.startswith(("git ", "hg ")) or "go:1" in line)]
    assert all(reader.feed(line) for line in lines)
    assert reader.finish().lines == len(lines)


@given(st.text(max_size=2_000))
def test_never_raises(text: str) -> None:
    read_log(text)
    shown("# get https://m.test/" + text)
    shown("http2: Framer 0xc0: " + text)
    shown('http2: Transport encoding header "' + text)


def test_a_line_without_end_is_cut() -> None:
    reader = LogReader(expect_x=True, expect_http2=True)
    assert not reader.feed("# get https://m.test/" + "a" * (2 * MAX_LINE_CHARS))
    (found,) = reader.finish().fetches
    assert len(found.url) < MAX_LINE_CHARS


@pytest.mark.parametrize("begins", ["cd /a; git ", "go: "])
@pytest.mark.parametrize("part", ["1", "1.1", "A-", "lookup a", "lookup ", "git x "])
def test_hostile_lines_take_no_square_time(begins: str, part: str) -> None:
    before = time.process_time()
    read_log("\n".join([(begins + part * MAX_LINE_CHARS)[:MAX_LINE_CHARS]] * 4))
    assert time.process_time() - before < 0.6  # 0.02 s a line; it was 0.3 s and more


def test_what_was_begun_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trace_go.gocmd.log.MAX_RECORDS", 10)
    reader = LogReader(expect_x=True, expect_http2=True)
    for number in range(50):
        assert not reader.feed(f"# get https://m.test/{number}")
        assert not reader.feed(f"cd /{number}; git fetch x")
    assert (len(reader._x._asked), len(reader._x._running)) == (10, 10)
    assert not reader.feed("# get https://m.test/49: 200 OK (0.001s)")
    assert not reader.feed("# get https://m.test/9: 200 OK (0.001s)")
    assert not reader.feed("0.001s # cd /49; git fetch x")
    told = reader.finish()
    assert (len(told.fetches), len(told.vcs)) == (10, 10)
    assert [fetch.finished for fetch in told.fetches] == [False] * 9 + [True]
