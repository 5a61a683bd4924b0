"""The gateway's proxies: command lines and configuration of tinyproxy, Squid, mitmproxy, microsocks, lab.badproxy."""

import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from lab import pki, servers
from lab.network import CLIENT, CLIENT6, GATEWAY, RESOLVER, WAN_GATEWAY, command
from lab.scenario import PROXY_PORT, Gateway, Scenario
from lab.servers import MITM, PKI, RUN

UPSTREAM_PORT = PROXY_PORT + 1
ADDONS = Path(__file__).parent / "addons"
CERTGEN = Path("/usr/lib/squid/security_file_certgen")
NOT_ROOT = (
    "unshare",
    "--user",
    "--map-user=13",
    "--map-group=13",
)  # Squid refuses to run as user 0, also of a namespace


def proxies(scenario: Scenario) -> dict[str, tuple[list[str], int]]:
    """Its proxy programs by name of their log: command and port. Writes their configuration."""
    gateway = scenario.gateway
    found = {}
    if gateway.proxy:
        found["proxy"] = _COMMANDS[gateway.proxy](scenario, PROXY_PORT), PROXY_PORT
    if gateway.upstream:
        found["upstream"] = _COMMANDS[gateway.upstream](scenario, UPSTREAM_PORT), UPSTREAM_PORT
    return found


def write_authority(gateway: Gateway) -> None:
    """The interceptor's authority where it is not mitmproxy's own, and the leaves that are made beforehand."""
    if not gateway.ca:
        return
    ca = pki.issue(gateway.ca, None, days=3650, age_days=300, organisation="Corp Networks")
    for name in (authority(gateway), MITM / "mitmproxy-ca.pem"):
        name.write_bytes(ca.key_pem + ca.pem)
    shared = ec.generate_private_key(ec.SECP256R1())
    for host in gateway.same_key:
        leaf = pki.issue(host, ca, dns=[host], key=shared, public=False)
        (MITM / f"{host}.pem").write_bytes(leaf.key_pem + leaf.pem + ca.pem)


def authority(gateway: Gateway) -> Path:
    """PEM file with the interceptor's authority."""
    return MITM / ("inspection-ca.pem" if gateway.ca else "mitmproxy-ca-cert.pem")


def proxy_url(gateway: Gateway, host: str) -> str:
    """What the client's variables name."""
    return f"{'socks5' if gateway.proxy == 'microsocks' else 'http'}://{host}:{PROXY_PORT}"


def via(gateway: Gateway, client: str) -> str:
    """Which of the gateway's proxies a request with this source address came through; "" for none."""
    return "" if client in (CLIENT, CLIENT6) else gateway.proxy


def _tinyproxy(scenario: Scenario, port: int) -> list[str]:
    gateway = scenario.gateway
    (RUN / "denied").write_text("".join(f"^{name.replace('.', '[.]')}$\n" for name in gateway.deny))
    (RUN / "tinyproxy.conf").write_text(
        f"Port {port}\nTimeout 600\nMaxClients 200\nConnectPort 443\nConnectPort 80\n"
        f'FilterExtended On\nFilter "{RUN}/denied"\nAllow {GATEWAY}/24\nAllow {WAN_GATEWAY}\nLogLevel Connect\n'
        + (f"BasicAuth lab {gateway.password}\n" if gateway.password else "")
        + (f"Upstream http {GATEWAY}:{UPSTREAM_PORT}\n" if gateway.upstream and port == PROXY_PORT else "")
    )
    return ["tinyproxy", "-d", "-c", str(RUN / "tinyproxy.conf")]


def _mitmproxy(scenario: Scenario, port: int) -> list[str]:
    gateway = scenario.gateway
    return [
        servers.mitmdump() or "mitmdump",
        *("--mode", "transparent" if gateway.transparent else "regular", "--listen-port", str(port)),
        *("--set", f"confdir={MITM}", "--set", f"ssl_verify_upstream_trusted_ca={PKI}/public.pem"),
        *(word for host in gateway.same_key for word in ("--certs", f"{host}={MITM}/{host}.pem")),
        *(word for name in gateway.addons for word in ("--scripts", str(ADDONS / f"{name}.py"))),
    ]


def _squid(scenario: Scenario, port: int) -> list[str]:
    """Squid keeps nothing: no cache, no files, its shared memory in the world's own /dev/shm."""
    ca, bump = authority(scenario.gateway), ""
    if scenario.gateway.ca:
        bump = f" ssl-bump tls-cert={ca} generate-host-certificates=on"
        command(str(CERTGEN), "-c", "-s", str(RUN / "squid-certs"), "-M", "4MB")
    (RUN / "squid.conf").write_text(
        f"""
http_port {port}{bump}
visible_hostname proxy.corp.example
dns_nameservers {RESOLVER}
hosts_file none
cache deny all
pid_filename none
coredump_dir none
pinger_enable off
netdb_filename none
access_log stdio:/dev/stderr
cache_log /dev/stderr
http_access allow all
shutdown_lifetime 1 seconds
tls_outgoing_options cafile={PKI}/public.pem
sslcrtd_program {CERTGEN} -s {RUN}/squid-certs -M 4MB
sslcrtd_children 2 startup=2
"""
        + ("acl start at_step SslBump1\nssl_bump peek start\nssl_bump bump all\n" if bump else "")
    )
    return [*NOT_ROOT, "squid", "-N", "-f", str(RUN / "squid.conf")]


def _microsocks(scenario: Scenario, port: int) -> list[str]:
    password = scenario.gateway.password
    return ["microsocks", "-p", str(port), *(["-u", "lab", "-P", password] if password else [])]


def _badproxy(scenario: Scenario, port: int) -> list[str]:
    return [sys.executable, "-m", "lab.badproxy", str(port), scenario.gateway.fault]


_COMMANDS = {
    "tinyproxy": _tinyproxy, "mitmproxy": _mitmproxy, "squid": _squid, "microsocks": _microsocks, "badproxy": _badproxy
}  # fmt: skip
