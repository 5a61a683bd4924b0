"""The scoreboard: each scenario's result, compared with the committed one (results.json), and as a page of the docs.

Results are compared by what is not right or not observable about them: numbers of requests differ between runs.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from lab import runs, scenario
from lab.network import LabError
from lab.runs import Traced
from lab.scenario import Truth
from lab.score import KINDS, Score, out_of_bounds, score
from trace_go.checks.discovery import discover

RESULTS = Path(__file__).parent / "results.json"
PAGE = runs.ROOT / "docs" / "scoreboard.md"
DEBUG_LINES = ("# get http", "http2: Framer")  # go's account, which trace-go keeps to itself
COMMAND = "command"
MAX_NOTES = 8  # lines that one result fills a terminal with
PART = 3  # of all scenarios every PART-th stands for the others


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One traced run of a scenario: it was skipped, or did not come to an end, or has a score for each input."""

    skipped: str = ""  # why
    command: bool = True  # the command ended as told, and nobody but trace-go saw go's debug lines
    scores: dict[str, Score] = {}  # by input: keys of KINDS
    notes: tuple[str, ...] = ()  # what is not right about the command, for people

    @property
    def told(self) -> list[str]:
        """What is not right, for people; a bundle mostly tells what its run told."""
        every = dict.fromkeys(note for one in self.scores.values() for note in one.notes)
        by = {note: ", ".join(kind for kind, one in self.scores.items() if note in one.notes) for note in every}
        lines = [*self.notes, *(f"{kinds}: {note}" for note, kinds in by.items())]
        return lines[:MAX_NOTES] + [f"… {len(lines) - MAX_NOTES} more"] * (len(lines) > MAX_NOTES)

    @property
    def right(self) -> bool:
        return self.command and not any(one.flaws for one in self.scores.values())

    @property
    def state(self) -> set[str]:
        inputs = {f"{kind}: {flaw}" for kind, one in self.scores.items() for flaw in one.state}
        return inputs | (set() if self.command else {COMMAND})


def judge(truth: Truth, traced: Traced) -> Result:
    """A run against its scenario's truth."""
    notes = [f"exit {traced.exit}, not {truth.exit}"] if traced.exit != truth.exit else []
    notes += [] if truth.said(traced.stderr) else [f"standard error lacks {' or '.join(truth.says)!r}"]
    notes += [f"standard error has {words!r}" for words in DEBUG_LINES if words in traced.stderr]
    scores = {kind: score(kind, report, truth, traced.served) for kind, report in traced.reports.items()}
    if strays := out_of_bounds(traced.reports["packets"], traced.reports["keys"]):
        before = scores["packets"]
        scores["packets"] = replace(before, wrong=before.wrong + len(strays), notes=(*before.notes, *strays))
    return Result(command=not notes, scores=scores, notes=tuple(notes))


def play(name: str, out: Path, *, change: str = "", go: Path | None = None) -> Result:
    """Run a scenario once, traced, and judge it. A run that comes to nothing is a result too."""
    if reason := runs.missing(name):
        return Result(skipped=reason)
    try:
        return judge(scenario.load(name, change).truth, runs.traced(name, out, change=change, go=go))
    except LabError as error:
        return Result(command=False, notes=(f"did not run: {error}",))


def worse(result: Result, before: Result | None) -> list[str]:
    """What is no longer right. Where nothing is known from before, only the command must end as told."""
    known = before.state if before and before.scores else result.state - {COMMAND}
    new = result.scores.keys() - before.scores.keys() if before else set()  # inputs
    return sorted(flaw for flaw in result.state - known if flaw.partition(":")[0] not in new)


def better(result: Result, before: Result | None) -> list[str]:
    """What is right or observable now."""
    return sorted(before.state - result.state) if before and result.scores else []


def takes_over(result: Result, before: Result | None, *, accept: bool = False) -> bool:
    """Whether a result is to be committed: when it is new or better; with `accept` also when it is worse.

    Where nothing but numbers differs the earlier result stays, as numbers of connections are not the same in each run.
    """
    if not result.scores:
        return before is None and bool(result.skipped)
    new = before is None or result.scores.keys() > before.scores.keys()
    return accept or (not worse(result, before) and (new or bool(better(result, before))))


def committed() -> dict[str, Result]:
    return msgspec.json.decode(RESULTS.read_bytes(), type=dict[str, Result]) if RESULTS.exists() else {}


def keep(results: Mapping[str, Result]) -> None:
    """Write results.json, a line for each scenario, and the page."""
    known = {name: _without_notes(results[name]) for name in scenario.names() if name in results}
    lines = [f'"{name}": {msgspec.json.encode(result).decode()}' for name, result in known.items()]
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    PAGE.write_text(page(known))


def _without_notes(result: Result) -> Result:
    return replace(result, notes=(), scores={kind: replace(one, notes=()) for kind, one in result.scores.items()})


def family(one: scenario.Scenario) -> str:
    """`healthy`, or the group of the check that names the cause; the cause itself where there is no such check yet."""
    groups = {check.id: check.meta.group for check in discover()}
    return groups.get(one.truth.cause, one.truth.cause) or "healthy"


def representative() -> list[str]:
    """Every PART-th scenario of each family, so that each family is in it."""
    families: dict[str, list[str]] = defaultdict(list)
    for one in sorted(map(scenario.load, scenario.names()), key=lambda one: (one.truth.cause, one.name)):
        families[family(one)].append(one.name)
    return sorted(name for names in families.values() for name in names[::PART])


def summary(result: Result) -> str:
    """One line for a terminal."""
    cells = [f"{kind} {_cell(one, result)}" for kind, one in result.scores.items()]
    return result.skipped or "  ".join(cells)


def totals(results: Mapping[str, Result]) -> list[str]:
    """A line for each input."""
    return [
        f"{kind:8} {', '.join(f'{name} {told}' for name, told in zip(TOTALS, _totals(kind, results), strict=False))}"
        for kind in KINDS
    ]


def page(results: Mapping[str, Result]) -> str:
    """The scoreboard for the docs."""
    cells = {kind: [*_totals(kind, results), *[""] * len(TOTALS)][: len(TOTALS)] for kind in KINDS}
    lines = [f"| {kind}: {KINDS[kind]} | {' | '.join(cells[kind])} |" for kind in KINDS]
    rows = [f"| {name} | {' | '.join(_row(result))} |" for name, result in sorted(results.items())]
    scores = [result.scores for result in results.values() if result.scores]
    return PAGE_TEXT.format(
        count=len(results),
        skipped=sum(bool(result.skipped) for result in results.values()),
        hidden=sum(one["live"].expected != one["packets"].expected for one in scores),
        headings=" | ".join(TOTALS),
        inputs=" | ".join(KINDS),
        rules="---|" * len(KINDS),
        totals="\n".join(lines),
        rows="\n".join(rows),
        causes="\n".join(_causes(results)),
    )


def _causes(results: Mapping[str, Result]) -> Iterator[str]:
    """What packets alone show of the first cause: the same, a weaker one that is true too, or nothing, and why."""
    kinds: dict[str, list[str]] = {text: [] for text in SHOWN}
    for name, result in sorted(results.items()):
        if result.scores and (cause := result.scores["live"].expected):
            shown = result.scores["packets"].expected
            kinds[SHOWN[0] if shown == cause else SHOWN[1] if shown else SHOWN[2]].append(name)
    right = {text: sum(results[name].scores["packets"].cause for name in names) for text, names in kinds.items()}
    same, weaker, nothing = (len(names) for names in kinds.values())
    yield "| packets alone show | scenarios | and trace-go tells it |"
    yield "|---|---:|---:|"
    yield from (f"| {text} | {len(names)} | {_share(right[text], len(names))} |" for text, names in kinds.items())
    yield ""
    yield f"Of the {same + weaker} scenarios of whose cause the wire shows something, strictly the same is told in"
    yield f"{_share(right[SHOWN[0]], same + weaker)}; of all {same + weaker + nothing} with a cause, in"
    yield f"{_share(right[SHOWN[0]], same + weaker + nothing)}. The others, and why:"
    yield ""
    yield "| scenario | first cause | packets alone show | why |"
    yield "|---|---|---|---|"
    for name in (*kinds[SHOWN[1]], *kinds[SHOWN[2]]):
        scores = results[name].scores
        causes = _code(scores["live"].expected), _code(scores["packets"].expected)
        why = scenario.hidden_because(name) if name in scenario.names() else ""
        yield f"| {name} | {' | '.join(causes)} | {why} |"


SHOWN = ("the same first cause", "a weaker one, which is true too", "nothing of it")
TOTALS = ("right", "not observable", "wrong", "not listed", "first cause right", "findings missed", "findings false")
PAGE_TEXT = """\
# Scoreboard

How right trace-go is about the {count} scenarios of the lab ({skipped} skipped where this was made): real go commands
in a small internet, each with its truth in [tests/lab/scenarios](../tests/lab/scenarios). Each is run once, and
trace-go's report is made from five inputs. `make score` makes this page, and fails when what was right is not.

*Right* requests have the right handler and hops; which requests there were is told by the servers' own logs. What
packets alone do not show is *not observable*, and no fault. In {hidden} scenarios packets alone show another first
cause than the run does, or none: what they can show counts as right; with the keys, either. Beyond the gateway only
the handlers are judged.

| input | {headings} |
|---|---:|---:|---:|---:|---:|---:|---:|
{totals}

Each cell: the requests that are right, of all whose handler the input shows; from packets alone they are connections.
✗ marks what is not as it should be.

| scenario | first cause | {inputs} |
|---|---|{rules}
{rows}

## First causes from packets alone

{causes}
"""


def _totals(kind: str, results: Mapping[str, Result]) -> Iterator[str]:
    """What stands under TOTALS; beyond the gateway only the first four."""
    scores = [result.scores[kind] for result in results.values() if kind in result.scores]
    right, unseen, wrong, absent = (
        sum(getattr(one, name) for one in scores) for name in ("right", "unseen", "wrong", "absent")
    )
    yield _share(right, right + wrong + absent)
    yield from map(str, (unseen, wrong, absent))
    if kind != "beyond":
        yield _share(sum(one.cause for one in scores), len(scores))
        yield str(sum(len(one.missed) for one in scores))
        yield str(sum(len(one.false) for one in scores))


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.0f} %)" if whole else "–"


def _row(result: Result) -> Iterator[str]:
    if not result.scores:
        yield from ("–", f"skipped: {result.skipped}" if result.skipped else "✗ did not run")
        yield from [""] * (len(KINDS) - 1)
        return
    yield _code(result.scores["live"].expected) + ("" if result.command else f" ✗ {COMMAND}")
    yield from (_cell(result.scores[kind], result) if kind in result.scores else "" for kind in KINDS)


def _cell(one: Score, result: Result) -> str:
    judged = one.right + one.wrong + one.absent
    words = [f"{one.right}/{judged}"] if judged else []
    words += [f"{one.unseen} not observable"] if one.unseen else []
    shown = one.expected != result.scores["live"].expected
    if shown and any(one is result.scores.get(kind) for kind in ("packets", "keys")):
        words.append(f"shows {_code(one.expected)}")
    return (", ".join(words) or "–") + (f" ✗ {', '.join(sorted(one.flaws))}" if one.flaws else "")


def _code(text: str) -> str:
    return f"`{text}`" if text else "–"
