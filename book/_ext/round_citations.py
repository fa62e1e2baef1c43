"""Sphinx extension: citations in round brackets, as the notebooks write them."""

from dataclasses import dataclass, field

from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle


def _round() -> BracketStyle:
    return BracketStyle(left="(", right=")")


@dataclass
class RoundStyle(AuthorYearReferenceStyle):
    """Author and year between round brackets."""

    bracket_parenthetical: BracketStyle = field(default_factory=_round)
    bracket_textual: BracketStyle = field(default_factory=_round)
    bracket_author: BracketStyle = field(default_factory=_round)
    bracket_label: BracketStyle = field(default_factory=_round)
    bracket_year: BracketStyle = field(default_factory=_round)


def drop_list_role(app, pagename, templatename, context, doctree) -> None:
    """Docutils calls the bibliography a list, though its entries are no list items."""
    marked = '<div role="list" class="citation-list">'
    if marked in context.get("body", ""):
        context["body"] = context["body"].replace(marked, '<div class="citation-list">')


def setup(app) -> dict[str, bool]:
    """Register with sphinxcontrib-bibtex."""
    register_plugin("sphinxcontrib.bibtex.style.referencing", "author_year_round", RoundStyle)
    app.connect("html-page-context", drop_list_role)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
