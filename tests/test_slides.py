"""The slides: what is shown of a page and what is said, and the decks in a browser."""

import re
import sys
from pathlib import Path

import pytest
from browser import HTML, ROOT, complaints_of_axe

sys.path.insert(0, str(ROOT / "book" / "tools"))

import slides

PAGES = sorted(path.name for path in (HTML / "lectures").glob("*.html")) or ["01_none.html"]
CHAPTER = r"""<section id="c"><h1>7. Kernels</h1>
<p><strong>You will be able to</strong></p><ul><li><p>compute one.</p></li></ul>
<p><strong>Before you start</strong>: sums.</p>
<section id="a"><h2>A kernel</h2>
<p>Take two points of the unit circle, at any angle you like. It does not matter which. Then</p>
<p>A kernel compares two points, and the <em>linear</em> one is known.
Nothing is hidden in it. It is,</p>
<div class="math" id="equation-k">\[k(x, y) = x^\top y\]</div>
<p>with vectors <span class="math">\(x. Y\)</span> of any length, short or long. It goes on.</p>
<p>By <a href="#equation-k">(1)</a> and <a href="../book/references.html#x">Lee</a> it is
<a href="04_kernel.html#y">positive</a> for all the points that one may take.</p>
<div class="cell"><div class="cell_input"><pre>x = 1
assert x == 1</pre></div><div class="cell_output"><div class="output stream"><pre>x is 1</pre></div>
<img alt="A line." src="../_images/line.png"></div></div>
<p>The line rises with the angle, as it should do. It goes on.</p></section>
<section id="summary"><h2>Summary</h2><ul><li>Kernels compare.</li></ul></section>
<section id="quiet"><h2>Quiet</h2><!-- no slides --><p>For readers only.</p></section>
<section id="exercises"><h2>Exercises</h2><p>The next cell grades the answer.</p>
<div class="exercise admonition"><p>Exercise 1</p><section><p>Compute it.</p></section></div>
<div class="solution admonition"><p>It is 3.</p></div>
<div class="cell tag_exercise"><div class="cell_input"><pre>def answer(): 3</pre></div></div>
</section></section>"""


def paragraph(text: str):
    """A parsed paragraph."""
    return slides.parse(f"<p>{text}</p>").p


@pytest.fixture
def deck():
    """The deck of the small chapter."""
    return slides.deck(slides.parse(CHAPTER).section, {"04_kernel.html"})


def shown(tag) -> str:
    """The text on the slides."""
    copy = slides.parse(str(tag))
    for notes in copy.select(".notes"):
        notes.decompose()
    return " ".join(copy.get_text().split())


# ------------------------------------------------------------------ what is shown, what is said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two? (Three.) Four!", ["One.", "Two?", "(Three.)", "Four!"]),
        ("See <span>\\(a. B\\)</span>. <em>Why?</em> So.",
         ["See <span>\\(a. B\\)</span>.", "<em>Why?</em>", "So."]),
        ("Lee et al. (2018), J.B.X, a &lt; b", ["Lee et al. (2018), J.B.X, a &lt; b"]),
    ],
)  # fmt: skip
def test_sentences__end_at_full_stops_of_the_text_only(text, expected):
    assert slides.sentences(paragraph(text)) == expected


def test_brief__is_the_first_sentence_and_what_announces():
    first, last = "This sentence is long enough to stand on the slide alone.", "Thus it reads:"
    text = f"{first} This one is for the notes. {last}"
    assert slides.brief(paragraph(text)) == f"<p>{first} {last}</p>"
    assert slides.brief(paragraph(text), announces=False) == f"<p>{first}</p>"
    assert slides.brief(paragraph(f"Short. {first}")) == f"<p>Short. {first}</p>"
    assert slides.brief(paragraph("The next cell draws it.")) == ""
    assert (
        slides.brief(paragraph("Why? The next cell draws it. It has two colours.")) == "<p>Why?</p>"
    )


def test_cell__definitions_and_asserted_results_are_shown(deck):
    def kinds(code: str, printed: str = "1"):
        cell = slides.parse(f'<div class="cell_input"><pre>{code}</pre></div>'
                            f'<div class="output stream"><pre>{printed}</pre></div>')  # fmt: skip
        return [slides.parse(what).get_text() for _, what, _ in slides.cell(cell)]

    definition = "def f(x):\n    return x"
    assert kinds(definition) == [definition]
    assert kinds(f"{definition}\n\nprint(f(1))\nassert f(1) == 1") == [definition, "1"]
    assert kinds("print(1)") == [""]
    assert kinds("assert True", "1\n" * 20) == [""]


def test_deck__a_formula_keeps_its_announcement_and_its_continuation(deck):
    unit = deck.select_one("div.math").find_parent(class_="unit")
    assert shown(unit) == (
        "A kernel compares two points, and the linear one is known. It is,"
        r"\[k(x, y) = x^\top y\]with vectors \(x. Y\) of any length, short or long. It goes on."
    )


def test_deck__a_picture_stands_alone_with_its_remark(deck):
    unit = deck.select_one(".unit.alone .picture").find_parent(class_="unit")
    assert shown(unit) == "The line rises with the angle, as it should do."
    assert unit.img["src"] == "_images/line.png"
    assert "A line." in unit.select_one(".notes").get_text()


def test_deck__the_notes_hold_every_paragraph(deck):
    said = " ".join(notes.get_text() for notes in deck.select(".notes"))
    for text in slides.parse(CHAPTER).select("#c > p, #a > p"):
        if "You will" not in text.get_text():
            assert " ".join(text.get_text().split()) in " ".join(said.split())


def test_deck__starts_with_the_aims_and_ends_with_the_summary(deck):
    found = deck.select(".slides > section")
    assert [tag.select_one("h1, h2").get_text() for tag in found] == [
        "7. Kernels", "A kernel", "Exercises", "Summary"]  # fmt: skip
    assert "compute one." in shown(found[0])


def test_deck__leaves_out_solutions_and_sections_that_say_so(deck):
    text = deck.get_text()
    assert "Compute it." in text
    for secret in ("It is 3.", "def answer", "For readers only."):
        assert secret not in text


def test_deck__links_stay_in_the_decks(deck):
    assert {a["href"] for a in deck.select("a")} == {"#equation-k", "04_kernel.html#y"}


# ------------------------------------------------------------------ the decks of the built book


@pytest.fixture(scope="session")
def decks(built_book, tmp_path_factory):
    """The decks, in a folder that holds nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slides, "OUT", tmp_path_factory.mktemp("decks") / "slides")
        slides.main()
        yield slides.OUT


@pytest.fixture
def open_deck(decks, open_page):
    """A function that opens a deck from the file system, as a projector of 1280 by 720 shows it."""

    def open_(name: str):
        view = open_page((decks / name).as_uri())
        view.set_viewport_size({"width": 1280, "height": 720})
        view.wait_for_selector("html[data-ready]")
        return view

    return open_


@pytest.mark.book
def test_decks__each_chapter_has_one_and_the_list_names_it(decks):
    index = slides.parse((decks / "index.html").read_text("utf8"))
    assert [link["href"] for link in index.select("li a")] == PAGES
    assert sorted(path.name for path in decks.glob("[0-9]*.html")) == PAGES


@pytest.mark.book
@pytest.mark.parametrize("name", [*PAGES, "index.html"])
def test_decks__load_only_files_of_their_folder(decks, name):
    page = slides.parse((decks / name).read_text("utf8"))
    for tag in page.select("script, link, img, a:not(.external)"):
        address = tag.get("src") or tag.get("href") or ""
        path = Path(address.partition("#")[0])
        assert address.startswith("#") or (decks / path).is_file(), f"{address} must exist"
        assert not path.is_absolute()
        assert ".." not in path.parts
    assert not page.select("style")
    assert not any(re.match("on[a-z]+$", name) for tag in page.find_all() for name in tag.attrs)


WALK = (Path(__file__).parent / "walk_slides.js").read_text("utf8")


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_decks__every_slide_fits_is_readable_and_axe_finds_nothing_serious(open_deck, name):
    view = open_deck(name)
    assert view.evaluate("Reveal.getTotalSlides()") > 10
    assert view.evaluate(WALK) == []
    assert view.problems == []
    # axe would take its time over hidden slides, and be unsure of colours before empty layers
    rest = ".slides > section:nth-child(n + 3), .backgrounds > *"
    view.evaluate("s => document.querySelectorAll(s).forEach(e => e.remove())", rest)
    for mode in ("light", "dark"):
        view.emulate_media(color_scheme=mode)
        view.wait_for_function("m => document.documentElement.dataset.theme === m", arg=mode)
        for number in (0, 1):
            view.evaluate("i => Reveal.slide(i)", number)
            assert complaints_of_axe(view) == []


FIGURE = "[...document.querySelectorAll('.slides > section')].findIndex(s => s.querySelector('{}'))"


@pytest.mark.book
@pytest.mark.browser
def test_decks__a_figure_moves_and_keys_come_back(open_deck):
    view = open_deck("05_infinite_width.html")
    number = view.evaluate(FIGURE.format(".course-figure"))
    view.evaluate("i => Reveal.slide(i)", number)
    figure = view.locator("section.present .course-figure")
    now = "f => f.time.value"
    before = figure.evaluate(now)
    figure.locator("button[data-role=play]").focus()
    view.keyboard.press("Space")
    view.wait_for_timeout(300)
    during = figure.evaluate(now)
    view.wait_for_timeout(300)
    assert before != during != figure.evaluate(now), "playing must move the time"
    assert view.evaluate("Reveal.getState().indexh") == number
    view.keyboard.press("ArrowRight")
    assert view.evaluate("Reveal.getState().indexh") == number + 1
    view.keyboard.press("ArrowLeft")
    stopped = figure.evaluate(now)
    view.wait_for_timeout(200)
    assert figure.evaluate(now) == stopped, "a figure that one leaves must stop"
    figure.locator("input[type=range]").first.focus()
    view.keyboard.press("ArrowRight")
    assert figure.evaluate(now) > stopped
    assert view.evaluate("Reveal.getState().indexh") == number
    view.keyboard.press("Escape")
    view.keyboard.press("ArrowRight")
    assert view.evaluate("Reveal.getState().indexh") == number + 1


@pytest.mark.book
@pytest.mark.browser
def test_decks__the_pointer_picks_where_it_points(open_deck):
    view = open_deck("05_infinite_width.html")
    view.set_viewport_size({"width": 1600, "height": 900})
    view.evaluate("i => Reveal.slide(i)", view.evaluate(FIGURE.format(".course-figure")))
    panel = view.locator("section.present .picks svg[role=img]").first
    box = panel.bounding_box()
    left, right = panel.locator("path.axis").evaluate(
        "e => [e.getBoundingClientRect().left, e.getBoundingClientRect().right]"
    )
    view.mouse.click((left + right) / 2, box["y"] + box["height"] / 2)
    low, high = panel.evaluate(
        "e => e.closest('.course-figure').panels.find(p => p.root === e).x.domain"
    )
    time = panel.evaluate("e => e.closest('.course-figure').time.value")
    assert time == pytest.approx((low * high) ** 0.5, rel=0.03)


@pytest.mark.book
@pytest.mark.browser
def test_decks__the_speaker_sees_notes_with_mathematics(open_deck):
    view = open_deck("05_infinite_width.html")
    view.evaluate("Reveal.slide(2)")
    with view.context.expect_page() as info:
        view.keyboard.press("s")
    speaker = info.value
    speaker.wait_for_selector(".speaker-controls-notes math")
    assert speaker.locator(".speaker-controls-notes math").first.is_visible()
    assert speaker.locator(".speaker-controls-notes mjx-container").count() == 0
    assert view.problems == []


@pytest.mark.book
@pytest.mark.browser
def test_decks__print_a_page_a_slide_with_margins(decks, open_page):
    view = open_page(f"{(decks / '04_neural_tangent_kernel.html').as_uri()}?print-pdf")
    view.wait_for_selector("html[data-ready].reveal-print")
    view.wait_for_selector(".pdf-page section")
    printed = view.locator(".pdf-page section")
    assert printed.count() == view.evaluate("Reveal.getTotalSlides()")
    assert printed.first.evaluate("e => getComputedStyle(e).paddingLeft") == "64px"
