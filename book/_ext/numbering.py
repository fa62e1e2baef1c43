"""The numbers of equations, theorems, exercises, figures: shared by the book and the notebooks."""

import re
from pathlib import PurePosixPath

PROOF_KINDS = [
    *("algorithm", "assumption", "axiom", "conjecture", "corollary", "criterion", "definition"),
    *("example", "lemma", "notation", "observation", "property", "proposition", "remark"),
    "theorem",
]
APPENDICES_FROM = 90


def chapter_of(docname: str) -> str | None:
    """The chapter's number from the file name: `04_x` -> "4", `90_x` -> "A", no number -> None."""
    match = re.match(r"(\d\d)_", PurePosixPath(docname).name)
    if match is None:
        return None
    number = int(match[1])
    if number < APPENDICES_FROM:
        return str(number)
    return chr(ord("A") + number - APPENDICES_FROM)


class Numbers:
    """Counts the numbered things of one chapter, in the order of the text.

    Equations labelled `eq-N` are equation N of the lecture notes and keep their number; all others
    are "chapter.k". All theorem-like blocks share one counter.
    """

    def __init__(self, chapter: str) -> None:
        self.chapter = chapter
        self._last: dict[str, int] = {}

    def equation(self, label: str) -> str:
        """The number of the equation with this label."""
        match = re.fullmatch(r"eq-(\d+)", label)
        return match[1] if match else self.next("equation")

    def next(self, kind: str) -> str:
        """The number of the next block: a theorem-like kind, "exercise", "figure" or "equation"."""
        counter = "proof" if kind in PROOF_KINDS else kind
        self._last[counter] = self._last.get(counter, 0) + 1
        return f"{self.chapter}.{self._last[counter]}"
