"""The nouns of trace-go. Imports the standard library, NumPy and msgspec only.

Nouns are frozen, slotted and keyword-only like the dataclasses elsewhere, but msgspec Structs: defining and making one
costs a fiftieth and a fifth, which start-up time and captures of 60,000 flows feel.
"""
