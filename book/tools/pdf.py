"""Prints every page of the built book as a PDF, through headless Chromium, into _build/pdf."""

import shutil
import sys
from pathlib import Path

import yaml
from export import ROOT

HTML, OUT = ROOT / "_build" / "html", ROOT / "_build" / "pdf"
FOOT = (
    '<div style="font-size:8px;width:100%;text-align:center">'
    '<span class="pageNumber"></span> / <span class="totalPages"></span></div>'
)
UNFOLD = """() => {
    const all = (selector) => document.querySelectorAll(selector);
    for (const e of all('details')) e.open = true;
    for (const e of all('.toggle-hidden')) e.classList.remove('toggle-hidden');
}"""
MARGIN = {"top": "15mm", "bottom": "18mm", "left": "15mm", "right": "15mm"}


def pages() -> list[str]:
    """The pages of the table of contents, in order."""
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf8"))
    files = [toc["root"]] + [c["file"] for part in toc["parts"] for c in part["chapters"]]
    return [name.removesuffix(".md") for name in files]


def main() -> list[Path]:
    """Print all pages; solutions are opened, mathematics is typeset first."""
    from playwright.sync_api import sync_playwright

    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        sys.exit("Chromium must be installed; got none. On Debian: apt-get install chromium.")
    OUT.mkdir(parents=True, exist_ok=True)
    written = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(color_scheme="light")
        page.add_init_script("localStorage.setItem('mode', 'light')")
        for name in pages():
            page.goto((HTML / f"{name}.html").as_uri(), wait_until="load")
            page.evaluate("() => window.MathJax?.startup?.promise")
            page.evaluate(UNFOLD)
            written.append(OUT / f"{Path(name).name}.pdf")
            page.pdf(path=written[-1], format="A4", margin=MARGIN, print_background=True,
                     display_header_footer=True, header_template="<span></span>",
                     footer_template=FOOT)  # fmt: skip
        browser.close()
    return written


if __name__ == "__main__":
    for path in main():
        print(f"  {path.relative_to(ROOT)}")
