"""git over ssh: an OpenSSH server for each host that has one (`ssh` in its scenario), with keys made for the run.

sshd runs as the user that it logs in, in a user namespace of its own, and so needs neither root nor PAM.
"""

import shutil
import subprocess
from pathlib import Path

from lab.scenario import Scenario
from lab.servers import GIT, RUN

KEYS = RUN / "ssh"
USER = 64_000  # `git`; free on Debian (policy manual, 9.2.2)
SHELL = f"exec git-shell -c \"${{SSH_ORIGINAL_COMMAND%%\\'*}}'{GIT}${{SSH_ORIGINAL_COMMAND#*\\'}}\""  # /X is GIT/X


def accounts() -> dict[str, str]:
    """The machine's files of users with sshd's user before them, by path."""
    lines = {"/etc/passwd": f"git:x:{USER}:{USER}:git:{GIT}:/bin/sh\n", "/etc/group": f"git:x:{USER}:\n"}
    return {path: line + Path(path).read_text() for path, line in lines.items()}


def servers(scenario: Scenario) -> dict[str, list[str]]:
    """Makes all keys; returns the servers' command lines by host name."""
    KEYS.mkdir()
    _make_key("client")
    known, commands = "", {}
    for name, host in scenario.hosts.items():
        if host.ssh:
            _make_key(name)
            _make_key(f"{name}.other")
            shown = f"{name}.other" if host.ssh == "changed" else name
            known += f"{name} {_public(shown)}" if host.ssh != "unknown" else ""
            user = f"{name}.other" if host.ssh == "denied" else "client"
            addresses = [f"ListenAddress {address}" for address in host.addresses(ipv6=scenario.ipv6)]
            config = [*addresses, f"HostKey {KEYS}/{name}", f"AuthorizedKeysFile {KEYS}/{user}.pub", "StrictModes no"]
            config += [
                "PasswordAuthentication no",
                "KbdInteractiveAuthentication no",
                "PidFile none",
                "AcceptEnv GIT_PROTOCOL",
                f"ForceCommand {SHELL}",
            ]
            (KEYS / f"{name}.conf").write_text("\n".join(config) + "\n")
            as_user = ["unshare", "--user", f"--map-user={USER}", f"--map-group={USER}"]
            commands[name] = [*as_user, shutil.which("sshd") or "sshd", "-D", "-e", "-f", f"{KEYS}/{name}.conf"]
    (KEYS / "known_hosts").write_text(known)
    return commands


def client(folder: Path) -> str:
    """Puts what the client knows into `folder`; returns its GIT_SSH_COMMAND."""
    folder.mkdir()
    for name in ("client", "known_hosts"):
        shutil.copy(KEYS / name, folder)
    options = {"IdentityFile": folder / "client", "UserKnownHostsFile": folder / "known_hosts", "BatchMode": "yes"}
    return "ssh -F none " + " ".join(f"-o {name}={value}" for name, value in options.items())


def _make_key(name: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(KEYS / name)], check=True)


def _public(name: str) -> str:
    return (KEYS / f"{name}.pub").read_text()
