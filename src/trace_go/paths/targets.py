"""Which hosts a probe should ask: those the command reached by TLS whose certificates the packets hide."""

from collections.abc import Mapping

from trace_go.gocmd.environment import raw_proxy_for
from trace_go.model.flow import Traffic
from trace_go.model.go import GoAccount
from trace_go.paths.failures import CERTIFICATE_KINDS
from trace_go.paths.index import of_go
from trace_go.paths.urls import endpoint, host_of, port_of

MAX_TARGETS = 32
"""hosts probed after one command; a `go mod download` reaches a handful"""


def probe_targets(
    traffic: Traffic, account: GoAccount, environment: Mapping[str, str]
) -> tuple[tuple[str, int, str | None], ...]:
    """(host, port, forward proxy URL with its credentials or None), each once.

    Of the packets only connections that the command made: by process table, else to a host that its log names.
    """
    found: dict[tuple[str, int], None] = {}
    told = _told(account)
    for flow in traffic.flows:
        tls = flow.tls
        ours = flow.process is not None or flow.name in told or not told
        if tls and tls.server and not tls.chain and flow.name and of_go(flow) and ours:
            asked = endpoint(flow.tunnel.authority) if flow.tunnel else None
            found[flow.name, asked[1] if asked else flow.server.port] = None
    captured = {flow.name for flow in traffic.flows if flow.tls}
    for url in _reached(account):
        host = host_of(url)
        if url.startswith("https://") and host and host not in captured:
            found[host, port_of(url)] = None
    return tuple(
        (host, port, raw_proxy_for(f"https://{host}:{port}/", environment)) for host, port in list(found)[:MAX_TARGETS]
    )


def _told(account: GoAccount) -> set[str]:
    """Hosts that go's log names."""
    log = account.log
    urls = [fetch.url for fetch in log.fetches] + [item.url for item in log.http2]
    urls += [item.location for item in log.http2 if item.location]
    urls += [command.remote for command in log.vcs if command.remote] + [error.url for error in log.errors if error.url]
    return {host_of(url) for url in urls} - {""}


def _reached(account: GoAccount) -> list[str]:
    """URLs whose host answered go, or showed it a certificate that go refused."""
    answered = [fetch.url for fetch in account.log.fetches if fetch.status is not None]
    refused = [error.url for error in account.log.errors if error.kind in CERTIFICATE_KINDS and error.url]
    return answered + refused
