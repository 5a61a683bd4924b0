"""Decrypted runs: `trace-go read` beside tshark's list of HTTP/2 requests, and what building the twin costs.

The input is one `go mod download` of 200 modules (about 100 MB of zips) in the lab, kept with its keys: once as the
client's kernel hands packets over, merged up to 64 kB, and once cut into the segments of 1,448 bytes that pass a wire.
trace-go also hashes every module and reports; tshark prints method, host and path. Both must find the same requests.
`bench.py` starts this as `python decrypted.py TRACE_GO RUNS FOLDER RESULT`; the last is written as JSON.
"""

import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHANGE = "generated = { count = 200, blob_bytes = 500_000 }"
SEGMENT = 1448
FIELDS = ("http2.headers.method", "http2.headers.authority", "http2.headers.path")
TSHARK = ["-n", "-Y", FIELDS[0], "-T", "fields", *(word for name in FIELDS for word in ("-e", name)), "-r"]
EPB, IDB = 6, 1
LAYOUTS = {1: (12, 14), 113: (14, 16), 276: (0, 20)}
"""link type: where the EtherType and the IP header begin"""


def build(trace_go: str, folder: Path) -> tuple[Path, Path]:
    """The two captures, made unless they are there. Raises RuntimeError when the lab fails."""
    merged, wire = folder / "decrypted.pcapng", folder / "decrypted-wire.pcapng"
    if not (merged.exists() and wire.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            command = [trace_go, "--keys", "--write-keys", "-o", os.devnull, "-w", "../run.pcapng", "--", "GO"]
            words = [sys.executable, "-m", "lab", "run", "healthy-100", "--out", f"{scratch}/lab", "--change", CHANGE]
            environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
            done = subprocess.run(
                [*words, "--", *command], env=environment, check=False, capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
            shutil.move(f"{scratch}/lab/run.pcapng", merged)
        wire.write_bytes(cut(merged.read_bytes()))
    return merged, wire


def cut(data: bytes) -> bytes:
    """A little-endian pcapng with TCP payload over IPv4 in segments of at most SEGMENT bytes, a microsecond apart."""
    out, at, links = bytearray(), 0, list[int]()
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        block, at = data[at : at + size], at + size
        if kind == IDB:
            links.append(struct.unpack_from("<H", block, 8)[0])
        out += b"".join(segments(block, links)) if kind == EPB else block
    return bytes(out)


def segments(block: bytes, links: list[int]) -> list[bytes]:
    """The blocks that an enhanced packet block becomes."""
    interface, high, low, captured, _ = struct.unpack_from("<IIIII", block, 8)
    packet, (kind_at, ip) = block[28 : 28 + captured], LAYOUTS[links[interface]]
    if packet[kind_at : kind_at + 2] != b"\x08\x00" or packet[ip + 9] != 6:
        return [block]
    ip_bytes = (packet[ip] & 15) * 4
    tcp = ip + ip_bytes
    start = tcp + (packet[tcp + 12] >> 4) * 4
    payload = packet[start : ip + struct.unpack_from(">H", packet, ip + 2)[0]]
    number, time_ns = struct.unpack_from(">I", packet, tcp + 4)[0], high << 32 | low
    made = []
    for place in range(0, max(len(payload), 1), SEGMENT):
        part = payload[place : place + SEGMENT]
        head = bytearray(packet[:start])
        struct.pack_into(">H", head, ip + 2, start - ip + len(part))
        struct.pack_into(">I", head, tcp + 4, (number + place) & 0xFFFFFFFF)
        whole = bytes(head) + part
        moment, full = time_ns + place // SEGMENT * 1000, 32 + len(whole) + -len(whole) % 4
        words = (EPB, full, interface, moment >> 32, moment & 0xFFFFFFFF, len(whole), len(whole))
        made.append(struct.pack("<7I", *words) + whole + bytes(-len(whole) % 4) + struct.pack("<I", full))
    return made


def requests_of_tshark(file: Path) -> list[tuple[str, ...]]:
    done = subprocess.run(["tshark", *TSHARK, str(file)], check=True, capture_output=True, text=True)
    rows = (zip(*(column.split(",") for column in line.split("\t")), strict=True) for line in done.stdout.splitlines())
    return sorted(request for row in rows for request in row)


def requests_of_ours(trace_go: str, file: Path) -> list[tuple[str, ...]]:
    done = subprocess.run([trace_go, "read", "--format", "json", str(file)], check=False, capture_output=True)
    asked = [item for flow in json.loads(done.stdout)["flows"] for item in flow["http"] if item["decrypted"]]
    parts = ((item["method"], *item["url"].removeprefix("https://").split("/", 1)) for item in asked)
    return sorted((method, host, f"/{path}") for method, host, path in parts)


def wall(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def compare(trace_go: str, file: Path, runs: int) -> dict[str, float | bool]:
    """Medians of both in turn."""
    ours, theirs = list[float](), list[float]()
    for _ in range(runs):
        ours.append(wall([trace_go, "read", str(file)]))
        theirs.append(wall(["tshark", *TSHARK, str(file)]))
    mine, other = statistics.median(ours), statistics.median(theirs)
    same = requests_of_ours(trace_go, file) == requests_of_tshark(file)
    return {
        "trace_go_s": round(mine, 3),
        "tshark_s": round(other, 3),
        "ratio": round(mine / other, 2),
        "same_requests": same,
    }


def twin() -> dict[str, float]:
    """Seconds to have the twin of the packaged go: nothing cached, its build cache warm, and nothing changed."""
    sys.path.insert(0, str(ROOT / "tests"))
    from lab.world import find_go
    from trace_go.capture.twin import selected
    from trace_go.capture.twin import twin as build_twin

    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"GOCACHE": f"{scratch}/gocache", "GOTOOLCHAIN": "local"}
        go = str(find_go())
        for name, cache in (("cold_s", "one"), ("warm_s", "two"), ("unchanged_s", "two")):
            began = time.perf_counter()
            toolchain = selected(go, environment, None, Path(scratch))[0][0]
            build_twin(toolchain, environment, Path(scratch) / cache, None, progress=lambda _: None)
            found[name] = round(time.perf_counter() - began, 2)
    return found


def main(trace_go: str, runs: str, folder: str, result: str) -> None:
    merged, wire = build(trace_go, Path(folder))
    account = {name: compare(trace_go, file, int(runs)) for name, file in (("merged", merged), ("wire", wire))}
    Path(result).write_text(json.dumps({**account, "twin": twin()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
