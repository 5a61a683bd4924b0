"""`python tests/fuzz/run.py TARGET [libFuzzer options]`: coverage-guided fuzzing; `--list` has the targets.

What libFuzzer keeps goes into .fuzz/TARGET; an input that breaks something is written there as crash-…, timeout-… or
oom-…. Once the bug is fixed it belongs into tests/fuzz/found/TARGET, from where every test run repeats it. `--keep`
packs the inputs that reach more code than others into tests/fuzz/corpus.tar.xz: there fuzzing starts the next time.
"""

import io
import re
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
MOST_BYTES = 4096
"""of an input that is kept: all together stay below half a megabyte"""
LIMITS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=20000")


def main() -> None:
    if sys.argv[1:] == ["--list"]:
        from fuzz.targets import TARGETS

        print(*TARGETS)
        return
    if sys.argv[1:] == ["--keep"]:
        keep()
        return
    import atheris

    with atheris.instrument_imports(include=["trace_go", "hpack", "tomllib", "zipfile", "json"]):
        from fuzz.targets import TARGETS as targets
    from fuzz.seeds import seeds

    name = sys.argv[1]
    corpus = ROOT / ".fuzz" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, blob in enumerate(seeds().get(name, [])):
        (corpus / f"seed-{number}").write_bytes(blob)
    options = [f"-artifact_prefix={corpus}/", *LIMITS, *sys.argv[2:], str(corpus)]
    atheris.Setup([sys.argv[0], *options], targets[name])
    atheris.Fuzz()


def keep() -> None:
    from fuzz.seeds import CORPUS

    paths = [path for path in (ROOT / ".fuzz").glob("*/*") if re.fullmatch("[0-9a-f]{40}", path.name)]
    found = {f"{path.parent.name}/{path.name[:8]}": path.read_bytes() for path in sorted(paths)}
    with tarfile.open(CORPUS, "w:xz", preset=9) as archive:
        for name, blob in found.items():
            if len(blob) <= MOST_BYTES:
                member = tarfile.TarInfo(name)
                member.size = len(blob)
                archive.addfile(member, io.BytesIO(blob))
    print(f"{len(found):,} inputs, {CORPUS.stat().st_size:,} bytes")


main()
