"""Every promise of the matrix, one test a case and step."""

import pytest

from tests.reliability.matrix import examine, load_matrix

CASES = [
    pytest.param(case, id=f"{case.group}: {case.name}, {case.run}", marks=[pytest.mark.slow] if case.slow else [])
    for case in load_matrix()
]


@pytest.mark.parametrize("case", CASES)
def test_it_ends_as_promised(case, tmp_path):
    assert examine(case, tmp_path / "room").wrong == ""
