"""Genuine TLS conversations by the openssl program, with their key logs: suites, resumption, early data, updates."""

import selectors
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wire.tls_samples import NAME, _certificate

LIMIT_S = 20
OPENSSL = shutil.which("openssl")
QUESTION = b"a question\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One connection. turns: (from client, bytes), in the order in which they passed the relay."""

    turns: tuple[tuple[bool, bytes], ...]
    keys: bytes
    certificate: bytes

    def sent(self, from_client: bool) -> bytes:
        return b"".join(data for side, data in self.turns if side is from_client)


class _Relay:
    """Between s_client and s_server; records what passes, one connection."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(LIMIT_S)
        self.turns: list[tuple[bool, bytes]] = []
        self.thread = threading.Thread(target=self._run, args=(port,))
        self.thread.start()

    def _run(self, port: int) -> None:
        near, _ = self.listener.accept()
        far = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        other = {near: far, far: near}
        with near, far, selectors.DefaultSelector() as ready:
            for one in other:
                ready.register(one, selectors.EVENT_READ)
            while ready.get_map():
                for key, _ in ready.select(LIMIT_S):
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    try:
                        data = one.recv(65536)
                    except ConnectionError:
                        data = b""
                    if data:
                        self.turns.append((one is near, data))
                        other[one].sendall(data)
                    else:
                        ready.unregister(one)
                        try:
                            other[one].shutdown(socket.SHUT_WR)
                        except OSError:
                            ready.close()
                            return


@cache
def talks(
    client: tuple[str, ...] = (),
    server: tuple[str, ...] = (),
    *,
    says: tuple[bytes, ...] = (QUESTION,),
    resumed: tuple[str, ...] | None = None,
) -> tuple[Talk, ...]:
    """What s_client with these options says to `s_server -rev`, line by line; then, with `resumed` options, once more.

    b"K\\n" asks for a key update, b"R\\n" for a renegotiation. A server with early data gives no answers.
    """
    assert OPENSSL
    pem, der = _certificate()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pem").write_bytes(pem)
        (folder / "early").write_bytes(b"early " + QUESTION)
        answers = [] if "-early_data" in server else ["-rev"]
        words = [OPENSSL, "s_server", "-accept", "0", "-cert", "pem", *answers, *server]
        serving = subprocess.Popen(
            words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert serving.stdout
        try:
            while not (line := serving.stdout.readline()).startswith(b"ACCEPT"):
                assert line, "s_server did not start"
            port = int(line.rpartition(b":")[2])
            made = []
            for number, more in enumerate([()] if resumed is None else [("-sess_out", "ticket"), resumed]):
                relay = _Relay(port)
                connect = f"127.0.0.1:{relay.listener.getsockname()[1]}"
                keys = f"keys{number}"
                words = [OPENSSL, "s_client", "-connect", connect, "-servername", NAME, "-keylogfile", keys]
                asking = subprocess.Popen(
                    [*words, *client, *more], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )  # fmt: skip
                if not answers and not number:
                    _wait_for(folder / "ticket", asking)
                _speak(asking, says, bool(answers))
                relay.thread.join(LIMIT_S)
                relay.listener.close()
                log = (folder / keys).read_bytes() if (folder / keys).exists() else b""
                made.append(Talk(turns=tuple(relay.turns), keys=log, certificate=der))
        finally:
            serving.kill()
            serving.communicate()
    return tuple(made)


def _speak(asking: "subprocess.Popen[bytes]", says: tuple[bytes, ...], answered: bool) -> None:
    """Each line when the one before was answered, backwards as `-rev` does; then the end."""
    assert asking.stdin
    assert asking.stdout
    for line in says:
        asking.stdin.write(line)
        asking.stdin.flush()
        awaited = {b"K\n": b"KEYUPDATE", b"R\n": b"RENEGOTIATING"}.get(line, line.strip()[::-1])
        while answered and (heard := asking.stdout.readline()) and heard.strip() != awaited:
            pass
    asking.stdin.close()
    asking.stdout.read()
    asking.wait(LIMIT_S)


def _wait_for(file: Path, asking: "subprocess.Popen[bytes]") -> None:
    """Until s_client has begun to write a file."""
    limit = time.monotonic() + LIMIT_S
    while not file.exists() and asking.poll() is None and time.monotonic() < limit:
        time.sleep(0.005)
