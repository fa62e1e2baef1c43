"""Exercises and quizzes: solutions pass, stubs and wrong answers fail, options are explained."""

import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ntk_course import checking, interactive

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "book" / "tools"), str(ROOT / "book" / "_ext")]

from export import ExportError, checked, is_exercise, read_lecture, stub  # noqa: E402

SOURCES = sorted((ROOT / "lectures").glob("[0-9][0-9]_*.md"))
CHAPTERS = [path for path in SOURCES if int(path.name[:2]) < 90]
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def solutions(path):
    """The solved exercises of a lecture."""
    return [cell.source for cell in read_lecture(path).cells if is_exercise(cell)]


@each_chapter
def test_chapter__every_exercise_is_checked_and_every_key_is_used(path):
    stated = re.findall(r"^:label: ex-([\w-]+)$", path.read_text("utf8"), re.M)
    names = [checked(source)[0] for source in solutions(path)]
    assert names == stated
    assert set(checking.questions(path.name[:2])["exercise"]) == set(names)
    assert len(names) >= 3


@each_chapter
def test_chapter__stubs_hide_the_solution_and_fail(path):
    for source in solutions(path):
        name, variable = checked(source)
        left = stub(source)
        assert f"{variable} = ..." in left
        assert len(left.splitlines()) < len(source.splitlines())
        namespace = {"check": lambda name, answer: checking.grade(name, answer)}
        exec(left.replace("check(", "found = check(", 1), namespace)
        assert not namespace["found"].passed
        assert namespace["found"].message.startswith("Not answered yet. Hint: ")
        assert name in checking.exercises()


@pytest.mark.book
@each_chapter
def test_chapter__solutions_pass_in_the_book(path):
    from bs4 import BeautifulSoup

    page = ROOT / "_build" / "html" / "lectures" / f"{path.stem}.html"
    if not page.exists():
        pytest.skip("The book must be built; got no page. Run make book.")
    cells = BeautifulSoup(page.read_text("utf8"), "html.parser").select(".cell.tag_exercise")
    assert len(cells) == len(solutions(path))
    for cell in cells:
        assert "Right." in cell.select_one(".cell_output").get_text()


@pytest.mark.parametrize("name", sorted(checking.exercises()))
def test_key__right_passes_wrong_fails_and_traps_are_told(name):
    key = checking.exercises()[name]
    assert key["hints"]
    if "low" in key:
        right, wrong = (key["low"] + key["high"]) / 2, key["high"] + abs(key["high"]) + 1
    elif np.issubdtype(np.asarray(key["value"]).dtype, np.number):
        right = key["value"]
        size = np.abs(right).max() * key.get("rtol", 0.01) + key.get("atol", 0.0)
        wrong = np.asarray(right, float) + 3 * size + 1e-9
    else:
        right, wrong = key["value"], "something else"
    assert checking.grade(name, right).passed
    for answer in (wrong, None, ..., "?", [], {}, object(), float("nan"), [[1, 2], [3]]):
        found = checking.grade(name, answer)
        assert not found.passed
        assert found.message
    for trap in key.get("traps", ()):
        assert checking.grade(name, trap["value"]) == (False, f"Not quite. {trap['say']}")


def test_grade__words_in_any_order_and_case_and_more_hints_with_more_tries():
    names = ["Minibatches", "momentum", " L2 penalty"]
    assert checking.grade("who", names).passed
    assert checking.grade("who", set(names)).passed
    hints = checking.exercises()["who"]["hints"]
    for tries in range(5):
        assert hints[min(tries, len(hints) - 1)] in checking.grade("who", "x", tries=tries).message


def test_check__prints_and_opens_the_next_hint(capsys, monkeypatch):
    monkeypatch.setattr(checking, "_tries", Counter())
    hints = checking.exercises()["how-many"]["hints"]
    for answer in (..., 1.0, 2.0, 780.0, 780.0, 3.0):
        checking.check("how-many", answer)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"Not answered yet. Hint: {hints[0]}"
    assert said[1] == f"Not yet. Hint: {hints[0]}"
    assert said[2] == f"Not yet. Hint: {hints[1]}"
    assert said[3].startswith("Right.")
    assert said[5] == f"Not yet. Hint: {hints[min(2, len(hints) - 1)]}"

    key = {"value": 1, "hints": ["a", "b", "c"]}
    monkeypatch.setattr(checking, "exercises", lambda: {"x": key})
    for answer in (0, 1, None, ..., 0, 0, 0):
        checking.check("x", answer)
    said = [line.split("Hint: ")[-1] for line in capsys.readouterr().out.splitlines()]
    assert said == ["a", "Right.", "b", "b", "b", "c", "c"]


def test_grade__the_ends_of_a_range_belong_to_it():
    name, key = next((n, k) for n, k in checking.exercises().items() if "low" in k)
    for answer, passes in ((key["low"], True), (key["high"], True), (key["low"] - 1, False)):
        assert checking.grade(name, answer).passed == passes
    assert not checking.grade(name, key["high"] + 1).passed


def test_stub__needs_a_check_at_the_end():
    with pytest.raises(ExportError, match="must end with check"):
        stub("x = 1\n")
    kept = '# The number.\nx = 1\ny = x\ncheck("how-many", y)'
    assert stub(kept) == '# The number.\ny = ...  # your answer\ncheck("how-many", y)'


@each_chapter
def test_quiz__three_to_five_questions_with_every_option_explained(path):
    quiz = checking.questions(path.name[:2])["quiz"]
    assert 3 <= len(quiz) <= 5
    for question in quiz:
        assert len(question["options"]) >= 3
        assert sum(option.get("right", False) for option in question["options"]) == 1
        for option in question["options"]:
            assert option["text"]
            assert len(option["why"]) > 20
    places = {[o.get("right", False) for o in q["options"]].index(True) for q in quiz}
    assert len(places) > 1, "the right option must not always stand in the same place"
    assert f'interactive.quiz("{path.name[:2]}")' in path.read_text("utf8")


@pytest.mark.browser
def test_quiz__by_keyboard(show):
    page = show(interactive.quiz("02"))
    options = page.locator(".ask").first.get_by_role("button")
    right = [o.get("right", False) for o in checking.questions("02")["quiz"][0]["options"]]
    wrong = right.index(False)
    options.nth(wrong).focus()
    page.keyboard.press("Enter")
    assert "No." in page.locator(".why").nth(wrong).inner_text()
    options.nth(right.index(True)).focus()
    page.keyboard.press("Space")
    assert "Right." in page.locator(".why").nth(right.index(True)).inner_text()
    assert "0 of 1 right at the first try" in page.locator(".score").inner_text()
    second = page.locator(".ask").nth(1)
    at = [o.get("right", False) for o in checking.questions("02")["quiz"][1]["options"]].index(True)
    second.get_by_role("button").nth(at).click()
    assert "1 of 2 right at the first try" in page.locator(".score").inner_text()
    assert page.locator(".ask").first.get_attribute("role") == "group"
