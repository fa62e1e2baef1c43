"""Sphinx extension: `{chapter-figure} lectures/05_...` shows a chapter's first moving figure."""

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective


class Placeholder(nodes.General, nodes.Element):
    """Where the figure comes; its attribute `chapter` is the document that computes it."""


class ChapterFigure(SphinxDirective):
    """The directive; its argument is a document's name."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Leave the place free: the chapter may not have been read yet."""
        self.env.note_reread()  # the chapter's output can change where this page does not
        return [Placeholder(chapter=self.arguments[0])]


def fill(app, doctree, docname) -> None:
    """Put a copy of the chapter's output in each place; `ExtensionError` if it has no figure."""
    for place in list(doctree.findall(Placeholder)):
        chapter = place["chapter"]
        if chapter not in app.env.found_docs:
            raise ExtensionError(f"{docname}: `chapter-figure` must name a document; got {chapter}")
        outputs = app.env.get_doctree(chapter).findall(nodes.raw)
        figure = next((raw for raw in outputs if 'class="course-figure"' in raw.astext()), None)
        if figure is None:
            raise ExtensionError(f"{docname}: {chapter} must show a moving figure; got none")
        place.replace_self(figure.deepcopy())


def setup(app) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_node(Placeholder)
    app.add_directive("chapter-figure", ChapterFigure)
    app.connect("doctree-resolved", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
