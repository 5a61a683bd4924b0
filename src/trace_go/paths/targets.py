"""Which hosts a probe should ask: those the command reached by TLS whose certificates the packets hide."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from trace_go.gocmd.environment import raw_proxy_for
from trace_go.model.flow import Traffic
from trace_go.model.go import GoAccount
from trace_go.paths.failures import CERTIFICATE_KINDS
from trace_go.paths.index import of_go

MAX_TARGETS = 32
"""hosts probed after one command; a `go mod download` reaches a handful"""


def probe_targets(
    traffic: Traffic, account: GoAccount, environment: Mapping[str, str]
) -> tuple[tuple[str, int, str | None], ...]:
    """(host, port, forward proxy URL with its credentials or None), each once."""
    found: dict[tuple[str, int], None] = {}
    for flow in traffic.flows:
        tls = flow.tls
        if tls and tls.server and not tls.chain and flow.name and of_go(flow):
            port = int(flow.tunnel.authority.rsplit(":", 1)[-1]) if flow.tunnel and _port(flow.tunnel.authority) else 0
            found[flow.name, port or flow.server.port] = None
    if not traffic.flows:
        for url in _reached(account):
            split = urlsplit(url)
            if split.scheme == "https" and split.hostname:
                found[split.hostname, split.port or 443] = None
    return tuple(
        (host, port, raw_proxy_for(f"https://{host}:{port}/", environment)) for host, port in list(found)[:MAX_TARGETS]
    )


def _port(authority: str) -> bool:
    port = authority.rsplit(":", 1)[-1]
    return port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536


def _reached(account: GoAccount) -> list[str]:
    """URLs whose host answered go, or showed it a certificate that go refused."""
    answered = [fetch.url for fetch in account.log.fetches if fetch.status is not None]
    refused = [error.url for error in account.log.errors if error.kind in CERTIFICATE_KINDS and error.url]
    return answered + refused
