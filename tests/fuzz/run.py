"""`python tests/fuzz/run.py TARGET [libFuzzer options]`: coverage-guided fuzzing; `--list` has the targets.

What libFuzzer keeps goes into .fuzz/TARGET; an input that breaks something is written there as crash-…, timeout-… or
oom-…. Once the bug is fixed it belongs into tests/fuzz/found/TARGET, from where every test run repeats it.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
LIMITS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=20000")


def main() -> None:
    if sys.argv[1:] == ["--list"]:
        from fuzz.targets import TARGETS

        print(*TARGETS)
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


main()
