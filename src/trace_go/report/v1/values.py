"""What several nouns of the schema share."""

from datetime import UTC, datetime

import msgspec

from trace_go.model.evidence import number_in_file


class Bytes(msgspec.Struct, frozen=True, kw_only=True):
    up: int | None
    down: int | None


def time(ns: int) -> str | None:
    """RFC 3339 in UTC with microseconds; None for 0 and for times no calendar has."""
    if not ns:
        return None
    try:
        moment = datetime.fromtimestamp(ns // 1_000_000_000, UTC).replace(microsecond=ns // 1000 % 1_000_000)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def packets(*numbers: int) -> list[int]:
    return [number_in_file(number) for number in numbers if number]
