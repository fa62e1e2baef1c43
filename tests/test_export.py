"""The rewriting of MyST as plain Markdown, on a lecture with every directive and role."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "book" / "tools"), str(ROOT / "book" / "_ext")]

import configure as configuring  # noqa: E402
from export import ExportError, export  # noqa: E402
from numbering import Numbers, chapter_of  # noqa: E402

FIXTURES = Path(__file__).parent / "fixtures"
BIBLIOGRAPHY = ROOT / "book" / "references.bib"
HEADER = "---\njupytext:\n  text_representation:\n    format_name: myst\n---\n\n# 1. A\n\n"


@pytest.fixture(scope="module")
def text() -> str:
    """The Markdown of the exported fixture, solutions included."""
    notebooks = export(sorted(FIXTURES.glob("0*.md")), BIBLIOGRAPHY, solutions=True)
    cells = notebooks[FIXTURES / "04_everything.md"].cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_export__leaves_solutions_out_of_the_students_notebook():
    notebooks = export(sorted(FIXTURES.glob("0*.md")), BIBLIOGRAPHY)
    cells = notebooks[FIXTURES / "04_everything.md"].cells
    written = "\n".join(cell.source for cell in cells)
    assert "> **Exercise 4.1 (Try).**" in written
    assert "Solution to" not in written
    assert "two blank lines stay" not in written


def export_text(folder: Path, body: str) -> str:
    """One lecture with this body, exported."""
    path = folder / "01_a.md"
    path.write_text(HEADER + body, "utf8")
    return export([path], BIBLIOGRAPHY)[path].cells[0].source


@pytest.mark.parametrize(
    "expected",
    [
        "K(x, x') = \\nabla f(x)^\\top \\nabla f(x') \\tag{7}\n$$",
        "\\frac{\\pi - \\theta}{\\pi} \\tag{4.1}",
        "> **Theorem 4.1 (The limit of (7)).**",
        "> $$ \\begin{aligned} a &= b \\\\ c &= d \\end{aligned} \\tag{4.2} $$",
        "> > **Note.**\n> >\n> > Nested, see Theorem 4.1 and (4.2).",
        "*Proof.* By inspection of (4.1). $\\square$",
        "> **Lemma 4.2.**",
        "> **Remark (Unnumbered).**",
        "> **Tip.**\n>\n> The first line counts.",
        "> **A title with $x$.**",
        "<summary><b>Click</b></summary>\n\nHidden *until* opened.\n\n</details>",
        "> **Exercise 4.1 (Try).**",
        "<summary><b>Solution to Exercise 4.1</b></summary>\n\n$$\n1 + 1 = 2",
        'print("{eq}`eq-7`")\n\n\nprint("two blank lines stay")',
        "[(10)](05_other.ipynb)",
        "[the other chapter](05_other.ipynb)",
        "[A section](05_other.ipynb)",
        "[5. Another](05_other.ipynb)",
        "[the file](05_other.ipynb)",
        "[Definition 5.1](05_other.ipynb)",
        "![A dot.](dot.png)\n\n**Figure 4.1.** The caption with (7).",
        "Jacot et al. (2018) (Lee et al., 2019; Cho and Saul, 2009)",
        "$a^2$ and NTK (neural tangent kernel)",
        "see `{eq}` in code, $\\kappa_0$ in text, and $a = b$ over",
        "<kbd>Space</kbd>",
        "## References\n\n- Youngmin Cho and Lawrence K. Saul (2009). *Kernel Methods",
        "https://arxiv.org/abs/1806.07572",
    ],
)
def test_export__writes(text, expected):
    assert expected in text


def test_export__drops_comments_and_targets(text):
    assert "nobody sees" not in text
    assert ")=" not in text


def test_export__numbers_run_through_a_chapter_in_the_order_of_the_text(text):
    assert re.findall(r"\\tag\{(.*?)\}", text) == ["7", "4.1", "4.2", "4.3"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{wrong}`x`", r"01_a\.md:9: role `\{wrong\}`"),
        ("Text.\n\n:::{wrong}\nx\n:::", r"01_a\.md:11: directive `\{wrong\}`"),
        ("See {eq}`nowhere`.", r"01_a\.md:9: reference must name a label"),
        ("{cite}`nobody1900`", r"01_a\.md:9: .*references\.bib"),
        (":::{note}\nx", r"01_a\.md:9: `:::` is never closed"),
        ("$$\nx", r"01_a\.md:9: `\$\$` is never closed"),
        ("$$\na \\\\\nb\n$$", r"01_a\.md:9: .*aligned"),
        ("- $$ x $$", r"01_a\.md:9: `\$\$` must open its own line"),
        ("(a)=\n## B\n\n(a)=\n## C", r"01_a\.md:13: label `a` must be unique"),
        (":::{image} x.png\n:::", r"01_a\.md:9: `image` must have `:alt:`"),
        ("A note.[^1]", r"01_a\.md:9: footnotes"),
        (
            "```{code-cell} ipython3\n:tags: [exercise]\nx = 1\nprint(x)\n```",
            r"01_a\.md:9: a solution must end with check.*; got 'print\(x\)'",
        ),
    ],
)
def test_export__names_file_and_line_of_an_error(tmp_path, body, message):
    with pytest.raises(ExportError, match=message):
        export_text(tmp_path, body)


@pytest.mark.parametrize("code", ["`{eq}`", "``a `{eq}` b``", "$\\{x\\}`y`$", "`$`"])
def test_export__leaves_code_and_mathematics_alone(tmp_path, code):
    assert export_text(tmp_path, f"See {code} here.").endswith(f"See {code} here.")


@pytest.mark.parametrize(
    ("name", "chapter"),
    [("04_x", "4"), ("lectures/16_y", "16"), ("90_z", "A"), ("91_z", "B"), ("index", None)],
)
def test_chapter_of__reads_the_file_name(name, chapter):
    assert chapter_of(name) == chapter


def test_numbers__notes_keep_theirs_and_theorems_share_a_counter():
    numbers = Numbers("A")
    assert [numbers.equation(label) for label in ("eq-12", "eq-own", "eq-3")] == ["12", "A.1", "3"]
    kinds = ("theorem", "exercise", "lemma", "figure")
    assert [numbers.next(kind) for kind in kinds] == ["A.1", "A.1", "A.2", "A.1"]


# ------------------------------------------------------------------ make configure


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The files that name the repository, copied to an empty folder."""
    for path in configuring.files():
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.setattr(configuring, "ROOT", tmp_path)
    return tmp_path


def test_configure__sets_address_and_branch_everywhere_and_back(copy):
    before = {path: path.read_text("utf8") for path in configuring.files()}
    old = configuring.repository()
    configuring.configure("https://github.com/a-b/c.d", "next")
    assert configuring.repository() == ("https://github.com/a-b/c.d", "next")
    for path in configuring.files():
        assert old[0] not in path.read_text("utf8"), path
    configuring.configure(*old)
    assert {path: path.read_text("utf8") for path in configuring.files()} == before


def test_configure__a_name_may_begin_with_the_old_one(copy):
    old = configuring.repository()[0]
    configuring.configure(f"{old}.github.io")
    for path in configuring.files():
        assert "github.io.github.io" not in path.read_text("utf8"), path
    assert configuring.repository() == (f"{old}.github.io", "main")


def test_configure__a_run_that_failed_can_be_repeated(copy, monkeypatch):
    old, written = configuring.repository()[0], []
    whole = configuring._files.whole

    def full(path):
        written.append(path)
        if len(written) > 3:
            raise OSError(28, "No space left on device")
        return whole(path)

    monkeypatch.setattr(configuring._files, "whole", full)
    with pytest.raises(SystemExit, match="No space left"):
        configuring.main(["https://github.com/a/b"])
    monkeypatch.undo()
    monkeypatch.setattr(configuring, "ROOT", copy)
    configuring.main(["https://github.com/a/b"])
    for path in configuring.files():
        assert old not in path.read_text("utf8"), path


@pytest.mark.parametrize(
    "url",
    ["", "github.com/a/b", "https://github.com/a", "https://github.com/a/b.git",
     "https://gitlab.com/a/b"],
)  # fmt: skip
def test_configure__refuses_what_is_no_repository(copy, url):
    with pytest.raises(ValueError, match=r"`REPO` must be https://github\.com/owner/name"):
        configuring.configure(url, "main")


def test_configure__refuses_a_bad_branch(copy):
    with pytest.raises(ValueError, match="`BRANCH` must be a branch name"):
        configuring.configure("https://github.com/a/b", "a b")
