"""Writes `book/equations.md`: each equation of the notes, where it is, what computes and tests it.

python book/tools/equations.py          # write the page
python book/tools/equations.py check    # fail if the page in the tree is another one
"""

import importlib
import importlib.util
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "book" / "equations.yml"
PAGE = ROOT / "book" / "equations.md"
LAST = 36  # equations of the notes

HEAD = """\
# Equations

Every numbered equation of the lecture notes, and the one loss that has no number: where the course
derives it, which functions compute it, and which tests verify them. A program writes the page, and
fails if one of them is gone.

| equation | what it is | chapter | computed by | verified by |
|---|---|---|---|---|
"""


class MissingTarget(Exception):
    """An entry of the table points to nothing."""


def places() -> dict[str, Path]:
    """label -> the lecture that has the equation."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "lectures").glob("[0-9][0-9]_*.md")):
        for label in re.findall(r"^\$\$ \((eq-[\w-]+)\)$", path.read_text("utf8"), re.M):
            if label in found:
                raise MissingTarget(f"{label} stands in {found[label].name} and in {path.name}")
            found[label] = path
    return found


def has_function(name: str) -> bool:
    """Whether `module.function` is a public name of the package."""
    module, function = name.split(".")
    if importlib.util.find_spec(f"ntk_course.{module}") is None:
        return False
    return callable(getattr(importlib.import_module(f"ntk_course.{module}"), function, None))


def has_test(name: str) -> bool:
    """Whether `file::function` is a test of this tree."""
    file, function = name.split("::")
    path = ROOT / "tests" / f"{file}.py"
    return path.exists() and f"\ndef {function}(" in path.read_text("utf8")


def rows(entries: list[dict]) -> list[str]:
    """The lines of the table; `MissingTarget` where an entry has no living target."""
    found, expected = places(), [f"eq-{i}" for i in range(1, LAST + 1)]
    labels = [entry["label"] for entry in entries]
    gone = sorted(set(expected) - set(labels)) + [x for x in labels if labels.count(x) > 1]
    if gone:
        raise MissingTarget(f"{TABLE.name} must list each equation once; look at {gone}")
    lines = []
    for entry in sorted(entries, key=lambda entry: expected.index(entry["label"])
                        if entry["label"] in expected else LAST):  # fmt: skip
        label = entry["label"]
        if label not in found:
            raise MissingTarget(f"no lecture has the equation {label}")
        dead = [name for name in entry["code"] if not has_function(name)]
        dead += [name for name in entry["tests"] if not has_test(name)]
        if dead or not entry["code"] or not entry["tests"]:
            raise MissingTarget(f"{label} must have living functions and tests; look at {dead}")
        path = found[label]
        chapter = f"[{int(path.name[:2])}](../lectures/{path.name})"
        code = ", ".join(f"`{name}`" for name in entry["code"])
        tests = ", ".join(f"`{name.split('::')[1]}`" for name in entry["tests"])
        lines.append(f"| {{eq}}`{label}` | {entry['what']} | {chapter} | {code} | {tests} |")
    return lines


def main(arguments: list[str]) -> int:
    """Write or check the page."""
    try:
        lines = rows(yaml.safe_load(TABLE.read_text("utf8")))
    except MissingTarget as error:
        sys.exit(f"error: {error}")
    text = HEAD + "\n".join(lines) + "\n"
    if arguments == ["check"]:
        if not PAGE.exists() or PAGE.read_text("utf8") != text:
            sys.exit(f"error: {PAGE.name} is not what the table says; run {Path(__file__).name}")
    else:
        PAGE.write_text(text, "utf8")
    print(f"  {len(lines)} of {LAST + 1} equations traced")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
