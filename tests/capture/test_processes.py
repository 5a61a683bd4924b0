"""Which process owns a socket: real processes with real loopback connections."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from trace_go.capture.processes import TRIES, SocketSampler

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and sock_diag")

CLIENT = """
import socket, sys
address = (sys.argv[1], int(sys.argv[2]))
tcp = socket.create_connection(address)
udp = socket.socket(tcp.family, socket.SOCK_DGRAM); udp.connect(address)
listening = socket.create_server(("127.0.0.1", 0)); other = socket.socketpair()
print(tcp.getsockname()[1], udp.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    host: str = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"{host} is not there")
    with listening:
        yield host, listening.getsockname()[1]


def start_client(server: tuple[str, int], *prefix: str) -> tuple[subprocess.Popen[str], int, int]:
    argv = [*prefix, sys.executable, "-c", CLIENT, server[0], str(server[1])]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    tcp, udp = map(int, process.stdout.readline().split())
    return process, tcp, udp


def test_sockets_of_a_grandchild(server: tuple[str, int]) -> None:
    process, tcp, udp = start_client(server, "sh", "-c", '"$@"; true', "sh")
    sampler = SocketSampler()
    sampler._pids.add(process.pid)
    for _ in range(TRIES):
        sampler.sample()
    process.communicate()
    owners = sampler.stop()
    host, port = server
    assert set(owners) == {(host, tcp, host, port), (host, udp, host, port)}
    assert len(set(owners.values())) == 1
    name, _, pid = owners.popitem()[1].partition(" ")
    assert name == sys.executable.rpartition("/")[2]
    assert pid != f"({process.pid})"
    sampler.sample()  # they are gone: nothing happens
    assert not sampler._pids


def test_the_thread_sees_what_appears_later(server: tuple[str, int]) -> None:
    process, tcp, udp = start_client(server)
    sampler = SocketSampler()
    sampler.start(process.pid)
    while not sampler._owners:
        assert process.poll() is None
    process.communicate()
    owners = sampler.stop()
    assert {local_port for _, local_port, _, _ in owners} == {tcp, udp}
    assert set(owners.values()) == {f"{sys.executable.rpartition('/')[2]} ({process.pid})"}


def test_sockets_of_others_are_not_reported(server: tuple[str, int]) -> None:
    other, _, _ = start_client(server)
    with subprocess.Popen(["sleep", "60"]) as quiet:
        sampler = SocketSampler()
        sampler._pids.add(quiet.pid)
        sampler.sample()
        assert sampler.stop() == {}
        quiet.kill()
    other.communicate()
