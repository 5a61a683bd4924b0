"""`make bench`: trace-go beside tshark, nfstream and a plain libpcap read, as whole processes, files in the page cache.

Each tool gets one warm-up run, in which its answer is checked and its memory watched, then N timed runs in turn with
the others; times are medians. Memory is the larger of `wait4`'s maximum over the tool's processes and the sum of the
proportional set sizes of its process tree, sampled in the warm-up; pages of a mapped file count. The last line is one
JSON object.
"""

import argparse
import contextlib
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
from typing import Any

from answers import READERS, TSHARK_FIELDS, TSHARK_FILTER
from decrypted import TSHARK as DECRYPTED_TSHARK

HERE = Path(__file__).resolve().parent
COLUMNS = ("trace_go", "tshark", "nfstream", "libpcap")
RIGHT = "answer right"
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
    sys.exit(ctypes.string_at(pcap.pcap_lib_version()).decode())
capture = ctypes.c_void_p(pcap.pcap_open_offline(sys.argv[1].encode(), ctypes.create_string_buffer(256)))
dump = ctypes.c_void_p(pcap.pcap_dump_open(capture, b"/dev/null"))
sys.exit(pcap.pcap_loop(capture, -1, pcap.pcap_dump, dump))
"""
OVERHEAD_SCENARIO = "healthy-100"  # of the lab
LAYOUTS = {"merged": "packets merged by the kernel", "wire": "packets as on the wire"}
"""of the decrypted run"""


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
    if process.returncode not in ((0, 1) if command[1] == "read" else (0,)):
        raise RuntimeError(f"{command[0]} ended with status {process.returncode}")
    if command[1] == "read" and not output.stat().st_size:
        raise RuntimeError(f"{command[0]} wrote no report")
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
    subprocess.run(
        [sys.executable, HERE / "inputs.py", name, "--inputs", inputs], check=True, stdout=subprocess.DEVNULL
    )
    capture, expectation = inputs / f"{name}.pcap", inputs / f"{name}.expect.json"
    expected = json.loads(expectation.read_text())
    print(f"\n{name}: {expected['bytes'] / 1e6:,.1f} MB, {expected['packets']:,} packets, ", end="")
    print(f"{expected['tcp_flows']:,} TCP and {expected['udp_flows']:,} UDP flows")
    tools = {tool: [*command, str(capture)] for tool, command in commands(trace_go).items() if command}
    walls: dict[str, list[float]] = {tool: [] for tool in tools}
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "output"
        peaks, notes = {}, {}
        for tool, command in tools.items():
            peaks[tool] = watch(command, output)
            notes[tool] = check(tool, command, output, expectation)
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
    valid = {tool for tool in tools if notes[tool] in ("", RIGHT)}  # a wrong answer has no time
    result = {f"{tool}_s": round(medians[tool], 3) if tool in valid else None for tool in COLUMNS}
    told = {"mb": expected["bytes"] / 1e6, "packets": expected["packets"]}
    told["flows"] = expected["tcp_flows"] + expected["udp_flows"]
    return result | {"rss_mb": round(peaks["trace_go"], 1) if "trace_go" in valid else None} | told


def check(tool: str, command: list[str], output: Path, expectation: Path) -> str:
    """Compare the facts the tool found with those in the input; of nfstream and libpcap there is nothing to compare."""
    if tool not in READERS:
        return ""
    if tool == "trace_go":
        run([*command, "--format", "json"], output)
    words = [sys.executable, str(HERE / "answers.py"), tool, str(output), str(expectation)]
    result = subprocess.run(words, check=False, capture_output=True, text=True)
    return RIGHT if result.returncode == 0 else f"ANSWER WRONG:\n{result.stdout or result.stderr.splitlines()[-1]}"


def measure_overhead(pairs: int, trace_go: str | None) -> dict[str, Any] | None:
    """Per cent by which tracing lengthens the lab's `go mod download` of 100 modules."""
    if not trace_go:
        print("\noverhead: trace-go is missing: not measured")
        return None
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "overhead.json"
        driver = [sys.executable, str(HERE / "overhead.py"), trace_go, str(pairs), str(result), "GO"]
        lab = [sys.executable, "-m", "lab", "run", OVERHEAD_SCENARIO, "--out", f"{scratch}/lab", "--", *driver]
        environment = os.environ | {"PYTHONPATH": str(HERE.parent / "tests")}
        ended = subprocess.run(lab, env=environment, check=False, capture_output=True, text=True)
        if not result.exists():
            print(f"\noverhead: not measured: {ended.stderr.strip().splitlines()[-1:]}")
            return None
        account: dict[str, Any] = json.loads(result.read_text())
    print(
        f"\noverhead: {account['overhead_pct']:.1f} % of go's {account['untraced_s']:.2f} s, median of {pairs} pairs ",
        end="",
    )
    print(f"(quartiles {account['quartiles_pct']})")
    print(f"  go's own account alone, into nothing, {account['telling_pct']:.1f} %; ", end="")
    print(f"untraced against itself {account['control_pct']:.1f} %; trace-go around go {account['around_s']:.2f} s")
    return account


def measure_decrypted(runs: int, trace_go: str | None, inputs: Path) -> dict[str, Any] | None:
    """A run with keys beside tshark's list of its HTTP/2 requests, and what the twin costs."""
    if not trace_go or not shutil.which("tshark"):
        print("\ndecrypted: trace-go or tshark is missing: not measured")
        return None
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "decrypted.json"
        words = [sys.executable, str(HERE / "decrypted.py"), trace_go, str(runs), str(inputs.resolve()), str(result)]
        ended = subprocess.run(words, check=False, capture_output=True, text=True)
        if not result.exists():
            print(f"\ndecrypted: not measured: {ended.stderr.strip().splitlines()[-1:]}")
            return None
        account: dict[str, Any] = json.loads(result.read_text())
    for name, what in LAYOUTS.items():
        told = account[name]
        same = "the same requests" if told["same_requests"] else "OTHER REQUESTS"
        print(f"\ndecrypted, {what}: trace_go {told['trace_go_s']:.2f} s, tshark {told['tshark_s']:.2f} s, ", end="")
        print(f"ratio {told['ratio']:.2f}, {same}", end="")
    twin = account["twin"]
    print(f"\ntwin of go: {twin['cold_s']} s cold, {twin['warm_s']} s warm, {twin['unchanged_s']} s unchanged")
    return account


def page(
    results: dict[str, dict[str, Any]],
    overhead: dict[str, Any] | None,
    decrypted: dict[str, Any] | None,
    runs: int,
    about: str,
) -> str:
    """docs/speed.md"""
    lines = [
        "# Speed",
        "",
        "`trace-go read` with its default report beside tshark, which extracts the same facts, nfstream, and a plain",
        f"read by libpcap: whole processes, files in the page cache, medians of {runs} runs in turn. `3x`: three times",
        "as long as trace-go. Ours and tshark's answers are checked. `make bench` makes this page.",
        "",
        "| input | size | flows | trace-go | MB/s | packets/s | peak memory | tshark | nfstream | libpcap |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, item in results.items():
        ours = item["trace_go_s"]
        if ours is None:
            lines.append(f"| {name} | | | wrong or not measured | | | | | | |")
            continue
        others = [item[f"{tool}_s"] for tool in COLUMNS[1:]]
        ratios = " | ".join(f"{other:.2f} s, {other / ours:.2g}x" if other else "-" for other in others)
        lines.append(
            f"| {name} | {item['mb']:,.0f} MB | {item['flows']:,} | {ours:.2f} s | {item['mb'] / ours:,.0f} "
            f"| {item['packets'] / ours:,.0f} | {item['rss_mb']:.0f} MB | {ratios} |"
        )
    lines += ["", *(decrypted_lines(decrypted) if decrypted else ["With keys: not measured."]), ""]
    lines += overhead_lines(overhead) if overhead else ["What tracing costs: not measured."]
    return "\n".join([*lines, "", "```", about, "```", ""])


def decrypted_lines(account: dict[str, Any]) -> list[str]:
    """Of the page: a run with keys, and the twin."""
    lines = [
        "## With keys",
        "",
        "One `go mod download` of 200 modules, about 100 MB of zips, in a pcapng with its TLS keys. trace-go decrypts",
        "it, hashes every module, judges the run and reports; tshark only lists the HTTP/2 requests:",
        f"`tshark {' '.join(DECRYPTED_TSHARK)} FILE`. Both in turn; both must find the same requests.",
        "",
        "| input | trace-go | tshark | ratio | requests |",
        "|---|---:|---:|---:|---|",
    ]
    for name, what in LAYOUTS.items():
        told = account[name]
        same = "the same" if told["same_requests"] else "**others**"
        lines.append(
            f"| {what} | {told['trace_go_s']:.2f} s | {told['tshark_s']:.2f} s | {told['ratio']:.2f} | {same} |"
        )
    twin = account["twin"]
    return [
        *lines,
        "",
        f"The key-logging twin of go is built in {twin['cold_s']} s with nothing cached, in {twin['warm_s']} s with",
        f"a warm build cache, and found again in {twin['unchanged_s']} s.",
    ]


def overhead_lines(account: dict[str, Any]) -> list[str]:
    """Of the page: what tracing costs the traced command."""
    return [
        "## What tracing costs",
        "",
        f"`go mod download` of 100 modules in the lab takes {account['untraced_s']:.2f} s. Traced, without keys, it",
        f"takes {account['overhead_pct']:.1f} % more: the median of pairs, quartiles {account['quartiles_pct']}.",
        f"That go gives its account (`-x`, `http2debug=2`), even into nothing, takes {account['telling_pct']:.1f} %;",
        f"equal untraced runs differ by {account['control_pct']:.1f} %.",
        f"Before and after the command trace-go takes {account['around_s']:.2f} s.",
    ]


def machine(trace_go: str | None) -> str:
    """Cores and versions, one a line."""
    lines = [f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"]
    versions = {tool: [command[0], "--version"] for tool, command in commands(trace_go).items() if command}
    versions |= {"libpcap": [sys.executable, "-c", LIBPCAP]}
    if "nfstream" in versions:
        versions["nfstream"][1:] = ["-c", "from importlib.metadata import version; print(version('nfstream'))"]
    for tool, command in versions.items():
        result = subprocess.run(command, check=False, capture_output=True, text=True)
        lines += [f"{tool}: {line}" for line in [*result.stdout.splitlines(), *result.stderr.splitlines()][:1]]
    return "\n".join(lines)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", default=",".join([*INPUTS, "overhead", "decrypted"]), help="comma-separated (default: %(default)s)"
    )
    parser.add_argument("--no-overhead", action="store_true")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each tool (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=60, help="of runs for the overhead (default: %(default)s)")
    parser.add_argument("--inputs", type=Path, default=Path(".bench"), help="directory of the captures")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write docs/speed.md")
    options = parser.parse_args()
    beside = Path(sys.executable).with_name("trace-go")
    trace_go = str(beside) if beside.exists() else shutil.which("trace-go")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed trace-go has its bytecode, too
    about = machine(trace_go)
    print(about)
    chosen = options.only.split(",")
    results = {name: measure(name, options.inputs, options.runs, trace_go) for name in INPUTS if name in chosen}
    overhead = measure_overhead(options.pairs, trace_go) if "overhead" in chosen and not options.no_overhead else None
    decrypted = measure_decrypted(options.runs, trace_go, options.inputs) if "decrypted" in chosen else None
    if options.write:
        options.write.write_text(page(results, overhead, decrypted, options.runs, about))
    print()
    percent = overhead and float(overhead["overhead_pct"])
    print(json.dumps({**results, "overhead_pct": percent, "decrypted": decrypted}))


if __name__ == "__main__":
    main()
