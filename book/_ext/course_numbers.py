"""Sphinx extension: number equations, theorems, exercises and figures as `numbering` says."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from numbering import Numbers, chapter_of


def figure_types(env) -> dict[str, str]:
    """From the id of every numbered node of one build to its Sphinx figure type, per document."""
    return {
        (docname, node_id): figtype
        for docname, types in env.toc_fignumbers.items()
        for figtype, ids in types.items()
        for node_id in ids
    }


def renumber(app, env) -> list[str]:
    """Replace the numbers that Sphinx assigned; runs after its own assignment."""
    types = figure_types(env)
    for docname in env.toc_fignumbers:
        chapter = chapter_of(docname)
        if chapter is None:
            continue
        numbers = Numbers(chapter)
        for node in env.get_doctree(docname).findall():
            node_id = (getattr(node, "attributes", {}).get("ids") or [""])[0]
            figtype = types.get((docname, node_id))
            if figtype == "displaymath":
                number = numbers.equation(node["label"])
            elif figtype is not None:
                number = numbers.next(figtype)
            else:
                continue
            env.toc_fignumbers[docname][figtype][node_id] = tuple(number.split("."))
    return []


def setup(app) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("env-get-updated", renumber, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
