"""The figures of chapter 8: their numbers against the package, their controls, bad input."""

import jax
import numpy as np
import pytest
from browser import set_time, state

from ntk_course import distillation, interactive, kernels, regression

browser = pytest.mark.browser


@pytest.fixture(scope="module")
def plane():
    """A short run of KIP in the plane, its figure, and the predictions of each saved set."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    y = np.where(x[:, :1] * x[:, 1:] > 0, 1.0, -1.0)
    kernel_fn = kernels.fully_connected(1, w_std=1.5, b_std=0.4).ntk
    steps = [0, 1, 3, 8]
    run = distillation.kip(
        jax.random.key(0), kernel_fn, x, y, x[:6], y[:6], num_steps=8, save_at=steps
    )
    alpha = np.stack([regression.fit(kernel_fn(s), y[:6, 0], diag_reg=1e-6) for s in run.saved])
    fx = np.stack([kernel_fn(x, s) @ a for s, a in zip(run.saved, alpha, strict=True)])
    losses = ((fx - y.T) ** 2).mean(1) / 2
    figure = interactive.kip_plane(
        interactive.PlaneRun(steps, run.saved, alpha, losses), x, y[:, 0], y[:6, 0],
        w_std=1.5, b_std=0.4,
    )  # fmt: skip
    return figure, steps, run.saved, fx, losses, y[:, 0]


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(1)
    steps, pictures = [0, 1, 4, 20], rng.normal(size=(4, 3, 5, 4))
    accuracy = np.array([0.3, 0.5, 0.7, 0.9])
    return interactive.kip_images(steps, pictures, accuracy, reference=0.95), steps, pictures


@browser
def test_kip_plane__predictions_agree_with_the_package(show, plane):
    figure, steps, saved, fx, losses, y = plane
    page = show(figure)
    for i, step in enumerate(steps):
        set_time(page, step + 1)
        got = state(page)
        np.testing.assert_allclose(got["step"], step, atol=1e-6)
        np.testing.assert_allclose(got["points"], saved[i].ravel(), atol=1e-5)
        np.testing.assert_allclose(got["fx"], fx[i], rtol=1e-3, atol=1e-3)  # alpha in float32
        np.testing.assert_allclose(got["loss"], losses[i], rtol=1e-5)
        assert got["accuracy"] == (np.sign(fx[i]) == y).mean()


@browser
def test_kip_images__show_the_saved_sets(show, images):
    figure, steps, pictures = images
    page = show(figure)
    for i, step in enumerate(steps):
        set_time(page, i)
        got = state(page)
        assert (got["step"], got["index"]) == (step, i)
        np.testing.assert_allclose(got["images"], pictures[i].ravel(), atol=1e-6)
        assert f"step {step}: test accuracy" in page.locator(".panel").first.inner_text()
        shades = page.evaluate(
            """i => { const row = document.querySelector('.course-figure').pixels[i];
            return { width: row.width, data: Array.from(row.data) }; }""",
            i,
        )
        grey = np.array(shades["data"]).reshape(5, shades["width"], 4)[:, :4]
        first = pictures[i][0]
        assert (grey[..., 3] == 255).all()
        assert np.corrcoef(grey[..., 0].ravel(), first.ravel())[0, 1] < -0.99  # dark is high
    for t, nearest in ((1.0, 0), (1.3, 0), (3.5, 4), (1e3, 20)):  # the place where one clicks
        at = page.evaluate("t => document.querySelector('.course-figure').index(t)", t)
        assert steps[at] == nearest


@browser
@pytest.mark.parametrize("which", ["plane", "images"])
def test_kip_figures__play_and_obey_the_keyboard(show, plane, images, which):
    page = show(plane[0] if which == "plane" else images[0])
    slider = page.get_by_role("slider", name="step")
    slider.focus()
    page.keyboard.press("End")
    last = state(page)["step"]
    page.keyboard.press("Home")
    assert state(page)["step"] == 0
    page.locator('[data-role="play"]').focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(2500)
    page.keyboard.press("Space")
    assert 0 < state(page)["step"] <= last
    assert last > 7
    assert slider.get_attribute("aria-valuetext").startswith("step ")


@pytest.mark.usefixtures("untyped")
def test_kip_figures__bad_input():
    pictures, points = np.zeros((2, 3, 4, 4)), np.zeros((2, 3, 2))
    run = interactive.PlaneRun([0, 1], points, np.zeros((2, 3)), np.ones(2))
    x, y = np.zeros((5, 2)), np.ones(5)
    for call, message in (
        (lambda: interactive.kip_images([0], pictures[:1], [1.0]), "`steps` must ascend from 0"),
        (lambda: interactive.kip_images([1, 0], pictures, [1, 1]), "`steps` must ascend from 0"),
        (lambda: interactive.kip_images([0, 1], pictures[0], [1, 1]), "`images` must have 4 axes"),
        (lambda: interactive.kip_images([0, 1], pictures, [1.0]), "`accuracy` must have shape"),
        (
            lambda: interactive.kip_images([0, 1], np.zeros((2, 21, 4, 4)), [1.0, 1.0]),
            "`images` must hold at most 20",
        ),
        (
            lambda: interactive.kip_plane(run, x[:, :1], y, np.ones(3), w_std=1, b_std=1),
            "`x_target` must have shape",
        ),
        (
            lambda: interactive.kip_plane(run, x, y[:2], np.ones(3), w_std=1, b_std=1),
            "`y_target` must have shape",
        ),
        (
            lambda: interactive.kip_plane(run, x, y, np.ones(2), w_std=1, b_std=1),
            "`y_support` must have shape",
        ),
        (
            lambda: interactive.kip_plane(run, x, y, np.ones(3), w_std=0, b_std=1),
            "`w_std` must be a finite number > 0",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
