"""The figure of chapter 15: its numbers against the package, its controls, bad input."""

import numpy as np
import pytest
from browser import set_time, state

from ntk_course import evolution, interactive

browser = pytest.mark.browser
EPOCHS, CLASSES = [0, 1, 4, 20], [0, 0, 1, 1, 2, 2]
NAMES = ("plain", "adversarial")


@pytest.fixture(scope="module")
def runs():
    """Two trainings whose kernels move less and less."""
    rng = np.random.default_rng(0)
    moved = rng.normal(size=(2, 4, 6, 3)) * 0.3 ** np.arange(4)[:, None, None]
    features = rng.normal(size=(6, 3)) + moved.cumsum(1)
    return dict(zip(NAMES, features @ features.swapaxes(-1, -2), strict=True))


@pytest.fixture(scope="module")
def figure(runs):
    return interactive.kernel_evolution(EPOCHS, runs, CLASSES)


@browser
def test_kernel_evolution__numbers_agree_with_the_package(show, figure, runs):
    page, labels = show(figure), np.eye(3)[CLASSES]
    for i, epoch in enumerate(EPOCHS):
        set_time(page, i)
        got = state(page)
        assert (got["index"], got["epoch"]) == (i, epoch)
        for j, kernels in enumerate(runs.values()):
            centred = np.stack([evolution.center(k) for k in kernels])
            norms = np.linalg.norm(centred, axis=(1, 2))
            units = centred / norms[:, None, None]
            half_a_shade = np.abs(units).max() / 254 * 1.01
            np.testing.assert_allclose(got["kernels"][j], units[i], atol=half_a_shade)
            speed = evolution.velocity(centred, EPOCHS)[min(i, 2)]
            np.testing.assert_allclose(got["velocity"][j], speed, rtol=1e-5)
            aligned = evolution.alignment(kernels[i], labels)
            np.testing.assert_allclose(got["alignment"][j], aligned, rtol=1e-5)
            np.testing.assert_allclose(got["norm"][j], norms[i] / norms[0], rtol=1e-5)
    for t, nearest in ((1.0, 0), (2.2, 1), (9.0, 2), (1e3, 3)):  # the place where one clicks
        found = page.evaluate("t => document.querySelector('.course-figure').nearest(t)", t)
        assert found == nearest


@browser
def test_kernel_evolution__scale_does_not_show_but_is_counted(show, runs):
    grown = {
        NAMES[0]: np.stack([runs[NAMES[0]][0] * s for s in (1, 2, 5, 8)]),
        NAMES[1]: runs[NAMES[1]],
    }
    grown[NAMES[0]][1] += np.eye(6)  # some velocity, for the logarithmic axis
    page = show(interactive.kernel_evolution(EPOCHS, grown, CLASSES))
    first = state(page)["kernels"][0]
    set_time(page, 3)
    assert state(page)["kernels"][0] == first
    np.testing.assert_allclose(state(page)["norm"][0], 8, rtol=1e-6)


@browser
def test_kernel_evolution__plays_and_obeys_the_keyboard(show, figure):
    page = show(figure)
    slider = page.get_by_role("slider", name="epoch")
    slider.focus()
    for press, epoch in (("End", 20), ("Home", 0), ("ArrowRight", 1), ("ArrowRight", 4)):
        page.keyboard.press(press)
        assert state(page)["epoch"] == epoch
    spoken = slider.get_attribute("aria-valuetext")
    assert spoken.startswith("epoch 4; plain: velocity")
    assert "adversarial: velocity" in spoken
    page.locator('[data-role="play"]').focus()
    page.keyboard.press("Enter")
    # From the last but one of four states it plays on to the last, and then from the start.
    epoch = "document.querySelector('.course-figure').state.epoch"
    page.wait_for_function(f"{epoch} === 20", timeout=9000)
    page.get_by_role("button", name="Play").wait_for(timeout=9000)
    page.keyboard.press("Enter")
    page.wait_for_function(f"{epoch} === 0", timeout=9000)
    page.wait_for_function(f"{epoch} > 0", timeout=9000)
    page.keyboard.press("Space")
    assert 0 < state(page)["epoch"] < 20


@browser
@pytest.mark.parametrize("width", [340, 820])
def test_kernel_evolution__fits_its_column_with_square_maps(show, figure, width):
    page = show(figure, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sides = page.evaluate("""() => document.querySelector('.course-figure').panels.slice(0, 2)
        .map((p) => p.width / p.height)""")
    np.testing.assert_allclose(sides, 1, atol=0.15)


@pytest.mark.usefixtures("untyped")
def test_kernel_evolution__bad_input(runs):
    one = {"plain": runs["plain"]}
    for arguments, message in (
        (([1, 2, 3, 4], runs, CLASSES), "`epochs` must ascend from 0"),
        (([0, 1, 1, 2], runs, CLASSES), "`epochs` must ascend from 0"),
        ((EPOCHS, one, CLASSES), "`runs` must be two"),
        ((EPOCHS, runs, CLASSES[::-1]), "`classes` must ascend"),
        ((EPOCHS, runs, CLASSES[:5]), r"`runs\['plain'\]` must have shape \(4, 5, 5\)"),
        ((EPOCHS, runs | {"plain": np.zeros((4, 6))}, CLASSES), "must have 3 axes"),
    ):
        with pytest.raises(ValueError, match=message):
            interactive.kernel_evolution(*arguments)
