"""Prints what the course has: chapters, exercises, questions, equations, references, figures."""

import re

import yaml
from equations import LAST, TABLE, rows
from export import ROOT

from ntk_course.checking import questions

NOTES = 52  # entries in the lecture notes' own list


def counts() -> dict[str, int]:
    """Name -> number, counted in the sources."""
    sources = sorted((ROOT / "lectures").glob("[0-9][0-9]_*.md"))
    texts = [path.read_text("utf8") for path in sources]
    figures = re.compile(r"^interactive\.(?!quiz|record_run)[a-z]\w+\(", re.M)
    quizzes = (ROOT / "ntk_course" / "questions").glob("*.toml")
    bib = (ROOT / "book" / "references.bib").read_text("utf8")
    chapters = [path.name[:2] for path in sources if int(path.name[:2]) < 90]
    return {
        "chapters": len(chapters),
        "exercises": sum(len(re.findall(r"^:+\{exercise\}", text, re.M)) for text in texts),
        "quiz questions": sum(len(questions(path.stem)["quiz"]) for path in quizzes),
        f"equations traced, of {LAST + 1}": len(rows(yaml.safe_load(TABLE.read_text("utf8")))),
        "references": len(re.findall(r"^@\w+\{", bib, re.M)),
        f"references of the lecture notes, of {NOTES}": len(re.findall(r"\{Notes: \[", bib)),
        "figures that move": sum(len(figures.findall(text)) for text in texts),
    }


if __name__ == "__main__":
    for name, number in counts().items():
        print(f"  {number:4}  {name}")
