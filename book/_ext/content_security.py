"""Sphinx extension: every page forbids whatever does not come from the site itself.

A policy in the page's head allows scripts from the site's own folder and the inline ones that are
in the page when it is built, each by its hash; no handler in an attribute, no `eval`, no frame, and
no address outside the site. Styles may be inline: themes, MathJax and the figures set them.
"""

import hashlib
import re
from base64 import b64encode
from pathlib import Path

from sphinx.errors import ExtensionError

MARK = '<meta http-equiv="Content-Security-Policy"'
POLICY = (
    "default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'"
)
INLINE = re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>(.*?)</script>", re.S)
HANDLER = re.compile(r"""<[a-z][^<>]*\s(on[a-z]+)=["'][^<>]*>""")
FULL_SCREEN = ' onclick="toggleFullScreen()"'  # the theme's; course.js binds it instead


def protect(html: str) -> str:
    """The page with its policy; `ValueError` if an attribute holds a script."""
    html = re.sub(f"{MARK}[^>]*>\n?", "", html).replace(FULL_SCREEN, "")
    handler = HANDLER.search(re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.S))
    if handler:
        raise ValueError(f"`{handler[1]}` must not be an attribute; got {handler[0][:120]}")
    digests = {hashlib.sha256(text.encode()).digest() for text in INLINE.findall(html)}
    hashes = " ".join(sorted(f"'sha256-{b64encode(digest).decode()}'" for digest in digests))
    policy = POLICY.format(hashes=hashes).replace(" ;", ";")
    return re.sub(r"(<head[^>]*>)\n?", rf'\1\n{MARK} content="{policy}">\n', html, count=1)


def protect_pages(app, exception) -> None:
    """Give each page that was built its policy."""
    if exception or app.builder.format != "html":
        return
    for path in sorted(Path(app.outdir).rglob("*.html")):
        if "_static" in path.relative_to(app.outdir).parts:
            continue
        html = path.read_text("utf8")
        try:
            safe = protect(html)
        except ValueError as error:
            raise ExtensionError(f"{path.name}: {error}") from None
        if safe != html:
            path.write_text(safe, "utf8")


def setup(app) -> dict[str, bool]:
    """Work on the pages when all are written."""
    app.connect("build-finished", protect_pages)
    app.add_js_file("course.js")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
