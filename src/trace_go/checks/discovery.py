"""Finds the checks and runs them.

A check is one module of `checks.catalogue`: its name with hyphens is its ID, its docstring its page, `META` its
metadata and `find(case)` its logic. Nothing else registers it.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from trace_go.checks import catalogue
from trace_go.checks.framework import Meta
from trace_go.checks.ranking import ranked
from trace_go.gocmd.config import Suppression
from trace_go.model.finding import Excused, Finding
from trace_go.model.report import Case

SECTIONS = ("What it means", "Why it matters", "How we know", "False positives", "What to do", "References")
"""headings of every page, in this order"""


class Check(Struct, frozen=True, kw_only=True):
    id: str
    title: str
    """first line of the page"""
    page: str
    meta: Meta
    find: Callable[[Case], Iterator[Finding]]

    @property
    def sections(self) -> dict[str, str]:
        """The page's texts by heading, each as one paragraph."""
        parts = re.split(rf"^({'|'.join(SECTIONS)})$", self.page, flags=re.MULTILINE)[1:]
        return {head: " ".join(body.split()) for head, body in zip(parts[::2], parts[1::2], strict=True)}


def discover() -> tuple[Check, ...]:
    """Every check, by ID."""
    found = []
    for module_info in pkgutil.iter_modules(catalogue.__path__):
        module = importlib.import_module(f"{catalogue.__name__}.{module_info.name}")
        page = (module.__doc__ or "").strip()
        found.append(
            Check(
                id=module_info.name.replace("_", "-"),
                title=page.split("\n", 1)[0].rstrip("."),
                page=page,
                meta=module.META,
                find=module.find,
            )
        )
    return tuple(sorted(found, key=lambda check: check.id))


def run(case: Case) -> tuple[Finding, ...]:
    """All findings of all checks, worst first; a check speaks once per subject."""
    return ranked(case, (finding for check in discover() for finding in check.find(case)))


def excuse(
    findings: Iterable[Finding], rules: Sequence[Suppression]
) -> tuple[tuple[Finding, ...], tuple[Excused, ...]]:
    """(findings that stand, those that the site suppresses with its reason)."""
    reasons = {item: rule.reason for item in findings for rule in reversed(rules) if rule.covers(item.key)}
    excused = tuple(Excused(finding=item, reason=reason) for item, reason in reasons.items())
    return tuple(item for item in findings if item not in reasons), excused
