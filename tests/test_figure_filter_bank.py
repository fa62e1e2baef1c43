"""The figure of chapter 3: its numbers against `tasks`, its controls, its looks."""

import numpy as np
import pytest
from browser import state

from ntk_course import interactive, tasks

browser = pytest.mark.browser


def set_draws(page, q, k):
    """Move the clock, which runs in draws per pattern."""
    page.evaluate("t => document.querySelector('.course-figure').time.set(t)", q / 2**k)


def set_length(page, k):
    page.get_by_role("slider", name="pattern length k").fill(str(k))


@browser
@pytest.mark.parametrize("k", [2, 3, 5, 6])
def test_filter_bank__numbers_agree_with_tasks(show, k):
    page = show(interactive.filter_bank(4))
    set_length(page, k)
    n = 2**k
    coverage, steps = tasks.coupon_coverage(n, 10 * n), np.array([0, 1, n, 2 * n, 5 * n, 10 * n])
    for q in steps:
        set_draws(page, q, k)
        got = state(page)
        assert (got["k"], got["q"]) == (k, q)
        np.testing.assert_allclose(got["exact"], coverage[q], atol=1e-9)
        np.testing.assert_allclose(got["bound"], 1 - n * np.exp(-q / n), atol=1e-9)
        np.testing.assert_allclose(got["mean"], tasks.coupon_mean(n), rtol=1e-12)
        draws = got["draws"]
        assert len(draws) == q
        assert len(set(draws)) == got["seen"] == got["share"] * n
        assert set(draws) <= set(range(n))
        lit = page.locator(".panel svg g rect[fill='var(--ntk-blue)']").count()
        assert lit == got["seen"]
    assert (got["complete"] == "inf") == (got["seen"] < n)


@browser
def test_filter_bank__slots_show_their_patterns(show):
    page = show(interactive.filter_bank(3))
    filled = page.evaluate("""() => document.querySelector('.course-figure').slots.map((s) =>
        [s.plus, s.minus].map((p) => p.getAttribute('d').split('M').slice(1).map(parseFloat)))""")
    for (plus, minus), corner in zip(filled, tasks.hypercube(3), strict=True):
        places = sorted(plus + minus)
        assert [1.0 if place in plus else -1.0 for place in places] == corner.tolist()


@browser
def test_filter_bank__draws_are_fair_and_each_seed_has_its_own(show):
    page = show(interactive.filter_bank(4))
    again, times = page.get_by_role("button", name="Draw again"), []
    counts = np.zeros(16)
    for _ in range(100):
        set_draws(page, 160, 4)
        got = state(page)
        counts += np.bincount(got["draws"], minlength=16)
        times.append(float(got["complete"]))
        again.click()
    assert np.abs(counts - 1000).max() < 4 * np.sqrt(1000)
    assert len(set(times)) > 20
    finite = [t for t in times if np.isfinite(t)]
    assert abs(np.mean(finite) - tasks.coupon_mean(16)) < 4 * np.std(finite) / np.sqrt(len(finite))


@browser
def test_filter_bank__plays_and_obeys_the_keyboard(show):
    page = show(interactive.filter_bank(4))
    button, slider = page.locator('[data-role="play"]'), page.get_by_role("slider", name="draws q")
    slider.focus()
    page.keyboard.press("Home")
    assert state(page)["q"] == 0
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(400)
    page.keyboard.press("Space")
    assert button.inner_text() == "Play"
    assert state(page)["q"] > 0
    slider.focus()
    page.keyboard.press("End")
    got = state(page)
    assert got["q"] == 160
    assert f"{got['seen']} of 16 seen" in slider.get_attribute("aria-valuetext")
    before = state(page)["draws"]
    page.get_by_role("button", name="Draw again").focus()
    page.keyboard.press("Enter")
    assert state(page)["draws"] != before
    page.get_by_role("slider", name="pattern length k").focus()
    page.keyboard.press("ArrowRight")
    assert state(page)["k"] == 5
    assert page.locator("output").first.inner_text() == "q = 320"


@browser
@pytest.mark.parametrize("width", [340, 820])
def test_filter_bank__fits_its_column(show, width):
    page = show(interactive.filter_bank(6), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    first, second = (panel.bounding_box() for panel in page.locator(".panel").all())
    assert (second["y"] >= first["y"] + first["height"]) == (width < 600)


def test_filter_bank__rejects_bad_input(untyped):
    with pytest.raises(ValueError, match="`k` must be an integer >= 2"):
        interactive.filter_bank(1)
    with pytest.raises(ValueError, match="`k` must be at most 6"):
        interactive.filter_bank(7)
    with pytest.raises(ValueError, match="`seed` must be an integer >= 0"):
        interactive.filter_bank(seed=-1)


def test_filter_bank__repr_is_stable_and_page_stands_alone(tmp_path):
    figure = interactive.filter_bank()
    assert repr(figure) == "<filter bank: figure that moves>"
    page = figure.save(tmp_path / "figure.html").read_text("utf8")
    assert page.count("</script>") == 1
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
