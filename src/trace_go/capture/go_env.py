"""The settings of the go command, asked of itself in the folder and as the user of the command that is traced."""

import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from trace_go.capture.user import User

# `go env` takes 10–20 ms.
GO_ENV_TIMEOUT_S = 10.0


class GoEnv(Struct, frozen=True, kw_only=True):
    values: dict[str, str]
    """`go env -json`; empty when go is missing or failed"""
    changed: tuple[str, ...]
    """names that differ from the defaults; empty before Go 1.23, which does not tell"""
    note: str | None
    """one line: why `values` is empty"""


def go_env(environment: Mapping[str, str], user: User | None, cwd: Path, go: str = "go") -> GoEnv:
    """Ask `go` for its effective settings in `cwd` as `user`. Never raises.

    GOTOOLCHAIN=local keeps the question itself from downloading a toolchain that go.mod wants; the true value is asked
    for by the one form that is exempt from the switch (cmd/go/internal/toolchain, Select).
    """
    local = {**environment, "GOTOOLCHAIN": "local"}
    questions = (
        (["env", "-json"], local),
        (["env", "-changed", "-json"], local),
        (["env", "GOTOOLCHAIN"], dict(environment)),
    )
    asked: list[subprocess.Popen[bytes]] = []
    try:
        for arguments, variables in questions:
            asked.append(
                subprocess.Popen(
                    [go, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=variables,
                    cwd=cwd,
                    user=user.uid if user else None,
                    group=user.gid if user else None,
                    extra_groups=user.groups if user else None,
                )
            )
        deadline = time.monotonic() + GO_ENV_TIMEOUT_S
        answers = [process.communicate(timeout=max(deadline - time.monotonic(), 0))[0] for process in asked]
        values, changed = (_strings_of(answer) for answer in answers[:2])
    except FileNotFoundError:
        return GoEnv(values={}, changed=(), note="go is not in PATH: its settings are not known")
    except (OSError, subprocess.TimeoutExpired) as error:
        return GoEnv(values={}, changed=(), note=f"`go env` failed: {error}")
    finally:
        for process in asked:
            process.kill()
            process.communicate()
    if not values:
        return GoEnv(values={}, changed=(), note="`go env -json` gave no answer: go's settings are not known")
    changed.pop("GOTOOLCHAIN", None)
    toolchain = answers[2].decode("utf-8", "backslashreplace").strip()
    if toolchain:
        values["GOTOOLCHAIN"] = toolchain
        if toolchain not in ("auto", "local"):
            changed["GOTOOLCHAIN"] = toolchain
    return GoEnv(values=values, changed=tuple(sorted(changed)), note=None)


def _strings_of(answer: bytes) -> dict[str, str]:
    try:
        parsed = json.loads(answer)
    except ValueError:
        return {}
    return {key: value for key, value in parsed.items() if isinstance(value, str)} if isinstance(parsed, dict) else {}
