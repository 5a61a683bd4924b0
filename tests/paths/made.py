"""Traffic and go's account, made by hand: each test says only what it is about."""

from collections.abc import Sequence
from typing import Any

from trace_go.gocmd.config import Config
from trace_go.gocmd.environment import settings
from trace_go.gocmd.hosts import load_hosts
from trace_go.gocmd.messages import parse_error
from trace_go.model.chain import ChainFault, Judgement
from trace_go.model.dns import Lookup
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.flow import Endpoint, Flow, Outcome, Traffic, Tunnel
from trace_go.model.go import Fetch, GoAccount, GoError, GoLog, Http2Exchange, VcsCommand
from trace_go.model.http import Exchange
from trace_go.model.ledger import Request
from trace_go.model.tls import Certificate, ClientHello, ServerHello, TlsSession, TlsState
from trace_go.paths.index import Index
from trace_go.paths.ledger import build

CLIENT, RESOLVER, PROXY = "192.0.2.2", "198.51.100.53", "192.0.2.1"
MIRROR, OTHER = "203.0.113.10", "203.0.113.11"
MS = 1_000_000
START = 1_700_000_000_000_000_000

_STATES = {
    Outcome.REJECTED_CERTIFICATE: TlsState.REFUSED_BY_CLIENT,
    Outcome.REFUSED_HANDSHAKE: TlsState.REFUSED_BY_SERVER,
    Outcome.NOT_TLS: TlsState.NOT_TLS_ANSWER,
    Outcome.SILENT: TlsState.CLIENT_HELLO,
    Outcome.CLOSED_IN_HANDSHAKE: TlsState.CLIENT_HELLO,
}
_BEFORE_DATA = (Outcome.REFUSED, Outcome.NO_ANSWER, Outcome.UNREACHABLE)


def certificate(name: str = "proxy.golang.org", issuer: str = "CN=Root", sha256: str = "aa") -> Certificate:
    return Certificate(
        der=b"",
        sha256=sha256,
        subject=f"CN={name}",
        issuer=issuer,
        subject_cn=name,
        issuer_cn=issuer.removeprefix("CN="),
        issuer_o=None,
        names=(name,),
        not_before=None,
        not_after=None,
        serial="01",
        key="ECDSA P-256",
        signature="ecdsa-with-SHA256",
        spki_sha256="bb",
        is_ca=False,
        self_issued=False,
        signed_by_own_key=False,
        has_sct=True,
    )


def client_hello(sni: str | None) -> ClientHello:
    return ClientHello(
        legacy_version=0x303,
        cipher_suites=(0x1301,),
        compression_methods=(0,),
        extension_types=(0, 16),
        sni=sni,
        alpn=("h2", "http/1.1"),
        versions=(0x304, 0x303),
        groups=(29,),
        key_shares=(29,),
        signature_algorithms=(),
        unknown_extensions=(),
        session_id_length=32,
        ja3="0" * 32,
        ja4="t13d1312h2_0",
        oddities=(),
    )


def session(
    sni: str | None, state: TlsState, client: str, chain: tuple[Certificate, ...], at_ns: int, packet: int, sent: int
) -> TlsSession:
    answered = state in (TlsState.ESTABLISHED, TlsState.REFUSED_BY_CLIENT)
    server = ServerHello(
        legacy_version=0x303,
        version=0x303 if chain else 0x304,
        random=bytes(32),
        cipher_suite=0x1301,
        extension_types=(),
        alpn=None,
        group=29,
        hello_retry=False,
        ja3s="0" * 32,
        oddities=(),
    )
    return TlsSession(
        hello=client_hello(sni),
        client_random=packet.to_bytes(32),
        hello_packet=packet,
        hello_ns=at_ns,
        server=server if answered else None,
        server_packet=packet + 1 if answered else 0,
        server_ns=at_ns + MS if answered else 0,
        hello_retry=False,
        chain=chain,
        chain_packet=packet + 1 if chain else 0,
        chain_visibility=Visibility.SEEN if chain else Visibility.NOT_OBSERVABLE,
        established_ns=at_ns + 2 * MS if state is TlsState.ESTABLISHED else 0,
        alerts=(),
        state=state,
        refusal_visibility=Visibility.SEEN,
        end_packet=packet + 2,
        client_app_bytes=sent if state is TlsState.ESTABLISHED else 0,
        server_flight_bytes=1500,
        client=client,
    )


def exchange(url: str, status: int | None = 200, **changes: Any) -> Exchange:
    """A clear HTTP exchange; `host` comes from the URL."""
    fields: dict[str, Any] = {
        "method": "GET",
        "url": url,
        "host": url.split("/")[2],
        "status": status,
        "reason": {200: "OK", 302: "Found", 404: "Not Found", 403: "Forbidden"}.get(status or 0, ""),
        "location": None,
        "user_agent": "GoCommand/1 (+https://go.dev/cmd/go)",
        "server": None,
        "content_type": None,
        "via": None,
        "referer": None,
        "proxied": False,
        "has_credentials": False,
        "request_packet": 4,
        "request_ns": START,
        "response_packet": 5 if status else 0,
        "response_ns": START + MS if status else 0,
        "body_bytes": 12 if status else -1,
    }
    return Exchange(**fields | changes)


class Net:
    """Flows and lookups in the order in which they are added, a millisecond apart."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self.lookups: list[Lookup] = []
        self.judgements: list[Judgement] = []

    @property
    def traffic(self) -> Traffic:
        return Traffic(flows=tuple(self.flows), lookups=tuple(self.lookups))

    def _now(self) -> int:
        return START + (len(self.flows) + len(self.lookups)) * MS

    def resolve(self, name: str, *addresses: str, rcode: str | None = "NOERROR", **changes: Any) -> Lookup:
        number = 1000 + len(self.lookups) * 2
        fields: dict[str, Any] = {
            "name": name,
            "type": "AAAA" if addresses and ":" in addresses[0] else "A",
            "client": CLIENT,
            "resolver": RESOLVER,
            "transport": "udp",
            "rcode": rcode,
            "addresses": addresses,
            "cnames": (),
            "start_ns": self._now(),
            "latency_s": 0.001 if rcode else None,
            "retries": 0,
            "conflicting": False,
            "conflicts": (),
            "query_packets": (number,),
            "answer_packets": (number + 1,) if rcode else (),
        }
        self.lookups.append(Lookup(**fields | changes))
        return self.lookups[-1]

    def flow(
        self,
        name: str | None = "proxy.golang.org",
        ip: str = MIRROR,
        port: int = 443,
        *,
        outcome: Outcome = Outcome.OK,
        client: str = "go 1.27",
        chain: tuple[Certificate, ...] = (),
        exchanges: Sequence[Exchange] = (),
        tls: bool | None = None,
        tunnel: Tunnel | None = None,
        source: str = CLIENT,
        **changes: Any,
    ) -> Flow:
        """A flow to `name`. tls: None = as the port, the outcome and the exchanges suggest."""
        number, at_ns = len(self.flows), self._now()
        packet = 10 * number + 1
        if tls is None:
            tls = port != 80 and outcome not in _BEFORE_DATA and not exchanges and outcome is not Outcome.TUNNEL_REFUSED
        state = _STATES.get(outcome, TlsState.ESTABLISHED)
        sent = 0 if outcome is Outcome.IDLE else 400
        fields: dict[str, Any] = {
            "id": number,
            "transport": "tcp",
            "client": Endpoint(ip=source, port=40_000 + number),
            "server": Endpoint(ip=ip, port=port),
            "file": 0,
            "first_packet": packet,
            "last_packet": packet + 9,
            "start_ns": at_ns,
            "end_ns": at_ns + 50 * MS,
            "packets_up": 5,
            "packets_down": 5,
            "bytes_up": 900,
            "bytes_down": 100 if outcome is Outcome.IDLE else 5_000,
            "retransmissions_up": 0,
            "unacknowledged_up": 0,
            "unacknowledged_down": 0,
            "hole": False,
            "acknowledged_down_ns": at_ns,
            "retransmissions_down": 0,
            "syn_packet": packet,
            "syn_count": 1,
            "syn_ns": at_ns,
            "syn_ack_packet": 0 if outcome in _BEFORE_DATA else packet + 1,
            "syn_ack_ns": 0 if outcome in _BEFORE_DATA else at_ns + MS,
            "syn_ack_ttl": 60,
            "first_up_ns": at_ns,
            "first_down_ns": at_ns,
            "last_down_ns": at_ns,
            "last_up_ns": at_ns,
            "fin_from_client": True,
            "fin_from_server": True,
            "server_closed_first": False,
            "reset": None,
            "icmp": None,
            "icmp_packet": 0,
            "outcome": outcome,
            "protocol": "tls" if tls else "http" if exchanges else "",
            "tls": session(name, state, client, chain, at_ns, packet + 3, sent) if tls else None,
            "tunnel": tunnel,
            "exchanges": tuple(exchanges),
            "process": None,
            "twice": None,
            "wait": None,
        }
        self.flows.append(Flow(**fields | changes))
        return self.flows[-1]

    def through_proxy(self, name: str = "proxy.golang.org", status: int | None = 200, **changes: Any) -> Flow:
        """A CONNECT tunnel by the forward proxy, with TLS inside when it is accepted."""
        tunnel = Tunnel(
            authority=f"{name}:443",
            status=status,
            reason={200: "Connection established", None: ""}.get(status, "Forbidden"),
            request_packet=10 * len(self.flows) + 4,
            request_ns=self._now() + MS,
            response_packet=10 * len(self.flows) + 5 if status else 0,
            response_ns=self._now() + 2 * MS if status else 0,
            user_agent="Go-http-client/1.1",
            has_credentials=False,
        )
        outcome = Outcome.OK if status == 200 else Outcome.TUNNEL_REFUSED
        return self.flow(name, **{"ip": PROXY, "port": 3128, "outcome": outcome, "tunnel": tunnel, **changes})

    def judge(self, flow: Flow | None, name: str = "proxy.golang.org", **changes: Any) -> Judgement:
        """How the chain of a flow stands, or, without a flow, that of a probe: trusted unless changed."""
        tls = flow.tls if flow else None
        fields: dict[str, Any] = {
            "name": name,
            "flow": flow.id if flow else None,
            "packet": tls.chain_packet if tls else 0,
            "file": 0,
            "chain": tls.chain if tls else (certificate(),),
            "visibility": Visibility.SEEN if flow else Visibility.PROBED,
            "trusted": True,
            "fault": None,
            "detail": "",
            "trust": "system",
            "at_ns": tls.server_ns if tls else START,
        }
        self.judgements.append(Judgement(**fields | changes))
        return self.judgements[-1]

    def intercept(self, flow: Flow | None, name: str = "proxy.golang.org", product: str = "mitmproxy") -> Judgement:
        return self.judge(
            flow,
            name,
            trusted=False,
            fault=ChainFault.UNKNOWN_AUTHORITY,
            detail="the issuer is not in the trust store",
            interceptor=product,
            interceptor_why=(f"the issuer is known for {product}",),
            interceptor_confidence=Confidence.CERTAIN if flow else Confidence.HIGH,
        )

    def index(self, config: Config | None = None) -> Index:
        return Index(self.traffic, load_hosts(config or Config()), self.judgements)


class Log:
    """What go would have logged, a line each."""

    def __init__(self) -> None:
        self._fetches: list[Fetch] = []
        self._vcs: list[VcsCommand] = []
        self._http2: list[Http2Exchange] = []
        self._errors: list[GoError] = []
        self.line = 0

    def _next(self) -> int:
        self.line += 1
        return self.line

    def get(
        self,
        url: str,
        status: int | None = 200,
        *,
        error: str | None = None,
        sent: Sequence[int | None] = (),
        location: str | None = None,
        remote: str | None = None,
        web_page: bool | None = None,
        finished: bool = True,
        ended: bool = True,
    ) -> None:
        """A `# get` pair. error: what follows the URL; sent: statuses in the HTTP/2 log, the last with `location`."""
        start = self._next()
        for number, code in enumerate(sent, 1):
            target = location if number == len(sent) else None
            self.http2(url, code, location=target, remote=remote, web_page=web_page, ended=ended)
        status = None if error or not finished else status
        reason = {200: "OK", 404: "Not Found", 410: "Gone", 403: "Forbidden", 500: "Internal Server Error"}
        self._fetches.append(
            Fetch(
                url=url,
                status=status,
                reason=reason.get(status or 0, ""),
                elapsed_s=0.004 if status else None,
                error=error,
                line=self._next() if finished else start,
                start_line=start,
                finished=finished,
            )
        )

    def fail(self, url: str, message: str) -> None:
        """A transport error, as net/http words it."""
        self.get(url, error=f'Get "{url}": {message}')

    def http2(
        self,
        url: str,
        status: int | None,
        *,
        location: str | None = None,
        remote: str | None = None,
        web_page: bool | None = None,
        ended: bool = True,
    ) -> Http2Exchange:
        line = self._next()
        self._http2.append(
            Http2Exchange(
                connection="0xc000",
                remote=remote,
                stream=2 * line + 1,
                method="GET",
                url=url,
                user_agent="GoCommand/1 (+https://go.dev/cmd/go)",
                referer=None,
                status=status,
                location=location,
                line=line,
                web_page=web_page,
                unfinished=not ended,
            )
        )
        return self._http2[-1]

    def git(self, remote: str, words: str = "ls-remote -q --end-of-options {}") -> None:
        command = f"git {words.format(remote)}"
        self._vcs.append(
            VcsCommand(command=command, directory="/m/vcs/x", elapsed_s=0.1, line=self._next(), remote=remote)
        )

    def say(self, text: str) -> None:
        """An error line of go, with its continuation lines."""
        found = parse_error(text, self._next())
        assert found
        self._errors.append(found)

    @property
    def log(self) -> GoLog:
        return GoLog(
            fetches=tuple(self._fetches),
            vcs=tuple(self._vcs),
            http2=tuple(self._http2),
            errors=tuple(self._errors),
            lines=self.line,
        )


def account(
    log: Log | None = None, env: dict[str, str] | None = None, go_env: dict[str, str] | None = None, **changes: Any
) -> GoAccount:
    """What a traced command told; without a log, that nothing was traced."""
    if not log:
        return GoAccount(**changes)
    fields: dict[str, Any] = {
        "argv": ("go", "mod", "download"),
        "exit_code": 0,
        "go_env": {"GOVERSION": "go1.27.3", **(go_env or {})},
        "process_env": env or {},
        "log": log.log,
    }
    return GoAccount(**fields | changes)


def ledger(
    net: Net,
    log: Log | None = None,
    *,
    config: Config | None = None,
    env: dict[str, str] | None = None,
    **go_env: str,
) -> tuple[Request, ...]:
    """The ledger as the pipeline builds it. env: the command's proxy variables."""
    told = account(log, env, go_env)
    plan = settings(told.go_env) if log else None
    hosts = load_hosts(config, plan)
    return build(net.traffic, told, plan, hosts, net.judgements)
