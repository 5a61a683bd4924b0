"""The ledger: one row per module request, joined from go's own account and the packets.

With go's account every fetch attempt is a row, tied to the flow that carried it; what go does not log (repeats after
a 4xx, redirect hops, toolchain downloads) comes from its HTTP/2 debug log and from clear HTTP. Without an account,
rows stand for connections, with what the packets tell of them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from msgspec.structs import replace

from trace_go.gocmd.environment import GoSettings, proxy_for
from trace_go.gocmd.hosts import HostBook
from trace_go.gocmd.log import uses_network
from trace_go.gocmd.messages import error_kind
from trace_go.gocmd.replay import NOT_FOUND, Attempt, attempts
from trace_go.model import evidence
from trace_go.model.chain import Judgement
from trace_go.model.evidence import Confidence, Evidence, Visibility
from trace_go.model.flow import Flow, Outcome, Traffic
from trace_go.model.go import Fetch, GoAccount, Http2Exchange, VcsCommand
from trace_go.model.http import Exchange
from trace_go.model.ledger import Artifact, Failure, HandledBy, Request, RequestTimings, Role
from trace_go.paths.failures import OUTCOMES, failure, of_flow, of_lookup
from trace_go.paths.hops import ROLES, handled_by, hops, is_address
from trace_go.paths.index import Index, is_extra, of_go
from trace_go.wire.goproxy import maybe_module_url
from trace_go.wire.secrets import mask_url

_CLIENT_PREFIX = re.compile(r'^(?:Get|Head) "[^"]*": ')
"""what net/http puts before an error; the row has the URL already"""
_SUMDB = frozenset({Artifact.SUMDB_LATEST, Artifact.SUMDB_LOOKUP, Artifact.SUMDB_SUPPORTED, Artifact.SUMDB_TILE})


def build(
    traffic: Traffic,
    account: GoAccount,
    settings: GoSettings | None,
    hosts: HostBook,
    judgements: Iterable[Judgement],
) -> tuple[Request, ...]:
    """The ledger in order of time as far as it is known; ids are positions."""
    return _Builder(traffic, account, settings, hosts, judgements).rows()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What a source says of a request, before packets are joined."""

    url: str
    status: int | None = None
    reason: str = ""
    elapsed_s: float | None = None
    failure: Failure | None = None
    redirects: tuple[str, ...] = ()
    repeats: int = 0
    evidence: tuple[Evidence, ...] = ()
    visibility: Visibility = Visibility.SEEN
    attempt: Attempt | None = None
    flow: Flow | None = None
    remote: str | None = None
    answered: bool = False
    artifact: Artifact | None = None
    bytes_down: int | None = None
    start_ns: int = 0


class _Builder:
    def __init__(
        self,
        traffic: Traffic,
        account: GoAccount,
        settings: GoSettings | None,
        hosts: HostBook,
        judgements: Iterable[Judgement],
    ) -> None:
        self.account, self.settings = account, settings
        self.index = Index(traffic, hosts, judgements)
        self.bases = tuple(entry.url for entry in settings.proxies) if settings else ()
        self._failed_used: set[int] = set()
        self._flows_used: set[int] = set()
        self._requests: list[Request] = []

    def rows(self) -> tuple[Request, ...]:
        log = self.account.log
        by_url: dict[str, list[Http2Exchange]] = defaultdict(list)
        for exchange in log.http2:
            if exchange.url:  # empty where the log could not tell two requests apart
                by_url[exchange.url].append(exchange)
        tries = attempts(log.fetches, self.settings) if self.settings else ()
        for fetch, attempt in zip(log.fetches, tries or (None,) * len(log.fetches), strict=True):
            self._add(self._fetch(fetch, attempt, by_url.pop(fetch.url, ())))
        for command in log.vcs:
            if command.remote and uses_network(command):
                self._add(self._vcs(command))
        for url, exchanges in by_url.items():
            if not self._is_redirect_target(url) and maybe_module_url(url, self.bases):
                self._add(_from_http2(url, exchanges))
        self._clear_http({fetch.url for fetch in log.fetches})
        self._connections()
        self._unresolved()
        ordered = sorted(self._requests, key=lambda item: item.start_ns) if not log.fetches else self._requests
        return tuple(_renumber(item, number) for number, item in enumerate(ordered))

    # -- sources -----------------------------------------------------------------------------------------------------

    def _fetch(self, fetch: Fetch, attempt: Attempt | None, exchanges: Sequence[Http2Exchange]) -> _Row:
        found = None
        if fetch.error is not None:
            kind, status = error_kind(fetch.error)
            found = failure(kind, _CLIENT_PREFIX.sub("", fetch.error), status)
        elif fetch.status is not None and fetch.status >= 400 and not _looks_elsewhere(fetch.status, attempt):
            found = failure("status", f"{fetch.status} {fetch.reason}".rstrip(), fetch.status)
        elif not fetch.finished:
            found = failure("response-timeout", "go was still waiting for the answer when it ended")
        said = f"{fetch.status} {fetch.reason}".rstrip() if fetch.status is not None else (fetch.error or "no answer")
        return _Row(
            url=fetch.url,
            status=fetch.status,
            reason=fetch.reason,
            elapsed_s=fetch.elapsed_s,
            failure=found,
            redirects=_redirects(exchanges),
            repeats=max(0, len(exchanges) - 1),
            evidence=(evidence.log(fetch.line, f"go: {said}"),),
            attempt=attempt,
            remote=next((item.remote for item in exchanges if item.remote), None),
            answered=fetch.status is not None or any(item.status for item in exchanges),
        )

    def _vcs(self, command: VcsCommand) -> _Row:
        assert command.remote
        return _Row(
            url=command.remote,
            elapsed_s=command.elapsed_s,
            evidence=(evidence.log(command.line, command.command),),
            artifact=Artifact.GIT,
            answered=True,
        )

    def _is_redirect_target(self, url: str) -> bool:
        return any(mask_url(url) in item.redirects for item in self._requests)

    def _clear_http(self, told: set[str]) -> None:
        """Clear HTTP/1 requests on the wire that go's log does not hold."""
        for flow in self.index.traffic.flows:
            for exchange in flow.exchanges:
                ours = of_go(flow) or self._mirror(_host(exchange.url))
                if exchange.url not in told and ours and maybe_module_url(exchange.url, self.bases):
                    self._add(_from_clear(exchange, flow))

    def _mirror(self, name: str | None) -> bool:
        known = self.index.known(name)
        return known is not None and known.role in (Role.MIRROR, Role.CHECKSUM_DB)

    def _connections(self) -> None:
        """Connections of go whose requests no source shows."""
        with_account = bool(self.account.log.fetches or self.account.log.http2)
        busy = {
            (flow.client.ip, self.index.name(flow))
            for flow in self.index.traffic.flows
            if not is_extra(flow) and of_flow(flow, None) is None
        }
        explained = {_host(item.url) for item in self._requests if item.url}
        for flow in self.index.traffic.flows:
            if flow.id in self._flows_used or flow.transport != "tcp" or flow.protocol == "dns":
                continue
            name = self.index.name(flow)
            if not of_go(flow) and (self.account.present or not self._mirror(name)):
                continue
            broken = of_flow(flow, self.index.judgement(flow, name))
            if is_extra(flow) and ((flow.client.ip, name) in busy or with_account):
                continue
            if with_account and (name in explained or broken is None or self._is_proxy(flow)):
                continue  # go's account already tells what this connection was for
            if flow.exchanges and not flow.tunnel:
                continue
            self._add(self._connection(flow, name, broken))

    def _is_proxy(self, flow: Flow) -> bool:
        return any(hop.ip == flow.server.ip for item in self._requests for hop in item.hops)

    def _connection(self, flow: Flow, name: str | None, broken: Failure | None) -> _Row:
        shown = flow.tls.hello_packet if flow.tls and flow.tls.hello_packet else flow.first_packet
        host = name or flow.server.ip
        port = flow.tunnel.authority.rsplit(":", 1)[-1] if flow.tunnel else str(flow.server.port)
        scheme = "http" if port == "80" else "https"
        default = {"http": "80", "https": "443"}[scheme]
        return _Row(
            url=f"{scheme}://{f'[{host}]' if ':' in host else host}" + ("" if port == default else f":{port}"),
            failure=broken,
            evidence=(evidence.packet(shown, _told_by(flow, name), flow.file),),
            visibility=Visibility.NOT_OBSERVABLE,
            flow=flow,
            answered=broken is None and not is_extra(flow),
            artifact=Artifact.CONNECTION,
            start_ns=flow.start_ns,
        )

    def _unresolved(self) -> None:
        """Names that go (or anyone, for known hosts) asked for in vain and that no row tells of."""
        if self.account.log.fetches:
            return
        clients = {flow.client.ip for flow in self.index.traffic.flows if of_go(flow)}
        for name, lookups in self.index.lookups.items():
            known = self._mirror(name)
            if any(item.addresses for item in lookups) or not (
                known or any(item.client in clients for item in lookups)
            ):
                continue
            broken = next((found for item in lookups if (found := of_lookup(item))), None)
            first = lookups[0]
            if broken and (known or broken.kind != "nxdomain"):  # search-domain variants end in NXDOMAIN all the time
                packet = (first.answer_packets or first.query_packets or (0,))[0]
                self._add(
                    _Row(
                        url=f"https://{name}",
                        failure=broken,
                        evidence=(evidence.packet(packet, broken.text, first.file),),
                        visibility=Visibility.NOT_OBSERVABLE,
                        artifact=Artifact.CONNECTION,
                        start_ns=first.start_ns,
                    )
                )

    # -- joining -----------------------------------------------------------------------------------------------------

    def _add(self, row: _Row) -> None:
        parts = maybe_module_url(row.url, self.bases) if row.artifact is None else None
        artifact = row.artifact or (parts.artifact if parts else Artifact.OTHER)
        host = _host(row.url)
        proxy = proxy_for(row.url, self.account.process_env) if self.account.process_env else None
        flow = row.flow or self._flow(row, host, proxy)
        judgement = self.index.judgement(flow, host)
        role = self._role(row, artifact, host, flow)
        way = hops(self.index, host, flow, proxy=proxy, failure=row.failure, role=role)
        reached_tls = bool(flow and flow.tls and flow.tls.server)
        handler = handled_by(role, judgement, reached_tls=reached_tls, answered=row.answered)
        handler, confidence = self._weigh(row, handler, judgement, flow)
        if flow:
            self._flows_used.add(flow.id)
        self._requests.append(
            Request(
                id=len(self._requests),
                url=mask_url(row.url) if artifact is not Artifact.CONNECTION else None,
                module=(parts.module if parts else None) or self._module_of(row, artifact),
                version=parts.version if parts else None,
                artifact=artifact,
                attempt=row.attempt.number if row.attempt else 1,
                repeats=row.repeats,
                proxy_entry=row.attempt.entry.url if row.attempt and row.attempt.entry else None,
                next_entry=row.attempt.why if row.attempt else None,
                status=row.status,
                status_text=row.reason,
                redirects=row.redirects,
                handled_by=handler,
                claims_to_be=host if handler in (HandledBy.MITM, HandledBy.UNKNOWN) else None,
                hops=way,
                timings=self._timings(row, host, proxy, flow),
                bytes_up=flow.bytes_up if flow and artifact is Artifact.CONNECTION else None,
                bytes_down=flow.bytes_down if flow and artifact is Artifact.CONNECTION else row.bytes_down,
                failure=row.failure,
                visibility=row.visibility,
                confidence=confidence,
                evidence=row.evidence + self._proof(row, flow, judgement, host),
                start_ns=row.start_ns or (flow.start_ns if flow else 0),
            )
        )

    def _role(self, row: _Row, artifact: Artifact, host: str, flow: Flow | None) -> Role:
        known = self.index.known(host)
        if artifact in (Artifact.GO_GET, Artifact.GIT):
            return Role.ORIGIN
        if any(base.rstrip("/") and row.url.startswith(base.rstrip("/") + "/") for base in self.bases):
            return Role.MIRROR
        if known and known.role in ROLES:
            return ROLES[known.role]
        if artifact in _SUMDB:  # below /sumdb/ a mirror passes the database on (cmd/go/internal/modfetch/sumdb.go)
            return Role.MIRROR if "/sumdb/" in row.url else Role.CHECKSUM_DB
        if artifact is Artifact.CONNECTION and flow and flow.tls and flow.tls.client.startswith("git"):
            return Role.ORIGIN
        return Role.MIRROR if artifact not in (Artifact.OTHER, Artifact.CONNECTION) else Role.ORIGIN

    def _module_of(self, row: _Row, artifact: Artifact) -> str | None:
        if artifact is not Artifact.GIT:
            return None
        split = urlsplit(row.url)
        return f"{split.hostname or ''}{split.path}".removesuffix(".git") or None

    def _weigh(
        self, row: _Row, handler: HandledBy, judgement: Judgement | None, flow: Flow | None
    ) -> tuple[HandledBy, Confidence]:
        """How sure the handler is. Go's word that a chain was fine does not tell whose chain it was."""
        if handler is HandledBy.MITM:
            assert judgement
            return handler, Confidence.CERTAIN if judgement.visibility is Visibility.SEEN else Confidence.HIGH
        if handler is HandledBy.NONE:
            return handler, Confidence.HIGH
        if row.url.startswith("http://") or (judgement and judgement.trusted):
            return handler, Confidence.HIGH
        if row.artifact is Artifact.CONNECTION:
            return HandledBy.UNKNOWN, Confidence.LOW
        return handler, Confidence.MEDIUM

    def _flow(self, row: _Row, host: str, proxy: str | None) -> Flow | None:
        """The flow that carried a request: one of its host that ended as the request did, each failed one used once."""
        split = urlsplit(row.url)
        port = split.port or {"http": 80, "https": 443, "ssh": 22, "git": 9418}.get(split.scheme, 0)
        found = [item for item in self.index.by_name.get(host, ()) if self._fits(item, port)]
        if is_address(host):
            found = self.index.by_server.get((host, port), [])
        wanted = OUTCOMES.get(row.failure.kind) if row.failure and not row.answered else None
        if wanted is not None:
            if proxy:
                found = [*found, *self._of_proxy(proxy)]
            matching = [item for item in found if item.outcome in wanted]
            unused = next((item for item in matching if item.id not in self._failed_used), None)
            chosen = unused or next(iter(matching), None)
            if chosen:
                self._failed_used.add(chosen.id)
            return chosen
        if not row.answered:
            return next(iter(found), None)
        exact = next((item for item in found if any(e.url == row.url for e in item.exchanges)), None)
        if exact:
            return exact
        if row.artifact is Artifact.GIT:
            found = [item for item in found if not item.tls or not item.tls.client.startswith("go")] or found
        return max(
            (item for item in found if of_flow(item, None) is None), key=lambda item: item.bytes_down, default=None
        )

    @staticmethod
    def _fits(flow: Flow, port: int) -> bool:
        if flow.tunnel:
            return flow.tunnel.authority.endswith(f":{port}")
        return flow.server.port == port or any(item.proxied for item in flow.exchanges[:1])

    def _of_proxy(self, proxy: str) -> list[Flow]:
        """Flows to the forward proxy that never said which host they were for."""
        split = urlsplit(proxy)
        host = (split.hostname or "").lower()
        port = split.port or {"http": 80, "https": 443, "socks5": 1080}.get(split.scheme, 0)
        if is_address(host):
            return self.index.by_server.get((host, port), [])
        return [item for item in self.index.by_name.get(host, ()) if item.server.port == port]

    def _timings(self, row: _Row, host: str, proxy: str | None, flow: Flow | None) -> RequestTimings:
        asked = (urlsplit(proxy).hostname or "") if proxy else host
        lookup = self.index.lookup(asked, flow.start_ns if flow else 0)
        tunnel = flow.tunnel if flow else None
        return RequestTimings(
            dns_s=lookup.latency_s if lookup else None,
            connect_s=flow.connect_s if flow else None,
            tunnel_s=(tunnel.response_ns - tunnel.request_ns) / 1e9 if tunnel and tunnel.response_ns else None,
            tls_s=flow.tls_s if flow else None,
            response_s=row.elapsed_s,
        )

    def _proof(self, row: _Row, flow: Flow | None, judgement: Judgement | None, host: str) -> tuple[Evidence, ...]:
        proof: list[Evidence] = []
        if flow is None:
            lookup = self.index.lookup(host)
            if lookup and of_lookup(lookup) and lookup.answer_packets:
                proof.append(evidence.packet(lookup.answer_packets[0], f"DNS {lookup.rcode}", lookup.file))
        elif row.flow is None:
            shown = flow.tls.hello_packet if flow.tls and flow.tls.hello_packet else flow.first_packet
            proof.append(evidence.packet(shown, _told_by(flow, host), flow.file))
        if judgement and judgement.interceptor:
            text = f"certificate issued by {judgement.interceptor}"
            if judgement.visibility is Visibility.PROBED:
                proof.append(evidence.probe(text))
            else:
                proof.append(evidence.packet(judgement.packet, text, judgement.file))
        return tuple(proof)


def _looks_elsewhere(status: int, attempt: Attempt | None) -> bool:
    """Whether a 404 or 410 is part of go's search: the next entry follows, or another prefix of the path."""
    if status not in NOT_FOUND or attempt is None:
        return False
    search = (Artifact.LIST, Artifact.LATEST, Artifact.GO_GET, Artifact.SUMDB_SUPPORTED)
    return attempt.goes_on or (attempt.parts is not None and attempt.parts.artifact in search)


def _redirects(exchanges: Sequence[Http2Exchange]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mask_url(item.location) for item in exchanges if item.location))


def _from_http2(url: str, exchanges: Sequence[Http2Exchange]) -> _Row:
    last = exchanges[-1]
    broken = last.status is not None and last.status >= 400
    return _Row(
        url=url,
        status=last.status,
        failure=failure("status", str(last.status), last.status) if broken else None,
        redirects=_redirects(exchanges),
        repeats=len(exchanges) - 1,
        evidence=(evidence.log(last.line, f"HTTP/2 stream {last.stream}: {last.status or 'no answer'}"),),
        remote=last.remote,
        answered=last.status is not None,
    )


def _from_clear(exchange: Exchange, flow: Flow) -> _Row:
    found = None
    if exchange.status is None:
        found = of_flow(flow, None) or failure("response-timeout", "the request was never answered")
    elif exchange.status >= 400:
        found = failure("status", f"{exchange.status} {exchange.reason}".rstrip(), exchange.status)
    number = exchange.response_packet or exchange.request_packet
    answered = exchange.status is not None
    return _Row(
        url=exchange.url,
        status=exchange.status,
        reason=exchange.reason,
        elapsed_s=(exchange.response_ns - exchange.request_ns) / 1e9 if answered else None,
        failure=found,
        redirects=(exchange.location,) if exchange.location else (),
        evidence=(evidence.packet(number, f"{exchange.method} → {exchange.status or 'no answer'}", flow.file),),
        flow=flow,
        answered=answered,
        bytes_down=exchange.body_bytes if exchange.body_bytes >= 0 else None,
        start_ns=exchange.request_ns,
    )


def _host(url: str) -> str:
    """Host of a URL in lower case; empty when it has none. Also takes git's scp form `git@host:path`."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return ""
    if host is None and "@" in url and ":" in url:
        host = url.split("@", 1)[1].split(":", 1)[0].lower()
    return (host or "").rstrip(".")


def _told_by(flow: Flow, name: str | None) -> str:
    if flow.tls and flow.tls.hello and flow.tls.hello.sni:
        return f"ClientHello for {flow.tls.hello.sni}"
    if flow.tunnel:
        return f"CONNECT {flow.tunnel.authority}"
    if flow.outcome in (Outcome.NO_ANSWER, Outcome.REFUSED, Outcome.UNREACHABLE):
        return f"SYN to {flow.server.ip}:{flow.server.port}" + (f" ({name})" if name else "")
    return f"connection to {flow.server.ip}:{flow.server.port}"


def _renumber(item: Request, number: int) -> Request:
    return item if item.id == number else replace(item, id=number)
