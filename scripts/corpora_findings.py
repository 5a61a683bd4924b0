"""Writes docs/corpora-findings.md: the errors found in captures by other projects, and why each is right."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from corpora.differences import FOLDER, rows  # noqa: E402 -- tests is no package
from corpora.error_findings import errors, named, proof, reason  # noqa: E402

HEAD = """\
# Captures by other projects: the errors that are found in them

Made by `scripts/corpora_findings.py` from {files:,} files; a test fails when one is found that is not in this table.
None of them holds a go command's traffic: as they are, {plain} errors are found. So that the checks have something to
judge, every host that TLS names is taken for a mirror, in {with_names} files: then there are these.

| file | finding | evidence | why it is right |
|---|---|---|---|
"""


def main() -> int:
    """Returns 1 when an error has no reason."""
    plain, lines, unexplained = 0, [], 0
    known = rows()
    if not known:
        sys.exit(f"no corpora at {FOLDER}")
    for row in known:
        plain += len(list(errors(row)))
        for finding in errors(row, named(row)) if named(row) else ():
            why = reason(row["file"], finding.id)
            unexplained += why is None
            cells = (f"`{finding.id}`: {finding.title}", proof(finding), why.why if why else "**unexplained**")
            shown = (ascii(text)[1:-1].replace("|", "\\|") for text in cells)
            lines.append(f"| `{row['file']}` | {' | '.join(shown)} |")
    page = HEAD.format(files=len(known), plain=plain or "no", with_names=sum(bool(named(row)) for row in known))
    (ROOT / "docs" / "corpora-findings.md").write_text(page + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} errors, {unexplained} unexplained; {plain} without taking hosts for mirrors")
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main())
