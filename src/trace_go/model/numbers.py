"""Kinds of numbers in what is read from others."""

from typing import Annotated

from msgspec import Meta

Natural = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
"""fits a column of int64"""
