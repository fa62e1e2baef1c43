"""Answers to the exercises, graded offline: `check("name", answer)` prints a verdict or a hint."""

import tomllib
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from ntk_course import _checks

_FOLDER = files("ntk_course") / "questions"
_tries: Counter = Counter()


class Grade(NamedTuple):
    """A verdict, and what to tell the student."""

    passed: bool
    message: str


@cache
def questions(chapter: str) -> Mapping[str, Any]:
    """The exercises and the quiz of a chapter, as `questions/<chapter>.toml` has them.

    Args:
        chapter: its two digits.
    Returns:
        {"exercise": {name: key}, "quiz": [question, ...]}.
    Raises:
        ValueError: if there is no such chapter.
    """
    _checks.one_of("chapter", chapter, _chapters())
    return tomllib.loads((_FOLDER / f"{chapter}.toml").read_text(encoding="utf8"))


@cache
def exercises() -> Mapping[str, Mapping[str, Any]]:
    """The keys of all exercises, by name.

    Each has a `value` (with `rtol` or `atol`) or `low` and `high`, `hints`, and if wanted `traps`
    and `right`, words for known wrong answers and for the right one.
    """
    return {n: key for c in _chapters() for n, key in questions(c).get("exercise", {}).items()}


def _chapters() -> list[str]:
    """The digits of the chapters that have questions."""
    return sorted(path.name[:2] for path in _FOLDER.iterdir() if path.name.endswith(".toml"))


def grade(name: str, answer: object, *, tries: int = 0) -> Grade:
    """Compare an answer with the key of an exercise.

    Numbers are right within `rtol` (1 % unless the key says otherwise) or between `low` and `high`;
    words whatever their case; several words in any order.

    Args:
        name: of the exercise.
        answer: a number, an array of numbers, a word, or a list of words; `...` is no answer yet.
        tries: how many wrong answers there were before: each one opens the next hint.
    Returns:
        A `Grade`.
    Raises:
        ValueError: if there is no such exercise.
    """
    _checks.one_of("name", name, tuple(exercises()))
    key, tries = exercises()[name], _checks.integer("tries", tries, least=0)
    hint = key["hints"][min(tries, len(key["hints"]) - 1)]
    if answer is None or answer is ...:
        return Grade(False, f"Not answered yet. Hint: {hint}")
    for trap in key.get("traps", ()):
        if _same(trap["value"], answer, key):
            return Grade(False, f"Not quite. {trap['say']}")
    if "low" in key:
        number = np.asarray(answer, float) if _is_numbers(answer) else np.array(np.nan)
        passed = number.ndim == 0 and bool(key["low"] <= number <= key["high"])
    else:
        passed = _same(key["value"], answer, key)
    if passed:
        return Grade(True, f"Right. {key.get('right', '')}".strip())
    return Grade(False, f"Not yet. Hint: {hint}")


def check(name: str, answer: object) -> None:
    """Print the grade of an answer; every wrong one opens the next hint.

    Args:
        name: of the exercise.
        answer: see `grade`.
    Raises:
        ValueError: if there is no such exercise.
    Example:
        >>> check("how-many", ...)
        Not answered yet. Hint: Set the exact error equal to epsilon and take logarithms.
    """
    found = grade(name, answer, tries=_tries[str(name)])
    _tries[name] += not found.passed and answer is not ... and answer is not None
    print(found.message)


def _is_numbers(value: object) -> bool:
    try:
        return np.asarray(value).dtype.kind in "iuf"
    except ValueError:  # ragged
        return False


def _same(expected: object, answer: object, key: Mapping[str, Any]) -> bool:
    """Whether an answer is the expected one, in the sense of the key's tolerances."""
    if _is_numbers(expected):
        same_shape = _is_numbers(answer) and np.shape(answer) == np.shape(expected)
        tolerance = {"rtol": key.get("rtol", 0.01), "atol": key.get("atol", 0.0)}
        return same_shape and bool(np.allclose(np.asarray(answer, float), expected, **tolerance))
    words = [[w] if isinstance(w, str) else w for w in (expected, answer)]
    try:
        left, right = ({str(w).strip().casefold() for w in many} for many in words)
    except TypeError:
        return False
    return left == right
