"""Which GOPROXY entry a request belongs to and why the next was or was not tried."""

import pytest

from trace_go.gocmd.environment import settings
from trace_go.gocmd.replay import attempts, explain_next, route
from trace_go.model.go import Fetch, ProxyEntry


def fetch(url: str, status: int | None = None, error: str | None = None) -> Fetch:
    finished = status is not None or error is not None
    return Fetch(
        url=url, status=status, reason="", elapsed_s=None, error=error, line=2, start_line=1, finished=finished
    )


PLAN = settings({"GOPROXY": "https://a.test/go,https://b.test|direct", "GOPRIVATE": "*.corp.test"})
INFO = "example.test/m/@v/v1.0.0.info"


def test_route() -> None:
    assert [entry.url for entry in route("example.test/m", PLAN)] == ["https://a.test/go", "https://b.test", "direct"]
    assert [entry.url for entry in route("git.corp.test/m", PLAN)] == ["direct"]
    off = settings({"GOPROXY": "off", "GONOPROXY": "git.corp.test"})
    assert [entry.url for entry in route("git.corp.test/m", off)] == ["direct"]
    assert [entry.url for entry in route("example.test/m", off)] == ["off"]


COMMA = ProxyEntry(url="https://a.test", falls_through_on="not-found")
BAR = ProxyEntry(url="https://a.test", falls_through_on="any")
END = ProxyEntry(url="direct", falls_through_on="end")


@pytest.mark.parametrize(
    ("entry", "status", "error", "falls_through", "why"),
    [
        (COMMA, 200, False, False, "200 answers: no other entry is needed"),
        (COMMA, 404, False, True, "404 before a comma goes on to direct"),
        (COMMA, 410, False, True, "410 before a comma goes on to direct"),
        (COMMA, 403, False, False, "403 before a comma stops: only 404 and 410 go on to the next entry"),
        (COMMA, 500, False, False, "500 before a comma stops: only 404 and 410 go on to the next entry"),
        (COMMA, None, True, False, "a failed request before a comma stops: only 404 and 410 go on to the next entry"),
        (BAR, 404, False, True, "404 before a bar goes on to direct: any failure does"),
        (BAR, 503, False, True, "503 before a bar goes on to direct: any failure does"),
        (BAR, None, True, True, "a failed request before a bar goes on to direct: any failure does"),
        (END, 404, False, False, "404 is final: no entry of GOPROXY comes after direct"),
    ],
)
def test_explain_next(entry: ProxyEntry, status: int | None, error: bool, falls_through: bool, why: str) -> None:
    following = END if entry is not END else None
    assert explain_next(entry, following, status, error) == (falls_through, why)


def test_attempts_of_one_artifact() -> None:
    fetches = [
        fetch(f"https://a.test/go/{INFO}", 404),
        fetch(f"https://b.test/{INFO}", error="EOF"),
        fetch("https://example.test/m?go-get=1", 200),
        fetch("https://elsewhere.test/x", 200),
        fetch(f"https://other.test/{INFO}", 403),
        fetch(f"https://a.test/go/{INFO}"),
    ]
    found = attempts(fetches, PLAN)
    assert [(it.entry.url if it.entry else None, it.number) for it in found] == [
        ("https://a.test/go", 1),
        ("https://b.test", 2),
        ("direct", 3),
        (None, 1),
        (None, 1),
        ("https://a.test/go", 1),
    ]
    assert [it.why for it in found] == [
        "404 before a comma goes on to https://b.test",
        "a failed request before a bar goes on to direct: any failure does",
        *(None, None, None, None),
    ]
    assert found[0].parts is not None
    assert (found[0].parts.module, found[0].parts.version) == ("example.test/m", "v1.0.0")
    assert found[3].parts is None


def test_private_modules_are_asked_of_their_origin_first() -> None:
    (found,) = attempts([fetch("https://git.corp.test/m?go-get=1", 404)], PLAN)
    assert found.entry is not None
    assert (found.entry.url, found.number) == ("direct", 1)
    assert found.why == "404 is final: no entry of GOPROXY comes after direct"


def test_passwords_in_goproxy_do_not_hide_the_entry() -> None:
    plan = settings({"GOPROXY": "https://u:secret@a.test/go,direct"})
    (found,) = attempts([fetch(f"https://u:xxxxx@a.test/go/{INFO}", 401)], plan)
    assert found.entry is not None
    assert found.entry.url == "https://u:xxxxx@a.test/go"


def test_checksum_database_requests() -> None:
    fetches = [
        fetch("https://a.test/go/sumdb/sum.golang.org/supported", 404),
        fetch("https://b.test/sumdb/sum.golang.org/supported", 404),
        fetch("https://a.test/go/sumdb/sum.golang.org/supported", 403),
        fetch("https://b.test/sumdb/sum.golang.org/lookup/example.test/m@v1.0.0", 404),
        fetch("https://sum.golang.org/lookup/example.test/m@v1.0.0", 404),
    ]
    found = attempts(fetches, PLAN)
    assert [(it.entry.url if it.entry else None, it.number) for it in found] == [
        ("https://a.test/go", 1),
        ("https://b.test", 2),
        ("https://a.test/go", 1),
        ("https://b.test", 1),
        (None, 1),
    ]
    stop = "403 before a comma stops: only 404 and 410 go on to the next entry"
    assert [it.why for it in found] == [
        "404 is harmless: this entry does not serve the checksum database, https://b.test is asked",
        "404 is harmless: this entry does not serve the checksum database, the database itself is asked",
        f"{stop}; the checksum database counts as unavailable",
        None,
        None,
    ]
