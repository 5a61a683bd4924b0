"""Makes the captures of `captures/` and their index again, from runs of the lab: `make captures`, or some by name.

A scenario's table [capture] says what is kept of it: `pcap`, what the client's interface saw, or `zip`, the bundle that
`trace-go -w` keeps.
"""

import importlib.util
import os
import shutil
import struct
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "captures"
sys.path.insert(0, str(ROOT / "tests"))

from lab import runs, scenario  # noqa: E402  # it is in the tests' folder
from lab.scenario import Capture, Scenario  # noqa: E402

MAX_BYTES = 200_000  # everybody clones them
TRACED = ("trace-go", "-o", os.devnull, "-w", "../run.zip", "--")
PCAP_HEADER_BYTES, RECORD = 24, struct.Struct("<8xI4x")  # the lab's recorder writes little-endian pcap
INDEX = """\
# Captures

Real go commands in the lab's network namespaces (`tests/lab`), as the client's interface saw them. Addresses are from
documentation ranges; there are no secrets. `make captures` makes them and this list again, each by
`python -m lab run NAME --capture --out DIR -- COMMAND`.
A `.zip` is the bundle that `trace-go -w` keeps of such a run: packets, go's own account and its environment.
`checks/` has bundles for each check: where it fires, where it must be silent, and a case that a hasty check gets wrong.

| capture | packets | bytes | what happens | what it shows | command |
|---|---:|---:|---|---|---|
"""


def main(names: list[str]) -> int:
    """Remake the captures of the scenarios called `names`, by default all. Returns 1 when one is not as it must be."""
    for one, capture in chosen():
        for kind in capture.keep if not names or one.name in names else ():
            with tempfile.TemporaryDirectory(prefix="lab-") as scratch:
                if problem := make(one, capture, kind, Path(scratch)):
                    print(f"captures: {one.name}.{kind}: {problem}", file=sys.stderr)
                    return 1
    (FOLDER / "README.md").write_text(index())
    return 0


def chosen() -> Iterator[tuple[Scenario, Capture]]:
    for one in map(scenario.load, scenario.names()):
        if one.capture:
            yield one, one.capture


def make(one: Scenario, capture: Capture, kind: str, scratch: Path) -> str:
    """Run the scenario and keep its capture; returns what is wrong with it, or nothing.

    Each kind has a run of its own: the capture of a traced run would hold trace-go's probe as well.
    """
    command, out = capture.command.split() or ["GO"], scratch / "run"
    words = [*TRACED, *command] if kind == "zip" else command
    done = runs.run(one.name, out, words, go=small_go(scratch), capture=kind == "pcap")
    if done.returncode != one.truth.exit or not one.truth.said(done.stderr):
        return f"ended with {done.returncode}: {done.stderr.strip()}"
    return keep(out / ("run.zip" if kind == "zip" else "client.pcap"), FOLDER / f"{one.name}.{kind}", MAX_BYTES)


def keep(source: Path, target: Path, max_bytes: int) -> str:
    """Copy a capture; returns why it must not be shipped, or nothing."""
    if source.stat().st_size > max_bytes:
        return f"{source.stat().st_size} bytes, more than {max_bytes}"
    if private := {word for data in contents(source) for word in private_words() if word.encode() in data}:
        return f"holds {sorted(private)}"
    shutil.copyfile(source, target)
    return ""


def small_go(scratch: Path) -> Path:
    """A copy of the go program with what `go mod download` needs beside it: its own path stands in bundles."""
    spec = importlib.util.find_spec("go")
    source, target = Path(str(spec and spec.origin)).parent, scratch / "go"
    (target / "pkg/tool").mkdir(parents=True)
    for file in ("bin/go", "go.env", "VERSION"):
        (target / file).parent.mkdir(exist_ok=True)
        shutil.copy(source / file, target / file)
    return target / "bin/go"


def private_words() -> list[str]:
    """What would tell where a capture was made."""
    return [str(ROOT), str(Path.home())]


def contents(file: Path) -> Iterator[bytes]:
    """The bytes of a file, or of the members of a zip file."""
    if file.suffix != ".zip":
        yield file.read_bytes()
        return
    with zipfile.ZipFile(file) as archive:
        for member in archive.namelist():
            yield archive.read(member)


def index() -> str:
    """The list for captures/README.md, from the files that are there."""
    rows = []
    for one, capture in chosen():
        command = capture.command or " ".join(one.command)
        for kind in capture.keep:
            name, data = f"{one.name}.{kind}", (FOLDER / f"{one.name}.{kind}").read_bytes()
            found = (one.truth if kind == "zip" else one.truth.packets).findings
            shows = ", ".join(f"`{check}`" for check in found) or "–"
            count = packets(data) if kind == "pcap" else ""
            rows.append(f"| [{name}]({name}) | {count} | {len(data)} | {one.title} | {shows} | `{command}` |\n")
    return INDEX + "".join(rows)


def packets(pcap: bytes) -> int:
    """Records of a capture that the lab wrote."""
    count, offset = 0, PCAP_HEADER_BYTES
    while offset < len(pcap):
        offset += RECORD.size + RECORD.unpack_from(pcap, offset)[0]
        count += 1
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
