"""Small Go modules with fixed content, as a static GOPROXY tree and as git repositories.

Layout and zip rules: https://go.dev/ref/mod#goproxy-protocol; hashes: golang.org/x/mod/sumdb/dirhash.
"""

import base64
import hashlib
import io
import json
import os
import random
import re
import subprocess
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TIME = "2024-05-06T07:08:09Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module version; `blob_bytes` of incompressible data set the size of its zip."""

    path: str
    version: str
    requires: tuple[str, ...] = ()  # "path version", as in go.mod
    blob_bytes: int = 0

    @property
    def id(self) -> str:
        return f"{self.path} {self.version}"

    @property
    def gomod(self) -> bytes:
        return go_mod(self.path, self.requires).encode()

    @property
    def files(self) -> dict[str, bytes]:
        if self.path == "golang.org/toolchain":
            script = f"#!/bin/sh\necho this is {self.version}\n".encode()
            return dict.fromkeys(("bin/go", "bin/gofmt", "lib/go_any_any_exec", "pkg/tool/any"), script)
        package = re.sub(r"\W", "", self.path.rpartition("/")[2])
        files = {
            "LICENSE": b"Public domain.\n",
            "go.mod": self.gomod,
            f"{package}.go": f'package {package}\n\nconst Version = "{self.version}"\n'.encode(),
        }
        if self.blob_bytes:
            files["testdata/blob.bin"] = random.Random(self.id).randbytes(self.blob_bytes)
        return files

    @property
    def zip_files(self) -> dict[str, bytes]:
        return {f"{self.path}@{self.version}/{name}": data for name, data in self.files.items()}

    @property
    def sums(self) -> str:
        """The module's two go.sum lines."""
        return f"{self.id} {h1(self.zip_files)}\n{self.id}/go.mod {h1({'go.mod': self.gomod})}\n"

    def _added(self, tampered: bool) -> dict[str, bytes]:
        return {f"{self.path}@{self.version}/added.txt": b"not the author's\n"} if tampered else {}

    def zip(self, *, tampered: bool = False) -> bytes:
        """As the author made it, or with a file that is not in it."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in {**self.zip_files, **self._added(tampered)}.items():
                archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        return out.getvalue()


MIRRORED = (
    Module(path="example.com/alpha", version="v1.2.2", requires=("example.com/beta v1.0.0",)),
    Module(
        path="example.com/alpha",
        version="v1.2.3",
        requires=("example.com/beta v1.0.1", "golang.org/x/labtext v0.14.0"),
        blob_bytes=20_000,
    ),
    Module(path="example.com/beta", version="v1.0.0"),
    Module(path="example.com/beta", version="v1.0.1", blob_bytes=5_000),
    Module(path="github.com/Azure/pick", version="v0.3.0", requires=("example.com/beta v1.0.0",), blob_bytes=20_000),
    Module(path="golang.org/x/labtext", version="v0.14.0", blob_bytes=200_000),
)
NEXT_GO = "1.99.0"
TOOLCHAINS = tuple(
    Module(path="golang.org/toolchain", version=f"v0.0.1-go{NEXT_GO}.linux-{arch}") for arch in ("amd64", "arm64")
)
PRIVATE = (  # not on any mirror: only git has them
    Module(path="corp.example/tool", version="v1.4.0", requires=("corp.example/team/lib v0.2.0",)),
    Module(path="corp.example/team/lib", version="v0.2.0"),
)


def generated(count: int, blob_bytes: int) -> tuple[Module, ...]:
    """`count` independent modules of about `blob_bytes` each, for benchmarks."""
    return tuple(
        Module(path=f"example.net/group{i % 7}/m{i:04}", version=f"v1.{i % 10}.{i}", blob_bytes=blob_bytes)
        for i in range(count)
    )


def go_mod(path: str, requires: Iterable[str], go_version: str = "1.21") -> str:
    return f"module {path}\n\ngo {go_version}\n" + "".join(f"\nrequire {line}" for line in requires) + "\n"


def h1(files: Mapping[str, bytes]) -> str:
    """Go's directory hash: SHA-256 over the sorted "hash  name" lines (dirhash.Hash1)."""
    lines = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()


def escape(text: str) -> str:
    """Module paths and versions in URLs: upper case X becomes !x (module.EscapePath)."""
    return re.sub("[A-Z]", lambda m: "!" + m[0].lower(), text)


def requirements(wanted: Iterable[str], known: Iterable[Module]) -> list[str]:
    """The go.mod lines of a tidy main module: `wanted`, then what they need, each path at its highest version."""
    requires = {m.id: m.requires for m in known}
    todo, chosen = list(wanted), dict[str, str]()
    direct = {line.split()[0] for line in todo}
    while todo:
        path, version = todo.pop().split()
        if path not in chosen or _order(version) > _order(chosen[path]):
            chosen[path] = version
            todo += requires.get(f"{path} {version}", ())
    return [f"{p} {v}" + ("" if p in direct else " // indirect") for p, v in sorted(chosen.items())]


def write_tree(root: Path, modules: Iterable[Module]) -> None:
    """Write the GOPROXY files of `modules` below `root`: list, @latest, and .info, .mod, .zip of each version.

    Beside each zip file stand its first half, FILE.cut, and one with a file too many, FILE.tampered.
    """
    latest: dict[Path, list[str]] = {}
    for module in modules:
        folder = root / escape(module.path) / "@v"
        folder.mkdir(parents=True, exist_ok=True)
        stem = escape(module.version)
        (folder / f"{stem}.info").write_text(_info(module.version))
        (folder / f"{stem}.mod").write_bytes(module.gomod)
        (folder / f"{stem}.zip").write_bytes(archive := module.zip())
        (folder / f"{stem}.zip.tampered").write_bytes(module.zip(tampered=True))
        (folder / f"{stem}.zip.cut").write_bytes(archive[: len(archive) // 2])
        latest.setdefault(folder, []).append(module.version)
    for folder, versions in latest.items():
        (folder / "list").write_text("".join(f"{v}\n" for v in versions))
        (folder.parent / "@latest").write_text(_info(max(versions, key=_order)))


def write_repositories(root: Path, modules: Iterable[Module]) -> None:
    """Write one bare git repository for each module, NAME.git below `root`, tagged with its version."""
    for module in modules:
        work = root / "src" / module.path
        for name, data in module.files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(data)
        bare = root / f"{module.path.partition('/')[2]}.git"
        git = ["git", "-C", str(work), "-c", "user.name=Lab", "-c", "user.email=lab@corp.example"]
        for words in (
            ["init", "-q", "-b", "main"],
            ["add", "."],
            ["commit", "-q", "-m", f"Release {module.version}"],
            ["tag", module.version],
            ["clone", "-q", "--bare", ".", str(bare)],
        ):
            env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
            env |= {"GIT_AUTHOR_DATE": TIME, "GIT_COMMITTER_DATE": TIME}
            subprocess.run([*git, *words], check=True, env=env)


def _info(version: str) -> str:
    return json.dumps({"Version": version, "Time": TIME})


def _order(version: str) -> list[int]:
    return [int(part) for part in version.removeprefix("v").partition("-")[0].split(".")]
