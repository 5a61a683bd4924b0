"""Bundles: what is kept comes back, secrets do not, and a hostile one ends in one line."""

import base64
import json
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_go.capture import bundle as room
from trace_go.capture.bundle import Bundle, capture_path, is_bundle, kept_environment, maybe_open_bundle, write_bundle
from trace_go.capture.probe import ProbeResult
from trace_go.capture.source import CaptureStats
from trace_go.model.errors import CaptureError
from trace_go.model.go import GoAccount, SettingsFile

PACKETS = b"\x0a\x0d\x0d\x0a and so on" * 1000
LOG = b"# get https://me:secret@goproxy.example/x\r\n\xff\xfe no newline"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    files = {"capture": PACKETS, "log": LOG, "go_mod": b"module x\n", "go_sum": b""}
    for name, data in files.items():
        (tmp_path / f"source-{name}").write_bytes(data)
    account = GoAccount(
        argv=("go", "get", "https://me:secret@x.example/m", "\udcff"),
        exit_code=1,
        started_ns=1_700_000_000_000_000_000,
        ended_ns=1_700_000_001_000_000_000,
        go_env={"GOPROXY": "https://u:secret@goproxy.example,direct", "GOFLAGS": ""},
        go_env_changed=("GOPROXY",),
        process_env={"HTTPS_PROXY": "http://u:secret@proxy.example:3128", "AWS_SECRET_ACCESS_KEY": "secret"},
        settings_files=(
            SettingsFile(role="user", path="/home/me/env", values={"GOPROXY": "https://u:xxxxx@goproxy.example"}),
        ),
        notes=("a note",),
    )
    probe = ProbeResult(
        host="goproxy.example",
        port=443,
        via=None,
        chain=(b"\x30\x01", b"\x30\x02"),
        version="TLSv1.2",
        alpn=None,
        error=None,
        connected_ip="192.0.2.1",
        at_ns=7,
    )
    return Bundle(
        account=account,
        asked_x=True,
        owners={("192.0.2.2", 40000, "192.0.2.1", 443): "go (12)"},
        stats=CaptureStats(packets=3, drops=None, method="dumpcap", problem=None),
        probes=(probe,),
        capture=tmp_path / "source-capture",
        log=tmp_path / "source-log",
        go_mod=tmp_path / "source-go_mod",
        go_sum=tmp_path / "source-go_sum",
    )


@pytest.mark.parametrize("name", ["kept.zip", "kept/"])
def test_what_is_kept_comes_back(tmp_path: Path, bundle: Bundle, name: str) -> None:
    destination = f"{tmp_path}/{name}"
    assert is_bundle(destination)
    write_bundle(destination, bundle)
    write_bundle(destination, bundle)  # again: replaces
    back = maybe_open_bundle(destination)
    assert back is not None
    assert back.capture is not None
    assert back.capture.read_bytes() == PACKETS
    assert back.log is not None
    assert back.log.read_bytes() == LOG.replace(b"secret", b"xxxxx")
    assert back.go_mod is not None
    assert back.go_mod.read_bytes() == b"module x\n"
    assert back.account == GoAccount(
        argv=("go", "get", "https://me:xxxxx@x.example/m", "\\xff"),
        exit_code=1,
        started_ns=bundle.account.started_ns,
        ended_ns=bundle.account.ended_ns,
        go_env={"GOPROXY": "https://u:xxxxx@goproxy.example,direct", "GOFLAGS": ""},
        go_env_changed=("GOPROXY",),
        process_env={"HTTPS_PROXY": "http://u:xxxxx@proxy.example:3128"},
        settings_files=bundle.account.settings_files,
        notes=("a note",),
    )
    assert (back.asked_x, back.asked_http2) == (True, False)
    assert (back.owners, back.stats, back.probes) == (bundle.owners, bundle.stats, bundle.probes)
    place = back.capture.parent
    back.close()
    assert place.exists() == name.endswith("/")
    assert not list(tmp_path.glob("*.part")), "a temporary file is left"


def test_kept_files_are_private(tmp_path: Path, bundle: Bundle) -> None:
    for destination in (tmp_path / "kept.zip", tmp_path / "kept"):
        write_bundle(f"{destination}{'/' * (not destination.suffix)}", bundle)
        for path in (destination, *destination.glob("*")):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "where"), [("a.pcapng", "a.pcapng"), ("a.ZIP", "a.ZIP.pcapng"), ("a/", "a/capture.pcapng")]
)
def test_a_killed_run_leaves_its_packets(tmp_path: Path, bundle: Bundle, name: str, where: str) -> None:
    destination = f"{tmp_path}/{name}"
    path = capture_path(destination)
    assert path == tmp_path / where
    path.write_bytes(PACKETS)
    if name == "a/":
        cut = maybe_open_bundle(destination)
        assert cut is not None
        assert (cut.capture, cut.account.present, len(cut.account.notes)) == (path, False, 1)
    if is_bundle(destination):  # had it lived
        write_bundle(destination, Bundle(account=bundle.account, capture=path))
        assert path.exists() == (name == "a/")


def test_what_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").write_bytes(b"\xd4\xc3\xb2\xa1")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("x.pcap", "")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    for name in ("x.pcap", "other.zip", "pipe", "empty", "missing"):
        assert maybe_open_bundle(str(tmp_path / name)) is None


def test_only_network_variables_are_kept() -> None:
    environment = {
        "https_proxy": "http://a:b@c:1",
        "GOFLAGS": "-mod=mod",
        "SSL_CERT_FILE": "/x",
        "GOOGLE_API_KEY": "k",
        "HOME": "/root",
        "GOAUTH": "helper --token abc",
        "MY_TOKEN": "t",
    }
    assert kept_environment(environment) == {
        "https_proxy": "http://a:xxxxx@c:1",
        "GOFLAGS": "-mod=mod",
        "SSL_CERT_FILE": "/x",
        "GOAUTH": "helper xxxxx",
    }


@pytest.mark.parametrize("name", ["no/such/kept.zip", "no/such/kept/", "file/"])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, bundle: Bundle, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CaptureError, match=r"^cannot write .*: (No such file or directory|Not a directory)$"):
        write_bundle(f"{tmp_path}/{name}", bundle)


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, bundle: Bundle) -> None:
    """/dev/full stands for the disk: every write to it fails with ENOSPC."""
    destination = tmp_path / "kept.zip"
    write_bundle(str(destination), bundle)
    before = destination.read_bytes()
    (tmp_path / f".kept.zip.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(CaptureError, match="No space left on device"):
        write_bundle(str(destination), bundle)
    assert destination.read_bytes() == before
    assert bundle.capture is not None
    assert bundle.capture.exists()


def make_zip(path: Path, members: dict[str, bytes], facts: Any = None) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        if facts is not None:
            archive.writestr(room.FACTS, json.dumps(facts))
    return str(path)


def facts_of(tmp_path: Path, bundle: Bundle) -> dict[str, Any]:
    write_bundle(f"{tmp_path}/good/", bundle)
    facts: dict[str, Any] = json.loads((tmp_path / "good" / room.FACTS).read_bytes())
    return facts


def test_names_in_the_archive_are_not_used(tmp_path: Path, bundle: Bundle) -> None:
    members = {"../../escaped": b"x", "/tmp/escaped": b"x", "capture.pcapng": PACKETS}
    back = maybe_open_bundle(make_zip(tmp_path / "x.zip", members, facts_of(tmp_path, bundle)))
    assert back is not None
    assert back.capture is not None
    assert sorted(path.name for path in back.capture.parent.iterdir()) == ["bundle.json", "capture.pcapng"]
    back.close()


def test_a_zip_bomb_is_refused(tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FREE_BYTES", 1 << 16)
    name = make_zip(tmp_path / "x.zip", {"capture.pcapng": bytes(8 << 20)}, facts_of(tmp_path, bundle))
    with pytest.raises(CaptureError, match="too large to be a run's"):
        maybe_open_bundle(name)


def test_an_archive_of_many_names_is_not_opened(tmp_path: Path, bundle: Bundle) -> None:
    members = {f"{n}": b"" for n in range(20)}
    assert maybe_open_bundle(make_zip(tmp_path / "x.zip", members, facts_of(tmp_path, bundle))) is None


@pytest.mark.parametrize("told", [1, 16, 0xFFFF])
def test_a_directory_that_lies_about_its_length_is_not_read(tmp_path: Path, bundle: Bundle, told: int) -> None:
    """zipfile goes by the directory's size: a million entries behind the number 1 would take a gigabyte."""
    facts = facts_of(tmp_path, bundle)
    name = make_zip(tmp_path / "x.zip", {f"{n}": b"" for n in range(20_000)}, facts)
    data = bytearray(Path(name).read_bytes())
    data[-14:-10] = struct.pack("<HH", told, told)
    Path(name).write_bytes(data)
    assert maybe_open_bundle(name) is None


def test_links_and_copies_of_members_are_plain_data(tmp_path: Path, bundle: Bundle) -> None:
    """A symbolic link in an archive is a file that holds its target; of members of one name the last counts."""
    path = tmp_path / "x.zip"
    link = zipfile.ZipInfo("go.log")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("capture.pcapng", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("capture.pcapng", b"last")
        archive.writestr(room.FACTS, json.dumps(facts_of(tmp_path, bundle)))
    back = maybe_open_bundle(str(path))
    assert back is not None
    assert back.log is not None
    assert back.capture is not None
    assert (back.log.is_symlink(), back.log.read_text(), back.capture.read_bytes()) == (False, "/etc/passwd", b"last")
    back.close()


def test_members_that_overlap_are_refused(tmp_path: Path, bundle: Bundle) -> None:
    """Two entries of the directory that mean the same bytes, as bombs without end have them."""
    name = make_zip(tmp_path / "x.zip", {"capture.pcapng": b"a" * 99, "go.log": b"b"}, facts_of(tmp_path, bundle))
    with zipfile.ZipFile(name) as archive:
        places = {info.filename: info.header_offset for info in archive.infolist()}
    data = bytearray(Path(name).read_bytes())
    at = data.index(b"go.log", data.index(b"PK\1\2")) - 4
    data[at : at + 4] = struct.pack("<I", places["capture.pcapng"])
    Path(name).write_bytes(data)
    with pytest.raises(CaptureError, match="damaged zip file"):
        maybe_open_bundle(name)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo, Path.mkdir])
def test_a_folder_with_something_else_in_it(tmp_path: Path, bundle: Bundle, make: Callable[[Path], None]) -> None:
    facts_of(tmp_path, bundle)
    (tmp_path / "good" / "go.log").unlink()
    make(tmp_path / "good" / "go.log")
    with pytest.raises(CaptureError, match=r"go\.log is no plain file"):
        maybe_open_bundle(str(tmp_path / "good"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def opened(name: str) -> Bundle | str | None:
    """The bundle, or the text of the only error that may come."""
    try:
        return maybe_open_bundle(name)
    except CaptureError as error:
        return str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(data=st.data())
def test_hostile_facts_are_refused_or_right(tmp_path: Path, bundle: Bundle, data: st.DataObject) -> None:
    folder = tmp_path / "good"
    if not folder.exists():
        facts_of(tmp_path, bundle)
        (tmp_path / "facts").write_bytes((folder / room.FACTS).read_bytes())
    facts = json.loads((tmp_path / "facts").read_bytes())
    key = data.draw(st.sampled_from(sorted(facts)))
    if isinstance(facts[key], (list, dict)) and facts[key] and data.draw(st.booleans()):
        facts[key] = [data.draw(JSON)] if isinstance(facts[key], list) else dict.fromkeys(facts[key], data.draw(JSON))
    elif data.draw(st.booleans()):
        facts[key] = data.draw(JSON)
    else:
        del facts[key]
    (folder / room.FACTS).write_text(json.dumps(facts))
    back = opened(str(folder))
    if isinstance(back, str):
        assert "\n" not in back
    else:
        assert back is not None
        for text in (*back.account.argv, *back.account.go_env.values(), *back.owners.values(), back.tool_version):
            assert isinstance(text, str)
            text.encode("utf-8")


@pytest.mark.parametrize(
    "facts",
    [b"", b"{", b"[]", b'{"format": 2}', b"[" * 100_000, b'{"format": 1' + b"0" * 5000 + b"}", b"\xff\xfe", b"null"],
)
def test_unreadable_facts_are_refused(tmp_path: Path, facts: bytes) -> None:
    with pytest.raises(CaptureError, match=r"is damaged|a bundle of format 2"):
        maybe_open_bundle(make_zip(tmp_path / "x.zip", {room.FACTS: facts}))


@pytest.mark.parametrize("key", ["go_env", "process_env", "argv", "settings_files"])
def test_values_that_no_system_has_are_refused(tmp_path: Path, bundle: Bundle, key: str) -> None:
    """Lists of patterns in 16 MB would be matched for minutes."""
    for size, fine in ((room.MAX_VALUE_CHARS, True), (room.MAX_VALUE_CHARS + 1, False)):
        value = "*a" * (size // 2) + "b" * (size % 2)
        table = {"GOPRIVATE": value}
        told = {"argv": [value], "settings_files": [["user", "/x", table]]}.get(key, table)
        back = opened(make_zip(tmp_path / "x.zip", {}, facts_of(tmp_path, bundle) | {key: told}))
        assert isinstance(back, Bundle) == fine
        if isinstance(back, Bundle):
            back.close()


def test_a_newer_format_is_named(tmp_path: Path, bundle: Bundle) -> None:
    name = make_zip(tmp_path / "x.zip", {}, facts_of(tmp_path, bundle) | {"format": 9})
    with pytest.raises(CaptureError, match="a bundle of format 9; this trace-go reads 1"):
        maybe_open_bundle(name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_zip_is_one_line(tmp_path: Path, bundle: Bundle, where: float, value: int, cut: bool) -> None:
    good = tmp_path / "good.zip"
    if not good.exists():
        write_bundle(str(good), bundle)
    data = bytearray(good.read_bytes())
    at = int(where * len(data))
    if cut:
        del data[at:]
    else:
        data[at] = value
    (tmp_path / "bad.zip").write_bytes(data)
    back = opened(str(tmp_path / "bad.zip"))
    if isinstance(back, str):
        assert "\n" not in back
    elif back is not None:
        back.close()


def test_probe_chains_are_exact_base64(tmp_path: Path, bundle: Bundle) -> None:
    facts = facts_of(tmp_path, bundle)
    assert facts["probes"][0]["chain"] == [base64.b64encode(der).decode() for der in bundle.probes[0].chain]
    facts["probes"][0]["chain"] = ["not base64!"]
    with pytest.raises(CaptureError, match="damaged"):
        maybe_open_bundle(make_zip(tmp_path / "x.zip", {}, facts))
