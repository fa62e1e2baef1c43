"""Writes the skeletons of a chapter and of its questions, and its line in the table of contents.

python book/tools/new_chapter.py 17_my_topic
"""

import re
import sys
from pathlib import Path

from configure import repository
from export import chapter_of

ROOT = Path(__file__).resolve().parents[2]

SKELETON = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# {chapter}. {title}

**You will be able to**

- ...

**Before you start**: ...

**Time**: ... minutes to read, ... for the exercises; the code runs in about ... seconds.

```{{code-cell}} ipython3
try:
    import ntk_course  # noqa: F401
except ModuleNotFoundError:  # on Colab
    %pip install -q "ntk-course @ git+{url}@{branch}"
from ntk_course import runtime

scale = runtime.scale("quick")  # "full" on a GPU
print(scale)
```

What is needed, and a key for each draw.

```{{code-cell}} ipython3
import jax

from ntk_course import interactive, plots
from ntk_course.checking import check

plots.use_style()
key = jax.random.key({number})
```

## A claim

Say it, compute it, assert it.

```{{code-cell}} ipython3
draw = float(jax.random.uniform(key))
print(f"{{draw:.3f}}")
assert 0 <= draw < 1
```

## Summary

- ...

## Quiz

```{{code-cell}} ipython3
interactive.quiz("{digits}")
```

## Exercises

The last line of each cell says whether the answer is right, and if not, gives a hint.

:::{{exercise}} Read: ...
:label: ex-{slug}-1

...
:::

```{{code-cell}} ipython3
:tags: [exercise, hide-cell]
# What the answer is.
answer = 6 * 7
check("{slug}-1", answer)
```

:::{{solution}} ex-{slug}-1
:class: dropdown

...
:::
"""

QUESTIONS = """\
# The keys of three exercises at least, and three to five questions of the quiz.
[exercise.{slug}-1]
value = 42
hints = ["..."]
traps = [{{ value = 13, say = "..." }}]
right = "..."

[[quiz]]
question = "..."
options = [
  {{ text = "...", right = true, why = "..." }},
  {{ text = "...", why = "..." }},
]
"""


def create(name: str, root: Path = ROOT) -> Path:
    """Write `lectures/<name>.md` and its questions, and list it; return its path."""
    match = re.fullmatch(r"(\d\d)_([a-z0-9]+(?:_[a-z0-9]+)*)", name)
    if match is None:
        sys.exit(f"`NAME` must be two digits and a slug, such as 17_my_topic; got NAME={name}.")
    taken = [path.name for path in (root / "lectures").glob(f"{match[1]}_*.md")]
    if taken:
        sys.exit(f"`NAME` must have a free number; got NAME={name}, and there is {taken[0]}.")
    number, words = int(match[1]), match[2].replace("_", " ")
    url, branch = repository()
    path = root / "lectures" / f"{name}.md"
    fields = {
        "number": number,
        "chapter": chapter_of(name),
        "title": words.capitalize(),
        "slug": match[2].replace("_", "-"),
        "digits": match[1],
    }
    path.write_text(SKELETON.format(**fields, url=url, branch=branch), "utf8")
    questions = root / "ntk_course" / "questions" / f"{match[1]}.toml"
    questions.write_text(QUESTIONS.format(**fields), "utf8")
    toc = root / "book" / "_toc.yml"
    lines = toc.read_text("utf8").splitlines()
    places = [(i, line) for i, line in enumerate(lines) if "- file: lectures/" in line]
    before = [i for i, line in places if line.split("lectures/")[1][:2] < match[1]]
    indent = places[0][1].split("- ")[0]
    lines.insert(before[-1] + 1 if before else places[0][0], f"{indent}- file: lectures/{name}.md")
    toc.write_text("\n".join(lines) + "\n", "utf8")
    return path


if __name__ == "__main__":
    new = create(sys.argv[1] if len(sys.argv) > 1 else "")
    number = new.name[:2]
    print(f"  {new.relative_to(ROOT)} and ntk_course/questions/{number}.toml; edit both, link the")
    print(f'  chapter in the map of chapter 1, then make notebooks ONLY="01 {number}"')
