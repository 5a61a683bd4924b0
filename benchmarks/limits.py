"""`make bench-limits`: time and peak memory of `trace-go read` on the largest inputs, and whether it finds all of them.

- *large*: 10 GB in 20,000 flows: the *bulk* input over and over, each time with other addresses and later times
- *flood*: 5 million SYNs, each of another client
- *long*: one connection of 50 million packets, from a pipe
- *tiny*: 100,000 captures of one refused connection each, in one folder

Each input is made, read twice (the default report, timed; then as JSON, to count what was found) and deleted again.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bench import machine, tree_mb
from inputs import build
from numpy.typing import NDArray

MOST_MB = {"large": 400, "flood": 400, "long": 400, "tiny": 400}
"""of memory"""
COPIES = 10
FLOOD, LONG, TINY = 5_000_000, 50_000_000, 100_000
PIECE_ROWS = 500_000
"""packets made at a time"""
FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
BEGIN = 1_750_000_000
PAYLOAD = 1000
"""bytes of a segment of *long* on the wire; 12 of them are captured"""
SYN, ACK, RST = 2, 16, 4
PACKET = np.dtype([
    ("s", "<u4"), ("us", "<u4"), ("captured", "<u4"), ("length", "<u4"), ("macs", "u1", 12), ("type", ">u2"),
    ("vihl", "u1"), ("tos", "u1"), ("total", ">u2"), ("id", ">u2"), ("fragment", ">u2"), ("ttl", "u1"),
    ("protocol", "u1"), ("checksum", ">u2"), ("src", ">u4"), ("dst", ">u4"), ("sport", ">u2"), ("dport", ">u2"),
    ("seq", ">u4"), ("ack", ">u4"), ("offset", "u1"), ("flags", "u1"), ("window", ">u2"), ("sum", ">u2"),
    ("urgent", ">u2"),
])  # fmt: skip
CLIENT, SERVER = 0x0A000000, 0xC0000201


class Limit(NamedTuple):
    """What is read, and what has to be found."""

    arguments: list[str]
    stream: Iterator[bytes] | None
    bytes: int
    packets: int
    flows: int


def packets(count: int, first: int, **fields: Any) -> NDArray[np.void]:
    """TCP packets over IPv4 without payload, a microsecond apart. first: number of the first."""
    rows = np.zeros(count, PACKET)
    number = first + np.arange(count)
    rows["s"], rows["us"] = BEGIN + number // 1_000_000, number % 1_000_000
    rows["captured"] = rows["length"] = PACKET.itemsize - 16
    rows["type"], rows["vihl"], rows["total"], rows["ttl"], rows["protocol"] = 0x0800, 0x45, 40, 64, 6
    rows["src"], rows["dst"], rows["dport"], rows["offset"], rows["window"] = CLIENT, SERVER, 443, 0x50, 65_535
    for name, values in fields.items():
        rows[name] = values
    return rows


def large(folder: Path, inputs: Path) -> Limit:
    capture = build("bulk", inputs)
    expected = json.loads((inputs / "bulk.expect.json").read_text())
    data = np.fromfile(capture, np.uint8)
    lengths = np.ndarray((len(data) - 11,), "<u4", data, 8, (1,))
    places, end = [], len(FILE_HEADER)
    while end < len(data):
        places.append(end)
        end += 16 + int(lengths[end])
    at = np.array(places)
    seconds = np.ndarray((len(data) - 3,), "<u4", data, 0, (1,))
    ipv6 = data[at + 28] == 0x86
    ends = [at[~ipv6] + 16 + 14 + 13, at[~ipv6] + 16 + 14 + 17, at[ipv6] + 16 + 14 + 12, at[ipv6] + 16 + 14 + 28]
    span = int(seconds[at[-1]]) - int(seconds[at[0]]) + 1
    own = seconds[at].copy()
    path = folder / "large.pcap"
    with path.open("wb") as out:
        out.write(FILE_HEADER)
        for copy in range(COPIES + 1):
            if copy:
                for byte in ends:  # of both addresses
                    data[byte] ^= (copy - 1) ^ copy
                seconds[at] = own + copy * span
            out.write(data[len(FILE_HEADER) :].data)
    count, flows = COPIES + 1, expected["tcp_flows"] + expected["udp_flows"]
    return Limit([str(path)], None, path.stat().st_size, expected["packets"] * count, flows * count)


def flood(folder: Path, inputs: Path) -> Limit:
    path = folder / "flood.pcap"
    with path.open("wb") as out:
        out.write(FILE_HEADER)
        for first in range(0, FLOOD, PIECE_ROWS):
            number = first + np.arange(PIECE_ROWS)
            fields = {"src": CLIENT + number // 4, "sport": 20_000 + number % 4, "seq": number * 97}
            out.write(packets(PIECE_ROWS, first, flags=SYN, **fields).tobytes())
    return Limit([str(path)], None, path.stat().st_size, FLOOD, FLOOD)


def long(folder: Path, inputs: Path) -> Limit:
    def stream() -> Iterator[bytes]:
        yield FILE_HEADER
        yield packets(1, 0, flags=SYN, sport=20_000).tobytes()
        answer = {"src": SERVER, "dst": CLIENT, "sport": 443, "dport": 20_000}
        yield packets(1, 1, flags=SYN | ACK, ack=1, **answer).tobytes()
        rows = np.zeros(PIECE_ROWS, np.dtype([("packet", PACKET), ("payload", "u1", 12)]))
        for first in range(2, LONG, PIECE_ROWS):
            count = min(PIECE_ROWS, LONG - first)
            seq = (1 + (first - 2 + np.arange(count)) * PAYLOAD) & 0xFFFFFFFF
            fields = {"captured": PACKET.itemsize - 4, "length": PACKET.itemsize - 16 + PAYLOAD, "total": 40 + PAYLOAD}
            rows["packet"][:count] = packets(count, first, flags=ACK, ack=1, seq=seq, **fields, **answer)
            yield rows[:count].tobytes()

    size = len(FILE_HEADER) + LONG * PACKET.itemsize + (LONG - 2) * 12
    return Limit(["-"], stream(), size, LONG, 1)


def tiny(folder: Path, inputs: Path) -> Limit:
    rows = packets(2 * TINY, 0, flags=SYN, sport=20_000)
    rows["src"][::2] = rows["dst"][1::2] = CLIENT + np.arange(TINY)
    rows["src"][1::2], rows["sport"][1::2], rows["dport"][1::2] = SERVER, 443, 20_000
    rows["flags"][1::2], rows["ack"][1::2] = RST | ACK, 1
    for number in range(TINY):
        (folder / f"{number}.pcap").write_bytes(FILE_HEADER + rows[2 * number : 2 * number + 2].tobytes())
    size = len(FILE_HEADER) + 2 * PACKET.itemsize
    return Limit([str(folder)], None, TINY * size, 2 * TINY, TINY)


LIMITS = {
    "large": (large, "10 GB in 20,000 flows"),
    "flood": (flood, "5 million SYNs, each a flow"),
    "long": (long, "one flow of 50 million packets, from a pipe"),
    "tiny": (tiny, "100,000 files of one refused connection"),
}
"""name → what makes it, and what it is"""


class Measured(NamedTuple):
    seconds: float
    peak_mb: float


def read(trace_go: str, limit: Limit, output: Path, *options: str) -> Measured:
    """Raises RuntimeError when trace-go fails; 1 means findings."""
    began, peak = time.perf_counter(), 0.0
    with output.open("wb") as out:
        process = subprocess.Popen(
            [trace_go, "read", *limit.arguments, *options], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL
        )
    assert process.stdin
    with process.stdin as stdin:
        for piece in limit.stream or ():
            stdin.write(piece)
            peak = max(peak, tree_mb(process.pid))
    while process.poll() is None:
        peak = max(peak, tree_mb(process.pid))
        time.sleep(0.05)
    if process.returncode not in (0, 1):
        raise RuntimeError(f"trace-go ended with status {process.returncode}")
    return Measured(time.perf_counter() - began, peak)


def found(report: Path) -> tuple[int, int]:
    """Packets and flows of a JSON report, which may be larger than memory; with the flows that were left out."""
    packets = flows = 0
    with report.open("rb") as file:
        for line in file:
            if line.startswith((b'  "packets": ', b'  "flows_left_out": ')):
                number = int(line.split()[1].rstrip(b","))
                packets, flows = (number, flows) if b"packets" in line else (packets, flows + number)
            flows += line.startswith(b'   "first_packet": ')
    return packets, flows


def measure(name: str, trace_go: str, inputs: Path) -> dict[str, Any]:
    make, what = LIMITS[name]
    with tempfile.TemporaryDirectory(dir=inputs) as scratch:
        folder, output = Path(scratch) / "input", Path(scratch) / "report"
        folder.mkdir()
        limit = make(folder, inputs)
        measured = read(trace_go, limit, output)
        if limit.stream is None:
            read(trace_go, limit, output, "--format", "json")
        else:
            read(trace_go, make(folder, inputs), output, "--format", "json")
        told = found(output)
    right = told == (limit.packets, limit.flows)
    print(f"{name}: {measured.seconds:.1f} s, {measured.peak_mb:.0f} MB, ", end="")
    print("all found" if right else f"EXPECTED {limit.packets, limit.flows}, FOUND {told}", flush=True)
    return {
        "what": what,
        "mb": limit.bytes / 1e6,
        "packets": limit.packets,
        "seconds": round(measured.seconds, 1),
        "peak_mb": round(measured.peak_mb),
        "right": right,
    }


def page(results: dict[str, dict[str, Any]], about: str) -> str:
    """docs/limits.md"""
    lines = [
        "# Limits",
        "",
        "What `trace-go read` needs for very large inputs: time, and memory of all its processes at its highest.",
        "Packets and flows are counted in its JSON report, those that `--max-flows` left out among them.",
        "`make bench-limits` makes this page.",
        "",
        "| input | size | packets | time | packets/s | peak memory | all found |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for item in results.values():
        rate = item["packets"] / item["seconds"]
        lines.append(
            f"| {item['what']} | {item['mb']:,.0f} MB | {item['packets']:,} | {item['seconds']:.1f} s | {rate:,.0f} "
            f"| {item['peak_mb']} MB | {'yes' if item['right'] else 'NO'} |"
        )
    return "\n".join([*lines, "", "```", about, "```", ""])


def main() -> None:
    """Measure what is asked for; ends with status 1 when something was not found or took too much memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(LIMITS), help="comma-separated (default: %(default)s)")
    parser.add_argument("--inputs", type=Path, default=Path(".bench"), help="directory of the captures; 12 GB")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table")
    options = parser.parse_args()
    options.inputs.mkdir(parents=True, exist_ok=True)
    trace_go = str(Path(sys.executable).with_name("trace-go"))
    results = {name: measure(name, trace_go, options.inputs) for name in options.only.split(",")}
    if options.write:
        options.write.write_text(page(results, machine(trace_go).splitlines()[0]))
    sys.exit(not all(item["right"] and item["peak_mb"] < MOST_MB[name] for name, item in results.items()))


if __name__ == "__main__":
    main()
