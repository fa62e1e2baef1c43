"""The tools of the house: the skeleton of a chapter keeps the rules, the counts count."""

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "book" / "tools"), str(ROOT / "book" / "_ext")]

import counts  # noqa: E402
import new_chapter  # noqa: E402
from export import export, read_lecture  # noqa: E402
from test_lectures import MAX_LINES, SETUP  # noqa: E402


@pytest.fixture
def tree(tmp_path):
    """A tree with a table of contents and one lecture."""
    (tmp_path / "lectures").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "lectures" / "04_old.md").write_text("x", "utf8")
    toc = {
        "format": "jb-book",
        "root": "book/index",
        "parts": [{"caption": "One", "chapters": [{"file": "lectures/04_old.md"}]}],
    }
    (tmp_path / "book" / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), "utf8")
    return tmp_path


def test_new_chapter__keeps_the_rules_and_is_listed(tree):
    path = new_chapter.create("17_my_topic", tree)
    toc = yaml.safe_load((tree / "book" / "_toc.yml").read_text("utf8"))
    files = [c["file"] for c in toc["parts"][0]["chapters"]]
    assert files == ["lectures/04_old.md", "lectures/17_my_topic.md"]
    notebook = read_lecture(path)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    url, branch = new_chapter.repository()
    assert code[0] == SETUP.format(url=url, branch=branch)
    assert all(len(cell.splitlines()) <= MAX_LINES for cell in code)
    assert notebook.cells[0].source.startswith("# 17. My topic")
    fresh = export([path], ROOT / "book" / "references.bib", [path])[path]
    assert any("assert" in cell.source for cell in fresh.cells)
    namespace = {}
    for cell in code[1:]:
        exec(cell, namespace)


@pytest.mark.parametrize(
    ("name", "message"),
    [("my topic", "two digits and a slug"), ("04_new", "free number"), ("", "`NAME` must be")],
)
def test_new_chapter__refuses_other_names(tree, name, message):
    with pytest.raises(SystemExit, match=message):
        new_chapter.create(name, tree)


def test_counts__are_those_of_the_sources():
    found = counts.counts()
    lectures = list((ROOT / "lectures").glob("[0-9][0-9]_*.md"))
    assert found["chapters"] == sum(int(path.name[:2]) < 90 for path in lectures)
    assert found["exercises"] >= 3 * found["chapters"]
    assert 3 * found["chapters"] <= found["quiz questions"] <= 5 * found["chapters"]
    assert found["equations traced, of 37"] == 37
    notebooks = [path.with_suffix(".ipynb").read_text("utf8") for path in lectures]
    shown = sum(text.count('class=\\"course-figure\\"') for text in notebooks)
    assert found["figures that move"] == shown
