"""The ledger: one row per module request, joined from go's own account and the packets.

With go's account every fetch attempt is a row, tied to the flow that carried it (rows.py, carrier.py); what go does not
log comes from its HTTP/2 debug log and from clear HTTP. Without an account, rows stand for connections, with what the
packets tell of them.
"""

from collections.abc import Iterable
from functools import cached_property

from msgspec import Struct, structs
from msgspec.structs import replace

from trace_go.flows.outcome import PATIENCE_NS
from trace_go.gocmd.environment import GoSettings, proxy_for
from trace_go.gocmd.hosts import HostBook
from trace_go.model import evidence
from trace_go.model.chain import Judgement
from trace_go.model.evidence import Evidence, Visibility
from trace_go.model.flow import Flow, Outcome, Traffic
from trace_go.model.go import GoAccount
from trace_go.model.http import Exchange
from trace_go.model.ledger import Artifact, Failure, HandledBy, Request, RequestTimings, Role, Stage
from trace_go.paths.carrier import Carried, Carriers, Wanted, ends
from trace_go.paths.failures import failure, has_failed, of_flow, of_lookup, sharpened
from trace_go.paths.git import place_of
from trace_go.paths.guesses import GUESSED, guessed_clients, is_variant, to_proxy
from trace_go.paths.hops import ROLES, Leg, handler, hops, proxied
from trace_go.paths.index import Index, is_extra, passed_on
from trace_go.paths.inferred import inferred
from trace_go.paths.row import Row, Sent, evidence_of_exchange
from trace_go.paths.rows import Sources
from trace_go.paths.urls import endpoint, host_of, split, without_userinfo
from trace_go.wire.goproxy import maybe_module_url
from trace_go.wire.secrets import mask_url

_SUMDB = frozenset({Artifact.SUMDB_LATEST, Artifact.SUMDB_LOOKUP, Artifact.SUMDB_SUPPORTED, Artifact.SUMDB_TILE})
_ORIGINS = frozenset({Artifact.GO_GET, Artifact.GIT})


def build(
    traffic: Traffic,
    account: GoAccount,
    settings: GoSettings | None,
    hosts: HostBook,
    judgements: Iterable[Judgement],
) -> tuple[Request, ...]:
    """The ledger, in the order in which go began its requests, else by time; ids are positions."""
    return _Builder(traffic, account, settings, hosts, judgements).rows()


class _Joined(Struct, frozen=True, kw_only=True):
    row: Row
    legs: tuple[Leg, ...]
    exchange: Exchange | None
    """the request itself where it is in clear"""


class _Builder:
    def __init__(
        self,
        traffic: Traffic,
        account: GoAccount,
        settings: GoSettings | None,
        hosts: HostBook,
        judgements: Iterable[Judgement],
    ) -> None:
        self.account = account
        self.index = Index(traffic, hosts, judgements)
        self.carriers = Carriers(self.index)
        self.guessed = set() if account.present else guessed_clients(traffic, hosts)
        """clients"""
        self._flows_used = passed_on(traffic.flows)
        """those whose requests have rows; of a connection that is seen twice, the second has none of its own"""
        self.clear = [
            flow for flow in traffic.flows if flow.exchanges and flow.id not in self._flows_used and self._is_gos(flow)
        ]
        """flows with clear requests of go, or to its mirrors"""
        self.sources = Sources(account, settings, self.clear)
        self.bases = self.sources.bases
        self._requests: list[Request] = []

    def rows(self) -> tuple[Request, ...]:
        for row in self.sources.of_account():
            self._add(row)
        logged = len(self._requests)
        log = self.account.log
        self._in_packets(
            {mask_url(without_userinfo(item.url)) for item in log.fetches},
            {place_of(item.remote) for item in log.vcs if item.remote} - self.sources.opened_repositories,
        )
        self._connections()
        self._unresolved()
        rest = sorted(self._requests[logged:], key=lambda item: item.start_ns)
        return tuple(
            item if item.id == number else structs.replace(item, id=number)
            for number, item in enumerate([*self._requests[:logged], *rest])
        )

    # -- rows from packets ---------------------------------------------------------------------------------------------

    def _in_packets(self, told: set[str], repositories: set[str]) -> None:
        """Clear and decrypted requests that go's log does not hold. told, repositories: what it holds."""
        for url, groups in self.sources.sent.items():
            for group in groups:
                flow, exchange = group[-1].flow, group[-1].exchange
                if url in told or self.sources.redirects.led_to(exchange.url, exchange.request_ns):
                    continue
                parts = self.sources.parts[exchange.url]
                if parts is None and exchange.referer:  # the storage of a mirror whose redirect is not in the capture
                    parts = maybe_module_url(exchange.referer, self.bases)
                if not parts or (parts.artifact is Artifact.GIT and place_of(parts.base) in repositories):
                    continue
                if flow.id in self.index.of_go or self._mirror(host_of(exchange.url)):
                    self._add(self.sources.of_packets(group, parts))

    def _is_gos(self, flow: Flow) -> bool:
        hosts = {host_of(item.url) for item in flow.exchanges}
        return flow.id in self.index.of_go or any(map(self._mirror, hosts))

    def _mirror(self, name: str | None) -> bool:
        known = self.index.known(name)
        return known is not None and known.role in (Role.MIRROR, Role.CHECKSUM_DB)

    def _connections(self) -> None:
        """Connections of go whose requests no source shows."""
        with_account = bool(self.account.log.fetches or self.account.log.http2 or self.account.log.vcs)
        explained = {hop.host for item in self._requests for hop in item.hops}
        addresses = {hop.ip for item in self._requests for hop in item.hops}
        for flow in self.index.traffic.flows:
            if flow.id in self._flows_used or flow.transport != "tcp" or flow.protocol == "dns":
                continue
            name = self.index.name(flow)
            guessed = flow.client.ip in self.guessed
            if not guessed and flow.id not in self.index.of_go and (self.account.present or not self._mirror(name)):
                continue
            broken = of_flow(flow, self.index.judgement(flow, name))
            broken = broken if self.account.present or self._mirror(name) else to_proxy(flow, broken)
            if is_extra(flow) and (with_account or (flow.client.ip, name) in self._busy):
                continue
            if with_account and (name in explained or broken is None or flow.server.ip in addresses):
                continue  # go's account already tells what this connection was for
            if flow.exchanges and not flow.tunnel:
                continue
            self._add(self._connection(flow, name, broken))

    @cached_property
    def _busy(self) -> set[tuple[str, str | None]]:
        """(client, name) of the connections that were used, or may be still."""
        return {
            (flow.client.ip, self.index.name(flow))
            for flow in self.index.traffic.flows
            if flow.exchanges or not (is_extra(flow) or has_failed(flow))
        }

    def _connection(self, flow: Flow, name: str | None, broken: Failure | None) -> Row:
        host = name or flow.server.ip
        port = flow.tunnel.authority.rsplit(":", 1)[-1] if flow.tunnel else str(flow.server.port)
        scheme = "http" if port == "80" else "https"
        default = {"http": "80", "https": "443"}[scheme]
        told = inferred(flow)
        return Row(
            url=f"{scheme}://{f'[{host}]' if ':' in host else host}" + ("" if port == default else f":{port}"),
            artifact=Artifact.CONNECTION,
            failure=broken,
            evidence=(
                _shown(flow, name),
                *(evidence.inference(item.text) for item in told),
                *[GUESSED] * (flow.client.ip in self.guessed and not self._mirror(name)),
            ),
            visibility=Visibility.NOT_OBSERVABLE,
            inferred=told,
            flow=flow,
            answered=broken is None and not is_extra(flow) and flow.bytes_down > 0,
            start_ns=flow.start_ns,
        )

    def _unresolved(self) -> None:
        """Names that go (or anyone, for known hosts) asked for in vain and that no row tells of."""
        if self.account.log.fetches:
            return
        clients = {flow.client.ip for flow in self.index.traffic.flows if flow.id in self.index.of_go}
        flows = [flow for flow in self.index.traffic.flows if flow.transport == "tcp" and flow.syn_ns]
        one_sided = any(flow.outcome is Outcome.PARTIAL for flow in flows) and not any(it.packets_down for it in flows)
        asked = {name for name, lookups in self.index.lookups.items() if lookups[0].client in self.guessed}
        for name, lookups in self.index.lookups.items():
            guessed = name in asked and not is_variant(name, asked) and not self._mirror(name)
            known = self._mirror(name) or guessed
            if any(item.addresses for item in lookups) or not (
                known or any(item.client in clients for item in lookups)
            ):
                continue
            broken = next((found for item in lookups if (found := of_lookup(item))), None)
            first = lookups[0]
            if broken and broken.kind == "dns-timeout" and one_sided:
                continue  # the capture has nothing that comes back
            if broken and (known or broken.kind != "nxdomain"):  # search-domain variants end in NXDOMAIN all the time
                packet = next(iter((*first.answer_packets, *first.query_packets)), 0)
                self._add(
                    Row(
                        url=f"https://{name}",
                        artifact=Artifact.CONNECTION,
                        failure=broken,
                        evidence=(
                            evidence.packet(packet, broken.text, first.file)
                            if packet
                            else evidence.inference(broken.text),
                            *[GUESSED] * guessed,
                        ),
                        visibility=Visibility.NOT_OBSERVABLE,
                        start_ns=first.start_ns,
                    )
                )

    # -- joining -------------------------------------------------------------------------------------------------------

    def _add(self, row: Row) -> None:
        joined = self._join(row)
        row, legs = joined.row, joined.legs
        opaque = row.artifact is Artifact.CONNECTION
        answerer, confidence = handler(self.index, legs, answered=row.answered)
        claims = answerer in (HandledBy.MITM, HandledBy.UNKNOWN)
        self._flows_used.update(leg.flow.id for leg in legs if leg.flow)
        flow, start_ns = legs[0].flow, row.start_ns
        if not start_ns and flow:
            start_ns = joined.exchange.request_ns if joined.exchange else flow.start_ns
        self._requests.append(
            Request(
                id=len(self._requests),
                url=None if opaque else mask_url(row.url),
                module=row.parts.module if row.parts else _repository(row),
                version=row.parts.version if row.parts else None,
                artifact=row.artifact,
                attempt=row.attempt.number if row.attempt else 1,
                repeats=row.repeats,
                proxy_entry=row.attempt.entry.url if row.attempt and row.attempt.entry else None,
                next_entry=row.attempt.why if row.attempt else None,
                status=row.status,
                status_text=row.reason,
                redirects=tuple(map(mask_url, row.redirects)),
                handled_by=answerer,
                claims_to_be=row.host if claims else None,
                hops=hops(self.index, legs),
                timings=self._timings(row, legs[0]),
                bytes_up=flow.bytes_up if flow and opaque else None,
                bytes_down=flow.bytes_down if flow and opaque else row.bytes_down,
                failure=row.failure,
                visibility=row.visibility,
                confidence=confidence,
                evidence=self._proof(joined),
                start_ns=start_ns,
                h1=row.h1,
                inferred=row.inferred,
            )
        )

    def _join(self, row: Row) -> _Joined:
        first = self._leg(row, row.url, last=not row.followed)
        if row.artifact is Artifact.GIT and first.https and first.flow and first.flow.exchanges and not first.flow.tls:
            asked = next((parts for item in first.flow.exchanges if (parts := maybe_module_url(item.url))), None)
            row = replace(row, url=asked.base if asked else row.url)
            first = replace(first, https=False)
        if first.failure and first.failure is row.failure:
            row = replace(row, failure=sharpened(first.failure, first.flow))
            first = replace(first, failure=row.failure)
        if first.forged and row.failure:
            row = replace(row, failure=failure("forged-answer", row.failure.text))
            first = replace(first, failure=row.failure)
        exchange, sent = None, row.sent
        if first.flow and row.flow is None:
            flow = first.flow
            sent = sent or tuple(Sent(flow=flow, exchange=item) for item in flow.exchanges if item.url == row.url)[:1]
            exchange = sent[-1].exchange if sent else None
        if exchange and row.parts:  # `-x` tells no redirect, and the HTTP/2 log none of HTTP/1
            seen = self.sources.of_packets(sent, row.parts)
            broken = row.failure
            if seen.failure and seen.failure.stage is Stage.CONTENT and (not broken or broken.stage is Stage.CONTENT):
                broken = seen.failure  # the packets show the content that go only complains of
            row = replace(row, bytes_down=seen.bytes_down, h1=seen.h1, failure=broken, start_ns=seen.start_ns)
            if not row.redirects:
                row = replace(row, redirects=seen.redirects, followed=seen.followed)
            first = replace(first, failure=None if row.followed else row.failure)
        legs = [first]
        for number, url in enumerate(row.followed, 1):
            if host_of(url) != legs[-1].host:
                legs.append(self._leg(row, url, last=number == len(row.followed)))
        if row.unfinished:
            row = replace(row, failure=self._waited_for(row, legs[-1]))
        if legs[-1].failure is not row.failure:  # a redirect within the last host
            legs[-1] = replace(legs[-1], failure=row.failure)
        return _Joined(row=row, legs=tuple(legs), exchange=exchange)

    def _waited_for(self, row: Row, leg: Leg) -> Failure | None:
        """Why a request had not come to its end when go did: the packets tell more than go's log."""
        flow = leg.flow
        if not row.answered:
            lookup = None if flow else self.index.lookup(leg.host)
            found = of_flow(flow, None) if flow else of_lookup(lookup) if lookup else None
            return found or row.failure
        stopped = of_flow(flow, None) if flow and flow.outcome is Outcome.STALLED else None
        interrupted = bool(self.account.exit_code) and not self.account.log.errors
        if stopped is None and interrupted and (not flow or self.account.ended_ns - flow.last_down_ns > PATIENCE_NS):
            stopped = failure("stalled", "the answer had begun, and its end had not come when the command ended")
        return row.failure or stopped

    def _leg(self, row: Row, url: str, *, last: bool) -> Leg:
        host, own, https = host_of(url), url == row.url, url.startswith("https://")
        found = row.failure if last else None
        proxy = proxy_for(url, self.account.process_env) if self.account.process_env else None
        masked, named = mask_url(url), row.remote if own else None
        flow = (row.flow or (row.sent[-1].flow if row.sent else None)) if own else None
        if flow:
            carried = Carried(flow=flow)
        else:
            wanted = Wanted(
                url=masked,
                host=host,
                answered=row.answered or not last,
                failure=found,
                git=row.artifact is Artifact.GIT,
                order=row.order,
                orders=row.orders,
                remote=named,
            )
            carried = self.carriers.find(wanted, proxy)
        said = ends(found.text) if found and not row.answered else None
        remote = said[1] if said else endpoint(named) if named else None
        return Leg(
            host=host,
            role=self._role(row, url, host, carried.flow),
            https=https,
            proxy=proxy,
            carried=carried,
            judged=self.index.judgement(carried.flow, host) if https else None,
            failure=found,
            address=remote[0] if remote else None,
            opaque=row.artifact is Artifact.CONNECTION,
            forged=_forged(carried.flow, masked),
        )

    def _role(self, row: Row, url: str, host: str, flow: Flow | None) -> Role:
        known = self.index.known(host)
        if row.artifact in _ORIGINS:
            return Role.ORIGIN
        if any(url.startswith(base.rstrip("/") + "/") for base in self.bases):
            return Role.MIRROR
        if known and known.role in ROLES:
            return ROLES[known.role]
        if url != row.url:
            return Role.CDN
        if row.artifact in _SUMDB:  # below /sumdb/ a mirror passes the database on (cmd/go/internal/modfetch/sumdb.go)
            return Role.MIRROR if "/sumdb/" in url else Role.CHECKSUM_DB
        return Role.MIRROR if row.artifact not in (Artifact.OTHER, Artifact.CONNECTION) else Role.ORIGIN

    def _timings(self, row: Row, leg: Leg) -> RequestTimings:
        flow = leg.flow
        through = proxied(self.index, leg)
        asked = host_of(leg.proxy) if through and leg.proxy else leg.host
        lookup = self.index.lookup(asked, flow)
        tunnel = flow.tunnel if flow else None
        own = flow is not None and (not through or tunnel is not None)  # not the TLS of an https forward proxy
        return RequestTimings(
            dns_s=lookup.latency_s if lookup else None,
            connect_s=flow.connect_s if flow else None,
            tunnel_s=(tunnel.response_ns - tunnel.request_ns) / 1e9 if tunnel and tunnel.response_ns else None,
            tls_s=flow.tls_s if flow and own else None,
            response_s=row.elapsed_s,
        )

    def _proof(self, joined: _Joined) -> tuple[Evidence, ...]:
        """The row's own evidence, then for each leg the packets, log lines and probes that it rests on."""
        row, proof = joined.row, list(joined.row.evidence)
        for leg in joined.legs:
            flow = leg.flow
            if flow is None and leg.failure and leg.failure.stage is Stage.DNS:
                lookup = self.index.lookup(leg.host) if row.visibility is Visibility.SEEN else None
                packets = (*lookup.answer_packets, *lookup.query_packets) if lookup and of_lookup(lookup) else ()
                if lookup and packets:
                    text = f"DNS {lookup.rcode}" if lookup.rcode else f"DNS query for {leg.host}, not answered"
                    proof.append(evidence.packet(packets[0], text, lookup.file))
            elif flow and joined.exchange and leg is joined.legs[0]:
                proof.append(evidence_of_exchange(flow, joined.exchange))
            elif flow and flow is not row.flow:
                proof.append(_shown(flow, leg.host))
            if leg.https and flow and flow.protocol == "ssh":
                proof.append(
                    evidence.inference(f"git asked {leg.host} over ssh in place of https, as its insteadOf says")
                )
            if leg.carried.of > 1:
                text = f"{leg.host} has {leg.carried.of} connections that may have carried it; which is not observable"
                proof.append(evidence.inference(text))
            judgement = leg.judgement
            if judgement and judgement.interceptor:
                text = f"certificate issued by {judgement.interceptor}"
                if judgement.visibility is Visibility.INFERRED:
                    where = "in place of others on this way" if judgement.chain else "in its place"
                    proof.append(evidence.inference(f"{judgement.interceptor} answered {where}"))
                elif judgement.visibility is Visibility.PROBED:
                    proof.append(evidence.probe(text))
                else:
                    proof.append(evidence.packet(judgement.packet, text, judgement.file))
        return tuple(dict.fromkeys(proof))


def _forged(flow: Flow | None, url: str) -> bool:
    """Whether the answer to a request in clear is data in place of which the server sent other data."""
    twice = flow.twice if flow else None
    if flow is None or twice is None or twice.from_client:
        return False
    return any(item.url == url and item.response_packet == twice.packet for item in flow.exchanges)


def _repository(row: Row) -> str | None:
    """What stands in the place of the module in the row of a git command."""
    if row.artifact is not Artifact.GIT:
        return None
    return f"{row.host}/{split(row.url).path.strip('/')}".removesuffix(".git")


def _shown(flow: Flow, name: str | None) -> Evidence:
    """The packet that shows what a flow was for."""
    tls = flow.tls
    number = tls.hello_packet if tls and tls.hello_packet else flow.first_packet
    if tls and tls.hello and tls.hello.sni:
        text = f"ClientHello for {tls.hello.sni}"
    elif flow.tunnel:
        number, text = flow.tunnel.request_packet, flow.tunnel.request
    elif flow.outcome in (Outcome.NO_ANSWER, Outcome.REFUSED, Outcome.UNREACHABLE):
        text = f"SYN to {flow.server.ip}:{flow.server.port}" + (f" ({name})" if name else "")
    else:
        text = f"connection to {flow.server.ip}:{flow.server.port}"
    return evidence.packet(number, text, flow.file)
