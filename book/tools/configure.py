"""Sets the repository that the course is published from, everywhere it is named.

python book/tools/configure.py https://github.com/owner/name [branch]
"""

import re
import sys
from pathlib import Path

import yaml
from export import ROOT

NAME = r"[\w.-]+"
URL = re.compile(rf"https://github\.com/(?P<owner>{NAME})/(?P<name>{NAME})")
PLACES = ("_config.yml", "README.md", "pyproject.toml", "book/*.md", "lectures/*.md",
          "lectures/*.ipynb")  # fmt: skip


def files() -> list[Path]:
    """The files that may name the repository."""
    return [path for pattern in PLACES for path in sorted(ROOT.glob(pattern))]


def repository() -> tuple[str, str]:
    """Address and branch from `_config.yml`."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["repository"]
    return settings["url"], settings["branch"]


def configure(url: str, branch: str) -> list[Path]:
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
    changed = []
    for path in files():
        text = before = path.read_text("utf8")
        text = re.sub(
            rf"{re.escape(old)}(\.git)?@{re.escape(old_branch)}\b", f"{new}@{branch}", text
        )
        text = re.sub(rf"{re.escape(old)}(?![\w-])", new, text)
        text = text.replace(f"{new}/blob/{old_branch}/", f"{new}/blob/{branch}/")
        if path.name == "_config.yml":
            text = re.sub(r"(?m)^  branch: .*$", f"  branch: {branch}", text)
        if text != before:
            path.write_text(text, "utf8")
            changed.append(path)
    return changed


def main(arguments: list[str]) -> None:
    """Rewrite and report."""
    try:
        changed = configure(*arguments)
    except ValueError as error:
        sys.exit(f"error: {error}")
    for path in changed:
        print(f"  {path.relative_to(ROOT)}")
    print(f"  {len(changed)} files changed")


if __name__ == "__main__":
    main(sys.argv[1:])
