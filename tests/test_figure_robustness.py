"""The figures of chapters 12 to 14: their numbers against the package, controls, bad input."""

import numpy as np
import pytest
from browser import set_time, state
from scipy import optimize, special

from ntk_course import interactive, tasks

browser = pytest.mark.browser
M = 6
INDEX = np.array([1, 2, 3, 8, 20, 50])


def cloud(**changed):
    rng = np.random.default_rng(0)
    fields = {
        "index": INDEX, "usefulness": rng.uniform(0, 0.9, M), "robust": rng.uniform(-3, 0.5, M),
        "images": rng.normal(size=(M, 4, 5)), "clean_without": rng.uniform(size=M),
        "robust_without": rng.uniform(size=M), "full": (0.9, 0.5),
    }  # fmt: skip
    return interactive.FeatureCloud(**(fields | changed))


def slide(page, name, value):
    """Put a slider that is no timeline at a value."""
    slider = page.get_by_role("slider", name=name, exact=True)
    slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", value)


@browser
@pytest.mark.parametrize(("d", "c"), [(10, 0.3), (100, 1.2), (1000, 0.5), (10**5, 0.8)])
def test_robust_error__is_the_exact_formula(show, d, c):
    page = show(interactive.robust_error(d=d, c=c))
    for epsilon in (0.0, 0.3, 0.8, 0.99, 1.1):
        set_time(page, epsilon)
        got = state(page)
        assert (got["d"], got["c"], got["epsilon"]) == (d, c, epsilon)
        sigma = c * d**0.25
        for name, radius in (("clean", 0.0), ("attacked", epsilon)):
            exact = [tasks.averaged_error(n, d, sigma, epsilon=radius) for n in got["n"]]
            np.testing.assert_allclose(got[name], exact, atol=1e-5)


@browser
def test_robust_error__threshold_solves_its_equation(show):
    page = show(interactive.robust_error(d=1000, c=0.5))

    def gap(s, epsilon):
        tail = np.sqrt(2 / np.pi) * s * np.exp(-1 / (2 * s**2))
        return epsilon * (tail + special.erf(1 / (np.sqrt(2) * s))) - 1

    for epsilon in (0.3, 0.7, 0.95):
        set_time(page, epsilon)
        s = optimize.brentq(gap, 1e-3, 1e3, args=(epsilon,))
        assert state(page)["needed"] == pytest.approx(0.25 * np.sqrt(1000) / s**2, rel=1e-6)
        assert "robust error ½ at n" in page.locator(".course-figure").inner_text() or s > 2.8
    set_time(page, 1.1)
    assert "no number of examples is enough" in page.locator(".course-figure").inner_text()


@browser
@pytest.mark.parametrize("p", [0.7, 0.9])
def test_tradeoff__is_the_exact_formula(show, p):
    page = show(interactive.tradeoff(d=100, strength=2.0, p=p))
    for ratio in (0.0, 0.8, 2.0, 3.0):
        slide(page, "epsilon over eta", ratio)
        for share in (0.0, 0.05, 0.4, 1.0):
            set_time(page, share)
            got, eta = state(page), 0.2
            assert got["eta"] == pytest.approx(eta)
            assert got["epsilon"] == pytest.approx(ratio * eta)
            for name, radius in (("standard", 0.0), ("robust", ratio * eta)):
                exact = tasks.tradeoff_accuracy(
                    1 - share, share / 10, 100, eta=eta, p=p, epsilon=radius
                )
                assert got[name] == pytest.approx(float(exact), rel=1e-5)
    assert got["best"] == pytest.approx(2 / (2 + 0.5 * np.log(p / (1 - p))))
    slide(page, "epsilon over eta", 2.0)
    clean, robust = np.array(state(page)["curve"])
    assert (robust <= p / (1 - p) * (1 - clean) + 1e-6).all()


@browser
def test_tradeoff__far_tail(show):
    page = show(interactive.tradeoff(d=1000, strength=10.0))
    set_time(page, 1.0)
    assert state(page)["robust"] == pytest.approx(7.6199e-24, rel=1e-3)
    assert "7.6·10⁻²⁴" in page.locator(".course-figure").inner_text()


@browser
def test_ntk_features__chosen_by_slider_and_by_pointer(show):
    data = cloud()
    page = show(interactive.ntk_features(data))
    for i in range(M):
        set_time(page, i)
        got = state(page)
        assert (got["i"], got["index"]) == (i, INDEX[i])
        for name in ("usefulness", "robust", "clean_without", "robust_without"):
            assert got[name] == pytest.approx(getattr(data, name)[i], abs=1e-6)
        image = data.images[i] / np.abs(data.images[i]).max()
        np.testing.assert_allclose(got["image"], image.ravel(), atol=1e-6)
        assert f"Feature # {INDEX[i]}:" in page.locator(".course-figure").inner_text()
    for i in (4, 1):
        x, y = page.evaluate(
            """i => { const f = document.querySelector('.course-figure'), p = f.cloud;
            const box = p.plot.getBoundingClientRect();
            return [box.left + p.px(f.spec.usefulness[i]), box.top + p.py(f.spec.robust[i])]; }""",
            i,
        )
        page.mouse.click(x + 1, y - 1)
        assert state(page)["i"] == i


@browser
@pytest.mark.parametrize("which", ["robust_error", "tradeoff", "ntk_features"])
def test_robustness_figures__play_and_obey_the_keyboard(show, which):
    figure = interactive.ntk_features(cloud()) if which == "ntk_features" else getattr(
        interactive, which)()  # fmt: skip
    page = show(figure)
    box = page.locator(".course-figure")
    for slider in page.get_by_role("slider").all():
        slider.focus()
        page.keyboard.press("Home")
        for key in ("End", "Home", "ArrowRight"):
            before = box.inner_html()
            page.keyboard.press(key)
            assert box.inner_html() != before, slider.get_attribute("aria-label")
    before = box.inner_html()
    page.locator('[data-role="play"]').click()
    page.wait_for_timeout(700)
    assert box.inner_html() != before
    assert page.locator('[data-role="play"]').count() == 1


@browser
@pytest.mark.parametrize("width", [340, 820])
def test_robustness_figures__fit_their_column(show, width):
    figures = interactive.robust_error(), interactive.tradeoff(), interactive.ntk_features(cloud())
    page = show(*figures, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.usefixtures("untyped")
def test_robustness_figures__bad_input():
    for call, message in (
        (lambda: interactive.robust_error(d=5), "`d` must lie between 10 and 1000000"),
        (lambda: interactive.robust_error(c=2.0), "`c` must lie between"),
        (lambda: interactive.robust_error(epsilon=-1), "`epsilon` must be a finite number >= 0"),
        (lambda: interactive.tradeoff(d=3), "`d` must lie between"),
        (lambda: interactive.tradeoff(strength=0.5), "`strength` must lie between 1 and 10"),
        (lambda: interactive.tradeoff(p=0.5), "`p` must lie between"),
        (
            lambda: interactive.ntk_features(cloud(index=INDEX[::-1])),
            "`cloud.index` must ascend from 1",
        ),
        (lambda: interactive.ntk_features(cloud(robust=np.zeros(2))), "`cloud.robust` must have"),
        (
            lambda: interactive.ntk_features(cloud(images=np.zeros((M, 4)))),
            "`cloud.images` must have 3 axes",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
