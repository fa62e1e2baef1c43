"""The figures of chapters 9 and 10: PGD in the page against the package, controls, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from browser import set_time, state

from ntk_course import attacks, interactive, networks

browser = pytest.mark.browser
NET = networks.fully_connected(2, (12, 12), b_std=0.5)
PARAMS = NET.init_fn(jax.random.key(3))
X = np.random.default_rng(0).normal(size=(9, 2))
Y = np.where(NET.apply_fn(PARAMS, jnp.asarray(X)) > 0, 1.0, -1.0)
RADII = np.linspace(0, 0.3, 6)
BETAS, ACCURACY = (0.5, 2.0, 8.0), np.linspace(0.5, 0.9, 6).reshape(3, 2)


@pytest.fixture(scope="module")
def plane():
    return interactive.attack_plane(PARAMS, X, Y, b_std=0.5, epsilon=0.4, num_steps=10, first=2)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(1)
    x, sign = rng.uniform(size=(3, 4)), rng.choice([-1.0, 1.0], (3, 4))
    moved = np.clip(x + RADII[:, None, None] * sign, 0, 1)
    scores = rng.dirichlet(np.ones(5), 6)
    sweeps = [interactive.Sweep("attack", moved, scores), interactive.Sweep("none", 0 * moved + x,
              scores[:1].repeat(6, 0))]  # fmt: skip
    return interactive.attack_images(RADII, sweeps, 2), sweeps


@pytest.fixture(scope="module")
def beta():
    named = {"clean": ACCURACY + 0.1, "attack": ACCURACY, "worst": ACCURACY - 0.05}
    return interactive.frontier(BETAS, named, {"other": (0.9, 0.4)}), named


def two_outputs(x):
    fx = NET.apply_fn(PARAMS, x)
    return jnp.column_stack([-fx, fx])


@browser
def test_attack_plane__is_pgd_of_the_package(show, plane):
    page = show(plane)
    for i, radius, alpha in ((2, 0.4, 0.08), (5, 0.7, 0.03), (0, 0.0, 0.1), (7, 0.5, 0.4)):
        page.evaluate(
            """([i, e, a]) => { const f = document.querySelector('.course-figure');
            f.which.set(i); f.epsilon.set(e); f.alpha.set(a); f.redraw(); }""",
            [i, radius, alpha],
        )
        got = state(page)
        assert got["point"] == i
        x = jnp.asarray(X[i : i + 1].astype("f4").astype(float))  # as the page gets it
        y = jnp.eye(2)[np.array([Y[i] > 0], int)]
        options = {"epsilon": float(got["epsilon"]), "bounds": None}
        options |= {"step_size": float(got["alpha"]), "random_start": False, "best": False}
        for norm in ("linf", "l2"):
            path = [np.asarray(x[0])]
            for t in (1, 2, 5, 10):
                end = attacks.pgd(jax.random.key(0), two_outputs, x, y, num_steps=t, norm=norm,
                                  **options)  # fmt: skip
                np.testing.assert_allclose(got["paths"][norm][t], end[0], atol=2e-5)
                margin = float(Y[i] * NET.apply_fn(PARAMS, end)[0])
                np.testing.assert_allclose(got["margins"][norm][t], margin, atol=1e-4)
            np.testing.assert_allclose(got["paths"][norm][0], path[0], atol=1e-6)


@browser
def test_attack_plane__click_chooses_the_nearest_point_and_units_are_equal(show, plane):
    page = show(plane)
    at = page.evaluate(
        """() => { const f = document.querySelector('.course-figure'), p = f.panels[1];
        const box = p.root.getBoundingClientRect(), x = f.spec.x[6];
        return [box.left + p.left + p.px(x[0]) + 2, box.top + 26 + p.py(x[1]) - 2]; }"""
    )
    page.mouse.click(*at)
    assert state(page)["point"] == 6
    units = page.locator(".course-figure").evaluate("""f => f.panels.slice(0, 2).map((p) =>
        [p.width / (p.x.domain[1] - p.x.domain[0]), p.height / (p.y.domain[1] - p.y.domain[0])])""")
    for unit in units:
        np.testing.assert_allclose(*unit, rtol=1e-6)


@browser
def test_attack_images__show_the_saved_states(show, images):
    figure, sweeps = images
    page = show(figure)
    for k, sweep in enumerate(sweeps):
        page.get_by_role("combobox").select_option(str(k))
        for i, radius in enumerate(RADII):
            set_time(page, i)
            got = state(page)
            assert (got["index"], got["way"]) == (i, sweep.name)
            np.testing.assert_allclose(got["epsilon"], radius, atol=1e-6)
            delta = (sweep.images[i] - sweep.images[0]).ravel()
            np.testing.assert_allclose(got["delta"], delta, atol=1e-6)
            np.testing.assert_allclose(got["scores"], sweep.scores[i], atol=1e-6)
            assert got["best"] == sweep.scores[i].argmax()
    pixels = page.evaluate("""() => Array.from(document.querySelector('.course-figure')
        .pictures[0].getImageData(0, 0, 4, 3).data)""")
    shades = np.array(pixels).reshape(3, 4, 4)
    assert (shades[..., 3] == 255).all()
    assert np.corrcoef(shades[..., 0].ravel(), sweeps[0].images[0].ravel())[0, 1] < -0.999


@browser
def test_frontier__shows_means_over_seeds(show, beta):
    figure, named = beta
    page = show(figure)
    for i, b in enumerate(BETAS):
        set_time(page, i)
        got = state(page)
        np.testing.assert_allclose(got["beta"], b)
        for name, values in named.items():
            np.testing.assert_allclose(got[name], values[i].mean(), rtol=1e-6)
    words = page.get_by_role("slider", name="beta").get_attribute("aria-valuetext")
    assert words.startswith("beta 8: clean ")


@browser
@pytest.mark.parametrize("which", ["plane", "images", "beta"])
def test_attack_figures__play_obey_the_keyboard_and_fit(show, plane, images, beta, which):
    page = show({"plane": plane, "images": images[0], "beta": beta[0]}[which], width=340)
    assert page.evaluate("document.documentElement.scrollWidth") <= 340
    picture = "f => [...f.querySelectorAll('svg, output')].map(e => e.outerHTML).join('')"
    box = page.locator(".course-figure")
    for slider in page.get_by_role("slider").all():
        slider.focus()
        page.keyboard.press("Home")
        for pressed in ("End", "Home", "ArrowRight"):
            before = box.evaluate(picture)
            page.keyboard.press(pressed)
            assert box.evaluate(picture) != before
    button = page.locator('[data-role="play"]')
    assert button.count() == 1
    before = box.evaluate(picture)
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(2500)
    page.keyboard.press("Space")
    assert box.evaluate(picture) != before


@pytest.mark.usefixtures("untyped")
def test_attack_figures__bad_input(images):
    sweeps = images[1]
    one_output = {"clean": ACCURACY, "worst": ACCURACY}
    wide = networks.fully_connected(3, 4, b_std=0.5).init_fn(jax.random.key(0))
    for call, message in (
        (lambda: interactive.attack_plane(PARAMS, X[:, :1], Y, b_std=0.5), "`x` must have shape"),
        (lambda: interactive.attack_plane(PARAMS, X, Y[:2], b_std=0.5), "`y` must have shape"),
        (lambda: interactive.attack_plane(PARAMS, X, Y), "`b_std` must be a finite number > 0"),
        (lambda: interactive.attack_plane(wide, X, Y, b_std=0.5), "`params` must have 2 inputs"),
        (
            lambda: interactive.attack_plane(PARAMS, X, Y, b_std=0.5, first=9),
            "`first` must be below 9",
        ),
        (lambda: interactive.attack_images(RADII[::-1], sweeps, 2), "`epsilons` must ascend"),
        (lambda: interactive.attack_images(RADII, [], 2), "`sweeps` must not be empty"),
        (
            lambda: interactive.attack_images(RADII, sweeps, 5),
            "`truth` must be at most 4; .* It is a column",
        ),
        (
            lambda: interactive.attack_images(RADII / 2, sweeps, 2),
            r"`sweeps\[0\].images` must start at the same image and stay within",
        ),
        (lambda: interactive.frontier((2, 1, 3), one_output, {}), "`betas` must ascend"),
        (lambda: interactive.frontier(BETAS, {"clean": ACCURACY}, {}), "`accuracies` must hold"),
        (
            lambda: interactive.frontier(BETAS, one_output | {"worst": 99 * ACCURACY}, {}),
            r"must be in \[0, 1\]",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
