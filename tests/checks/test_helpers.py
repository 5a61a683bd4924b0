"""What checks share: quoted commands, the choice of evidence, sentences."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paths.made import START, Net
from trace_go.checks.command import MAX_WORD_CHARS, shell
from trace_go.checks.framework import count, is_below, said, sentence, some
from trace_go.checks.proof import MAX_EVIDENCE, chosen
from trace_go.model import evidence
from trace_go.model.evidence import FILE_SHIFT
from trace_go.model.go import GoAccount
from trace_go.model.report import Case

PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=40)


@given(st.lists(PRINTABLE.filter(lambda word: not word.startswith("-")), min_size=1, max_size=4))
def test_a_shell_gets_the_words_back(words: list[str]) -> None:
    command = shell("printf '%s\\n'" + " {}" * len(words), *words)
    assert command is not None
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True, env={})
    assert done.stdout == "".join(f"{word}\n" for word in words)


@pytest.mark.parametrize(
    "word", ["", "-rf", "a\nb", "a\x1b[2J", "\u202e", "\x00", "\ud800", "x" * (MAX_WORD_CHARS + 1)]
)
def test_no_command_for_words_that_no_name_is(word: str) -> None:
    assert shell("dig {}", word) is None


def test_evidence_is_packets_in_order_then_the_rest() -> None:
    packets = [evidence.packet(number, f"p{number}") for number in (9, 3, 7, 5, 1, 2)]
    logs = [evidence.log(number, "l") for number in (4, 4, 6, 8)]
    assert [piece.packet for piece in chosen(packets)] == [1, 2, 3, 5, 7]
    assert [piece.packet or -(piece.line or 0) for piece in chosen([*logs, *packets])] == [1, 2, 3, -4, -6]
    assert len(chosen(logs)) == 3
    assert len(chosen([*packets[:1], *logs, *logs])) == 4
    assert len(chosen([evidence.log(number, "l") for number in range(1, 20)])) == MAX_EVIDENCE


def test_a_packet_is_told_once_as_it_was_first_told() -> None:
    assert [piece.text for piece in chosen([evidence.packet(1, "a"), evidence.packet(1, "b")])] == ["a"]
    assert len(chosen([evidence.packet(1, "a"), evidence.packet(1, "a", file=1)])) == 2


def test_packets_of_files_that_were_captured_at_once_are_told_by_time() -> None:
    net = Net()
    for file, start_ns in enumerate((START, START + 10, START + 5)):
        net.flow(file=file, first_packet=file << FILE_SHIFT | 7, start_ns=start_ns, end_ns=start_ns)
    flows, account = net.traffic.flows, GoAccount()
    told = Case(files=(), flows=flows, lookups=(), judgements=(), account=account, requests=(), seeing=())
    pieces = [evidence.packet(number, "", file) for file in (2, 0, 1) for number in (9, 8)]
    assert [(piece.file, piece.packet) for piece in chosen(pieces, told)] == [(0, 8), (0, 9), (2, 8), (2, 9), (1, 8)]


def test_sentences() -> None:
    assert sentence("the end") == "The end."
    assert sentence("") == ""
    assert said("go: m@v: bad\n\tserver response: no\n") == "go says “m@v: bad; server response: no”."
    assert (count(1, "request"), count(0, "request")) == ("1 request", "0 requests")
    assert some(["c", "a", "b", "a", "d"]) == "a, b, c …"


def test_is_below() -> None:
    roots = {"example.com/a"}
    assert is_below("example.com/a", roots)
    assert is_below("example.com/a/b", roots)
    assert not is_below("example.com/ab", roots)
    assert not is_below("example.com", roots)
