"""Fixtures for the tests that look at the built book in headless Chromium."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
LOCAL = ("http://127.0.0.1", "file://", "data:", "blob:", "about:")


def missing(what: str) -> None:
    """Skip, or fail in CI, where every check must run."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what, pytrace=False)


@pytest.fixture(scope="session")
def built_book() -> Path:
    """The folder of the built book."""
    if not (HTML / "index.html").exists():
        missing("The book must be built; got no _build/html. Run make book.")
    return HTML


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium, closed at the end of the session."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        missing("Chromium must be installed; got none. On Debian: apt-get install chromium.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def book_url(built_book):
    """Address of the built book on a local server."""
    handler = functools.partial(_Quiet, directory=str(built_book))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def open_page(chromium):
    """A function that opens a page and records what went wrong in `page.problems`."""
    contexts = []

    def open_(url: str, mode="light", reduced_motion="no-preference", mathematics=True):
        context = chromium.new_context(
            viewport={"width": 1200, "height": 900}, reduced_motion=reduced_motion
        )
        contexts.append(context)
        context.add_init_script(
            f"localStorage.setItem('mode', '{mode}'); localStorage.setItem('theme', '{mode}')"
        )
        page = context.new_page()
        page.problems = []

        def check(route):
            if not mathematics and route.request.url.endswith("tex-chtml.js"):
                route.fulfill(body="", content_type="text/javascript")  # MathJax takes seconds
            elif route.request.url.startswith(LOCAL):
                route.continue_()
            else:
                page.problems.append(f"request to {route.request.url}")
                route.abort()

        page.route("**/*", check)
        page.on("pageerror", lambda error: page.problems.append(f"page error: {error}"))
        page.on("console", lambda message: message.type == "error" and
                page.problems.append(f"console: {message.text}"))  # fmt: skip
        page.on("response", lambda response: response.status >= 400 and
                page.problems.append(f"{response.status}: {response.url}"))  # fmt: skip
        page.goto(url, wait_until="load")
        page.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise")
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def show(chromium):
    """Open figures on one page; on leaving, no error was logged and nothing was fetched."""
    pages, complaints = [], []

    def open_page(*figures, width=820, **options):
        page = chromium.new_page(viewport={"width": width, "height": 900}, **options)
        pages.append(page)
        page.on("console", lambda m: complaints.append(m.text) if m.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: r.url.startswith("data:") or complaints.append(r.url))
        body = "\n".join(figure._repr_html_() for figure in figures)
        page.set_content(f"<!doctype html><html lang='en'><title>t</title><main>{body}</main>")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []


# Code is thousands of tokens in a few colours, and formulas in the text are hundreds of one make:
# axe sees one of each class at each kind of place; of the others the text is left.
LEAVE_ONE_OF_EACH = """() => {
  const seen = new Set(), more = [];
  const place = (e) => e ? [e.tagName, e.className, place(e.parentElement)].join() : "";
  const parts = ".highlight pre span:not(:has(*)), mjx-container:not([display])";
  for (const part of document.querySelectorAll(parts)) {
    if (!part.checkVisibility()) continue;
    const {color, backgroundColor, opacity, fontSize, fontWeight} = getComputedStyle(part);
    const judged = part.textContent.length > 1;  // axe is not sure of single characters
    const style = [color, backgroundColor, opacity, fontSize, fontWeight];
    const look = [judged, place(part), ...style].join();
    if (seen.has(look)) more.push(part);
    seen.add(look);
  }
  for (const part of more) {  // after all is read: the styles need not be computed anew
    part.replaceWith(part.matches(".highlight *") ? part.textContent : "x");
  }
}"""


def complaints_of_axe(page):
    """What axe calls serious or critical; the page is not whole afterwards."""
    from axe_playwright_python.sync_playwright import Axe

    page.evaluate(LEAVE_ONE_OF_EACH)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        (violation["id"], node["target"], node.get("failureSummary"))
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def state(page, index=0):
    """The numbers on display, as Python lists."""
    return page.evaluate(
        """i => JSON.parse(JSON.stringify(document.querySelectorAll('.course-figure')[i].state,
           (_, v) => ArrayBuffer.isView(v) ? Array.from(v) : v === Infinity ? 'inf' : v))""",
        index,
    )


def set_time(page, t):
    page.evaluate("t => document.querySelector('.course-figure').time.set(t)", float(t))


def wait_until(page, expression, seconds=15):
    """Wait for an expression to be true; the pages' policy forbids Playwright's own way, `eval`."""
    for _ in range(seconds * 20):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not true after {seconds} s: {expression}")
