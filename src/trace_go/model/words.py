"""Phrases that several rooms use."""

from collections.abc import Iterable


def some(names: Iterable[str], most: int = 3) -> str:
    """`a, b, c …`: each once, in order."""
    unique = sorted(set(names))
    return ", ".join(unique[:most]) + (" …" if len(unique) > most else "")
