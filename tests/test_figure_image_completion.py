"""The figure of chapter 16: its pixels and scores against NumPy, its controls, bad input."""

import numpy as np
import pytest
from browser import set_time, state

from ntk_course import interactive

browser = pytest.mark.browser
RNG = np.random.default_rng(0)
IMAGE, OBSERVED = RNG.uniform(size=(5, 6)), RNG.random((5, 6)) < 0.4
LENGTHS = [0.5, 1.0, 4.0]
FILLED = IMAGE + np.array([0.5, 0.2, 0.05])[:, None, None] * RNG.normal(size=(3, 5, 6))
SCORES = {"one": np.array([0.1, 0.5, 0.9]), "two": np.array([-3.0, 0.2, 0.8])}


def figure(**changed):
    options = {"image": IMAGE, "observed": OBSERVED, "lengths": LENGTHS, "filled": FILLED}
    return interactive.image_completion(**(options | {"scores": SCORES} | changed))


def shades(x):
    return np.rint(255 * np.clip(x, 0, 1))


@browser
def test_image_completion__pixels_and_quality_are_those_of_numpy(show):
    page, hidden = show(figure()), ~OBSERVED
    image = shades(IMAGE)
    spread = ((image - image[OBSERVED].mean())[hidden] ** 2).sum()
    for i, length in enumerate(LENGTHS):
        set_time(page, i)
        got, filled = state(page), shades(FILLED[i])
        np.testing.assert_allclose([got["length"], got["score"]], [length, SCORES["one"][i]])
        np.testing.assert_array_equal(got["filled"], filled.ravel())
        quality = 1 - ((filled - image)[hidden] ** 2).sum() / spread
        np.testing.assert_allclose(got["quality"], quality, rtol=1e-9)
        pictures = page.evaluate("""() => [...document.querySelectorAll('canvas')].map((c) => {
            const copy = new OffscreenCanvas(c.width, c.height).getContext('2d');
            copy.drawImage(c, 0, 0);
            return Array.from(copy.getImageData(0, 0, c.width, c.height).data); })""")
        whole, known, drawn = (np.reshape(p, (5, 6, 4)) for p in pictures)
        np.testing.assert_array_equal(whole[..., 0], image)
        np.testing.assert_array_equal(known[OBSERVED][:, 0], image[OBSERVED])
        assert (known[hidden][:, 2] > known[hidden][:, 0] + 50).all()  # blue
        np.testing.assert_array_equal(drawn[..., 1], filled)


@browser
def test_image_completion__plays_and_obeys_the_keyboard(show):
    page = show(figure())
    slider = page.get_by_role("slider", name="length scale")
    slider.focus()
    for press, length in (("End", 4.0), ("Home", 0.5), ("ArrowRight", 1.0)):
        page.keyboard.press(press)
        assert state(page)["length"] == length
    assert slider.get_attribute("aria-valuetext").startswith("length scale 1.0 pixels: R²")
    page.locator('[data-role="play"]').focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(2500)
    page.keyboard.press("Space")
    assert state(page)["index"] > 0


@browser
@pytest.mark.parametrize("width", [340, 820])
def test_image_completion__fits_its_column(show, width):
    page = show(figure(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.usefixtures("untyped")
def test_image_completion__bad_input():
    for changed, message in (
        ({"image": 2 * IMAGE}, r"`image` must lie in \[0, 1\]"),
        ({"observed": OBSERVED[:2]}, r"`observed` must have shape \(5, 6\)"),
        (
            {"observed": np.ones((5, 6))},
            "`observed` must hold some of the pixels; got observed=30 of 30",
        ),
        ({"lengths": [1.0, 1.0, 2.0]}, "`lengths` must ascend from > 0"),
        ({"filled": FILLED[:2]}, r"`filled` must have shape \(3, 5, 6\)"),
        ({"scores": {"one": [1, 2, 3]}}, "`scores` must be two"),
        ({"scores": SCORES | {"two": [1.0]}}, r"`scores\['two'\]` must have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            figure(**changed)
