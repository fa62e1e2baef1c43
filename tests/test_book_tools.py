"""The tools of the house: the skeleton of a chapter keeps the rules, the counts count."""

import json
import os
import re
import subprocess
import sys
import tomllib
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from docutils import nodes
from docutils.utils import new_document
from pybtex.database import parse_file
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "book" / "tools"), str(ROOT / "book" / "_ext")]

import chapter_figure  # noqa: E402
import content_security  # noqa: E402
import counts  # noqa: E402
import new_chapter  # noqa: E402
import versions  # noqa: E402
from export import checked, export, read_lecture  # noqa: E402
from test_lectures import MAX_LINES, SETUP  # noqa: E402


@pytest.fixture
def tree(tmp_path):
    """A tree with a table of contents and one lecture."""
    (tmp_path / "lectures").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "ntk_course" / "questions").mkdir(parents=True)
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
    for cell in code[1:-2]:  # the last two are the quiz and the exercise
        exec(cell, namespace)
    assert code[-2] == 'interactive.quiz("17")'
    questions = tomllib.loads((tree / "ntk_course" / "questions" / "17.toml").read_text("utf8"))
    assert list(questions["exercise"]) == [checked(code[-1])[0]] == ["my-topic-1"]
    assert set(questions["exercise"]["my-topic-1"]) >= {"value", "hints", "traps", "right"}
    assert [o.get("right", False) for o in questions["quiz"][0]["options"]] == [True, False]


def test_new_chapter__an_appendix_has_a_letter(tree):
    path = new_chapter.create("91_more", tree)
    assert "\n# B. More\n" in path.read_text("utf8")


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
    assert found["references of the lecture notes, of 52"] == 52
    notebooks = [path.with_suffix(".ipynb").read_text("utf8") for path in lectures]
    shown = sum(text.count('class=\\"course-figure\\"') for text in notebooks)
    assert found["figures that move"] == shown


def cited_by_the_notes() -> dict[str, str]:
    """The notes' label of a work -> our key."""
    entries = parse_file(str(ROOT / "book" / "references.bib")).entries
    notes = {key: entry.fields.get("note", "") for key, entry in entries.items()}
    labels = {key: re.fullmatch(r"Notes: \[(.+)\]", text) for key, text in notes.items()}
    return {label[1]: key for key, label in labels.items() if label}


def test_bibliography__is_cited_entry_by_entry():
    pages = [*(ROOT / "lectures").glob("*.md"), *(ROOT / "book").glob("*.md")]
    roles = re.findall(r"\{cite:\w\}`([^`]+)`", "".join(path.read_text("utf8") for path in pages))
    cited = {key.strip() for keys in roles for key in keys.split(",")}
    assert cited == set(parse_file(str(ROOT / "book" / "references.bib")).entries)


def test_bibliography__holds_all_that_the_notes_cite():
    notes = list((ROOT.parent / "shared" / "notes").glob("*.txt"))
    if not notes:
        pytest.skip("the lecture notes are not beside the project")
    listed = notes[0].read_text("utf8").split("\nReferences\n")[1]
    assert set(re.findall(r"^- \[(.+?)\]", listed, re.M)) == set(cited_by_the_notes())


def test_protect__allows_the_inline_scripts_of_the_page_and_no_others():
    page = (
        "<html><head>\n<title>t</title></head><body><script>a()</script><p>on='x'</p></body></html>"
    )
    safe = content_security.protect(page)
    digest = b64encode(sha256(b"a()").digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in safe
    assert content_security.protect(safe) == safe
    assert safe.replace("a()", "b()") != content_security.protect(safe.replace("a()", "b()"))
    data = content_security.protect('<head></head><script type="application/json">{}</script>')
    assert "script-src 'self'; " in data


def test_protect__refuses_handlers_in_attributes():
    with pytest.raises(ValueError, match="`onclick` must not be an attribute"):
        content_security.protect('<head></head><button class="b" onclick="go()">x</button>')


@pytest.mark.parametrize(
    ("chapter", "message"),
    [("lectures/99", "must name a document; got lectures/99"), ("lectures/01", "got none")],
)
def test_chapter_figure__refuses_a_chapter_without_one(chapter, message):
    page, lecture = new_document("book/index"), new_document("lectures/01")
    page += chapter_figure.Placeholder(chapter=chapter)
    lecture += nodes.raw("", "<p>no figure</p>", format="html")
    env = SimpleNamespace(found_docs={"lectures/01"}, get_doctree=lambda _: lecture)
    with pytest.raises(ExtensionError, match=message):
        chapter_figure.fill(SimpleNamespace(env=env), page, "book/index")


def test_versions__the_first_column_is_what_this_environment_computes():
    kept = json.loads(versions.TABLE.read_text("utf8"))
    command = [sys.executable, versions.__file__, "print"]  # without the tests' float64
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "NTK_COURSE_STATIC": "1"}
    found = json.loads(subprocess.check_output(command, text=True, env=variables))
    gaps = versions.differences(kept["numbers"], found["numbers"])
    assert max(gaps.values()) < versions.TOLERANCE, gaps
    assert kept["versions"]["jax"] in versions.PAGE.read_text("utf8")


def test_versions__refuses_numbers_that_differ():
    first, titles = {"versions": {"jax": "1"}, "numbers": {"a": 1.0}}, ("", " (b)", " (c)")

    def page(second):
        gpu = first | {"rounded_products": {"a": 1.0002}}
        return versions.page(first, first | {"numbers": {"a": second}}, gpu, titles=titles)

    assert "| a | 1 | 1.00001 | 1 | 1e-05 |" in page(1.00001)
    assert "1 of the 1 numbers below then\ndiffer by 2e-04 to 2e-04" in page(1.00001)
    for second in (1.001, float("nan")):
        with pytest.raises(ValueError, match="a must agree to"):
            page(second)


def test_readme__shows_the_table_of_the_bench_that_is_kept(monkeypatch, tmp_path):
    from benchmarks import __main__ as bench

    record = json.loads((bench.RESULTS / "kernels-cpu.json").read_text("utf8"))
    text = (ROOT / "README.md").read_text("utf8")
    assert bench.table(record) in text
    assert f"From `make bench` on {record['date']}" in text
    (tmp_path / "README.md").write_text(text.replace(record["date"], "long ago"), "utf8")
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    bench.write_readme(record)
    assert (tmp_path / "README.md").read_text("utf8") == text
    losing = [row for row in record["rows"] if row["ratio"] < row["wanted"]]
    assert text.count("**loses**") == len(losing)
