"""Sets the repository that the course is published from, everywhere it is named.

python book/tools/configure.py https://github.com/owner/name [branch]
"""

import re
import sys
from pathlib import Path

import yaml
from export import ROOT

from ntk_course import _files

NAME = r"[\w.-]+"
URL = re.compile(rf"https://github\.com/(?P<owner>{NAME})/(?P<name>{NAME})")
# `_config.yml`, which says what to look for, is written last: a run that failed can be repeated.
PLACES = ("README.md", "pyproject.toml", "book/*.md", "lectures/*.md", "lectures/*.ipynb",
          "_config.yml")  # fmt: skip


def files() -> list[Path]:
    """The files that may name the repository."""
    return [path for pattern in PLACES for path in sorted(ROOT.glob(pattern))]


def repository() -> tuple[str, str]:
    """Address and branch from `_config.yml`."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["repository"]
    return settings["url"], settings["branch"]


def configure(url: str, branch: str = "main") -> list[Path]:
    """Rewrite address and branch; return the files that changed."""
    if not URL.fullmatch(url) or url.endswith(".git"):
        raise ValueError(
            f"`REPO` must be https://github.com/owner/name; got REPO={url!r}. "
            "Run make configure REPO=https://github.com/owner/name."
        )
    if not re.fullmatch(r"[\w./-]+", branch):
        raise ValueError(f"`BRANCH` must be a branch name; got BRANCH={branch!r}. Try BRANCH=main.")
    old_url, old_branch = repository()
    old, new = old_url.removeprefix("https://"), url.removeprefix("https://")
    named = re.escape(old_branch)
    place = re.compile(
        rf"{re.escape(old)}(?:(?:\.git)?(?P<at>@){named}\b|(?P<blob>/blob/){named}/|(?![\w-]|\.\w))"
    )

    def moved(match: re.Match) -> str:
        tail = f"/blob/{branch}/" if match["blob"] else ""
        return new + (f"@{branch}" if match["at"] else tail)

    changed = []
    for path in files():
        before = path.read_text("utf8")
        text = place.sub(moved, before)
        if path.name == "_config.yml":
            text = re.sub(r"(?m)^  branch: .*$", f"  branch: {branch}", text)
        if text != before:
            with _files.whole(path) as file:
                file.write(text.encode())
            changed.append(path)
    return changed


def main(arguments: list[str]) -> None:
    """Rewrite and report."""
    if len(arguments) not in (1, 2):
        sys.exit(__doc__)
    try:
        changed = configure(*arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    for path in changed:
        print(f"  {path.relative_to(ROOT)}")
    print(f"  {len(changed)} files changed")


if __name__ == "__main__":
    main(sys.argv[1:])
