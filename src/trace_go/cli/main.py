"""The command line: what is asked, and which exit status follows. Nothing heavy is imported before it is needed."""

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, TextIO

from trace_go import __version__
from trace_go.model.errors import TraceGoError

USAGE_ERROR = 2
INTERRUPTED = 130

_DESCRIPTION = """\
Shows, for every Go module request, which hop really served it (the origin,
a mirror, or a machine that broke TLS open in between), how it went, and what
is wrong with the path."""
_EPILOG = """\
commands:
  trace-go [OPTIONS] -- CMD…  run CMD (go mod download, make, …) and explain its
                              module downloads
  trace-go read FILE… | -     explain captures (pcap, pcapng, also packed),
                              folders of them, or bundles kept with -w
  trace-go live -i IFACE      watch an interface
  trace-go explain [ID]       the page of a check, or the list of checks
  trace-go checks             every check with its severity and audience
  trace-go doctor             what this machine allows: capture, go, tshark, …
trace-go COMMAND --help tells the options of each.

exit status:
  -- CMD      CMD's own; with --fail-on, 1 when CMD succeeded but there are such
              findings
  read, live  0 no finding at or above --fail-on (default: error), 1 findings,
              2 usage or unreadable input (what was readable is still reported),
              3 missing privilege or tool"""


def run() -> NoReturn:
    """The console script. Skips the interpreter's taking apart of every object, which after a large capture can take
    seconds.
    """
    sys.stdout, sys.stderr = _stream(sys.stdout, _Output), _stream(sys.stderr, _Unheard)
    try:
        code = main()
    except Exception:  # noqa: BLE001 -- a bug must not end with 1, which means findings
        import traceback

        traceback.print_exc()
        code = USAGE_ERROR
    sys.stderr.flush()
    os._exit(code)


def _stream(stream: TextIO | None, raw: type[FileIO]) -> TextIO:
    """A standard stream over another raw layer; one that who started us has closed leads nowhere."""
    descriptor = stream.fileno() if stream else os.open(os.devnull, os.O_WRONLY)
    encoding, errors = (stream.encoding, stream.errors) if stream else ("utf-8", None)
    file = BufferedWriter(raw(descriptor, "w", closefd=False))
    return TextIOWrapper(file, encoding, errors, line_buffering=raw is _Unheard or file.isatty())


class _Output(FileIO):
    """Standard output. Raises TraceGoError when it cannot be written."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise TraceGoError(f"standard output cannot be written: {error.strerror}") from error


class _Unheard(FileIO):
    """Standard error: what cannot be written there is lost, and nothing else fails for it."""

    def write(self, data: Any) -> int:
        with suppress(OSError):
            return super().write(data)
        return len(data)


def main(argv: Sequence[str] | None = None) -> int:
    """What `trace-go` with these arguments does; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # pages and names hold characters that not every encoding has
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return _main(arguments)
        finally:
            sys.stdout.flush()
    except TraceGoError as error:
        print(f"trace-go: {_line(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away: not an error, but Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _main(arguments: list[str]) -> int:
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    own, command = arguments[:cut], arguments[cut + 1 :]
    if own and own[0] in COMMANDS:
        name, own = own[0], own[1:] + arguments[cut:]
        options = _parser(name).parse_args(own)
    else:
        name, parser = "run", _parser("run")
        behind = next((item for item in own if item in COMMANDS), None)
        if behind and not command:
            parser.error(f"options go behind the subcommand: trace-go {behind} [OPTIONS] …")
        if own and not own[0].startswith("-"):
            parser.error(f"{own[0]!r} is no command of trace-go: {_meant(own[0])}")
        options = parser.parse_args(own)
        if not command:
            parser.error("nothing to do: write `trace-go -- go mod download`, or `trace-go read FILE` for a capture")
        options.command = command
    gc.disable()  # imports make no garbage, and looking for some takes 10 ms
    if name in ("run", "read", "live"):
        _import_numpy()
    module = import_module(f"trace_go.cli.{name}")
    gc.enable()
    return int(module.main(options))


def _meant(word: str) -> str:
    """What to write in place of a first word that is no command of ours."""
    if Path(word).exists():
        return f"write `trace-go read {word}` for a capture"
    if close := get_close_matches(word, COMMANDS, n=1):
        return f"did you mean `trace-go {close[0]}`?"
    return f"write `trace-go -- {word} …` to run it under observation"


def _import_numpy() -> None:
    """NumPy without the threads of its BLAS: nothing here uses them, and starting them takes longer than NumPy itself.

    The variable that says so must not reach the command that is traced.
    """
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    import_module("numpy")
    if before is None:
        del os.environ[name]
    else:
        os.environ[name] = before


def _line(error: TraceGoError) -> str:
    from trace_go.report.escape import clean

    return clean(str(error), 1000)


# -- parsers -----------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as every error of ours."""
        self.exit(USAGE_ERROR, f"{self.prog}: {message} (`{self.prog} --help` has more)\n")


def _parser(name: str) -> argparse.ArgumentParser:
    usage = {"run": "trace-go [OPTIONS] -- CMD…"}.get(name)
    parser = _Parser(
        prog="trace-go" if name == "run" else f"trace-go {name}",
        usage=usage,
        description=_DESCRIPTION if name == "run" else COMMANDS[name],
        epilog=_EPILOG if name == "run" else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _ARGUMENTS[name](parser)
    return parser


def _analysis(parser: argparse.ArgumentParser) -> None:
    _output(parser)
    parser.add_argument(
        "--trust",
        default="system",
        metavar="system|certifi|FILE",
        help="roots to judge certificates by: as go finds them on this machine (default), Mozilla's, or a PEM file",
    )
    parser.add_argument("--config", metavar="FILE", help="trace-go.toml with own mirrors, proxies and interception CAs")
    parser.add_argument("--select", action="append", default=[], metavar="ID", help="only this check (repeatable)")
    parser.add_argument("--ignore", action="append", default=[], metavar="ID", help="not this check (repeatable)")


def _output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("terminal", "json"), default="terminal", help="default: terminal")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the report to FILE")
    parser.add_argument("-v", "--verbose", action="store_true", help="list every request")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="NO_COLOR is honoured too")


def _fail_on(parser: argparse.ArgumentParser, default: str | None, text: str) -> None:
    parser.add_argument("--fail-on", choices=("error", "warning", "note"), default=default, help=text)


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", action="version", version=f"trace-go {__version__}")
    _analysis(parser)
    _fail_on(parser, None, "exit 1 when CMD succeeds but there is such a finding")
    parser.add_argument("-w", "--write", metavar="FILE", help="keep the capture (.pcapng) or a bundle (.zip, or DIR/)")
    parser.add_argument("--no-probe", action="store_true", help="do not fetch certificate chains that TLS 1.3 hid")
    parser.add_argument("--no-capture", action="store_true", help="capture no packets")
    parser.add_argument("--keys", action="store_true", help="look inside TLS: run go as a twin that logs its keys")
    parser.add_argument("--write-keys", action="store_true", help="keep those keys in what -w writes")
    parser.add_argument("--no-x", action="store_true", help="do not add -x to GOFLAGS")
    parser.add_argument("--no-http2debug", action="store_true", help="do not add http2debug=2 to GODEBUG")


def _read(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="pcap or pcapng, also packed (gzip, xz, zstd, lz4); folder, bundle, or - for stdin",
    )
    parser.add_argument(
        "--keylog",
        action="append",
        default=[],
        metavar="FILE",
        help="open TLS with this key log (SSLKEYLOGFILE; repeatable)",
    )
    parser.add_argument("--beyond", metavar="FILE", help="capture of the same run made beyond a gateway: who ends TLS?")
    parser.add_argument("--follow", action="store_true", help="a capture still being written: go on until ctrl-C")
    _max_flows(parser)
    _compare(parser)
    _analysis(parser)
    _fail_on(parser, "error", "exit 1 when there is such a finding (default: error)")


def _compare(parser: argparse.ArgumentParser) -> None:
    text = "no report: list where tshark finds other names, certificates or requests than trace-go"
    parser.add_argument("--compare-tshark", action="store_true", help=text)


def _max_flows(parser: argparse.ArgumentParser) -> None:
    text = "flows kept at once (default: 100000); beyond it finished and idle ones are only counted"
    parser.add_argument("--max-flows", type=_positive, metavar="N", help=text)


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if (value := float(text)) > 0:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text[:12]):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 up")
    return int(text[:12])


def _live(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--interface", required=True, metavar="IFACE", help="interface name, or any")
    parser.add_argument("-f", "--filter", metavar="BPF", help="capture filter, as tcpdump takes it")
    parser.add_argument("-a", "--duration", type=_seconds, metavar="SECONDS", help="stop after this time")
    parser.add_argument("-c", "--count", type=_positive, metavar="PACKETS", help="stop after this many packets")
    parser.add_argument("-w", "--write", metavar="FILE.pcapng", help="keep the packets")
    _max_flows(parser)
    _analysis(parser)
    _fail_on(parser, "error", "exit 1 when there is such a finding (default: error)")


def _explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="a check's ID; without it, the list")


def _checks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("terminal", "json"), default="terminal")


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("terminal", "json"), default="terminal")


COMMANDS = {
    "read": "Explain captures or bundles.",
    "live": "Watch an interface; ctrl-C ends with the report.",
    "explain": "Show the page of a check: what it means, how we know, what to do.",
    "checks": "List every check.",
    "doctor": "Show what this machine allows.",
}
_ARGUMENTS = {"run": _run, "read": _read, "live": _live, "explain": _explain, "checks": _checks, "doctor": _doctor}
