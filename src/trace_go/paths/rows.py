"""What each source says of requests, before packets are joined: go's `-x` log, its HTTP/2 log, HTTP in the packets.

An `-x` line covers what go sent for it: the repeat after a 4xx (GOAUTH, Go 1.24 and later) and the redirects are told
only by the HTTP/2 log or by clear or decrypted HTTP, and belong to its row. Where both tell, the packets are right.
"""

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from trace_go.gocmd.environment import GoSettings
from trace_go.gocmd.replay import NOT_FOUND, Attempt, attempts
from trace_go.model import evidence
from trace_go.model.flow import Flow, Outcome
from trace_go.model.go import Fetch, GoAccount, GoError, Http2Exchange
from trace_go.model.http import HTTP2, Exchange
from trace_go.model.ledger import Artifact, Failure
from trace_go.paths.failures import ANSWERED, SHARED, failure, of_flow
from trace_go.paths.git import complaint, of_git, place_of
from trace_go.paths.redirects import MAX_REDIRECTS, Answer, Redirects, followed
from trace_go.paths.row import Row, Sent, evidence_of_exchange, sendings, sent_by_url
from trace_go.paths.urls import host_of, split, without_userinfo
from trace_go.wire.goproxy import ModuleUrl, maybe_module_url
from trace_go.wire.secrets import mask_text, mask_url

_OK = 200
_FIXED = frozenset({Artifact.INFO, Artifact.MOD, Artifact.ZIP})
"""what go asks for once: it keeps the answer. A list without a fitting version is an answer and sends go on"""
_REPEATS_SINCE = (1, 24)
_CLIENT_ERROR = re.compile(r'^(?:Get|Head) "(?P<url>[^"]*)": ')
"""url.Error: the URL that failed, after redirects the last one"""
_LOADED = frozenset({Artifact.LIST, Artifact.LATEST, Artifact.INFO, Artifact.MOD, Artifact.ZIP, Artifact.TOOLCHAIN})
_OF_DATABASE = frozenset({Artifact.SUMDB_LOOKUP, Artifact.SUMDB_TILE, Artifact.SUMDB_LATEST})
_CONTENT = {
    "web-page": frozenset({Artifact.INFO, Artifact.LATEST}),
    "bad-info": frozenset({Artifact.INFO, Artifact.LATEST}),
    "wrong-version": frozenset({Artifact.INFO}),
    "bad-mod": frozenset({Artifact.MOD}),
    "bad-zip": frozenset({Artifact.ZIP, Artifact.TOOLCHAIN}),
    "bad-record": frozenset({Artifact.SUMDB_LOOKUP}),
    "checksum-mismatch": frozenset({Artifact.MOD, Artifact.ZIP}),
    "sumdb-mismatch": frozenset({Artifact.MOD, Artifact.ZIP}),
}
"""error about the content of an answer → what was answered"""
_VERIFYING = re.compile(r"verifying (?:(?P<mod>go\.mod|\S+/go\.mod)|\S+): checksum mismatch")
"""go's checksum of a go.mod or a zip (cmd/go/internal/modfetch/fetch.go, checkModSum)"""
_SEARCHED = frozenset({Artifact.LIST, Artifact.LATEST, Artifact.GO_GET, Artifact.SUMDB_SUPPORTED})
"""go asks for these at several places and expects most not to have them"""


class Sources:
    """The rows of one account and one capture."""

    def __init__(self, account: GoAccount, settings: GoSettings | None, flows: Iterable[Flow]) -> None:
        self.log, self.settings = account.log, settings
        proxies = settings.proxies if settings else ()
        self.bases = tuple(without_userinfo(entry.url) for entry in proxies if "://" in entry.url)
        self._http2: dict[str, list[Http2Exchange]] = defaultdict(list)
        self.redirects = Redirects()
        for item in self.log.http2:
            if item.url:  # empty where the log could not tell two requests apart
                self._http2[without_userinfo(item.url)].append(item)
            self.redirects.add(item)
        flows = tuple(flows)
        exchanges = [exchange for flow in flows for exchange in flow.exchanges]
        for exchange in sorted(exchanges, key=lambda item: item.request_ns):
            self.redirects.add(exchange)
        self.sent = sent_by_url(flows, self._repeats, lambda sent: self._ended(sent.exchange))
        """masked URL → groups of sendings that go counts as one request, by time"""
        self._asked: dict[tuple[str | None, str | None, Artifact], set[str]] = defaultdict(set)
        """module, version and artifact → the places that were asked for it, as the packets show"""
        self.opened_repositories: set[str] = set()
        """repositories whose requests are told by decrypted packets, better than by git's command lines"""
        self._origins: set[str] = set()
        """modules whose origin was asked"""
        self.parts = {url: maybe_module_url(url, self.bases) for url in {exchange.url for exchange in exchanges}}
        """by URL, what was asked for in the packets"""
        for exchange in exchanges:
            if parts := self.parts[exchange.url]:
                self._asked[parts.module, parts.version, parts.artifact].add(parts.base)
                if parts.artifact is Artifact.GO_GET and parts.module:
                    self._origins.add(parts.module)
                elif parts.artifact is Artifact.GIT and exchange.decrypted:
                    self.opened_repositories.add(place_of(parts.base))

    @property
    def _repeats(self) -> bool:
        """Whether this go sends a request again after a 4xx."""
        return self.settings is None or self.settings.version is None or self.settings.version >= _REPEATS_SINCE

    def _ended(self, sent: Http2Exchange | Exchange) -> int | None:
        """The status behind all redirects, as far as it is known."""
        return self.redirects.trail(Answer.of(sent))[1].status if sent.location else sent.status

    def of_account(self) -> list[Row]:
        """Rows of go's log, in the order in which go began them."""
        tries = attempts(self.log.fetches, self.settings) if self.settings else ()
        given, packets = self._given(), self._in_packets()
        rows = [
            self._fetch(fetch, attempt, given[number], packets[number])
            for number, (fetch, attempt) in enumerate(
                zip(self.log.fetches, tries or (None,) * len(self.log.fetches), strict=True)
            )
            if host_of(fetch.url)  # without a host nothing was asked
        ]
        rows += self._vcs()
        rows += self._unlogged({exchange.line for exchanges in given for exchange in exchanges})
        return _left(self._unusable(sorted(rows, key=lambda row: row.line)))

    def _unusable(self, rows: list[Row]) -> list[Row]:
        """What go says of the content of answers that it took: its error stands apart from the request."""
        for error in self.log.errors:
            found = [number for number, row in enumerate(rows) if _is_about(error, row)]
            if len(found) == 1 or (found and (error.module or error.url)):
                row, said = rows[found[-1]], mask_text(error.text).partition("\n")[0]
                proof = (*row.evidence, evidence.log(error.line, said))
                named = f"{error.module}@{error.version}: "
                told = failure(error.kind, (said.partition(named)[2] or said).removeprefix("go: "))
                rows[found[-1]] = replace(row, failure=row.failure or told, evidence=proof)
        return rows

    def _given(self) -> list[list[Http2Exchange]]:
        """For each fetch what the HTTP/2 log has of it: sent between its two lines. Equal fetches at a time share."""
        starts: dict[str, list[int]] = defaultdict(list)  # ascending, as the fetches are
        for fetch in self.log.fetches:
            starts[fetch.url].append(fetch.start_line)
        done: Counter[str] = Counter()
        taken: set[int] = set()
        given = []
        for fetch in self.log.fetches:
            start, end = fetch.start_line, fetch.line if fetch.finished else self.log.lines
            done[fetch.url] += 1
            rivals = max(0, bisect_left(starts[fetch.url], end) - done[fetch.url])
            found = [
                item
                for item in self._http2.get(without_userinfo(fetch.url), ())
                if start <= item.line <= end and item.line not in taken
            ]
            share = found[: -(-len(found) // (1 + rivals))]
            taken.update(item.line for item in share)
            given.append(share)
        return given

    def _in_packets(self) -> list[Sequence[Sent]]:
        """For each fetch its sendings in the packets, where they show as many requests for a URL as go says."""
        urls = [mask_url(without_userinfo(fetch.url)) for fetch in self.log.fetches]
        count, before, found = Counter(urls), Counter[str](), list[Sequence[Sent]]()
        for url in urls:
            groups = self.sent.get(url, ())
            found.append(groups[before[url]] if len(groups) == count[url] else ())
            before[url] += 1
        return found

    def _fetch(
        self, fetch: Fetch, attempt: Attempt | None, exchanges: Sequence[Http2Exchange], sent: Sequence[Sent]
    ) -> Row:
        parts = attempt.parts if attempt else maybe_module_url(fetch.url, self.bases)
        reason = mask_text(fetch.reason)
        said = f"{fetch.status} {reason}".rstrip() if fetch.status is not None else "no answer"
        failed_at, found, answered = None, None, fetch.status is not None
        if fetch.error is not None:
            from trace_go.gocmd.messages import error_kind  # as in _vcs

            prefix = _CLIENT_ERROR.match(fetch.error)
            kind, status = error_kind(fetch.error)
            failed_at = prefix["url"] if prefix else None
            answered = kind in ANSWERED
            said = mask_text(fetch.error[prefix.end() :] if prefix else fetch.error)
            found = failure(kind, said, status)
        elif fetch.status is not None and fetch.status >= 400 and not _looks_elsewhere(fetch.status, parts, attempt):
            found = failure("status", said, fetch.status)
        elif not fetch.finished:
            found = failure("response-timeout", "go was still waiting for the answer when it ended")
        last = exchanges[-1] if exchanges else None
        trail, end = self.redirects.trail(Answer.of(last)) if last else ((), None)
        found = found or (_misled(trail, end, parts) if end else None)
        url = without_userinfo(fetch.url)
        return Row(
            url=url,
            artifact=parts.artifact if parts else Artifact.OTHER,
            parts=parts,
            status=last.status if last and answered and fetch.status is None else fetch.status,
            reason=reason,
            elapsed_s=fetch.elapsed_s,
            failure=found,
            redirects=trail,
            followed=followed(url, trail, found, failed_at),
            repeats=max(0, len(sent or exchanges) - 1),
            sent=tuple(sent),
            evidence=(evidence.log(fetch.line, f"{_asked(url)} → {said}"),),
            attempt=attempt,
            remote=next((item.remote for item in exchanges if item.remote), None),
            answered=answered,
            unfinished=not fetch.finished or bool(last and last.unfinished),
            line=fetch.start_line,
        )

    def _vcs(self) -> Iterable[Row]:
        if not self.log.vcs:
            return
        from trace_go.gocmd.log import uses_network  # a third of the start-up time of `read`, for inputs without a log

        commands = [
            command
            for command in self.log.vcs
            if command.remote
            and uses_network(command)
            and (place_of(command.remote) not in self.opened_repositories or complaint(command, self.log.errors))
        ]
        hosts = [host_of(command.remote or "") for command in commands]
        count, before = Counter(hosts), Counter[str]()
        errors = [error for error in self.log.errors if "git " in error.text]
        for command, host in zip(commands, hosts, strict=True):
            yield of_git(command, errors, before[host], count[host])
            before[host] += 1

    def _unlogged(self, given: set[int]) -> Iterable[Row]:
        """What only the HTTP/2 log has: toolchains, and every request of a go that does not print `-x`."""
        for url, exchanges in self._http2.items():
            left = [item for item in exchanges if item.line not in given]
            parts = maybe_module_url(url, self.bases) if mask_url(url) not in self.sent else None
            for several in sendings(left, self._repeats, self._ended) if parts else ():
                if parts and not self.redirects.led_to_logged(url, several[0].line):
                    yield self._of_http2(url, parts, several)

    def _of_http2(self, url: str, parts: ModuleUrl, sent: Sequence[Http2Exchange]) -> Row:
        first, last = sent[0], sent[-1]
        trail, end = self.redirects.trail(Answer.of(last))
        attempt = self._attempt(url, end.status, first.line)
        found = _misled(trail, end, parts)
        if end.status is not None and end.status >= 400 and not _looks_elsewhere(end.status, parts, attempt):
            found = failure("status", str(end.status), end.status)
        return Row(
            url=url,
            artifact=parts.artifact,
            parts=parts,
            status=end.status,
            failure=found,
            redirects=trail,
            followed=followed(url, trail, None, None),
            repeats=len(sent) - 1,
            evidence=(evidence.log(last.line, f"{_asked(url)} → {last.status or 'no answer'}"),),
            attempt=attempt,
            remote=last.remote,
            answered=last.status is not None,
            line=first.line,
        )

    def _attempt(self, url: str, status: int | None, line: int) -> Attempt | None:
        """The place of a request in GOPROXY that no `-x` line tells of."""
        if self.settings is None:
            return None
        fetch = Fetch(
            url=url,
            status=status,
            reason="",
            elapsed_s=None,
            error=None,
            line=line,
            start_line=line,
            finished=status is not None,
        )
        return attempts((fetch,), self.settings)[0]

    def of_packets(self, sent: Sequence[Sent], parts: ModuleUrl) -> Row:
        """The row of a request seen in the packets, with its repeats."""
        first, last = sent[0].exchange, sent[-1].exchange
        flow = sent[-1].flow
        trail, end = self.redirects.trail(Answer.of(last))
        found = _misled(trail, end, parts)
        attempt = self._attempt(last.url, end.status, 0)
        if last.status is None:
            aborted = failure("stream-error", last.aborted) if last.aborted else None
            found = aborted or of_flow(flow, None) or failure("response-timeout", "the request was never answered")
        elif end.status is not None and end.status >= 400 and not self._went_on(end.status, parts, attempt):
            said = f"{end.status} {last.reason if end.status == last.status else ''}".rstrip()
            found = failure("status", said, end.status)
        else:
            found = found or _refused(trail, end) or _cut_short(self.sent.get(mask_url(end.url), [sent])[-1][-1])
        answered = last.status is not None
        return Row(
            url=last.url,
            artifact=parts.artifact,
            parts=parts,
            status=end.status,
            reason=last.reason if end.status == last.status else "",
            elapsed_s=(last.response_ns - first.request_ns) / 1e9 if answered else None,
            failure=found,
            redirects=trail,
            followed=followed(last.url, trail, None, None),
            repeats=len(sent) - 1,
            evidence=tuple(evidence_of_exchange(item.flow, item.exchange) for item in sent),
            attempt=attempt,
            flow=flow,
            sent=tuple(sent),
            answered=answered,
            bytes_down=end.body_bytes if end.body_bytes >= 0 else None,
            h1=end.h1,
            start_ns=first.request_ns,
        )

    def _went_on(self, status: int, parts: ModuleUrl, attempt: Attempt | None) -> bool:
        """Whether go then asked somewhere else for what was not found here: by its settings, else by the packets."""
        if _looks_elsewhere(status, parts, attempt):
            return True
        places = self._asked.get((parts.module, parts.version, parts.artifact), set())
        path = f"{parts.module}/"
        origin = any(path.startswith(f"{module}/") for module in self._origins)
        return status in NOT_FOUND and (len(places) > 1 or origin)


def _asked(url: str) -> str:
    place = split(mask_url(url))
    return f"GET {place.path}{'?' if place.query else ''}{place.query}"


def _misled(trail: Sequence[str], end: Answer, parts: ModuleUrl | None) -> Failure | None:
    """What is wrong with an answer whose status is not."""
    if len(trail) >= MAX_REDIRECTS:
        return failure("redirect-loop", f"stopped after {MAX_REDIRECTS} redirects")
    if end.status == _OK and end.web_page and parts and parts.artifact in _LOADED | _OF_DATABASE:
        return failure("web-page", "a web page came in place of what was asked for")
    return None


def _refused(trail: Sequence[str], end: Answer) -> Failure | None:
    """The redirect to plain http that go does not follow."""
    target = next((item for item in trail if item.startswith("http://")), None)
    if target is None or not end.url.startswith("https://"):
        return None
    return failure("insecure-redirect", f"redirected from secure URL {end.url} to insecure URL {target}")


def _cut_short(sent: Sent) -> Failure | None:
    """Why the end of an answer never came, where the packets would show it and the client did not give up."""
    exchange, flow = sent.exchange, sent.flow
    delimited = exchange.version == HTTP2 or exchange.body_bytes >= 0  # else the end of the connection is its end
    lost = flow.outcome is Outcome.RESET and flow.reset is not None and exchange.end_ns > flow.reset.time_ns
    if (exchange.end_ns and not lost) or not exchange.decrypted or not delimited:
        return None
    if exchange.aborted:
        return failure("stream-error", exchange.aborted) if exchange.aborted.endswith("server") else None
    if flow.server_closed_first:
        return failure("unexpected-eof", "the server closed the connection before the end of its answer")
    return of_flow(flow, None)


def _is_about(error: GoError, row: Row) -> bool:
    """Whether an error of go tells of the content of this row's answer."""
    if not row.answered or row.status != _OK or not row.parts:
        return False
    if error.kind in SHARED:  # the content broke off: the error quotes the URL
        return error.url is not None and without_userinfo(error.url) == row.url and row.failure is None
    if row.artifact not in _CONTENT.get(error.kind, ()):
        return False
    verified = _VERIFYING.search(error.text)
    if verified and row.artifact is not (Artifact.MOD if verified["mod"] else Artifact.ZIP):
        return False
    named = (error.module, error.version)
    return named == (None, None) or named == (row.parts.module, row.parts.version)


def _left(rows: list[Row]) -> list[Row]:
    """Marks answers for which go asked the next entry all the same: after a bar it does so silently."""
    after: dict[tuple[str | None, str | None, Artifact], Row] = {}
    for number in reversed(range(len(rows))):
        row = rows[number]
        if row.artifact not in _FIXED or not row.attempt or not row.parts:
            continue
        key = (row.parts.module, row.parts.version, row.artifact)
        later = after.get(key)
        if later and later.attempt and later.attempt.number > row.attempt.number and row.status == _OK:
            entry = later.attempt.entry.url if later.attempt.entry else "the next entry"
            told = failure("not-used", f"go asked {entry} for it all the same: it could not use this answer")
            rows[number] = replace(row, failure=row.failure or told)
        after[key] = row
    return rows


def _looks_elsewhere(status: int, parts: ModuleUrl | None, attempt: Attempt | None) -> bool:
    """Whether a 404 or 410 is part of go's search: the next entry follows, or another prefix of the path."""
    if status not in NOT_FOUND:
        return False
    return bool((attempt and attempt.goes_on) or (parts and parts.artifact in _SEARCHED))
