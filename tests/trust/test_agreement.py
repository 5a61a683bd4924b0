"""The verdict on a chain is Go's: compared with crypto/x509 itself on chains by hand, generated, mutated and collected.

`make agreement` writes what came of it to docs/chain-agreement.md.
"""

from collections import Counter

import pytest

from trace_go.model.chain import ChainFault as F
from trace_go.trust import judge as judge_module
from trace_go.trust.gopath import verify
from trace_go.wire.x509 import read
from trust import chains
from trust.agreement import SOURCES, compared, given, go_faults, reason
from trust.chains import Case
from trust.conftest import Oracle, Question

CASES = list(chains.by_hand())
each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
PATHS = [c for c in CASES if not c.faults & {F.UNREADABLE, F.KEY_KIND}]  # the others are decided around paths
each_path = pytest.mark.parametrize("case", PATHS, ids=lambda c: c.id)


@pytest.fixture(scope="module")
def go_says(oracle: Oracle) -> dict[str, str]:
    questions = [Question(chain=c.chain, roots=c.roots, name=c.name, at_ns=c.at_ns) for c in CASES]
    return dict(zip((c.id for c in CASES), oracle.ask(questions), strict=True))


@each_case
def test_go_names_the_fault_that_was_put_in(case: Case, go_says: dict[str, str]) -> None:
    assert case.faults & go_faults(go_says[case.id]), go_says[case.id]


@each_path
def test_our_own_path_builder_alone_agrees(case: Case, go_says: dict[str, str]) -> None:
    sent = [read(der) for der in case.chain]
    found = verify(sent, name=case.name, at_ns=case.at_ns, roots=given(case.roots))
    assert isinstance(found, tuple) == (go_says[case.id] == "") or reason(case), go_says[case.id]


@each_path
def test_what_cryptography_confirms_go_accepts(case: Case, go_says: dict[str, str]) -> None:
    sent = [read(der) for der in case.chain]
    if judge_module._confirmed(sent, case.name, case.at_ns, given(case.roots)):
        assert go_says[case.id] == "" or reason(case)


@pytest.mark.parametrize("source", SOURCES)
def test_each_disagreement_has_a_reason(source: str, oracle: Oracle) -> None:
    cases = SOURCES[source].cases()
    if not cases:
        pytest.skip("the corpora are not beside this checkout")
    differ = [item for item in compared(cases, oracle) if not item.same]
    print(f"{source}: {len(cases) - len(differ)} of {len(cases)} as Go judges")
    assert len(cases) >= SOURCES[source].at_least
    assert [item.about for item in differ if not reason(item.case)] == []


def test_every_fault_is_generated_often() -> None:
    cases = SOURCES["generated"].cases()
    put = Counter(fault for case in cases for fault in case.faults)
    untold = {F.OTHER, F.DISTRUSTED}  # a chain with a distrusted key cannot be made
    assert all(put[fault] >= 30 for fault in set(F) - untold), put
    assert put[None] >= 100
