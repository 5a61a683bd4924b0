"""Makes the captures of `captures/` and their index again, from runs of the lab: `make captures`, or some by name.

Each capture is what the client's interface saw. A bundle is what `trace-go -w` keeps of the same run.
"""

import importlib.util
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "captures"
sys.path.insert(0, str(ROOT / "tests"))

from lab import scenario  # noqa: E402  # it is in the tests' folder

MAX_BYTES = 200_000  # everybody clones them
BETA = "go mod download example.com/beta"  # where the scenario's own command fetches larger modules
CAPTURES = {
    "healthy-mirror": f"{BETA} github.com/Azure/pick",
    "healthy-tls12": BETA,
    "mirror-404-direct": "go mod download",
    "mirror-403-comma": "go mod download",
    "mirror-dead": "go mod download",
    "mitm-explicit": "go mod download",
    "connect-proxy": BETA,
    "missing-intermediate-tls12": "go mod download",
    "redirect-insecure": "go mod download",
}
BUNDLES = ("mitm-explicit",)
PCAP_HEADER_BYTES, RECORD = 24, struct.Struct("<8xI4x")  # the lab's recorder writes little-endian pcap
INDEX = """\
# Captures

Real go commands in the lab's network namespaces (`tests/lab`), as the client's interface saw them. Addresses are from
documentation ranges; there are no secrets. `make captures` makes them and this list again, each by
`python -m lab run NAME --capture --out DIR -- COMMAND`.
A `.zip` is the bundle that `trace-go -w` keeps of such a run: packets, go's own account and its environment.
`checks/` has bundles for each check: where it fires, where it must be silent, and a case that a hasty check gets wrong.

| capture | packets | bytes | what happens | command |
|---|---:|---:|---|---|
"""


def main(names: list[str]) -> int:
    """Remake the captures called `names`, by default all. Returns 1 when one is not as it must be."""
    for name in names or CAPTURES:
        with tempfile.TemporaryDirectory(prefix="lab-") as scratch:
            if problem := make(name, Path(scratch)):
                print(f"captures: {name}: {problem}", file=sys.stderr)
                return 1
    (FOLDER / "README.md").write_text(index())
    return 0


def make(name: str, scratch: Path) -> str:
    """Run the scenario and keep its capture; returns what is wrong with it, or nothing."""
    command, kept = CAPTURES[name].split(), {f"{name}.pcap": scratch / "plain" / "client.pcap"}
    go = small_go(scratch)
    if problem := run_lab(name, scratch / "plain", go, command, "--capture"):
        return problem
    if name in BUNDLES:  # a run of its own: the first one's capture would hold trace-go's probe as well
        traced = ["trace-go", "-o", os.devnull, "-w", "../run.zip", "--", *command]
        if problem := run_lab(name, scratch / "traced", go, traced):
            return problem
        kept[f"{name}.zip"] = scratch / "traced" / "run.zip"
    for target, source in kept.items():
        if source.stat().st_size > MAX_BYTES:
            return f"{target} has {source.stat().st_size} bytes, more than {MAX_BYTES}"
        if private := {word for data in contents(source) for word in private_words() if word.encode() in data}:
            return f"{target} holds {sorted(private)}"
        shutil.copyfile(source, FOLDER / target)
    return ""


def run_lab(name: str, out: Path, go: Path, command: list[str], *options: str) -> str:
    """One run of the lab; returns how it differs from its truth, or nothing."""
    lab = [sys.executable, "-m", "lab", "run", name, *options, "--out", str(out), "--go", str(go)]
    environment = os.environ | {"PYTHONPATH": "tests"}
    done = subprocess.run(
        [*lab, "--", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    truth = scenario.load(name).truth
    if done.returncode != truth.exit or truth.says not in done.stderr:
        return f"ended with {done.returncode}: {done.stderr.strip()}"
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
    for name, command in sorted(CAPTURES.items()):
        capture = FOLDER / f"{name}.pcap"
        bundle = f", [bundle]({name}.zip)" if name in BUNDLES else ""
        data, title = capture.read_bytes(), scenario.load(name).title
        rows.append(f"| [{name}]({name}.pcap){bundle} | {packets(data)} | {len(data)} | {title} | `{command}` |\n")
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
