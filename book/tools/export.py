"""Rewrites MyST Markdown as plain Markdown that reads well in Colab and on GitHub.

Two passes over all lectures: the first collects every label with its number, the second writes the
text. A directive or role that is not listed here is an error that names file and line.
"""

import ast
import itertools
import re
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
import yaml
from citations import Bibliography
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

from numbering import PROOF_KINDS, Numbers, chapter_of  # noqa: E402

ADMONITIONS = ["note", "tip", "hint", "important", "warning", "caution", "attention", "danger",
               "seealso"]  # fmt: skip
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>:{3,}|`{3,}|~{3,})(?P<info>.*)$")
DIRECTIVE = re.compile(r"^\{(?P<name>[\w:-]+)\}\s*(?P<arg>.*)$")
MATH = re.compile(r"^(?P<indent> *)\$\$(?P<rest>.*)$")
MATH_END = re.compile(r"^(?P<body>.*?)\$\$\s*(?:\((?P<label>[^()\s]+)\))?\s*$", re.DOTALL)
TARGET = re.compile(r"^\((?P<label>[^()\s]+)\)=\s*$")
LINK = re.compile(r"\]\((?P<path>[^()\s#]*)(?:#(?P<label>[^()\s]*))?\)")
# One alternative a kind, in this order: escape, role or code span, mathematics.
INLINE = re.compile(
    r"(?P<escape>\\.)|(?:\{(?P<role>[\w:-]+)\})?(?P<ticks>`+)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)"
    r"|(?P<math>\$(?=[^\s$])(?:[^$\n]|\n(?!\s*\n))*?(?<=\S)\$)",
    re.DOTALL,
)
REFUSED = {
    "[^": "footnotes must be avoided; notebooks do not show them",
    "$$": "`$$` must open its own line",
}


class ExportError(ValueError):
    """A construct that the notebook cannot show."""


class Target(NamedTuple):
    """What a label points to: the lecture, the written-out name and the bare number."""

    docname: str
    text: str
    number: str = ""


class Exporter:
    """Rewrites one lecture; `targets` is shared by all, and filled while `collecting`."""

    def __init__(self, path: Path, targets: dict, bibliography: Bibliography, collecting=False,
                 solutions=False):  # fmt: skip
        self.path, self.docname, self.solutions = path, path.stem, solutions
        self.targets, self.bibliography, self.collecting = targets, bibliography, collecting
        self.numbers = Numbers(chapter_of(path.stem) or "0")
        self.cited: list[str] = []
        self.line = 0
        self.quoted = 0
        self._pending: str | None = None

    def fail(self, message: str):
        """Raise with the place in the source."""
        raise ExportError(f"{self.path.name}:{self.line}: {message}")

    # ---------------------------------------------------------------- blocks

    def blocks(self, lines: list[str], start: int) -> str:
        """Rewrite consecutive lines of Markdown; `start` is the source line of the first one."""
        out: list[str] = []
        text: list[str] = []

        def flush() -> None:
            here, self.line = self.line, self.line - len(text)
            if text:
                out.append(self.inline("\n".join(text)))
                text.clear()
            self.line = here

        i = 0
        while i < len(lines):
            self.line = start + i
            if fence := FENCE.match(lines[i]):
                flush()
                end = self._fence_end(lines, i, fence["fence"])
                out.append(self.fenced(fence, lines[i + 1 : end], start + i))
                i = end + 1
                continue
            if math := MATH.match(lines[i]):
                flush()
                end = self._math_end(lines, i)
                source = "\n".join([math["rest"], *lines[i + 1 : end + 1]])
                out.append(_indent(self.display(source), math["indent"]))
                i = end + 1
                continue
            if target := TARGET.match(lines[i]):
                self._pending = target["label"]
            if target or lines[i].startswith("%"):
                text.append("")
            else:
                self._heading(lines[i])
                text.append(lines[i])
            i += 1
        self.line = start + i
        flush()
        return "\n\n".join(part.strip("\n") for part in out if part.strip())

    def _fence_end(self, lines: list[str], first: int, fence: str) -> int:
        for i in range(first + 1, len(lines)):
            line = lines[i].strip()
            if len(line) >= len(fence) and set(line) == {fence[0]}:
                return i
        return self.fail(f"`{fence}` is never closed")

    def _math_end(self, lines: list[str], first: int) -> int:
        for i in range(first, len(lines)):
            text = lines[i].strip()
            if MATH_END.match(text[2:] if i == first else text):
                return i
        return self.fail("`$$` is never closed")

    def _heading(self, line: str) -> None:
        """Give a pending `(label)=` the title of the heading that follows it."""
        if not line.strip():
            return
        title = re.match(r"#+ (.*)", line)
        if self._pending:
            self.note(self._pending, title[1] if title else "here")
        if title and line.startswith("# "):
            self.note(self.docname, title[1])
        self._pending = None

    def note(self, label: str, text: str, number: str = "") -> None:
        """Remember a label; two of the same name are an error."""
        known = self.targets.get(label)
        if self.collecting and known is not None:
            self.fail(f"label `{label}` must be unique; {known.docname} has it too")
        self.targets[label] = Target(self.docname, text, number)

    def fenced(self, fence: re.Match, body: list[str], line: int) -> str:
        """A code block as it stands, or a directive rewritten."""
        directive = DIRECTIVE.match(fence["info"].strip())
        cut = len(fence["indent"])
        body = [text[cut:] if not text[:cut].strip() else text for text in body]
        if directive is None:
            if fence["fence"].startswith(":"):
                self.fail(f"`:::` must open a directive; got {fence['info']!r}")
            marks = [fence["fence"] + fence["info"], *body, fence["fence"]]
            return _indent("\n".join(marks), fence["indent"])
        if body and body[0].strip() == "---":
            self.fail("options must be written `:key: value`; got a `---` block")
        options, skipped = _options(body)
        text = self.directive(directive["name"], directive["arg"], options, body[skipped:],
                              line + 1 + skipped)  # fmt: skip
        return _indent(text, fence["indent"]) + "\n"

    def directive(self, name, argument, options, body, line) -> str:
        """Rewrite one directive."""
        kind = name.removeprefix("prf:")
        label = options.get("label") or options.get("name")
        if name.startswith("prf:") and kind in PROOF_KINDS:
            number = "" if "nonumber" in options else self.numbers.next(kind)
            return self.block(kind.title(), number, argument, label, body, line)
        if name == "prf:proof":
            return f"\n*Proof.* {self.blocks(body, line)} $\\square$\n"
        if name in ("exercise", "exercise-start"):
            number = "" if "nonumber" in options else self.numbers.next("exercise")
            return self.block("Exercise", number, argument, label, body, line)
        if name in ("solution", "solution-start"):
            head = f"Solution to {self.refer(argument, link=False)}"
            if label:
                self.note(label, head)
            text = self.blocks(
                body, line
            )  # the student's notebook leaves it out, the book folds it
            if not self.solutions:
                return ""
            if name == "solution":
                return _details(head, text)
            return f"\n**{head}.**\n\n{text}\n"
        if name in ("exercise-end", "solution-end"):
            return ""
        if name == "dropdown" or "dropdown" in options.get("class", ""):
            return _details(self.inline(argument) or kind.title(), self.blocks(body, line))
        if name in ADMONITIONS or name in ("admonition", "margin", "sidebar", "topic"):
            if name in ADMONITIONS:  # what follows the name is its first line, not a title
                body = [argument, *body] if argument else body
                argument = "See also" if name == "seealso" else name.title()
            head = f"**{self.inline(argument).rstrip('.')}.**" if argument else ""
            return self.quote(head, body, line)
        if name in ("figure", "image"):
            return self.image(name, argument, options, label, body, line)
        if name == "math":
            return self.display("\n".join(body) + f"$$ ({label})" if label else
                                "\n".join(body) + "$$")  # fmt: skip
        if name in ("code", "code-block"):
            return "\n".join([f"```{argument}", *body, "```"])
        return self.fail(
            f"directive `{{{name}}}` must be one that notebooks can show; got {name!r}. "
            "Use another one, or teach book/tools/export.py to write it"
        )

    def block(self, kind, number, title, label, body, line) -> str:
        """A numbered block: bold head, then the body, as a quotation."""
        name = f"{kind} {number}".strip()
        if label:
            self.note(label, name, number)
        title = f" ({self.inline(title)})" if title else ""
        return self.quote(f"**{name}{title}.**", body, line)

    def quote(self, head: str, body: list[str], line: int) -> str:
        """Head and body as a blockquote."""
        self.quoted += 1
        text = f"{head}\n\n{self.blocks(body, line)}".strip()
        self.quoted -= 1
        return "\n" + "\n".join(f"> {row}".rstrip() for row in text.split("\n")) + "\n"

    def image(self, name, path, options, label, body, line) -> str:
        """Image and caption."""
        if not options.get("alt"):
            self.fail(f"`{name}` must have `:alt:`; got none")
        caption = self.blocks(body, line)
        if name == "figure" and caption:
            number = self.numbers.next("figure")
            if label:
                self.note(label, f"Figure {number}", number)
            caption = f"\n\n**Figure {number}.** {caption}"
        return f"\n![{options['alt']}]({path}){caption}\n"

    def display(self, source: str) -> str:
        """Displayed mathematics up to its closing `$$ (label)`, with the number as a tag."""
        match = MATH_END.match(source)
        body = match["body"].strip("\n ")
        if "\\\\" in body and "\\begin{" not in body:
            self.fail("an equation of several lines must use \\begin{aligned}")
        if match["label"]:
            number = self.numbers.equation(match["label"])
            self.note(match["label"], f"({number})", number)
            body += f" \\tag{{{number}}}"
        if self.quoted:  # Jupyter keeps the `>` of a quotation inside mathematics of several lines
            return f"\n$$ {' '.join(body.split())} $$\n"
        return f"\n$$\n{body}\n$$\n"

    # ---------------------------------------------------------------- inline

    def inline(self, text: str) -> str:
        """Rewrite roles and links; code and mathematics stay as they are."""
        out, last, first = [], 0, self.line
        for match in INLINE.finditer(text):
            self.line = first + text.count("\n", 0, match.start())
            out.append(LINK.sub(self.link, text[last : match.start()]))
            if match["role"]:
                out.append(self.role(match["role"], match["code"]))
            else:
                out.append(" ".join(match[0].split("\n")) if match["math"] else match[0])
            last = match.end()
        out.append(LINK.sub(self.link, text[last:]))
        plain = INLINE.sub(lambda match: "\n" * match[0].count("\n"), text)
        for mark, message in REFUSED.items():
            if mark in plain:
                self.line = first + plain[: plain.index(mark)].count("\n")
                self.fail(message)
        return re.sub(r"\n{3,}", "\n\n", "".join(out))

    def link(self, match: re.Match) -> str:
        """The address of a Markdown link: lectures by notebook, labels by their lecture."""
        path, label = match["path"], match["label"]
        if re.match(r"\w+:", path):
            return match[0]
        if not path and label is not None:
            known = self.lookup(label)
            return f"]({'' if known.docname == self.docname else known.docname + '.ipynb'})"
        notebook = re.sub(r"^(\d\d_\w+)[.]md$", r"\1.ipynb", path)
        return f"]({notebook})"

    def role(self, name: str, content: str) -> str:
        """Rewrite one role as text."""
        shown = re.fullmatch(r"(?P<text>.*?)\s*<(?P<target>[^<>]+)>", content, re.DOTALL)
        text, target = (shown["text"], shown["target"]) if shown else (None, content)
        if name in ("eq", "prf:ref", "ref", "numref", "doc"):
            return self.refer(target.split("/")[-1] if name == "doc" else target, text)
        if name in ("cite", "cite:p", "cite:t", "cite:ps", "cite:ts"):
            keys = [key.strip() for key in content.split(",")]
            missing = [key for key in keys if key not in self.bibliography]
            if missing:
                self.fail(f"`{{{name}}}` must name keys of references.bib; got {missing[0]!r}")
            self.cited += [key for key in keys if key not in self.cited]
            return self.bibliography.cite(keys, textual=name.startswith("cite:t"))
        if name == "math":
            return f"${content}$"
        if name == "term":
            return f"*{text or content}*"
        if name == "abbr":
            return re.sub(r"\s*\((.*)\)$", r" (\1)", content)
        if name in ("kbd", "sub", "sup"):
            return f"<{name}>{content}</{name}>"
        return self.fail(
            f"role `{{{name}}}` must be one that notebooks can show; got {name!r}. "
            "Use another one, or teach book/tools/export.py to write it"
        )

    def lookup(self, label: str) -> Target:
        """The target of a label; unknown ones are an error once all are collected."""
        if label not in self.targets:
            if self.collecting:
                return Target(self.docname, label)
            self.fail(f"reference must name a label of some lecture; got {label!r}")
        return self.targets[label]

    def refer(self, label: str, text: str | None = None, link: bool = True) -> str:
        """The written-out reference, a link where the target is in another lecture."""
        target = self.lookup(label)
        name = target.text
        if text:
            name = text.replace("%s", target.number).replace("{number}", target.number)
        if not link or target.docname == self.docname:
            return name
        return f"[{name}]({target.docname}.ipynb)"

    # ---------------------------------------------------------------- notebook

    def notebook(self) -> nbformat.NotebookNode:
        """The lecture as a notebook without outputs."""
        notebook = read_lecture(self.path)
        starts = notebook.metadata.source_map
        for number, (cell, start) in enumerate(zip(notebook.cells, starts, strict=True)):
            if cell.cell_type == "markdown":
                raw = self.path.read_text("utf8").splitlines()[start:]
                blank = next(i for i, text in enumerate(raw) if text.strip())
                self.line = start + blank + 1
                cell.source = self.blocks(cell.source.split("\n"), start + blank + 1)
            elif is_exercise(cell) and not self.solutions:
                try:
                    cell.source = stub(cell.source)
                except ExportError as error:
                    self.line = start
                    self.fail(str(error))
            cell.id = f"cell-{number:03d}"
        notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
        if self.cited:
            text = "## References\n\n" + self.bibliography.full(self.cited)
            notebook.cells.append(nbformat.v4.new_markdown_cell(text, id="cell-references"))
        notebook.metadata = nbformat.from_dict(
            {
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                "language_info": {"name": "python"},
            }
        )
        return notebook


def read_lecture(path: Path) -> nbformat.NotebookNode:
    """Read a MyST lecture exactly as the book does, so that the cache recognises it."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    extensions = set(config["parse"]["myst_enable_extensions"])
    return read_myst_markdown_notebook(
        path.read_text("utf8"), MdParserConfig(enable_extensions=extensions), add_source_map=True
    )


def is_exercise(cell: nbformat.NotebookNode) -> bool:
    """Whether a code cell is the solution of an exercise."""
    return "exercise" in cell.metadata.get("tags", [])


def checked(source: str) -> tuple[str, str]:
    """The name of the exercise that a solution solves, and the variable that holds its answer."""
    last = ast.parse(source).body[-1]
    call = last.value if isinstance(last, ast.Expr) else None
    if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "check"
            and len(call.args) == 2 and isinstance(call.args[1], ast.Name)):  # fmt: skip
        said = source.splitlines()[-1]
        raise ExportError(f'a solution must end with check("name", variable); got {said!r}')
    return ast.literal_eval(call.args[0]), call.args[1].id


def stub(source: str) -> str:
    """What the student gets: the comments at the top, an open answer, and the check."""
    name, variable = checked(source)
    lines = source.splitlines()
    head = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    return "\n".join([*head, f"{variable} = ...  # your answer", f'check("{name}", {variable})'])


def export(paths: list[Path], bibliography: Path, only: list[Path] | None = None, solutions=False):
    """Rewrite the lectures (or `only` these), with references to all; path -> notebook.

    With `solutions` they are the instructor's: exercises are solved, and solutions explained.
    """
    works, targets = Bibliography(bibliography), {}
    for path in paths:
        Exporter(path, targets, works, collecting=True).notebook()
    chosen = only or paths
    return {p: Exporter(p, targets, works, solutions=solutions).notebook() for p in chosen}


def _options(body: list[str]) -> tuple[dict[str, str], int]:
    """The `:key: value` lines that open a directive's body, and how many lines they take."""
    options = {}
    for i, line in enumerate(body):
        match = re.match(r"^:([\w-]+):\s*(.*)$", line)
        if match is None:
            return options, i
        options[match[1]] = match[2].strip()
    return options, len(body)


def _indent(text: str, indent: str) -> str:
    return re.sub(r"^(?=.)", indent, text, flags=re.MULTILINE) if indent else text


def _details(head: str, body: str) -> str:
    """A block that opens on a click; the blank lines keep the Markdown inside alive."""
    return f"\n<details>\n<summary><b>{head}</b></summary>\n\n{body}\n\n</details>\n"
