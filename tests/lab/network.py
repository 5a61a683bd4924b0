"""Three network namespaces on one line: client eth0 -- lan gateway wan -- wan internet.

The internet is this process's own (already fresh) namespace. Addresses are documentation ranges (RFC 5737, RFC 3849).
The gateway sends both host ranges to the internet, which forwards nothing and is silent about addresses that no
host has: black holes without ICMP.
"""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

CLIENT, CLIENT6 = "192.0.2.2", "2001:db8:1::2"
GATEWAY, GATEWAY6 = "192.0.2.1", "2001:db8:1::1"
WAN_GATEWAY, WAN_GATEWAY6 = "203.0.113.1", "2001:db8:2::1"
WAN_INTERNET, WAN_INTERNET6 = "203.0.113.2", "2001:db8:2::2"
RESOLVER, RESOLVER6 = "198.51.100.53", "2001:db8:3::53"
NOBODY = "203.0.113.99"  # an address that no host has


class LabError(Exception):
    """The lab cannot run here; the message is one line for the user."""


def inside(namespace: str) -> list[str]:
    """Words that run a command in `namespace`; none for the internet ("")."""
    return ["nsenter", f"--net=/run/netns/{namespace}", "--"] if namespace else []


def command(*words: str, stdin: str = "", env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
    """Run a command to its end. Raises LabError."""
    result = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, env=env, cwd=cwd)
    if result.returncode:
        raise LabError(f"{' '.join(words[:4])}: {result.stderr.strip().partition(chr(10))[0]}")


def build(hosts: Iterable[str], hosts6: Iterable[str], *, ipv4: bool, ipv6: bool) -> None:
    """Create the namespaces gateway and client, and everything that has an address. ipv4: the client has it."""
    settings = {"accept_dad": 0, "dad_transmits": 0, "router_solicitations": 0} if ipv6 else {"disable_ipv6": 1}
    for namespace in ("gateway", "client"):
        command("ip", "netns", "add", namespace)
    for namespace in ("", "gateway", "client"):  # before any link exists: no waiting, no multicast noise
        sysctl(namespace, {f"net/ipv6/conf/default/{name}": value for name, value in settings.items()})
    _ip(
        "",
        "link set lo up",
        "link add wan type veth peer name wan netns gateway",
        "link add eth0 netns client type veth peer name lan netns gateway",
        f"addr add {WAN_INTERNET} peer {WAN_GATEWAY} dev wan",
        *(f"addr add {address}/32 dev lo" for address in (RESOLVER, *hosts)),
        "link set wan up",
        f"route add default via {WAN_GATEWAY}",
    )
    _ip(
        "gateway",
        "link set lo up",
        f"addr add {WAN_GATEWAY} peer {WAN_INTERNET} dev wan",
        f"addr add {GATEWAY}/24 dev lan",
        "link set wan up",
        "link set lan up",
        f"route add 203.0.113.0/24 via {WAN_INTERNET}",
        f"route add 198.51.100.0/24 via {WAN_INTERNET}",
    )
    v4 = [f"addr add {CLIENT}/24 dev eth0", f"route add default via {GATEWAY}"] if ipv4 else []
    _ip("client", "link set lo up", "link set eth0 up", *v4)
    if ipv6:
        addresses = [f"addr add {address}/128 dev lo" for address in (RESOLVER6, *hosts6)]
        _ip("", f"addr add {WAN_INTERNET6}/64 dev wan", *addresses, f"route add default via {WAN_GATEWAY6}")
        lan = f"addr add {GATEWAY6}/64 dev lan"
        _ip("gateway", lan, f"addr add {WAN_GATEWAY6}/64 dev wan", f"route add 2001:db8:3::/48 via {WAN_INTERNET6}")
        _ip("client", f"addr add {CLIENT6}/64 dev eth0", f"route add default via {GATEWAY6}")
    sysctl("gateway", {"net/ipv4/ip_forward": 1, "net/ipv6/conf/all/forwarding": int(ipv6)})


def redirect_web(port: int, target: str = "0.0.0.0/0") -> None:
    """The client's connections to ports 80 and 443 of `target` end at `port` of the gateway."""
    _web_rule("type nat hook prerouting priority dstnat", f"redirect to :{port}", target)


def block_web() -> None:
    """The gateway refuses to forward the client's connections to ports 80 and 443."""
    _web_rule("type filter hook forward priority filter", "reject with tcp reset", "0.0.0.0/0")


def _web_rule(chain: str, verdict: str, target: str) -> None:
    web = f'iifname "lan" ip daddr {target} tcp dport {{ 80, 443 }}'
    rules = f"table ip lab {{\nchain web {{\n{chain}\n{web} {verdict}\n}}\n}}\n"
    command(*inside("gateway"), "nft", "-f", "-", stdin=rules)


def sysctl(namespace: str, values: Mapping[str, int]) -> None:
    """Set what this kernel has of `values` (paths below /proc/sys)."""
    known = {path: value for name, value in values.items() if (path := Path("/proc/sys", name)).exists()}
    command(*inside(namespace), "sh", "-c", "; ".join(f"echo {value} > {path}" for path, value in known.items()))


def _ip(namespace: str, *lines: str) -> None:
    command("ip", *(["-n", namespace] if namespace else []), "-batch", "-", stdin="\n".join(lines))
