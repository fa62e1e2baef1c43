"""The figures of chapter 2 in Chromium: numbers as Python has them, controls, bad input."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from browser import state

from ntk_course import interactive, training

X = np.random.default_rng(7).normal(size=(14, 2)) * [1.0, 0.4]
Y = np.where(X @ [0.9, -0.9] > 0, 1.0, -1.0)
START = np.array([-0.7, -1.3])
RATES = {"learning_rate": 0.05, "adam_rate": 0.12}
OPTIMIZERS = ((0.05, optax.sgd), (0.12, optax.adam))
SIZES, LEVELS = np.array([10.0, 40.0, 90.0]), np.array([0.6, 0.78, 0.9])
CURVES = [
    interactive.Curves(d, SIZES * d**2, LEVELS + 0.01 * i, SIZES / 10, LEVELS)
    for i, d in enumerate((3, 6, 12))
]


def path(x, start, rate, optimizer, num_steps=40):
    run = training.gradient_descent(
        lambda w, x: x @ w, jnp.asarray(start), x, Y, learning_rate=rate,
        num_steps=num_steps, save_at=range(num_steps + 1), optimizer=optimizer,
    )  # fmt: skip
    return np.asarray(run.params)


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def turn_to(page, degrees):
    page.evaluate("a => document.querySelector('.course-figure').angle.set(a)", float(degrees))


@pytest.mark.browser
@pytest.mark.parametrize("with_start", [True, False])
def test_equivariance__paths_agree_with_training(show, with_start):
    page = show(interactive.equivariance(X, Y, START, **RATES))
    if not with_start:
        page.get_by_label("rotate the start").uncheck()
    x = X.astype("f4").astype(float)  # as the page gets them
    start = START.astype("f4").astype(float)
    for degrees in (0, 90, 37, 200):
        turn_to(page, degrees)
        got, u = state(page), rotation(np.deg2rad(degrees))
        for i, (rate, optimizer) in enumerate(OPTIMIZERS):
            want = path(x @ u.T, u @ start if with_start else start, rate, optimizer)
            dashed = path(x, start, rate, optimizer) @ u.T
            np.testing.assert_allclose(got["paths"][i], want, atol=1e-5)
            gap, size = (np.linalg.norm(v, axis=1).max() for v in (want - dashed, dashed))
            np.testing.assert_allclose(got["differences"][i], gap / size, atol=1e-5)


@pytest.mark.browser
def test_equivariance__only_adam_knows_the_axes(show):
    page = show(interactive.equivariance(X, Y, START, **RATES))
    for degrees in (90, 180, 270):  # signed permutations
        turn_to(page, degrees)
        assert max(state(page)["differences"]) < 1e-9
    for degrees in (30, 45, 100):
        turn_to(page, degrees)
        plain, adam = state(page)["differences"]
        assert plain < 1e-12
        assert adam > 0.05
    page.get_by_label("rotate the start").uncheck()
    assert state(page)["differences"][0] > 0.05


@pytest.mark.browser
def test_equivariance__plays_obeys_the_keyboard_and_keeps_units_equal(show):
    page = show(interactive.equivariance(X, Y, START, **RATES))
    page.get_by_role("slider", name="rotation").focus()
    page.keyboard.press("Home")
    assert state(page)["angle"] == 0
    page.keyboard.press("ArrowRight")
    assert state(page)["angle"] > 0
    assert "degrees" in page.get_by_role("slider", name="rotation").get_attribute("aria-valuetext")
    before = page.locator(".panels").inner_html()
    page.locator('[data-role="play"]').click()
    page.wait_for_timeout(300)
    assert page.locator(".panels").inner_html() != before
    units = page.evaluate("""() => document.querySelector('.course-figure').panels.map((p) =>
        [p.width / (p.x.domain[1] - p.x.domain[0]), p.height / (p.y.domain[1] - p.y.domain[0])])""")
    np.testing.assert_allclose(*np.transpose(units), rtol=1e-6)


@pytest.mark.browser
@pytest.mark.parametrize("index", range(3))
def test_sample_complexity__numbers_agree(show, index):
    page, curve = show(interactive.sample_complexity(CURVES)), CURVES[index]
    slider = page.get_by_role("slider", name="d")
    slider.fill(str(index))
    for unit in (1, curve.d**2):
        got = state(page)
        assert got["d"] == curve.d
        for kind, n, a in (("fc", *curve[1:3]), ("conv", *curve[3:])):
            needed = np.exp(np.interp(0.8, a, np.log(n))) / unit
            np.testing.assert_allclose(got[f"needed_{kind}"], needed, rtol=1e-5)
            np.testing.assert_allclose(got[f"x_{kind}"], n / unit, rtol=1e-5)
            np.testing.assert_allclose(got[f"accuracy_{kind}"], a, rtol=1e-5)
        page.get_by_label("on the axis").check()
    assert f"d = {curve.d}" in slider.get_attribute("aria-valuetext")


@pytest.mark.browser
def test_sample_complexity__controls_change_the_picture(show):
    page = show(interactive.sample_complexity(CURVES))
    box = page.locator(".panels")
    page.get_by_role("slider", name="d").focus()
    for key, control in (("ArrowRight", None), ("Space", page.get_by_label("on the axis"))):
        before = box.inner_html()
        if control:
            control.focus()
        page.keyboard.press(key)
        assert box.inner_html() != before


@pytest.mark.browser
@pytest.mark.parametrize("width", [340, 820])
def test_figures__fit_their_column(show, width):
    page = show(
        interactive.equivariance(X, Y, START, **RATES),
        interactive.sample_complexity(CURVES),
        width=width,
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_equivariance__bad_input():
    with pytest.raises(ValueError, match="`x_train` must span the plane"):
        interactive.equivariance(X * [1.0, 0.0], Y, START, **RATES)
    with pytest.raises(ValueError, match=r"`learning_rate` must be below 2 / lambda_max"):
        interactive.equivariance(X, Y, START, learning_rate=1.0, adam_rate=0.1)
    with pytest.raises(ValueError, match="`angle` must be between 0 and 360"):
        interactive.equivariance(X, Y, START, **RATES, angle=400.0)
    with pytest.raises(ValueError, match="`num_steps` must be at most 200"):
        interactive.equivariance(X, Y, START, **RATES, num_steps=500)


def test_sample_complexity__bad_input():
    with pytest.raises(ValueError, match="`curves` must be two or more of ascending d"):
        interactive.sample_complexity(CURVES[::-1])
    with pytest.raises(ValueError, match=r"`curves\[0\].accuracy_fc` must cross 0.95"):
        interactive.sample_complexity(CURVES, level=0.95)
    with pytest.raises(ValueError, match=r"`curves\[0\].sizes_conv` must ascend"):
        interactive.sample_complexity([CURVES[0]._replace(sizes_conv=-SIZES), CURVES[1]])
