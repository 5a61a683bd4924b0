"""Rows of git commands, which go's `-x` log names and says no more of than how long they took."""

import re
from collections.abc import Sequence

from trace_go.model import evidence
from trace_go.model.go import GoError, VcsCommand
from trace_go.model.ledger import Artifact, Stage
from trace_go.paths.failures import failure
from trace_go.paths.row import Row
from trace_go.paths.urls import host_of, split
from trace_go.wire.secrets import mask_text

_GIT_SAYS = re.compile(
    r"^[\s@]*(?P<said>(?:fatal|error|remote): .*|WARNING: REMOTE HOST[^@\n]*|Host key verif.*|\S+: Permission den.*)",
    re.MULTILINE,
)
"""the first line of git or ssh that tells something"""


def complaint(command: VcsCommand, errors: Sequence[GoError]) -> GoError | None:
    """go's error that quotes this command."""
    return next((item for item in errors if command.command in item.text), None)


def place_of(url: str) -> str:
    """Host and path of a repository: git may be set to ask for it by another scheme."""
    return f"{host_of(url)}{split(url).path}"


def of_git(command: VcsCommand, errors: Sequence[GoError], order: int, orders: int) -> Row:
    """A git command of the `-x` log, which says nothing of its success; go's error quotes the command that failed."""
    remote = command.remote or ""
    error = complaint(command, errors)
    proof = [evidence.log(command.line, mask_text(command.command))]
    found = None
    if error:
        said = _GIT_SAYS.search(error.text)
        text = mask_text(said["said"].strip() if said else error.text)
        proof.append(evidence.log(error.line, f"git: {text}" if said else text))
        if error.kind not in ("unknown-revision", "unrecognized-import"):
            found = failure(error.kind, text, error.status)
    return Row(
        url=remote,
        artifact=Artifact.GIT,
        elapsed_s=command.elapsed_s,
        status=error.status if error else None,
        failure=found,
        evidence=tuple(proof),
        answered=found is None or found.stage is Stage.STATUS,
        order=order,
        orders=orders,
        line=command.line,
    )
