"""Live captures of real loopback traffic: nothing lost, nothing twice, readable when killed."""

import ctypes.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from trace_go.capture import live
from trace_go.capture.files import open_capture
from trace_go.capture.library_source import LibrarySource
from trace_go.capture.live import (
    Capture,
    best_capture,
    capture_method,
    live_batches,
    open_source,
)
from trace_go.capture.ring import Ring, compile_filter
from trace_go.capture.tool_source import ToolSource, tool_command
from trace_go.model.errors import CaptureError, ConfigError, PrivilegeError
from trace_go.model.packets import Batch, LinkType


def may_capture() -> bool:
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0):
            return True
    except (AttributeError, OSError):
        return False


privileged = pytest.mark.skipif(not may_capture(), reason="needs CAP_NET_RAW on Linux")
needs_dumpcap = pytest.mark.skipif(
    not (may_capture() and shutil.which("dumpcap")), reason="needs a dumpcap that may capture"
)
needs_library = pytest.mark.skipif(not ctypes.util.find_library("pcap"), reason="needs libpcap")


def transfer(payload: bytes) -> int:
    """One TCP connection over loopback that carries `payload` and ends on both sides. Returns the server's port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                while connection.recv(1 << 20):
                    pass

        server = threading.Thread(target=serve)
        server.start()
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(payload)
        server.join()
    return port


class Segment(NamedTuple):
    packet: bytes
    """from the IP header on"""
    source: int
    sequence: int
    flags: int
    data: bytes


def segments(batch: Batch, port: int) -> Iterator[Segment]:
    """TCP over IPv4 to or from `port`."""
    header = {LinkType.LINUX_SLL2: 20, LinkType.LINUX_SLL: 16, LinkType.ETHERNET: 14}
    for offset, captured, linktype in zip(batch.offset, batch.captured, batch.linktype, strict=True):
        packet = batch.data[offset + header[linktype] : offset + captured].tobytes()
        if packet[0] != 0x45 or packet[9] != 6:
            continue
        total = int.from_bytes(packet[2:4], "big") or len(packet)  # 0: a super-packet of segmentation offload
        tcp = packet[20:total]
        ports = int.from_bytes(tcp[:2], "big"), int.from_bytes(tcp[2:4], "big")
        if port in ports:
            yield Segment(packet, ports[0], int.from_bytes(tcp[4:8], "big"), tcp[13], tcp[tcp[12] >> 4 << 2 :])


def conversation(path: Path, port: int) -> list[Segment]:
    with open_capture(str(path)) as reader:
        found = [segment for batch in reader.batches() for segment in segments(batch, port)]
        assert reader.describe().problem is None
        assert reader.describe().drops in (0, None)
    return found


def check_whole(found: list[Segment], port: int, payload: bytes) -> None:
    """Each packet once, from SYN to the FINs of both sides, and all the bytes."""
    assert len({segment.packet for segment in found}) == len(found), "seen twice (a retransmission has its own IP id)"
    assert [segment.source == port for segment in found if segment.flags & 2] == [False, True]
    assert {segment.source == port for segment in found if segment.flags & 1} == {False, True}
    begin = next(segment.sequence for segment in found if segment.flags & 2) + 1
    received = bytearray(len(payload))
    for segment in (segment for segment in found if segment.source != port and segment.data):
        at = (segment.sequence - begin) % (1 << 32)
        received[at : at + len(segment.data)] = segment.data
    assert received == payload


PAYLOAD = os.urandom(3_000_000)


@privileged
@pytest.mark.parametrize("interface", ["any", "lo"])
def test_a_connection_is_there_once_and_whole(tmp_path: Path, interface: str) -> None:
    path = tmp_path / "x.pcapng"
    capture = best_capture(path, interface)
    capture.start()
    port = transfer(PAYLOAD)
    stats = capture.stop()
    check_whole(conversation(path, port), port, PAYLOAD)
    assert (stats.drops, stats.method, stats.problem) == (0, "packet socket", None)
    assert stats.packets >= len(conversation(path, port))
    assert path.stat().st_mode & 0o777 == 0o600
    with open_capture(str(path)) as reader:
        kind = LinkType.LINUX_SLL2 if interface == "any" else LinkType.ETHERNET
        assert {int(number) for batch in reader.batches() for number in batch.linktype} == {kind}


@needs_dumpcap
def test_a_connection_is_there_by_dumpcap(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    capture = Capture(lambda: ToolSource(tool_command("any", "tcp"), path.open("wb")))
    capture.start()
    port = transfer(PAYLOAD)
    stats = capture.stop()
    check_whole(conversation(path, port), port, PAYLOAD)
    assert (stats.drops, stats.method, stats.problem) == (0, "dumpcap", None)
    assert stats.packets >= len(conversation(path, port))


@privileged
@pytest.mark.skipif(not shutil.which("tcpdump"), reason="needs tcpdump")
def test_a_connection_is_there_by_tcpdump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "dumpcap" else which(name))
    path = tmp_path / "x.pcap"
    capture = Capture(lambda: ToolSource(tool_command("lo", "tcp"), path.open("wb")))
    capture.start()
    port = transfer(b"some words")
    stats = capture.stop()
    check_whole(conversation(path, port), port, b"some words")
    assert (stats.drops, stats.method, stats.problem) == (0, "tcpdump", None)


@privileged
@needs_library
@pytest.mark.parametrize("interface", ["any", "lo"])
def test_a_connection_is_there_by_the_pcap_library(tmp_path: Path, interface: str) -> None:
    path = tmp_path / "x.pcapng"
    capture = Capture(lambda: LibrarySource(interface, "tcp", path.open("wb")))
    capture.start()
    port = transfer(PAYLOAD[:30_000])
    stats = capture.stop()
    check_whole(conversation(path, port), port, PAYLOAD[:30_000])
    assert (stats.drops, stats.method, stats.problem) == (0, "pcap library", None)
    assert stats.packets >= len(conversation(path, port))


@privileged
@needs_library
def test_what_the_pcap_library_refuses() -> None:
    with pytest.raises(ConfigError, match=r"^capture filter 'no such thing': "):
        LibrarySource("lo", "no such thing", None)
    with pytest.raises(CaptureError, match="there is no interface 'nosuch0' here; there are: any, "):
        LibrarySource("nosuch0", None, None)


@needs_library
def test_an_interface_that_goes_ends_the_capture_by_the_pcap_library() -> None:
    in_network("""
import subprocess, threading
from trace_go.capture.library_source import LibrarySource
from trace_go.capture.live import live_batches
for command in ["ip link add x0 type veth peer name x1", "ip link set x0 up", "ip link set x1 up"]:
    subprocess.run(command.split(), check=True)
source = LibrarySource("x0", None, None)
for batch in live_batches(source, threading.Event()):
    subprocess.run(["ip", "link", "del", "x0"], check=False, stderr=subprocess.DEVNULL)
assert source.ended
stats = source.finish()
source.close()
assert stats.problem and stats.problem.startswith("x0: "), stats
""")


@privileged
def test_a_killed_run_leaves_a_readable_capture(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom trace_go.capture.live import best_capture\n"
        "capture = best_capture(Path(sys.argv[1])); capture.start(); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    port = transfer(b"hello")
    while b"hello" not in path.read_bytes():  # it comes by itself
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert b"hello" in [segment.data for segment in conversation(path, port)]


@privileged
def test_a_full_disk_does_not_stop_the_rest() -> None:
    capture = best_capture(Path("/dev/full"))
    capture.start()
    transfer(PAYLOAD)
    stats = capture.stop()
    assert stats.problem == "the capture file is cut: No space left on device"


@privileged
def test_batches_of_a_view() -> None:
    source = open_source("lo", retire_ms=20)
    stop = threading.Event()
    batches = live_batches(source, stop)
    port = transfer(b"x" * 1000)
    found: list[Segment] = []
    numbers: list[int] = []
    for batch in batches:
        found += segments(batch, port)
        numbers += range(batch.first_number, batch.first_number + len(batch))
        assert (np.diff(batch.time_ns) >= 0).all() or len(batch) == 0
        if len(batch) == 0:
            stop.set()
    check_whole(found, port, b"x" * 1000)
    assert numbers == list(range(1, len(numbers) + 1))
    assert source.finish().packets == len(numbers)
    source.close()


@privileged
def test_a_view_ends_at_its_limits() -> None:
    source = open_source("lo", "tcp", retire_ms=20)
    transfer(b"x")
    batches = list(live_batches(source, threading.Event(), packet_limit=3))
    assert sum(map(len, batches)) == 3
    assert sum(1 for _ in live_batches(source, threading.Event(), duration_s=0)) == 0
    source.finish()
    source.close()


@needs_dumpcap
def test_a_view_by_dumpcap_ends_with_it() -> None:
    source = ToolSource(tool_command("lo", "tcp"), None)
    port = transfer(b"x" * 1000)
    found: list[Segment] = []
    for batch in live_batches(source, threading.Event()):
        found += segments(batch, port)
        if sum(segment.flags & 1 for segment in found) == 2:
            source._process.send_signal(signal.SIGTERM)
    check_whole(found, port, b"x" * 1000)
    assert "ended early" in (source.finish().problem or "")


@privileged
def test_a_filter_filters() -> None:
    source = open_source("any", "tcp[tcpflags] & tcp-syn != 0", retire_ms=20)
    port = transfer(b"x" * 1000)
    batches = live_batches(source, threading.Event(), packet_limit=2)
    flags = [segment.flags for batch in batches for segment in segments(batch, port)]
    assert flags == [0x02, 0x12]
    source.finish()
    source.close()


def test_a_filter_that_does_not_compile_is_a_usage_error() -> None:
    if shutil.which("tcpdump") is None:
        pytest.skip("needs libpcap")
    with pytest.raises(ConfigError, match=r"^capture filter 'no such thing': "):
        compile_filter("no such thing", LinkType.ETHERNET)
    assert compile_filter(None, LinkType.ETHERNET) == [(6, 0, 0, 262144)]


@privileged
def test_an_unknown_interface_is_named() -> None:
    with pytest.raises(CaptureError, match="there is no interface 'nosuch0' here; there are: any, "):
        best_capture(Path(os.devnull), "nosuch0").start()


@privileged
def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"cannot write .*: No such file or directory"):
        best_capture(tmp_path / "no" / "x.pcapng").start()
    assert capture_method() == "packet socket"


def no_ring(*_: object) -> Ring:
    raise PrivilegeError("capturing needs CAP_NET_RAW")


def test_without_any_privilege_one_line_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "Ring", no_ring)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrivilegeError, match=r"sudo trace-go …`, or let dumpcap do it: install it") as caught:
        best_capture(tmp_path / "x").start()
    assert "\n" not in str(caught.value)
    dumpcap = tmp_path / "dumpcap"
    dumpcap.write_text("#!/bin/sh\necho 'Capturing on any' >&2\necho 'You do not have permission' >&2\nexit 1\n")
    dumpcap.chmod(0o755)
    with pytest.raises(
        PrivilegeError, match=r"`sudo setcap .*dumpcap` \(dumpcap: You do not have permission\)$"
    ) as caught:
        best_capture(tmp_path / "x").start()
    assert "\n" not in str(caught.value)


def in_network(script: str, *arguments: str) -> None:
    """Run Python in a new network namespace whose loopback is up; skips where that is not allowed."""
    flags = ["--net"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--net"]
    if subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False).returncode:
        pytest.skip("network namespaces are not allowed here")
    setup = 'ip link set lo up; exec "$@"'
    subprocess.run(
        ["unshare", *flags, "sh", "-c", setup, "sh", sys.executable, "-c", script, *arguments], check=True, timeout=30
    )


FRAMES = """
import socket, subprocess, sys, threading
from trace_go.capture.live import live_batches, open_source
interface, *commands = sys.argv[1:]
for command in ["ip link add x0 type veth peer name x1", "ip link set x0 up", "ip link set x1 up", *commands]:
    subprocess.run(command.split(), check=True)
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); raw.bind(("x0", 0))
source = open_source(interface, retire_ms=20)
addresses = b"\\xff" * 6 + b"\\x02" + bytes(5)
raw.send(addresses + bytes.fromhex("81000007") + b"\\x88\\xb5" + b"mark 7")
raw.send(addresses + bytes.fromhex("81000000") + b"\\x88\\xb5" + b"mark 0")
raw.send(addresses + b"\\x88\\xb5" + b"mark none")
raw.send(addresses + b"\\x88\\xb5" + b"last")
frames = []
while not any(frame.endswith(b"last") and frame[10:11] != b"\\x04" for frame in frames):  # 4: outgoing, as x0 sees it
    for batch in live_batches(source, threading.Event(), duration_s=0.1):
        frames += [batch.data[o : o + c].tobytes() for o, c in zip(batch.offset, batch.captured)]
frames = [frame for frame in frames if b"mark" in frame]
"""


def test_a_tagged_packet_keeps_its_tag_on_its_interface() -> None:
    check = (
        "assert [frame[12:18].hex() for frame in frames] == ['8100000788b5', '8100000088b5', '88b56d61726b'], frames"
    )
    in_network(FRAMES + check, "x1")


def test_a_packet_through_a_bridge_is_seen_once_on_all_interfaces() -> None:
    """x1, a port of the bridge, receives what x0 sends: the bridge's sighting counts. A tagged one would come again."""
    make = ["unshare", "--net", "ip", "link", "add", "type", "bridge"]
    if subprocess.run(make, capture_output=True, check=False).returncode:
        pytest.skip("this kernel has no bridges, or we may not make one")
    check = """
sent = [(socket.if_indextoname(int.from_bytes(frame[4:8], "big")), frame[20:]) for frame in frames if frame[10] != 4]
assert sent == [("br0", b"mark 0"), ("br0", b"mark none")], sent
"""
    in_network(FRAMES + check, "any", "ip link add br0 type bridge", "ip link set x1 master br0", "ip link set br0 up")


def test_the_ring_needs_no_more_than_a_namespace() -> None:
    script = (
        "import socket, threading\nfrom trace_go.capture.live import open_source\n"
        "source = open_source('any')\nassert source.finish().method == 'packet socket'"
    )
    in_network(script)
