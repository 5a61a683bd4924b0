"""Commands of remedies. Names, URLs and module paths come from hostile input: quoted, or there is no command."""

import ipaddress
import shlex
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from trace_go.model.ledger import Request, Role
from trace_go.model.report import Case

MAX_WORD_CHARS = 1000
"""a name or URL that is longer does not help anybody who reads it on a terminal"""
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


def shell(template: str, *words: str) -> str | None:
    """`template`, which is ours, with each `{}` replaced by one of `words`, quoted for a POSIX shell.

    None when a word does not fit on one line, is empty or would be taken for an option.
    """
    if any(not word.isprintable() or word[:1] in ("", "-") or len(word) > MAX_WORD_CHARS for word in words):
        return None
    return template.format(*map(shlex.quote, words))


def target(request: Request) -> str:
    """Host that a request was for; of one that failed the host that was asked then, which a redirect may have named."""
    hop = request.asked if request.failure else request.target
    return (hop.host or hop.ip or "?") if hop else "?"


def site(case: Case, request: Request) -> str:
    """`https://host[:port]` of the server that a request was for."""
    host, port = target(request), port_of(case, request)
    scheme = "http" if (request.url or "").startswith("http:") or port == _PORTS["http"] else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}" + (f":{port}" if port != _PORTS[scheme] else "")


def place(case: Case, request: Request) -> str:
    """As `target`, with the port where it is not the usual one of a URL."""
    host, port = target(request), port_of(case, request)
    return host if port in _PORTS.values() else f"{f'[{host}]' if ':' in host else host}:{port}"


def port_of(case: Case, request: Request) -> int:
    try:
        split = urlsplit(request.url or "")
        if split.hostname:
            return split.port or _PORTS.get(split.scheme, 443)
    except ValueError:  # a port that is no number
        return 443
    flow = next((case.flows[hop.flow] for hop in request.hops if hop.flow is not None), None)
    if flow and flow.tunnel:
        port = flow.tunnel.authority.rpartition(":")[2]
        return int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 443
    return flow.server.port if flow else 443


def handshake(case: Case, request: Request, server_name: str | None = None) -> str | None:
    """A command that shows what the server of a request answers to TLS, by the same forward proxy.

    openssl does not speak SOCKS, curl does. server_name: another name to ask for than the server's own.
    """
    host, port, proxy = target(request), port_of(case, request), forward_proxy(case, request)
    place, name = f"{f'[{host}]' if ':' in host else host}:{port}", server_name or host
    if proxy and proxy.startswith("socks"):
        url = f"https://{f'[{name}]' if ':' in name else name}:{port}/"
        other = ("--connect-to {} ", f"{name}:{port}:{place}") if server_name else ("",)
        return shell(f"curl -v --max-time 10 --proxy {{}} {other[0]}-o /dev/null {{}}", proxy, *other[1:], url)
    words, template = [place], "openssl s_client -connect {}"
    if server_name or not is_address(host):
        template += " -servername {}"
        words.append(name)
    if proxy:
        template += " -proxy {}"
        words.append(proxy)
    return shell(f"{template} -showcerts </dev/null", *words)


def forward_proxy(case: Case, request: Request) -> str | None:
    """The forward proxy on the way of a request, from the packets or the proxy variables.

    `host:port` of an HTTP proxy, `socks5h://host:port` of one that speaks SOCKS.
    """
    hop = next((item for item in request.hops if item.role is Role.FORWARD_PROXY), None)
    host = (hop.host or hop.ip) if hop else None
    if hop is None or host is None:
        return None
    name = f"[{host}]" if ":" in host else host
    if hop.flow is not None:
        flow = case.flows[hop.flow]
        socks = flow.tunnel is not None and flow.tunnel.protocol != "http"
        return f"{'socks5h://' if socks else ''}{name}:{flow.server.port}"
    for variable, value in case.account.process_env.items():
        if variable.lower() in ("https_proxy", "http_proxy"):
            try:
                split = urlsplit(value)
                if split.hostname == host:
                    socks = split.scheme.startswith("socks")
                    return f"{'socks5h://' if socks else ''}{name}:{split.port or _PORTS.get(split.scheme, 80)}"
            except ValueError:  # a port that is no number
                continue
    return None


def proxy_variable(case: Case, request: Request) -> str:
    """The variable that names the forward proxy of a request, as the environment spells it."""
    wanted = "HTTP_PROXY" if (request.url or "").startswith("http:") else "HTTPS_PROXY"
    env = case.account.process_env
    return next((name for name in (wanted, wanted.lower()) if env.get(name)), wanted)


def setting(case: Case, name: str, value: str) -> str | None:
    """The command that sets a variable of go where it is set now: in the environment or with `go env -w`."""
    return shell("export {}" if name in case.account.process_env else "go env -w {}", f"{name}={value}")


def is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if is_address(host) else host == "localhost"


def settings_command(case: Case, values: Mapping[str, str]) -> str | None:
    """The command that sets variables of go, each where it is set now."""
    commands = [setting(case, name, value) for name, value in values.items()]
    known = [command for command in commands if command]
    return " && ".join(known) if len(known) == len(commands) else None


def unset(case: Case, name: str) -> str | None:
    """The command that takes a setting of go back from where it is set."""
    return shell("unset {}" if case.account.process_env.get(name) else "go env -u {}", name)


@lru_cache(1024)
def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
