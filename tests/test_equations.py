"""The equation index: every equation of the notes has a chapter, a function and a test."""

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "tools"))

import equations  # noqa: E402

ENTRIES = yaml.safe_load(equations.TABLE.read_text("utf8"))


def test_equations__all_are_traced_and_the_page_says_so():
    lines = equations.rows(ENTRIES)
    assert len(lines) == equations.LAST + 1  # and the loss of AdvKIP
    assert equations.PAGE.read_text("utf8") == equations.HEAD + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": ["kernels.kappa_7"]}, "kappa_7"),
        ({"code": ["kernls.kappa_1"]}, "kernls"),
        ({"tests": ["test_kernels::test_gone"]}, "test_gone"),
        ({"tests": []}, "living functions and tests"),
        ({"label": "eq-99"}, "each equation once"),
    ],
)
def test_equations__dead_targets_are_refused(change, message):
    with pytest.raises(equations.MissingTarget, match=message):
        equations.rows([ENTRIES[0] | change, *ENTRIES[1:]])
