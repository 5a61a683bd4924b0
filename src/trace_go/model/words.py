"""Phrases that several rooms use."""

from collections.abc import Iterable


def some(names: Iterable[str], most: int = 3) -> str:
    """`a, b, c …`: each once, in order."""
    unique = sorted(set(names))
    return ", ".join(unique[:most]) + (" …" if len(unique) > most else "")


def count(number: int, noun: str) -> str:
    """`1 request`, `3 requests`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
