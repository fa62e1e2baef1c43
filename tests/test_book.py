"""The built book, as a reader's browser shows it. `make book` comes first."""

import functools
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pytest
import yaml
from browser import HTML, ROOT, complaints_of_axe, wait_until
from bs4 import BeautifulSoup

pytestmark = [pytest.mark.book]

PAGES = sorted(
    str(path.relative_to(HTML))
    for folder in ("book", "lectures")
    for path in (HTML / folder).glob("*.html")
) or ["book/index.html"]
MOVING = [
    page
    for page in PAGES
    if (HTML / page).exists() and 'class="course-figure"' in (HTML / page).read_text("utf8")
]
DRAWINGS = "svg:not([aria-hidden=true], [aria-hidden=true] *, button *, svg *)"


def soup(page: str) -> BeautifulSoup:
    """The parsed page."""
    return BeautifulSoup((HTML / page).read_text("utf8"), "html.parser")


@functools.cache
def anchors(path: Path) -> set[str]:
    """The names that links into a built page may use."""
    return {tag["id"] for tag in BeautifulSoup(path.read_text("utf8"), "html.parser")(id=True)}


# ------------------------------------------------------------------ without a browser


def test_pages__all_of_the_toc_are_built(built_book):
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf8"))
    files = [toc["root"]] + [c["file"] for part in toc["parts"] for c in part["chapters"]]
    for name in files:
        assert (built_book / name.removesuffix(".md")).with_suffix(".html").exists(), name


def test_home_page__shows_a_figure_that_moves(built_book):
    assert "book/index.html" in MOVING  # so that every test of such figures looks at it


def test_site__github_leaves_its_folders_alone(built_book):
    assert (built_book / ".nojekyll").exists()  # or its pages would lose _static and _images


@pytest.mark.parametrize("page", PAGES)
def test_pages__internal_links_and_images_exist(built_book, page):
    for tag in soup(page).find_all(["a", "img", "link", "script"]):
        address = tag.get("href") or tag.get("src") or ""
        if re.match(r"(https?:|mailto:|data:|javascript:|//)", address) or address in ("", "#"):
            continue
        path, fragment = urldefrag(urljoin("/" + page, address))
        target = built_book / unquote(path).split("?")[0].lstrip("/")
        assert target.is_file(), f"{page} points to {address}, which does not exist"
        if fragment and target.suffix == ".html":
            assert unquote(fragment) in anchors(target), f"{page}: no anchor {address}"


@pytest.mark.parametrize("page", PAGES)
def test_pages__images_have_alternative_texts(built_book, page):
    for image in soup(page).select("article img"):
        alt = (image.get("alt") or "").strip()
        assert alt
        assert not re.search(r"\.(png|svg)$|_images/", alt), f"{page}: {image.get('src')}"


@pytest.mark.parametrize("page", [p for p in PAGES if p.startswith("lectures/")])
def test_lectures__launch_button_opens_the_notebook_on_colab(built_book, page):
    repository = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))["repository"]
    place = repository["url"].removeprefix("https://github.com/")
    notebook = Path(page).with_suffix(".ipynb")
    expected = (f"https://colab.research.google.com/github/{place}/blob/"
                f"{repository['branch']}/{notebook}")  # fmt: skip
    assert expected in [a.get("href") for a in soup(page).find_all("a")]
    assert (ROOT / notebook).exists()


@pytest.mark.parametrize("page", PAGES)
def test_pages__weigh_at_most_two_megabytes_beside_what_they_share(built_book, page):
    images = {i["src"] for i in soup(page).find_all("img") if "_images/" in i.get("src", "")}
    own = sum((built_book / urljoin("/" + page, i).lstrip("/")).stat().st_size for i in images)
    assert (built_book / page).stat().st_size + own <= 2_000_000


@pytest.mark.parametrize("page", PAGES)
def test_pages__forbid_what_is_not_theirs(built_book, page):
    html = soup(page)
    rules = dict(
        rule.split(" ", 1)
        for rule in html.find("meta", attrs={"http-equiv": True})["content"].split("; ")
    )
    assert rules.pop("style-src") == "'self' 'unsafe-inline'"
    assert rules["default-src"] == rules["base-uri"] == "'none'"
    assert "'unsafe" not in " ".join(rules.values())
    assert not re.search(r"https?:|\*", " ".join(rules.values()))
    handlers = [name for tag in html.find_all(True) for name in tag.attrs if name.startswith("on")]
    assert handlers == []
    for tag in html.find_all(["script", "img", "link", "iframe", "source", "video", "audio"]):
        address = tag.get("src") or (tag.get("href") if tag.get("rel") != ["canonical"] else "")
        assert not re.match(r"(https?:)?//", address or ""), address


def test_site__is_the_same_to_the_byte_when_it_is_built_again(built_book, tmp_path):
    tool = Path(sys.executable).with_name("jupyter-book")
    command = [tool, "build", ".", "--config", "_config.yml", "--toc", "book/_toc.yml",
               "--path-output", tmp_path, "-q"]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    again = tmp_path / "_build" / "html"
    files = {p.relative_to(again) for p in again.rglob("*") if p.is_file()}
    here = {p.relative_to(built_book) for p in built_book.rglob("*") if p.is_file()}
    assert files <= here  # pictures of builds before may be left
    stamped = {Path(".buildinfo"), Path("objects.inv")}
    differ = [
        f for f in files - stamped if (again / f).read_bytes() != (built_book / f).read_bytes()
    ]
    assert differ == []


# ------------------------------------------------------------------ in the browser


@pytest.mark.browser
def test_pages__run_no_script_that_was_not_there_when_they_were_built(book_url, open_page):
    view = open_page(f"{book_url}/{PAGES[0]}")
    assert view.problems == []
    view.evaluate("""() => {
        const add = (text) => {
            const script = document.createElement("script");
            script.textContent = text;
            document.body.append(script);
        };
        add("window.intruder = 1");
        const bad = "<img src='x:' onerror='window.intruder = 2'>";
        document.body.insertAdjacentHTML("beforeend", bad);
        const image = new Image();
        image.src = "https://example.org/pixel.png";
        fetch("https://example.org/").catch(() => { window.refused = true; });
    }""")
    wait_until(view, "window.refused === true")
    assert view.evaluate("window.intruder") is None
    assert sum("Content Security Policy" in problem for problem in view.problems) >= 4
    assert not any(problem.startswith("request to") for problem in view.problems)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1300, 1440])
def test_lectures__a_line_of_code_fits_beside_the_side_bars(book_url, open_page, width):
    page = open_page(f"{book_url}/lectures/04_neural_tangent_kernel.html", mathematics=False)
    page.set_viewport_size({"width": width, "height": 900})
    columns = page.evaluate(
        """() => {
          const line = document.querySelector('.cell_input pre');
          const probe = line.appendChild(document.createElement('span'));
          probe.textContent = 'x'.repeat(100);
          const { paddingLeft, paddingRight } = getComputedStyle(line);
          const room = line.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
          return room / probe.getBoundingClientRect().width * 100;
        }"""
    )
    assert columns >= 98


@pytest.mark.browser
@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("lectures")])
def test_lectures__equations_fit_and_no_line_begins_with_a_full_stop(book_url, open_page, page):
    view = open_page(f"{book_url}/{page}")
    view.set_viewport_size({"width": 1400, "height": 900})
    wide = view.evaluate(
        """() => [...document.querySelectorAll('article div.math mjx-container')]
          .filter((node) => node.scrollWidth > node.clientWidth + 1)
          .map((node) => node.closest('div.math').id || node.textContent)"""
    )
    assert not wide, "break the line inside"
    loose = view.evaluate(
        """() => [...document.querySelectorAll('article span.math')]
          .filter((node) => node.nextSibling?.nodeType === 3 && !node.closest('.unbroken'))
          .map((node) => node.nextSibling.data[0]).filter((mark) => '.,;:'.includes(mark))"""
    )
    assert not loose


@pytest.mark.browser
def test_pages__full_screen_button_still_answers(book_url, open_page):
    view = open_page(f"{book_url}/{PAGES[0]}")
    view.evaluate("document.documentElement.requestFullscreen = async () => { window.full = true }")
    view.locator(".btn-fullscreen-button").first.click()
    assert view.evaluate("window.full") is True


@pytest.mark.browser
@pytest.mark.parametrize("page", PAGES)
def test_pages__load_without_errors_and_axe_finds_nothing_serious(book_url, open_page, page):
    view = open_page(f"{book_url}/{page}", reduced_motion="reduce")
    if soup(page).select("article .math"):
        assert view.locator("article mjx-container").count() > 0, "mathematics is not rendered"
        assert view.locator("article mjx-merror").count() == 0, "MathJax reports an error"
    for mode in ("light", "dark"):
        if mode == "dark":
            for _ in ("as the system has it", "dark"):
                view.locator(".theme-switch-button").first.click()
        view.wait_for_timeout(200)
        wait_until(view, "document.getAnimations().length === 0")  # colours change for a moment
        assert view.problems == []
        assert view.evaluate("document.documentElement.dataset.theme") == mode
        assert complaints_of_axe(view) == []
        view.problems.clear()  # of axe, which asks for style sheets where there are none


@pytest.mark.browser
def test_pages__work_from_the_file_system(built_book, open_page):
    page = next((p for p in PAGES if p.startswith("lectures/")), PAGES[0])
    view = open_page((built_book / page).as_uri())
    if soup(page).select("article .math"):
        assert view.locator("article mjx-container").count() > 0
    assert view.problems == []


def picture(figure) -> str:
    """What a reader sees of a figure: its drawings, numbers and the positions of its controls."""
    return figure.evaluate(
        "f => [...f.querySelectorAll('svg, output, canvas')].map(e => e.outerHTML).join('')"
    )


def changes(view, figure, before: str, milliseconds: int = 1000) -> bool:
    """Whether the picture differs from `before` within the time."""
    for _ in range(milliseconds // 50):
        if picture(figure) != before:
            return True
        view.wait_for_timeout(50)
    return False


@pytest.mark.browser
@pytest.mark.parametrize("page", MOVING)
def test_figures__drawings_are_named(book_url, open_page, page):
    view = open_page(f"{book_url}/{page}", mathematics=False)
    figures = view.locator(".course-figure")
    assert figures.count() > 0
    for figure in figures.all():
        assert figure.locator("figure figcaption").count() == 1
        for drawing in figure.locator(DRAWINGS).all():
            assert drawing.get_attribute("role") == "img"
            assert (drawing.get_attribute("aria-label") or "").strip()


@pytest.mark.browser
@pytest.mark.parametrize("page", MOVING)
def test_figures__play_and_pause_by_keyboard(book_url, open_page, page):
    view = open_page(f"{book_url}/{page}", mathematics=False)
    for figure in view.locator(".course-figure").all():
        figure.scroll_into_view_if_needed()
        button = figure.locator('button[data-role="play"]')
        assert button.count() == 1
        view.wait_for_timeout(100)
        button.focus()
        before = picture(figure)
        view.keyboard.press("Space")
        assert changes(view, figure, before), "playing must change the picture"
        view.keyboard.press("Space")
        view.wait_for_timeout(150)
        assert not changes(view, figure, picture(figure), 400), "pausing must stop it"
    assert view.problems == []


@pytest.mark.browser
@pytest.mark.parametrize("page", MOVING)
def test_figures__sliders_answer_the_keyboard(book_url, open_page, page):
    view = open_page(f"{book_url}/{page}", mathematics=False)
    for figure in view.locator(".course-figure").all():
        figure.scroll_into_view_if_needed()
        for slider in figure.locator("input[type=range]:visible:not([disabled])").all():
            slider.focus()
            name = slider.get_attribute("aria-label") or slider.evaluate(
                "e => e.labels[0]?.innerText"
            )
            assert name, "a slider must have a name"
            view.keyboard.press("Home")
            for key in ("End", "Home", "ArrowRight"):
                before = picture(figure)
                view.keyboard.press(key)
                assert changes(view, figure, before), f"{name}: {key} must change the picture"
    assert view.problems == []


@pytest.mark.browser
@pytest.mark.parametrize("page", MOVING)
def test_figures__keep_still_until_asked_under_reduced_motion(book_url, open_page, page):
    view = open_page(f"{book_url}/{page}", reduced_motion="reduce", mathematics=False)
    for figure in view.locator(".course-figure").all():
        figure.scroll_into_view_if_needed()
        view.wait_for_timeout(200)
        before = picture(figure)
        assert not changes(view, figure, before, 400), "nothing may move by itself"
        figure.locator('button[data-role="play"]').focus()
        view.keyboard.press("Space")
        assert changes(view, figure, before), "play must still advance the picture"
    assert view.problems == []


# The work of a frame, drawing and layout, beside that of one plain curve of 5,000 points, in turns:
# the ratio of the medians depends on no machine, and hardly on what else runs there.
WORK = """(figure) => {
  const xmlns = "http://www.w3.org/2000/svg";
  const plain = figure.parentElement.insertBefore(document.createElementNS(xmlns, "svg"), figure);
  const curve = plain.appendChild(document.createElementNS(xmlns, "path"));
  const draw = (k) => {
    let d = "M";
    for (let i = 0; i < 5000; i++)
      d += `${(i / 20).toFixed(1)} ${(60 + 40 * Math.sin((i + k) / 50)).toFixed(1)} `;
    curve.setAttribute("d", d);
  };
  const slider = figure.querySelector("label.time input"), frames = 60, ours = [], peers = [];
  const move = (k) => {
    slider.value = +slider.min + ((slider.max - slider.min) * k) / (frames - 1);
    slider.dispatchEvent(new Event("input"));
  };
  for (let k = 0; k < frames; k++)
    for (const [work, times] of [[move, ours], [draw, peers]]) {
      const start = performance.now();
      work(k);
      document.body.getBoundingClientRect();  // style and layout of what was drawn
      times.push(performance.now() - start);
    }
  plain.remove();
  const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];
  return median(ours) / median(peers);
}"""


@pytest.mark.browser
@pytest.mark.parametrize("page", MOVING)
def test_figures__a_frame_is_little_work(book_url, open_page, page):
    view = open_page(f"{book_url}/{page}", mathematics=False)
    for figure in view.locator(".course-figure").all():
        figure.scroll_into_view_if_needed()
        assert min(figure.evaluate(WORK) for _ in range(3)) < 2


@pytest.mark.browser
@pytest.mark.parametrize("page", MOVING)
def test_figures__have_no_light_panel_in_dark_mode(book_url, open_page, page):
    view = open_page(f"{book_url}/{page}", mode="dark", mathematics=False)
    behind = """f => { const out = []; for (let e = f; e && !e.matches('main'); e = e.parentElement)
        out.push(getComputedStyle(e).backgroundColor); return out; }"""
    parts = ".course-figure, .course-quiz, .course-quiz .ask, .course-quiz .tick"
    for figure in view.locator(parts).all():
        for colour in figure.evaluate(behind):
            parts = [float(part) for part in re.findall(r"[\d.]+", colour)]
            transparent = len(parts) == 4 and parts[3] == 0
            assert transparent or max(parts[:3]) < 100, f"light panel {colour} in dark mode"
    # The theme knows no class of theirs: a drawing is as wide as its panel, where clicks are read.
    for panel in view.locator(".course-figure .panel:has(> svg)").all():
        outer, inner = panel.evaluate("p => [p, p.querySelector('svg')].map(e => e.clientWidth)")
        assert abs(outer - inner) <= 1


@pytest.mark.browser
def test_reader__whole_path_through_a_chapter(book_url, open_page):
    """Read, move a figure, fail and pass a quiz, open a solution."""
    view = open_page(f"{book_url}/lectures/02_sample_complexity.html")
    assert view.locator("article h1").first.inner_text().startswith("2. Sample complexity")
    figure = view.locator(".course-figure").first
    figure.scroll_into_view_if_needed()
    before = picture(figure)
    figure.locator("input[type=range]").first.focus()
    view.keyboard.press("End")
    assert changes(view, figure, before)

    card = view.locator(".course-quiz .ask").first
    card.scroll_into_view_if_needed()
    options, reasons = card.get_by_role("button"), card.locator(".why")
    verdicts = []
    for i in range(options.count()):
        options.nth(i).focus()
        view.keyboard.press("Enter")
        verdicts.append(reasons.nth(i).inner_text().split(".")[0])
    assert sorted(set(verdicts)) == ["No", "Right"]
    assert verdicts.count("Right") == 1

    solution = view.locator(".cell.tag_exercise").first
    code = solution.locator("div.cell_input").first
    assert not code.is_visible()
    solution.locator("summary").first.focus()
    view.keyboard.press("Enter")
    assert code.is_visible()
    assert "Right." in solution.locator(".cell_output").first.inner_text()
    assert view.problems == []
