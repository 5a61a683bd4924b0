"""`make bench`: trace-go beside tshark, nfstream and a plain libpcap read, as whole processes, on files in the page cache.

Each tool gets one warm-up run, in which its answer is checked and its memory watched, then N timed runs in turn with the
others; times are medians. Memory is the larger of `wait4`'s maximum over the tool's processes and the sum of the proportional
set sizes of its process tree, sampled in the warm-up; pages of a mapped file count. The last line is one JSON object.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from answers import TSHARK_FIELDS, TSHARK_FILTER

HERE = Path(__file__).parent
INPUTS = ("bulk", "many", "small")
NFSTREAM = """
import sys
from nfstream import NFStreamer
print(sum(1 for _ in NFStreamer(source=sys.argv[1], n_dissections=20, statistical_analysis=False)))
"""
LIBPCAP = """
import ctypes, ctypes.util, sys
pcap = ctypes.CDLL(ctypes.util.find_library("pcap") or "libpcap.so.0.8")
pcap.pcap_open_offline.restype = pcap.pcap_dump_open.restype = pcap.pcap_lib_version.restype = ctypes.c_void_p
if len(sys.argv) == 1:
    sys.exit(ctypes.string_at(pcap.pcap_lib_version()))
capture = ctypes.c_void_p(pcap.pcap_open_offline(sys.argv[1].encode(), ctypes.create_string_buffer(256)))
dump = ctypes.c_void_p(pcap.pcap_dump_open(capture, b"/dev/null"))
sys.exit(pcap.pcap_loop(capture, -1, pcap.pcap_dump, dump))
"""
OVERHEAD_SCENARIO = "healthy"  # of the lab


def commands(trace_go: str | None) -> dict[str, list[str] | None]:
    """The command line of each tool, to be followed by the file; None when the tool is missing."""
    tshark = shutil.which("tshark")
    fields = [word for name in TSHARK_FIELDS for word in ("-e", name)]
    nfstream = Path(os.environ.get("BENCH_NFSTREAM_PYTHON", ".venv/nfstream/bin/python"))
    libpcap = subprocess.run([sys.executable, "-c", LIBPCAP], check=False, capture_output=True)
    return {
        "trace_go": [trace_go, "read"] if trace_go else None,
        "tshark": [tshark, "-n", "-Y", TSHARK_FILTER, "-T", "fields", *fields, "-r"] if tshark else None,
        "nfstream": [str(nfstream), "-c", NFSTREAM] if nfstream.exists() else None,
        "libpcap": [sys.executable, "-c", LIBPCAP] if b"libpcap version" in libpcap.stderr else None,
    }


def run(command: list[str], output: Path) -> tuple[float, float]:
    """Wall seconds and megabytes of one run. Raises RuntimeError when it fails; trace-go's 1 means findings."""
    began = time.perf_counter()
    with output.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{command[0]} ended with status {process.returncode}")
    return wall, usage.ru_maxrss / 1e3


def tree_mb(pid: int) -> float:
    """Proportional set size of a process and its descendants; 0 once they are gone."""
    total = 0.0
    with contextlib.suppress(OSError, IndexError):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total = int(rollup.split("\nPss:")[1].split()[0]) / 1e3
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(tree_mb(int(child)) for child in (task / "children").read_text().split())
    return total


def watch(command: list[str], output: Path) -> float:
    """Highest `tree_mb` of one run."""
    peak = 0.0
    with output.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, tree_mb(process.pid))
        time.sleep(0.02)
    return peak


def measure(name: str, inputs: Path, runs: int, trace_go: str | None) -> dict[str, float | None]:
    """Time every tool on one input, print the table, return its JSON."""
    subprocess.run([sys.executable, HERE / "inputs.py", name, "--inputs", inputs], check=True, stdout=subprocess.DEVNULL)
    capture, expectation = inputs / f"{name}.pcap", inputs / f"{name}.expect.json"
    expected = json.loads(expectation.read_text())
    print(f"\n{name}: {expected['bytes'] / 1e6:,.1f} MB, {expected['packets']:,} packets, ", end="")
    print(f"{expected['tcp_flows']:,} TCP and {expected['udp_flows']:,} UDP flows")
    tools = {tool: [*command, str(capture)] for tool, command in commands(trace_go).items() if command}
    walls: dict[str, list[float]] = {tool: [] for tool in tools}
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "output"
        peaks = {tool: watch(command, output) for tool, command in tools.items()}
        notes = {tool: check(tool, tools[tool], output, expectation) for tool in tools}
        for _ in range(runs):
            for tool, command in tools.items():
                wall, peak = run(command, output)
                walls[tool].append(wall)
                peaks[tool] = max(peaks[tool], peak)
    medians = {tool: statistics.median(times) for tool, times in walls.items()}
    for tool in COLUMNS:
        if tool not in tools:
            print(f"  {tool:9} missing: not measured")
            continue
        ratio = f"{medians[tool] / medians['trace_go']:6.1f}x trace_go" if "trace_go" in tools else ""
        spread = f"({min(walls[tool]):.2f} to {max(walls[tool]):.2f})"
        print(f"  {tool:9} {medians[tool]:8.2f} s {spread:18} {peaks[tool]:6.0f} MB {ratio}  {notes[tool]}", flush=True)
    result = {f"{tool}_s": round(medians[tool], 3) if tool in tools else None for tool in COLUMNS}
    return result | {"rss_mb": round(peaks["trace_go"], 1) if "trace_go" in tools else None}
