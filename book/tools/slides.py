"""Makes a deck of slides of each chapter of the built book, in _build/slides.

The page says what is shown: of a paragraph its first sentence, and the last one if it announces
what follows; of formulas, theorems, tables, pictures, figures, exercises and questions all; of
code the short definitions, of printed results the short, asserted ones. The rest is said: the
whole text stands in the speaker's notes. `<!-- no slides -->` in a section leaves it out.
"""

import html
import json
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

import yaml
from bs4 import BeautifulSoup, Comment, Tag
from export import ROOT

HTML, OUT, OWN = ROOT / "_build" / "html", ROOT / "_build" / "slides", ROOT / "book" / "slides"
END = re.compile(
    r"(?:(?<=[.?!\uf000-\uf8ff])|(?<=[.?!][)”]))(?<!e\.g\.)(?<!i\.e\.)(?<!al\.)(?<!cf\.)"
    r"\s+(?=[A-Z(“\ue000-\uf8ff])"
)
CELL = re.compile(r"\bcells?\b")
LEAD, ALONE = 45, 100  # characters that are enough beside something else, and without
CODE, PRINTED = 12, 8  # the most lines shown of a definition, of a printed result
SILENT = "div.solution, .tag_exercise, a.headerlink"
STATEMENTS = {"theorem", "proposition", "definition", "lemma", "corollary"}
SHOWN = {"math", "pst-scrollable-table-container", *STATEMENTS}
REVEAL = ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js", "LICENSE")
MATHJAX = ("mathjax/tex-chtml.js", "mathjax/input/tex/extensions", "mathjax/output/chtml/fonts")
STYLES = ("reveal/reset.css", "reveal/reveal.css", "pygments.css", "figures.css", "slides.css")
SCRIPTS = ("reveal/reveal.js", "reveal/notes.js", "deck.js", "mathjax/tex-chtml.js")
KEYS = """<p>In a deck: arrows or space to move, <kbd>s</kbd> for the speaker's view with the notes,
<kbd>o</kbd> for the overview, <kbd>f</kbd> for the full screen, <kbd>?</kbd> for all keys. In a
figure or a quiz the keys belong to it until <kbd>Esc</kbd>.</p>"""


@dataclass
class Unit:
    """What stays together: HTML to show and to say; `kind` names what fills a slide."""

    shown: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    kind: str = ""


def parse(text: str) -> BeautifulSoup:
    """A piece of HTML."""
    return BeautifulSoup(text, "html.parser")


def sentences(paragraph: Tag) -> list[str]:
    """The sentences of a paragraph, as HTML; tags and formulas are never divided."""
    text, tags = "", {}
    for child in paragraph.contents:
        if isinstance(child, Tag):
            ends = child.get_text().endswith((".", "?", "!"))
            sign = chr((0xF000 if ends else 0xE000) + len(tags))
            tags[sign] = str(child)
            text += sign
        elif not isinstance(child, Comment):
            text += html.escape(child, quote=False)
    parts = END.split(" ".join(text.split()))
    return ["".join(tags.get(sign, sign) for sign in part) for part in parts if part]


def brief(paragraph: Tag, announces: bool = True, enough: int = LEAD) -> str:
    """What is shown of a paragraph; `announces` if what comes next is shown too.

    Whole sentences from the first one on, until there are `enough` characters.
    """
    whole = sentences(paragraph)
    said = list(takewhile(lambda text: not CELL.search(text), whole))  # the rest speaks of code
    if not said or (not announces and len(said) == 1 and said[0].endswith(":")):
        return ""
    shown = [said.pop(0)]
    while said and len(parse(" ".join(shown)).get_text()) < enough:
        shown.append(said.pop(0))
    last = whole[-1]
    if announces and last not in shown and last.endswith((",", ":")) and not CELL.search(last):
        shown.append(last)
    text = " ".join(shown)
    return f"<p>{text if announces else re.sub('[:,]$', '.', text)}</p>"


def cell(tag: Tag) -> list[tuple[str, str, str]]:
    """What is shown and said of a code cell, each with its kind."""
    found, code = [], tag.select_one(".cell_input pre")
    source = code.get_text().strip() if code else ""
    lines = re.match(r"((def |@|[ )]).*\n|\n)*", f"{source}\n")[0].rstrip().count("\n") + 1
    if source.startswith(("def ", "@")) and lines <= CODE:
        text = "\n".join(code.decode_contents().strip("\n").split("\n")[:lines]).rstrip()
        found.append(("item", f'<div class="highlight"><pre>{text}</pre></div>', ""))
    for printed in tag.select(".output.stream pre") if "assert " in source else []:
        if printed.get_text().strip().count("\n") < PRINTED:
            text = printed.decode_contents().strip()
            found.append(("result", f'<pre class="printed">{text}</pre>', ""))
    for image in tag.select(".cell_output img"):
        found.append(("alone", f'<p class="picture">{image}</p>', f"<p>{image['alt']}</p>"))
    for figure in tag.select(".course-figure"):
        caption = json.loads(figure["data-spec"]).get("caption", "")
        found.append(("figure", str(figure), f"<p>{html.escape(caption)}</p>"))
    for quiz in tag.select(".course-quiz"):
        for question in json.loads(quiz["data-spec"])["questions"]:
            quiz["data-spec"] = json.dumps({"questions": [question]})
            right = next(o for o in question["options"] if o.get("right"))
            answer = html.escape(f"{right['text']} {right['why']}")
            found.append(("alone", str(quiz), f"<p>Answer: {answer}</p>"))
    return found or [("code", "", "")]


def blocks(section: Tag) -> list[tuple[str, Tag | str, str]]:
    """The section's own content in order: kind, shown, said; of a paragraph all."""
    found = []
    for tag in section.find_all(recursive=False):
        kinds = set(tag.get("class", []))
        if tag.name == "p":
            found.append(("prose", tag, str(tag)))
        elif "cell" in kinds:
            found += cell(tag)
        elif "exercise" in kinds:
            found.append(("alone", str(tag), ""))
        elif tag.name in ("ul", "ol") or kinds & SHOWN:
            found.append(("item", str(tag), ""))
        elif "proof" in kinds:
            found += blocks(tag.find("section") or tag)
        elif "admonition" in kinds:
            whole = tag.decode_contents()
            for paragraph in tag.find_all("p", recursive=False)[1:]:
                paragraph.replace_with(parse(brief(paragraph)))
            found.append(("item", str(tag), whole))
    return found


def units(content: list[tuple[str, Tag | str, str]]) -> list[Unit]:
    """What stays together: an announcement with what it announces, a remark with its picture."""
    made, said = [], []
    kinds = ["start", *[kind for kind, *_ in content], "end"]
    for (kind, what, note), last, following in zip(content, kinds, kinds[2:], strict=False):
        leads, said = following in ("item", "result", "alone"), [*said, note]
        shown = what
        if kind == "prose":
            by_figure = following == "figure" or (last == "figure" and not leads)
            enough = LEAD if leads or last == "alone" else ALONE
            shown = "" if by_figure else brief(what, leads, enough)
        if not shown:
            continue
        if kind == "prose":
            joins = parse(shown).get_text()[0].islower() or (last == "alone" and not leads)
        else:
            joins = (last == "prose" or kind == "result") and made and not made[-1].kind
            joins = joins and kind != "figure" and (kind != "alone" or len(made[-1].shown) == 1)
        if not (joins and made):
            made.append(Unit())
        made[-1].shown.append(shown)
        made[-1].said += said
        made[-1].kind = made[-1].kind or (kind if kind in ("alone", "figure") else "")
        said = []
    if made:
        made[-1].said += said
    return made


def source(heading: str, kicker: str, made: list[Unit]) -> str:
    """A section of the deck, which the browser divides into slides by measured height."""
    body = "".join(
        f'<div class="unit {unit.kind}">{"".join(unit.shown)}'
        f'<aside class="notes">{"".join(unit.said)}</aside></div>\n'
        for unit in made
    )
    return f'<section><p class="kicker">{kicker}</p><h2>{heading}</h2>\n{body}</section>\n'


def sections(section: Tag, kicker: str) -> str:
    """The section and those inside it; nothing where nothing is to be shown."""
    if any(isinstance(c, Comment) and c.strip() == "no slides" for c in section.contents):
        return ""
    heading = section.find(["h1", "h2", "h3", "h4"], recursive=False).decode_contents()
    made = units(blocks(section))
    text = source(heading, kicker, made) if made else ""
    inner = section.find_all("section", recursive=False)
    return text + "".join(sections(each, heading) for each in inner)


def title_slide(title: str, chapter: Tag) -> str:
    """The chapter's aims; what to know before, the time and the preparations are said."""
    shown, said = [str(chapter.p.extract())], []
    while (tag := chapter.find(recursive=False)).name in ("p", "ul"):
        (said if tag.name == "p" else shown).append(str(tag.extract()))
    opening = blocks(chapter)
    if {kind for kind, *_ in opening} <= {"prose", "code"}:  # the data, the keys of random numbers
        said += [note for *_, note in opening]
        opening = []
    unit = f'<div class="unit">{"".join(shown)}<aside class="notes">{"".join(said)}</aside></div>'
    text = f'<section class="title"><h1>{title}</h1>{unit}</section>\n'
    return text + (source("To begin with", title, units(opening)) if opening else "")


def deck(chapter: Tag, names: set[str]) -> BeautifulSoup:
    """The slides of a chapter, the summary last; links lead to other decks or are none."""
    for tag in chapter.select(SILENT):
        tag.decompose()
    for tag in chapter.select(".admonition section"):
        tag.name = "div"  # a section is a slide
    title = chapter.h1.extract().decode_contents()
    text = title_slide(title, chapter)
    inner = chapter.find_all("section", recursive=False)
    inner.sort(key=lambda each: each.get("id") == "summary")
    text += "".join(sections(each, title) for each in inner)
    made = parse(f'<main class="reveal"><div class="slides">\n{text}</div></main>')
    for tag in made.select(".notes [id]"):
        del tag["id"]
    anchors = {tag["id"] for tag in made.find_all(id=True)}
    for link in made.select("a:not(.external)"):
        path, _, anchor = link["href"].partition("#")
        if path not in names and (path or anchor not in anchors):
            link.unwrap()
    for image in made.find_all("img"):
        image["src"] = image["src"].removeprefix("../")
    return made


def write(name: str, title: str, body: str, styles: Iterable[str], scripts: Iterable[str]) -> None:
    """Write a page that loads its styles and scripts from _static, in this order."""
    links = [f'<link rel="stylesheet" href="_static/{style}">' for style in styles]
    links += [f'<script defer src="_static/{script}"></script>' for script in scripts]
    page = (OWN / "page.html").read_text("utf8")
    page = page.format(title=html.escape(title), head="\n".join(links), body=body)
    (OUT / name).write_text(page, encoding="utf8")


def write_deck(name: str, names: set[str]) -> str:
    """Write the deck of a chapter with its figures' scripts and its pictures; return its title."""
    chapter = parse((HTML / "lectures" / name).read_text("utf8")).select_one("article section")
    files = {}
    for output in chapter.select(".output.text_html:has(> [data-spec])"):
        element = output.select_one("[data-spec]").name
        files[f"{element}.js"] = output.script.extract().string
        files["figures.css"] = output.style.extract().string
    for file, text in files.items():
        (OUT / "_static" / file).write_text(text, encoding="utf8")
    title = chapter.h1.get_text().removesuffix("#")
    made = deck(chapter, names)
    for image in made.find_all("img"):
        copy(HTML / image["src"], OUT / image["src"])
    scripts = [*SCRIPTS, *(file for file in files if file.endswith(".js"))]
    write(name, title, str(made), STYLES, scripts)
    return title


def copy(origin: Path, target: Path) -> None:
    """Copy a file or a folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if origin.is_dir() else shutil.copyfile)(origin, target)


def copy_static(reveal: Path) -> None:
    """Copy all that the decks load, so that their folder can be moved as a whole."""
    static = OUT / "_static"
    for name in REVEAL:
        copy(reveal / name, static / "reveal" / Path(name).name)
    style = static / "reveal" / "reveal.css"  # its controls are not those of a figure
    text = style.read_text("utf8").replace(".reveal .controls", ".reveal>.controls")
    style.write_text(text, encoding="utf8")
    for name in (*MATHJAX, "pygments.css"):
        copy(HTML / "_static" / name, static / name)
    for name in ("deck.js", "slides.css"):
        copy(OWN / name, static / name)


def main() -> list[Path]:
    """Write the deck of every chapter, and a page that lists them."""
    found = find_spec("sphinx_revealjs")
    if found is None:
        sys.exit("`sphinx_revealjs` must be installed; got none. Install requirements.txt.")
    shutil.rmtree(OUT, ignore_errors=True)
    copy_static(Path(found.origin).parent / "_static" / "revealjs")
    files = {path.name for path in (HTML / "lectures").glob("*.html")}
    body = f'<main class="list"><h1>Slides</h1>\n{KEYS}\n'
    for part in yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf8"))["parts"]:
        names = [f"{Path(chapter['file']).stem}.html" for chapter in part["chapters"]]
        titles = {name: write_deck(name, files) for name in names if name in files}
        items = [
            f'<li><a href="{name}">{html.escape(title)}</a></li>' for name, title in titles.items()
        ]
        if items:
            body += f"<h2>{part['caption']}</h2>\n<ul>{''.join(items)}</ul>\n"
    write("index.html", "Slides", f"{body}</main>", ["slides.css"], [])
    return [OUT / "index.html", *sorted(OUT.glob("[0-9]*.html"))]


if __name__ == "__main__":
    for path in main():
        print(f"  {path.relative_to(ROOT)}")
