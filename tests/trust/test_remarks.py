"""What is told of a chain that go accepts: its disorder and weak keys."""

import pytest

from trace_go.trust.remarks import disorder, weak
from trace_go.wire.x509 import read
from trust.authority import Issued, intermediate, issue, leaf, root

UPPER = issue("Upper", root())
LOWER = issue("Lower", UPPER)
DEEP, LEAF = leaf(LOWER), leaf()
STRANGE = issue("Strange")
NEW = issue("New Root", use="p256 new")
CROSSED = issue("New Root", root(), use="p256 new")


@pytest.mark.parametrize(
    "sent",
    [
        (leaf(),),
        (leaf(), intermediate()),
        (leaf(), intermediate(), root()),
        (DEEP, LOWER, UPPER, root()),
        (leaf(NEW), CROSSED),
        (leaf(NEW), NEW, CROSSED, root()),
        (issue("self.example", dns=["self.example"]),),
    ],
)
def test_what_is_in_order(sent: tuple[Issued, ...]) -> None:
    assert disorder([read(item.der) for item in sent]) == ()


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ((DEEP, UPPER, LOWER), "CN=Upper stands before CN=Lower, which it issued"),
        ((leaf(), root(), intermediate()), "CN=Test Root R1,O=Test Trust stands before CN=Test Intermediate E1"),
        ((leaf(), intermediate(), STRANGE), "CN=Strange has issued none of the others"),
        ((LEAF, intermediate(), LEAF), "CN=proxy.golang.org is sent twice"),
        ((leaf(), intermediate(), intermediate()), "CN=Test Intermediate E1,O=Test Trust is sent twice"),
        ((leaf(), STRANGE), "CN=Strange has issued none of the others"),
    ],
)
def test_what_is_not(sent: tuple[Issued, ...], told: str) -> None:
    (only,) = disorder([read(item.der) for item in sent])
    assert only.startswith(told)


def test_weak_keys() -> None:
    old = issue("Old", root(), use="rsa1024")
    assert weak([read(item.der) for item in (leaf(old), old)]) == ("CN=Old has an RSA key of only 1024 bits",)
    assert weak([read(item.der) for item in (leaf(use="rsa2048 leaf"), intermediate())]) == ()
