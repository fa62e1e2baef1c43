"""The rules that every lecture keeps, and the agreement of its two files and the book."""

import re
import shlex
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "book" / "tools"), str(ROOT / "book" / "_ext")]

from configure import URL, files, repository  # noqa: E402
from export import INLINE, export, read_lecture  # noqa: E402
from numbering import chapter_of  # noqa: E402

SOURCES = sorted((ROOT / "lectures").glob("[0-9][0-9]_*.md"))
each_lecture = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
SETUP = """\
try:
    import ntk_course  # noqa: F401
except ModuleNotFoundError:  # on Colab
    %pip install -q "ntk-course @ git+{url}@{branch}"
from ntk_course import runtime

scale = runtime.scale("quick")  # "full" on a GPU
print(scale)"""
MAX_LINES = 20
PLACEHOLDER = "https://github.com/owner/name"  # in the explanation of make configure


def committed(path: Path) -> nbformat.NotebookNode:
    """The notebook beside a lecture."""
    notebook = path.with_suffix(".ipynb")
    assert notebook.exists(), f"{notebook.name} must exist; got none. Run make notebooks."
    return nbformat.read(notebook, 4)


def code_cells(notebook):
    """Number and cell of each code cell."""
    return [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def essence(notebook):
    """What must agree between a lecture and its notebook."""
    return [(c.cell_type, c.source.strip(), sorted(c.metadata.get("tags", [])))
            for c in notebook.cells]  # fmt: skip


def test_toc__lists_every_lecture_once_and_no_other():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf8"))
    listed = [c["file"] for part in toc["parts"] for c in part["chapters"]]
    lectures = [name for name in listed if name.startswith("lectures/")]
    assert lectures == [f"lectures/{path.name}" for path in SOURCES]


def test_lectures__every_notebook_has_its_source():
    notebooks = {path.stem for path in (ROOT / "lectures").glob("*.ipynb")}
    assert notebooks == {path.stem for path in SOURCES}


def test_introduction__its_map_links_to_every_lecture():
    text = (ROOT / "lectures" / "01_introduction.md").read_text("utf8")
    course_map = text[text.index("## A map of the course") :]
    missing = [path.name for path in SOURCES[1:] if f"({path.name})" not in course_map]
    assert missing == []


@each_lecture
def test_lecture__notebook_agrees_with_its_source(path):
    fresh = export(SOURCES, ROOT / "book" / "references.bib", [path])[path]
    assert essence(committed(path)) == essence(fresh), "run make notebooks"


@each_lecture
def test_lecture__notebook_is_executed_without_errors(path):
    for number, cell in code_cells(committed(path)):
        assert cell.execution_count, f"cell {number} was not executed; run make notebooks"
        for output in cell.outputs:
            assert output.output_type != "error", f"cell {number}: {output.get('evalue')}"
            assert output.get("name") != "stderr", f"cell {number} writes to stderr"
            widget = "application/vnd.jupyter.widget-view+json"
            assert widget not in output.get("data", {}), f"cell {number} shows a dead control"


@each_lecture
def test_lecture__notebook_has_no_raw_myst(path):
    for number, cell in enumerate(committed(path).cells):
        if cell.cell_type != "markdown":
            continue
        prose = re.sub(r"(?ms)^[> ]*```.*?^[> ]*```", "", cell.source)
        assert not re.search(r"\{[\w:-]+\}`[^`]", INLINE.sub(_keep_roles, prose)), f"cell {number}"
        assert not re.search(r"(?m)^[> ]*(:::|```\{|\([\w-]+\)=|%)", prose), f"cell {number}"


def _keep_roles(match: re.Match) -> str:
    return match[0] if match["role"] else ""


@each_lecture
def test_lecture__title_carries_the_chapter_number(path):
    first = read_lecture(path).cells[0].source.splitlines()
    title = next(line for line in first if line.startswith("# "))
    assert title.startswith(f"# {chapter_of(path.stem)}. ")


@each_lecture
def test_lecture__opens_with_aims_prerequisites_and_time(path):
    opening = read_lecture(path).cells[0].source
    for phrase in ("**You will be able to**", "**Before you start**", "**Time**"):
        assert phrase in opening


@each_lecture
def test_lecture__first_code_cell_sets_up(path):
    url, branch = repository()
    _, first = code_cells(read_lecture(path))[0]
    assert first.source == SETUP.format(url=url, branch=branch)


@each_lecture
def test_lecture__code_cells_are_short_and_apart(path):
    cells = read_lecture(path).cells
    for i, cell in enumerate(cells):
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= MAX_LINES, (
                f"cell {i} is longer than {MAX_LINES}"
            )
            assert i == 0 or cells[i - 1].cell_type != "code", f"cell {i} follows another code cell"


@each_lecture
def test_lecture__asserts_something(path):
    assert any(
        re.search(r"(?m)^\s*assert ", cell.source) for _, cell in code_cells(read_lecture(path))
    )


@each_lecture
def test_lecture__images_have_alternative_texts(path):
    for number, cell in code_cells(committed(path)):
        if any("image/png" in o.get("data", {}) or "image/svg+xml" in o.get("data", {})
               for o in cell.outputs):  # fmt: skip
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) >= 20, f"cell {number} must describe its image in mystnb: image: alt:"


@each_lecture
def test_lecture__installs_nothing_unpinned(path):
    url, branch = repository()
    ours = f'"ntk-course @ git+{url}@{branch}"'  # the revision that the Colab button opens
    for _, cell in code_cells(read_lecture(path)):
        for line in re.findall(r"pip3? install (.*)", cell.source):
            wanted = [word for word in shlex.split(line) if not word.startswith("-")]
            pinned = [re.fullmatch(r"[\w.-]+==[\w.]+", word) for word in wanted]
            assert wanted
            assert all(pinned) or wanted == shlex.split(ours), line


def test_repository__is_named_once_and_the_same_everywhere():
    url, _ = repository()
    for path in files():
        for match in URL.finditer(path.read_text("utf8")):
            found = match[0].removesuffix(".git").rstrip(".")
            assert found in (url, PLACEHOLDER), f"{path.name} names {found}"


@pytest.mark.book
@each_lecture
def test_lecture__numbers_agree_between_book_and_notebook(path):
    from bs4 import BeautifulSoup

    page = ROOT / "_build" / "html" / "lectures" / f"{path.stem}.html"
    if not page.exists():
        pytest.skip("The book must be built; got no page. Run make book.")
    html = BeautifulSoup(page.read_text("utf8"), "html.parser")
    prose = "\n".join(c.source for c in committed(path).cells if c.cell_type == "markdown")
    in_book = [tag.get_text().rstrip("#").strip("()") for tag in html.select("span.eqno")]
    assert re.findall(r"\\tag\{(.*?)\}", prose) == in_book
    heads = [tag.get_text().strip() for tag in html.select("article span.caption-number")]
    numbered = [head for head in heads if re.search(r"\d$", head)]
    assert re.findall(r"\*\*((?:[A-Z]\w+) \w+\.\d+)(?: \(|\.\*\*)", prose) == numbered
