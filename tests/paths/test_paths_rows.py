"""Hidden repeats, redirects, GOPROXY's attempts: what go's own account says of requests."""

import time

import pytest

from gocmd.go_logs import read_log
from paths.made import MIRROR, MS, OTHER, START, Log, Net, account, exchange, ledger
from trace_go.gocmd.hosts import load_hosts
from trace_go.model.flow import Outcome
from trace_go.model.go import GoAccount
from trace_go.model.ledger import Artifact, HandledBy, Request, Role, Stage
from trace_go.paths.ledger import build
from trace_go.paths.rows import Sources

BASE = "https://proxy.golang.org"
ZIP = f"{BASE}/example.com/a/@v/v1.0.0.zip"
MOD = f"{BASE}/example.com/a/@v/v1.0.0.mod"
STORED = "https://storage.googleapis.com/proxy-golang-org-prod/abc.zip?X-Goog-Signature=xxxxx"


def roles(request: Request) -> list[tuple[str, str | None]]:
    return [(hop.role.value, hop.host) for hop in request.hops if hop.role is not Role.RESOLVER]


def mirror() -> Net:
    net = Net()
    net.resolve("proxy.golang.org", MIRROR)
    net.flow()
    return net


def kinds(requests: tuple[Request, ...]) -> list[str | None]:
    return [request.failure.kind if request.failure else None for request in requests]


# -- content -----------------------------------------------------------------------------------------------------------

INFO = f"{BASE}/example.com/a/@v/v1.0.0.info"
LOOKUP = f"{BASE}/sumdb/sum.golang.org/lookup/example.com/a@v1.0.0"
OTHER_ZIP = f"{BASE}/example.com/b/@v/v2.0.0.zip"


@pytest.mark.parametrize(
    ("said", "url", "kind"),
    [
        ("go: example.com/a@v1.0.0: invalid response from proxy \"x\": invalid character 'v' …", INFO, "bad-info"),
        ("go: example.com/a@v1.0.0: invalid response from proxy \"x\": invalid character '<' …", INFO, "web-page"),
        ("go: example.com/a@v1.0.0: proxy returned info for version v1.0.1 instead of …", INFO, "wrong-version"),
        ("go: example.com/a@v1.0.0: parsing go.mod: missing module line", MOD, "bad-mod"),
        ("go: example.com/a@v1.0.0: verifying go.mod: example.com/a@v1.0.0/go.mod: malformed record data", LOOKUP,
         "bad-record"),
        ("go: example.com/a@v1.0.0: verifying go.mod: checksum mismatch", MOD, "checksum-mismatch"),
        ("go: example.com/a@v1.0.0: verifying module: checksum mismatch", ZIP, "checksum-mismatch"),
        ("verifying example.com/a@v1.0.0/go.mod: checksum mismatch", MOD, "checksum-mismatch"),
        ("verifying example.com/a@v1.0.0: checksum mismatch", ZIP, "checksum-mismatch"),
        ("go: zip: not a valid zip file", ZIP, "bad-zip"),
        (f'go: example.com/a@v1.0.0: read "{ZIP}": unexpected EOF', ZIP, "unexpected-eof"),
    ],
)  # fmt: skip
def test_what_go_says_of_the_content_belongs_to_its_request(said: str, url: str, kind: str) -> None:
    log = Log()
    for asked in (MOD, LOOKUP, INFO, ZIP):
        log.get(asked)
    log.say(said)
    found = ledger(mirror(), log)
    assert {item.url: item.failure.kind for item in found if item.failure} == {url: kind}
    broken = next(item for item in found if item.failure)
    assert broken.failure
    assert broken.failure.stage is (Stage.RESPONSE if kind == "unexpected-eof" else Stage.CONTENT)
    assert broken.handled_by is HandledBy.MIRROR
    assert [piece.line for piece in broken.evidence if piece.line] == [2 * found.index(broken) + 2, 9]


def test_a_zip_error_that_names_no_file_blames_none_of_several() -> None:
    log = Log()
    for asked in (ZIP, OTHER_ZIP):
        log.get(asked)
    log.say("go: zip: not a valid zip file")
    assert kinds(ledger(mirror(), log)) == [None, None]


def test_another_modules_error_is_another_requests() -> None:
    log = Log()
    log.get(MOD)
    log.say("go: example.com/b@v1.0.0: parsing go.mod: missing module line")
    assert kinds(ledger(mirror(), log)) == [None]


def test_a_web_page_is_told_by_its_content_where_the_protocol_has_none() -> None:
    log = Log()
    log.get(MOD, sent=[200], web_page=True)
    log.get(f"{BASE}/sumdb/sum.golang.org/supported", sent=[200], web_page=True)  # its content does not matter
    log.get("https://corp.example/tool?go-get=1", sent=[200], web_page=True)  # is one
    log.get(ZIP, 404, sent=[404, 404], web_page=True)
    log.say("go: example.com/a@v1.0.0: parsing go.mod: missing module line")
    assert kinds(ledger(mirror(), log, GOPROXY=BASE)) == ["web-page", None, None, "status-404"]


def test_a_web_page_in_clear() -> None:
    net = Net()
    url = "http://mirror.corp.example/example.com/a/@v/v1.0.0.mod"
    net.flow("mirror.corp.example", OTHER, 80, exchanges=[exchange(url, web_page=True)])
    assert kinds(ledger(net)) == ["web-page"]
    log = Log()
    log.get(url)
    log.say("go: example.com/a@v1.0.0: parsing go.mod: missing module line")
    assert kinds(ledger(net, log, GOPROXY="http://mirror.corp.example")) == ["web-page"]


SECOND = "https://goproxy.cn"


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ([(INFO, 200), (f"{SECOND}/example.com/a/@v/v1.0.0.info", 200)], ["not-used", None]),
        ([(INFO, 404), (f"{SECOND}/example.com/a/@v/v1.0.0.info", 200)], [None, None]),
        ([(INFO, 200), (f"{SECOND}/example.com/b/@v/v1.0.0.info", 200)], [None, None]),
        ([(INFO, 200), (INFO, 500), (f"{SECOND}/example.com/a/@v/v1.0.0.info", 200)], [None, "status-500", None]),
        ([(f"{BASE}/example.com/a/@v/list", 200), (f"{SECOND}/example.com/a/@v/list", 200)], [None, None]),
    ],
)
def test_an_answer_that_go_passed_over(sequence: list[tuple[str, int]], expected: list[str | None]) -> None:
    log = Log()
    for url, status in sequence:
        log.get(url, status)
    net = mirror()
    net.flow("goproxy.cn", OTHER)
    assert kinds(ledger(net, log, GOPROXY=f"{BASE}|{SECOND}")) == expected


def test_a_loop_in_clear() -> None:
    net = Net()
    url = "http://mirror.corp.example/example.com/a/@v/v1.0.0.mod"
    asked = [exchange(url, 302, location=url, request_ns=START + number * MS) for number in range(10)]
    net.flow("mirror.corp.example", OTHER, 80, exchanges=asked)
    (request,) = ledger(net)
    assert kinds((request,)) == ["redirect-loop"]
    assert set(request.redirects) == {url}


# -- repeats -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "repeats"), [([404, 404], 1), ([404], 0), ([None, 200], 1), ([200], 0), ([], 0)])
def test_repeats_of_a_logged_request(sent: list[int | None], repeats: int) -> None:
    log = Log()
    log.get(MOD, sent[-1] if sent else 200, sent=sent)
    (request,) = ledger(mirror(), log)
    assert request.repeats == repeats


def test_equal_requests_of_two_commands_keep_their_own_repeats() -> None:
    log = Log()
    for _ in range(2):
        log.get(MOD, 404, sent=[404, 404])
    assert [request.repeats for request in ledger(mirror(), log)] == [1, 1]


@pytest.mark.parametrize(
    ("statuses", "version", "repeats"),
    [
        ([404, 404], "go1.27.3", [1]),
        ([404, 404, 404, 404], "go1.24.0", [1, 1]),
        ([404, 404], "go1.23.4", [0, 0]),
        ([200, 200], "go1.27.3", [0, 0]),
        ([None, None, 200], "go1.27.3", [2]),
        ([500, 500], "go1.27.3", [0, 0]),
    ],
)
def test_repeats_where_only_the_http2_log_tells(statuses: list[int | None], version: str, repeats: list[int]) -> None:
    log = Log()
    for status in statuses:
        log.http2(MOD, status)
    requests = ledger(mirror(), log, GOVERSION=version)
    assert [request.repeats for request in requests] == repeats
    assert {(request.artifact, request.module) for request in requests} == {(Artifact.MOD, "example.com/a")}


# -- redirects ---------------------------------------------------------------------------------------------------------


def redirecting() -> tuple[Net, Log]:
    net = mirror()
    net.resolve("storage.googleapis.com", OTHER)
    net.flow("storage.googleapis.com", OTHER, outcome=Outcome.IDLE)
    net.flow("storage.googleapis.com", OTHER)
    return net, Log()


def test_a_redirected_zip_shows_the_storage_host() -> None:
    net, log = redirecting()
    log.get(ZIP, 200, sent=[302], location=STORED)
    (request,) = ledger(net, log)
    assert roles(request) == [("mirror", "proxy.golang.org"), ("cdn", "storage.googleapis.com")]
    assert [hop.flow for hop in request.hops] == [None, 0, 2]
    assert [hop.redirected for hop in request.hops] == [False, False, True]
    assert request.target
    assert request.target.host == "proxy.golang.org"
    assert request.handled_by is HandledBy.MIRROR
    assert request.redirects == (STORED,)
    assert "ClientHello for storage.googleapis.com" in [piece.text for piece in request.evidence]
    assert len(ledger(net, log)) == 1  # the second leg is no row of its own


def test_the_second_leg_in_the_http2_log_is_no_row_of_its_own() -> None:
    net, log = redirecting()
    log.http2(ZIP, 302, location=STORED)
    log.http2(STORED, 200)
    (request,) = ledger(net, log)
    assert request.status == 200
    assert roles(request)[-1] == ("cdn", "storage.googleapis.com")


def test_the_storage_host_answers_403() -> None:
    net, log = redirecting()
    log.get(ZIP, 403, sent=[302], location=STORED)
    (request,) = ledger(net, log)
    assert [(hop.role, hop.broken) for hop in request.hops[1:]] == [(Role.MIRROR, False), (Role.CDN, True)]
    assert request.failure
    assert request.failure.kind == "status-403"


def test_the_storage_host_is_unreachable() -> None:
    net, log = mirror(), Log()
    net.resolve("storage.googleapis.com", OTHER)
    dead = net.flow(None, OTHER, outcome=Outcome.NO_ANSWER)
    log.get(ZIP, error=f'Get "{STORED}": dial tcp {OTHER}:443: i/o timeout', sent=[302], location=STORED)
    (request,) = ledger(net, log)
    assert [(hop.role, hop.broken, hop.flow) for hop in request.hops[1:]] == [
        (Role.MIRROR, False, 0),
        (Role.CDN, True, dead.id),
    ]
    assert request.handled_by is HandledBy.NONE
    assert request.failure
    assert request.failure.stage is Stage.CONNECT


@pytest.mark.parametrize("with_http2", [True, False])
def test_the_storage_hosts_name_is_not_resolved(with_http2: bool) -> None:
    net, log = mirror(), Log()
    net.resolve("storage.googleapis.com", rcode="NXDOMAIN")
    message = f'Get "{STORED}": dial tcp: lookup storage.googleapis.com on 198.51.100.53:53: no such host'
    log.get(ZIP, error=message, sent=[302] if with_http2 else [], location=STORED)
    (request,) = ledger(net, log)
    assert [(hop.role, hop.broken) for hop in request.hops] == [
        (Role.RESOLVER, False),
        (Role.MIRROR, False),
        (Role.RESOLVER, True),
        (Role.CDN, False),
    ]
    assert any(piece.text == "DNS NXDOMAIN" for piece in request.evidence)


def test_a_redirect_to_plain_http_is_not_followed() -> None:
    net, log = redirecting()
    insecure = STORED.replace("https", "http")
    message = f'Get "{insecure}": redirected from secure URL {ZIP} to insecure URL {insecure}'
    log.get(ZIP, error=message, sent=[302], location=insecure)
    (request,) = ledger(net, log)
    assert roles(request) == [("mirror", "proxy.golang.org")]
    assert request.hops[-1].broken
    assert (request.handled_by, request.status) == (HandledBy.MIRROR, 302)
    assert request.redirects == (insecure,)


def test_redirects_on_one_host_add_no_hop() -> None:
    net, log = mirror(), Log()
    log.get(ZIP, 200, sent=[301], location="/other/path.zip")
    (request,) = ledger(net, log)
    assert roles(request) == [("mirror", "proxy.golang.org")]
    assert request.redirects == (f"{BASE}/other/path.zip",)


def test_a_failure_behind_a_redirect_on_one_host_is_that_hosts() -> None:
    net, log = mirror(), Log()
    log.get(ZIP, 403, sent=[301], location="/other/path.zip")
    (request,) = ledger(net, log)
    assert request.hops[-1].broken


def test_a_chain_of_redirects() -> None:
    net, log = redirecting()
    net.flow("cdn.example", "203.0.113.77")
    log.http2(ZIP, 302, location="https://cdn.example/x.zip")
    log.http2("https://cdn.example/x.zip", 302, location=STORED)
    log.http2(STORED, 404)
    (request,) = ledger(net, log)
    assert [host for _, host in roles(request)] == ["proxy.golang.org", "cdn.example", "storage.googleapis.com"]
    assert request.status == 404


@pytest.mark.parametrize("other", [ZIP, MOD])
def test_a_loop_of_redirects_ends(other: str) -> None:
    log = Log()
    log.http2(ZIP, 302, location=other)
    log.http2(other, 302, location=ZIP)
    requests = ledger(mirror(), log)
    assert [request.url for request in requests] == [ZIP]
    assert len(requests[0].redirects) == 10


def test_a_vanity_host_redirects_to_another_origin() -> None:
    net, log = Net(), Log()
    net.flow("corp.example", MIRROR)
    net.flow("www.corp.example", OTHER)
    log.get("https://corp.example/tool?go-get=1", 200, sent=[301], location="https://www.corp.example/tool?go-get=1")
    (request,) = ledger(net, log)
    assert roles(request) == [("origin", "corp.example"), ("origin", "www.corp.example")]
    assert request.handled_by is HandledBy.DIRECT


def test_redirect_in_clear_with_and_without_gos_account() -> None:
    net, log = Net(), Log()
    url, target = "http://mirror.example/example.com/a/@v/v1.0.0.zip", "http://store.example/a/@v/v1.0.0.zip"
    net.flow("mirror.example", port=80, exchanges=[exchange(url, 302, location=target)])
    net.flow("store.example", OTHER, 80, exchanges=[exchange(target, request_ns=START + MS)])
    log.get(url)
    for requests in (ledger(net, log, GOPROXY="http://mirror.example"), ledger(net)):
        (request,) = requests
        assert roles(request) == [("mirror", "mirror.example"), ("cdn", "store.example")]
        assert (request.status, request.redirects) == (200, (target,))
        assert request.hops[-1].flow == 1


# -- GOPROXY -----------------------------------------------------------------------------------------------------------


def test_attempts_and_why_the_next_entry_was_tried() -> None:
    net, log = mirror(), Log()
    net.flow("goproxy.cn", OTHER)
    log.get(MOD, 404, sent=[404, 404])
    log.get(MOD.replace(BASE, "https://goproxy.cn"), 200, sent=[200])
    first, second = ledger(net, log, GOPROXY=f"{BASE},https://goproxy.cn,direct")
    assert (first.attempt, first.proxy_entry) == (1, BASE)
    assert first.next_entry
    assert "404" in first.next_entry
    assert first.failure is None  # part of the search
    assert (second.attempt, second.proxy_entry, second.next_entry) == (2, "https://goproxy.cn", None)


def test_attempts_are_told_without_x_lines_too() -> None:
    net, log = mirror(), Log()
    log.http2(MOD, 403)
    log.http2(MOD, 403)
    (request,) = ledger(net, log, GOPROXY=f"{BASE},direct")
    assert request.next_entry
    assert "comma stops" in request.next_entry
    assert request.failure
    assert request.failure.kind == "status-403"


@pytest.mark.parametrize(
    ("path", "goproxy", "failed"),
    [
        ("/example.com/@v/list", BASE, False),  # go asks for every prefix
        ("/example.com/a/@latest", BASE, False),
        ("/sumdb/sum.golang.org/supported", BASE, False),
        ("/example.com/a/@v/v1.0.0.mod", f"{BASE},direct", False),  # goes on
        ("/example.com/a/@v/v1.0.0.mod", BASE, True),
    ],
)
def test_which_404_is_a_failure(path: str, goproxy: str, failed: bool) -> None:
    log = Log()
    log.get(BASE + path, 404, sent=[404, 404])
    (request,) = ledger(mirror(), log, GOPROXY=goproxy)
    assert request.failed == failed
    assert (request.handled_by, request.status) == (HandledBy.MIRROR, 404)


@pytest.mark.parametrize(
    ("url", "goproxy", "gosumdb", "role", "handled_by"),
    [
        (f"{BASE}/sumdb/sum.golang.org/lookup/a.example/m@v1.0.0", BASE, "", "mirror", "mirror"),
        ("https://sum.golang.org/lookup/a.example/m@v1.0.0", BASE, "", "checksum-db", "checksum-db"),
        ("https://sum.golang.google.cn/tile/8/0/001", BASE, "sum.golang.google.cn", "checksum-db", "checksum-db"),
        ("https://sums.corp.example/lookup/a.example/m@v1.0.0", BASE, "", "checksum-db", "checksum-db"),
        (
            "https://corp.example/goproxy/sumdb/sum.golang.org/supported",
            "https://corp.example/goproxy",
            "",
            "mirror",
            "mirror",
        ),
    ],
)
def test_checksum_database_through_the_mirror_or_direct(
    url: str, goproxy: str, gosumdb: str, role: str, handled_by: str
) -> None:
    net, log = Net(), Log()
    net.flow(url.split("/")[2])
    log.get(url, sent=[200])
    (request,) = ledger(net, log, GOPROXY=goproxy, GOSUMDB=gosumdb)
    assert request.target
    assert (request.target.role.value, request.handled_by.value) == (role, handled_by)


def test_a_mirror_below_a_path_of_an_origin() -> None:
    net, log = Net(), Log()
    net.flow("github.com")
    log.get("https://github.com/mirror/example.com/a/@v/v1.0.0.mod", sent=[200])
    (request,) = ledger(net, log, GOPROXY="https://github.com/mirror")
    assert request.handled_by is HandledBy.MIRROR


def test_rows_stand_in_the_order_in_which_go_began_them() -> None:
    net, log = mirror(), Log()
    net.flow("git.example", OTHER, client="git (libcurl with GnuTLS)")
    log.get(MOD, 404, sent=[404, 404])
    log.git("https://git.example/a.git")
    log.http2(f"{BASE}/golang.org/toolchain/@v/v0.0.1-go1.99.0.linux-amd64.zip", 200)
    log.get(ZIP, 404, sent=[404, 404])
    requests = ledger(net, log, GOPROXY=f"{BASE},direct")
    assert [request.artifact.value for request in requests] == ["mod", "git", "toolchain", "zip"]
    assert [request.id for request in requests] == [0, 1, 2, 3]


def test_a_request_without_an_end() -> None:
    log = Log()
    log.get(MOD, sent=[None], finished=False)
    (request,) = ledger(mirror(), log)
    assert request.failure
    assert request.failure.kind == "response-timeout"
    assert request.handled_by is HandledBy.NONE


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome.NO_ANSWER, "connect-timeout"),
        (Outcome.STALLED, "stalled"),
        (Outcome.SILENT, "handshake-timeout"),
        (Outcome.OK, "response-timeout"),
    ],
)
def test_packets_tell_what_an_unanswered_request_waited_for(outcome: Outcome, kind: str) -> None:
    net, log = Net(), Log()
    net.resolve("proxy.golang.org", "203.0.113.10")
    net.flow(outcome=outcome)
    log.get(MOD, finished=False)
    (request,) = ledger(net, log)
    assert request.failure
    assert (request.failure.kind, request.hops[-1].flow) == (kind, 0)


def test_a_name_that_was_never_answered_is_what_go_waits_for() -> None:
    net, log = Net(), Log()
    net.resolve("proxy.golang.org", rcode=None)
    log.get(MOD, finished=False)
    (request,) = ledger(net, log)
    assert request.failure
    assert request.failure.kind == "dns-timeout"


@pytest.mark.parametrize(
    ("ended", "exit_code", "outcome", "silent_s", "stalled"),
    [
        (False, 143, Outcome.OK, 3, True),
        (False, 143, Outcome.OK, 0, False),  # data came until the command was ended
        (False, 0, Outcome.OK, 3, False),
        (True, 143, Outcome.OK, 3, False),
        (False, 0, Outcome.STALLED, 0, True),
    ],
)
def test_an_answer_without_an_end(ended: bool, exit_code: int, outcome: Outcome, silent_s: int, stalled: bool) -> None:
    net, log = Net(), Log()
    net.resolve("proxy.golang.org", "203.0.113.10")
    flow = net.flow(outcome=outcome)
    log.get(ZIP, sent=[200], ended=ended)
    told = account(log, exit_code=exit_code, ended_ns=flow.last_down_ns + silent_s * 10**9)
    (request,) = build(net.traffic, told, None, load_hosts(), ())
    assert request.handled_by is not HandledBy.NONE
    assert (request.failure.kind if request.failure else "") == ("stalled" if stalled else "")


# -- git ---------------------------------------------------------------------------------------------------------------

REPOSITORY = "https://git.example/lib.git"
REFUSED = (
    "go: x.example/lib@v1: invalid version: git ls-remote -q --end-of-options {} in /m/vcs/x: exit status 128:\n\t{}"
)


@pytest.mark.parametrize(
    ("said", "kind", "handled_by", "status"),
    [
        (
            "fatal: unable to access 'REPO': server certificate verification failed. CAfile: none",
            "unknown-authority",
            "none",
            None,
        ),
        ("fatal: unable to access 'REPO': Could not resolve host: git.example", "nxdomain", "none", None),
        (
            "fatal: could not read Username for 'https://git.example': terminal prompts disabled",
            "status-401",
            "direct",
            401,
        ),
        ("fatal: unable to access 'REPO': The requested URL returned error: 503", "status-503", "direct", 503),
    ],
)
def test_a_git_command_that_failed(said: str, kind: str, handled_by: str, status: int | None) -> None:
    net, log = Net(), Log()
    if handled_by == "direct":
        net.flow("git.example", OTHER, client="git (libcurl with GnuTLS)")
    log.git(REPOSITORY)
    log.say(REFUSED.format(REPOSITORY, said.replace("REPO", REPOSITORY)))
    (request,) = ledger(net, log)
    assert request.failure
    assert (request.failure.kind, request.handled_by.value, request.status) == (kind, handled_by, status)
    assert request.failure.text.startswith("fatal: ")
    assert [piece.line for piece in request.evidence if piece.kind == "log"] == [1, 2]


def test_a_missing_revision_is_no_failure_of_the_path() -> None:
    net, log = Net(), Log()
    net.flow("git.example", OTHER, client="git (libcurl with GnuTLS)")
    log.git(REPOSITORY)
    log.say("go: x.example/lib@v9.0.0: invalid version: unknown revision v9.0.0")
    (request,) = ledger(net, log)
    assert request.failure is None
    assert request.handled_by is HandledBy.DIRECT


def test_the_error_of_another_repository_is_not_this_ones() -> None:
    net, log = Net(), Log()
    log.git(REPOSITORY)
    log.git("https://git.example/other.git")
    log.say(REFUSED.format(REPOSITORY, "fatal: Could not resolve host: git.example"))
    assert [request.failed for request in ledger(net, log)] == [True, False]


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_no_secret_of_the_log_reaches_a_row() -> None:
    net, log = mirror(), Log()
    secret = "https://storage.googleapis.com/a.zip?X-Goog-Signature=SECRET"
    log.get(
        ZIP,
        error=f'Get "{secret}": redirected from secure URL {ZIP} to insecure URL {secret}',
        sent=[302],
        location=secret,
    )
    log.get("https://user:SECRET@corp.example/example.com/a/@v/list?token=SECRET", sent=[200])
    log.git("https://user:SECRET@git.example/a.git")
    log.say(
        REFUSED.format(
            "https://user:SECRET@git.example/a.git",
            "fatal: unable to access 'https://user:SECRET@git.example/a.git': EOF",
        )
    )
    requests = ledger(net, log)
    assert len(requests) == 3
    assert "SECRET" not in repr(requests)


def test_many_equal_requests_take_no_square_time() -> None:
    log = read_log("# get https://proxy.golang.org/example.com/a/@v/list\n" * 10_000)
    before = time.process_time()
    assert len(Sources(GoAccount(log=log), None, ()).of_account()) == 10_000
    assert time.process_time() - before < 3  # 0.2 s; it was 5 s
