"""`trace-go read --follow`: a file that another program writes, until ctrl-C; a pipe, until its end."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.conftest import CAPTURES, TIMEOUT_S, Run

DEAD = (CAPTURES / "mirror-dead.pcap").read_bytes()


class Followed:
    """A running `trace-go read --follow`, on a terminal of its own, whose view says how many packets it has seen."""

    def __init__(self, *arguments: str | Path) -> None:
        self.terminal, theirs = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trace_go", "read", "--format", "json", "--follow", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(theirs)

    def wait_for(self, text: bytes) -> None:
        seen, limit = b"", time.monotonic() + TIMEOUT_S
        while text not in seen:
            assert time.monotonic() < limit, seen
            seen += os.read(self.terminal, 4096)

    def end(self) -> tuple[int, dict[str, object]]:
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=TIMEOUT_S)
        os.close(self.terminal)
        return self.process.returncode, json.loads(out)


@pytest.mark.skipif(sys.platform != "linux", reason="reads its own terminal as Linux has it")
def test_a_file_is_followed_until_ctrl_c(tmp_path: Path, here: Run) -> None:
    path = tmp_path / "x.pcap"
    with path.open("wb", 0) as file:
        followed = Followed(path)
        file.write(DEAD[:400])
        followed.wait_for(b" packets, ")
        file.write(DEAD[400:-3])
        followed.wait_for(b"14 packets, ")
        file.write(DEAD[-3:])
        followed.wait_for(b"15 packets, ")
        code, told = followed.end()
    assert code == 1
    assert told == json.loads(here("read", "--format", "json", path).out)


def test_a_pipe_is_followed_to_its_end(traced: Run, here: Run) -> None:
    done = traced("read", "--follow", "-", data=DEAD)
    assert (done.code, done.err) == (1, "")
    assert done.out == traced("read", "-", data=DEAD).out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a.pcap", "b.pcap"], "--follow reads one capture"),
        (["--beyond", "b.pcap", "a.pcap"], "--follow reads one capture"),
        (["."], "--follow reads one capture"),
        (["packed"], "packed: is packed; only a plain capture can be followed"),
        (["zip"], "zip: --follow takes a capture, not a zip"),
        (["missing"], "No such file"),
        (["--keylog", "a.pcap", "-"], "give it as a file"),
    ],
)
def test_what_cannot_be_followed(arguments: list[str], says: str, here: Run) -> None:
    Path("packed").write_bytes(gzip.compress(DEAD))
    Path("zip").write_bytes(b"PK")
    done = here("read", "--follow", *arguments)
    assert done.code == 2
    assert says in done.line
