"""A figure that moves: one custom element with its numbers, script and style in one HTML string."""

import base64
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from ntk_course import _checks, _files
from ntk_course.plots import PALETTE

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem;
  background: #fff; color: #212529; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #14181e; color: #ced6dd; }} }}
</style>
<main>
<h1>{title}</h1>
{body}
</main>
</html>
"""


@dataclass(frozen=True, repr=False)
class Figure:
    """A figure that moves, shown by a notebook and kept alive in a static page.

    Fields: element, the custom element's name after "ntk-" and (with underscores) its script's
    name; title, in words; spec, the numbers as `compact` made them; kind, "figure" or "quiz".
    """

    element: str
    title: str
    spec: str
    kind: str = "figure"

    def __repr__(self) -> str:
        what = "figure that moves" if self.kind == "figure" else "questions to answer"
        return f"<{self.title}: {what}>"

    def _repr_html_(self) -> str:
        names = ("charts", "base", self.element.replace("-", "_"))
        script = "\n".join(_asset(f"{name}.js") for name in names)
        note = "This is alive where scripts run: in the book, in Jupyter, in Colab."
        return (
            f"<style>{_style()}</style>\n"
            f'<ntk-{self.element} class="course-{self.kind}" data-spec="{html.escape(self.spec)}">'
            f'<p class="still">{note}</p></ntk-{self.element}>\n<script>\n{script}</script>'
        )

    def save(self, path: str | Path) -> Path:
        """Write the figure as an HTML page that stands alone, and return its path."""
        page = _PAGE.format(title=html.escape(self.title.capitalize()), body=self._repr_html_())
        path = Path(path)
        with _files.whole(path) as file:
            file.write(page.encode())
        return path


def compact(spec: Mapping[str, Any]) -> str:
    """JSON with every array as base64 of little-endian float32.

    Args:
        spec: numbers, strings, lists, mappings and arrays with one or two axes.
    Returns:
        The text that the figure's script reads.
    Raises:
        ValueError: if a number is not finite, or leaves the range of float32.
    Example:
        >>> compact({"x": np.zeros(1), "label": "zero"})
        '{"x":{"f32":"AAAAAA==","shape":[1]},"label":"zero"}'
    """
    return json.dumps(_encode("spec", spec), separators=(",", ":"), allow_nan=False)


def _encode(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _encode(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(f"{name}[{i}]", item) for i, item in enumerate(value)]
    if isinstance(value, bool | str | int) or value is None:
        return value
    with np.errstate(over="ignore"):
        numbers = np.asarray(value).astype("<f4")
    _checks.finite(name, jnp.asarray(numbers))
    if numbers.ndim == 0:
        return float(value)
    got = f"shape {numbers.shape}"
    _checks.require(numbers.ndim <= 2, name, "have one or two axes", got, "Make rows of it.")
    data = base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")
    return {"f32": data, "shape": list(numbers.shape)}


@cache
def _asset(name: str) -> str:
    return (files("ntk_course.interactive") / name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    colours = " ".join(f"--ntk-{name}: {value};" for name, value in PALETTE.items())
    return f":is(.course-figure, .course-quiz) {{ {colours} }}\n{_asset('base.css')}"
