"""Builds the benchmark captures: *bulk* and *many* (about 1 GB in 2,000 and in 60,000 flows) and *small* (1 MB).

Each flow is a copy of a template from `conversations.py` with its own client address, port, time, sequence numbers,
hello randoms and session id: no two ClientHellos are equal. Layout and addresses follow from a seed; handshakes and
signatures differ from build to build, so what a reader must find is written beside each capture, as `NAME.expect.json`.
"""

import argparse
import hashlib
import itertools
import json
import struct
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from conversations import START, Bytes, Ints, Template, build_templates
from numpy.typing import NDArray

SIZES = {"bulk": (1_000_000_000, 2_000), "many": (1_000_000_000, 60_000), "small": (1_000_000, 60)}  # bytes, flows
SHARES = {"tls": 0.78, "connect": 0.06, "http": 0.06, "dns": 0.10}  # of the flows
BYTES_PER_S = 100_000_000  # on the recorded wire: some 200 (bulk) to 800 (many) flows are active at a time
ROUND_BYTES = 64_000_000  # of packets in memory at a time


def put(rows: Bytes, places: Ints, values: NDArray[Any]) -> None:
    """Write `values`, (n, p) or (n, 1) and of the wire's byte order, at `places`, (p,), of `rows`, (n, size)."""
    width = values.dtype.itemsize
    values = np.ascontiguousarray(np.broadcast_to(values, (len(rows), len(places))))
    rows[:, places[:, None] + np.arange(width)] = values.view(np.uint8).reshape(*values.shape, width)


def copies(template: Template, starts_us: Ints, flows: Ints, rng: np.random.Generator) -> tuple[Bytes, Ints]:
    """n conversations, (n, blob size), and the times of their packets, (n, p), in microseconds."""
    count, near, ip = len(flows), template.from_client, template.starts + 30
    transport = ip + (40 if template.ipv6 else 20)
    rows = np.tile(template.blob, (count, 1))
    times = starts_us[:, None] + template.offsets_us
    put(rows, template.starts, (times // 1_000_000).astype("<u4"))
    put(rows, template.starts + 4, (times % 1_000_000).astype("<u4"))
    host, port = 1 + flows[:, None] % 250, 20_000 + flows[:, None] // 250
    put(rows, ip + np.where(near, *((22, 38) if template.ipv6 else (14, 18))), host.astype(">u2"))
    put(rows, transport + np.where(near, 0, 2), port.astype(">u2"))
    if template.numbers is not None:
        mine, theirs = rng.integers(0, 2**32, (2, count, 1))  # initial sequence numbers
        seq, ack = template.numbers.T
        put(rows, transport + 4, ((np.where(near, mine, theirs) + seq) % 2**32).astype(">u4"))
        put(rows, transport[1:] + 8, ((np.where(near, theirs, mine) + ack) % 2**32)[:, 1:].astype(">u4"))  # not the SYN
    if not template.ipv6:
        identity = (rng.integers(0, 2**16, (count, 1)) + np.arange(len(ip))) % 2**16
        words = template.blob[ip[:, None] + np.arange(20)].view(">u2").sum(axis=1, dtype=np.int64)
        total = words + identity + host
        total = (total & 0xFFFF) + (total >> 16)
        put(rows, ip + 4, identity.astype(">u2"))
        put(rows, ip + 10, (~((total & 0xFFFF) + (total >> 16)) & 0xFFFF).astype(">u2"))
    for group in template.fresh:
        news = rng.integers(0, 256, (count, len(group[0])), np.uint8)
        for places in group:
            rows[:, places] = news
    return rows, times


def write_capture(out: BinaryIO, flows: list[Template], duration_us: int, rng: np.random.Generator) -> int:
    """Interleave a copy of each of `flows`, started at random moments; returns the number of packets."""
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
    starts_us = int(START.timestamp()) * 1_000_000 + np.sort(rng.integers(0, duration_us, len(flows)))
    ends = np.cumsum([len(template.blob) for template in flows])
    edges = np.unique(np.append(np.searchsorted(ends, np.arange(0, ends[-1], ROUND_BYTES)), len(flows)))
    late: tuple[NDArray[Any], ...] = (np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))
    packets = 0
    for start, stop in itertools.pairwise(edges.tolist()):
        members = defaultdict(list)
        for flow in range(start, stop):
            members[id(flows[flow])].append(flow)
        parts = [late]
        for group in map(np.array, members.values()):
            template = flows[group[0]]
            rows, times = copies(template, starts_us[group], group, rng)
            parts.append((rows.ravel(), times.ravel(), np.tile(template.sizes, len(group))))
        data, moments, sizes = map(np.concatenate, zip(*parts, strict=True))
        order, ends = np.argsort(moments, kind="stable"), np.cumsum(sizes)
        ready = int(np.searchsorted(moments[order], starts_us[stop])) if stop < len(flows) else len(order)
        spans = list(map(slice, (ends - sizes)[order].tolist(), ends[order].tolist()))
        view = data.data
        out.writelines(view[span] for span in spans[:ready])
        rest = order[ready:]
        late = (np.frombuffer(b"".join(view[span] for span in spans[ready:]), np.uint8), moments[rest], sizes[rest])
        packets += ready
    return packets


def build(name: str, folder: Path) -> Path:
    """The capture of that name, made unless it is there and the builder has not changed since."""
    path, expectation = folder / f"{name}.pcap", folder / f"{name}.expect.json"
    sources = (Path(__file__), Path(__file__).with_name("conversations.py"))
    made_by = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()
    if path.exists() and expectation.exists() and json.loads(expectation.read_text())["made_by"] == made_by:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    expectation.unlink(missing_ok=True)
    size, count = SIZES[name]
    rng = np.random.default_rng(list(name.encode()))
    with tempfile.TemporaryDirectory() as scratch:
        kinds = build_templates(rng, Path(scratch), size / count / (1 - SHARES["dns"]))
    flows = [
        template
        for kind, share in SHARES.items()
        for template in itertools.islice(itertools.cycle(kinds[kind]), round(count * share))
    ]
    facts: dict[str, Counter[str]] = defaultdict(Counter)
    for template in flows:
        for kind, value in template.facts:
            facts[kind][value] += 1
    udp = sum(template.numbers is None for template in flows)
    with path.open("wb") as out:
        order = rng.permutation(len(flows)).tolist()
        packets = write_capture(out, [flows[at] for at in order], size * 1_000_000 // BYTES_PER_S, rng)
    totals = {"bytes": path.stat().st_size, "packets": packets, "tcp_flows": len(flows) - udp, "udp_flows": udp}
    expectation.write_text(json.dumps({"made_by": made_by, **totals, "facts": facts}, indent=1, sort_keys=True))
    return path


def main() -> None:
    """Build the named inputs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", default=list(SIZES), help="bulk, many, small")
    parser.add_argument("--inputs", type=Path, default=Path(".bench"), help="directory of the captures")
    options = parser.parse_args()
    for name in options.names:
        began = time.perf_counter()
        path = build(name, options.inputs)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
