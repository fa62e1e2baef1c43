"""The figures that move, in headless Chromium: numbers, controls, themes, no request, no error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from browser import set_time, state

from ntk_course import dynamics, interactive, kernels, tasks

pytestmark = pytest.mark.browser

THETA = np.sort(np.random.default_rng(1).uniform(-np.pi, np.pi, 10))
Y = 0.5 * np.cos(THETA) + np.sin(3 * THETA)
GRID = np.linspace(-np.pi, np.pi, 101)
PLAY = '[data-role="play"]'


def on_circle(theta):
    return jnp.sqrt(2.0) * jnp.column_stack([jnp.cos(theta), jnp.sin(theta)])


@pytest.fixture(scope="module")
def flows():
    """Kernel flows for several depths, biases and learning rates, with their figures."""
    made = []
    for depth, b_std, rate in ((1, 0.5, 0.02), (3, 0.0, 0.1), (2, 1.0, 0.5)):
        kernel_fn = kernels.fully_connected(depth, b_std=b_std).ntk
        flow = dynamics.gradient_flow(kernel_fn(on_circle(THETA)), jnp.array(Y), learning_rate=rate)
        k = kernel_fn(on_circle(GRID), on_circle(THETA))
        runs = [
            interactive.record_run(
                jax.random.key(m), m, on_circle(THETA), Y, on_circle(GRID),
                learning_rate=0.01, num_steps=100, num_saves=5, depth=depth, b_std=b_std,
            )
            for m in (16, 64)
        ]  # fmt: skip
        figure = interactive.linearized_dynamics(
            THETA, Y, GRID, flow, k, runs, angles=True, times=(1e-2, 1e3)
        )
        ts = jnp.geomspace(1e-2, 1e3, 7)
        made.append((figure, runs, ts, [flow.train(ts), flow.test(ts, k), flow.loss(ts)]))
    return made


@pytest.fixture(scope="module")
def circles():
    """Spectral bias on the circle: evenly spread and 3 : 1, without and with bias."""
    u = (np.arange(32) + 0.5) / 32
    even = -np.pi + 2 * np.pi * u
    dense = np.interp(u, [0, 1 / 8, 7 / 8, 1], [-np.pi, -np.pi / 2, np.pi / 2, np.pi])
    variants = []
    for name, angles in (("even", even), ("3 : 1", dense)):
        for bias in (False, True):
            gram = tasks.circle_ntk(angles, bias=bias) / 32
            modes = map(np.asarray, dynamics.eigenmodes(gram))
            variants.append(interactive.Variant(f"{name}, bias {bias}", angles, *modes))
    figure = interactive.spectral_bias(variants, (1, 2, 3, 6), (1.0, 0.7, 0.5, 0.5))
    return figure, variants


def picture(page, index=0):
    """All that is drawn, as text."""
    return page.locator(".course-figure").nth(index).locator(".panels").inner_html()


@pytest.mark.parametrize("setting", range(3))
def test_linearized_dynamics__numbers_agree_with_dynamics(show, flows, setting):
    figure, runs, times, expected = flows[setting]
    page = show(figure)
    for t, *wanted in zip(times, *expected, strict=True):
        set_time(page, t)
        got = state(page)
        np.testing.assert_allclose(got["t"], t, rtol=1e-9)
        for name, want in zip(("fx_train", "fx_grid", "loss"), wanted, strict=True):
            np.testing.assert_allclose(got[name], want, rtol=1e-5, atol=1e-5)
    for i, run in enumerate(runs):
        page.get_by_label("width m").select_option(str(i))
        set_time(page, run.times[2])
        got = state(page)
        assert got["width"] == run.width
        np.testing.assert_allclose(got["network_grid"], run.fx_grid[2], rtol=1e-4, atol=1e-5)
        want = [run.loss[2], run.kernel_drift[2], run.weight_drift[2]]
        got = [got["network_loss"], got["kernel_drift"], got["weight_drift"]]
        np.testing.assert_allclose(got, want, rtol=1e-4)


@pytest.mark.parametrize("setting", range(4))
def test_spectral_bias__numbers_agree_with_dynamics(show, circles, setting):
    figure, variants = circles
    page, variant = show(figure), variants[setting]
    page.get_by_label("points and kernel").select_option(str(setting))
    page.get_by_label("amplitude").nth(3).fill("0.25")
    y = np.cos(np.outer(variant.angles, (1, 2, 3, 6))) @ np.array([1.0, 0.7, 0.5, 0.25])
    modes = map(jnp.asarray, (variant.eigenvalues, variant.eigenvectors))
    flow = dynamics.GradientFlow(*modes, 1.0, jnp.asarray(y), jnp.zeros(len(y)))
    for t in np.geomspace(1e-1, 1e4, 9):
        set_time(page, t)
        got = state(page)
        t = float(got["t"])  # within the range of the figure
        np.testing.assert_allclose(got["y"], y, atol=1e-5)
        np.testing.assert_allclose(got["fx"], flow.train(t), atol=1e-5)
        np.testing.assert_allclose(got["loss"], flow.loss(t), rtol=1e-5, atol=1e-9)
        left = np.abs(flow.coefficients * flow.decay(t))
        np.testing.assert_allclose(got["errors"], left, atol=1e-5)


def test_spectral_bias__odd_frequency_is_never_learned_without_bias(show, circles):
    page = show(circles[0])
    set_time(page, 1e9)  # beyond the range: the slider stops at its end
    got = state(page)
    assert got["halfLives"][2] == "inf"
    wave = np.cos(3 * np.array(got["theta"]))
    np.testing.assert_allclose(np.array(got["y"]) - got["fx"], 0.5 * wave, atol=0.02)
    assert "is never learned" in page.locator(".legend").inner_text()
    page.get_by_label("points and kernel").select_option("1")  # with a bias
    assert state(page)["halfLives"][2] != "inf"
    assert "is never learned" not in page.locator(".legend").inner_text()


@pytest.mark.parametrize("which", ["linearized", "spectral"])
def test_figure__plays_pauses_and_obeys_the_keyboard(show, flows, circles, which):
    figure = flows[0][0] if which == "linearized" else circles[0]
    page = show(figure)
    button, slider = page.locator(PLAY), page.get_by_role("slider", name="time t")
    assert button.inner_text() == "Play"
    before = picture(page)
    page.wait_for_timeout(150)
    assert picture(page) == before  # it never starts by itself

    button.focus()
    page.keyboard.press("Enter")
    assert button.inner_text() == "Pause"
    page.wait_for_timeout(300)
    assert picture(page) != before
    page.keyboard.press("Space")
    assert button.inner_text() == "Play"
    resting = state(page)["t"]
    page.wait_for_timeout(150)
    assert state(page)["t"] == resting

    slider.focus()
    page.keyboard.press("Home")
    first = state(page)["t"]
    page.keyboard.press("ArrowRight")
    second = state(page)["t"]
    page.keyboard.press("End")
    last = state(page)["t"]
    assert first < second < last
    assert "t = " in slider.get_attribute("aria-valuetext")
    seen = picture(page)
    page.keyboard.press("Home")
    assert picture(page) != seen


def test_figure__every_other_control_changes_the_picture(show, flows, circles):
    page = show(flows[0][0], circles[0])
    for index in (0, 1):
        box = page.locator(".course-figure").nth(index)
        for control in box.locator("select, input[type=checkbox], label.short input").all():
            before = box.inner_html()
            kind = control.evaluate("e => e.type")
            if kind == "select-one":
                control.select_option(index=index)
            else:
                control.focus()
                page.keyboard.press("Space" if kind == "checkbox" else "ArrowLeft")
            assert box.inner_html() != before


def test_figure__pointer_on_a_time_axis_moves_the_time(show, flows):
    page = show(flows[0][0])
    box = page.locator(".panel.picks").last.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 12, box["y"] + 80)
    assert state(page)["t"] > 500
    assert page.locator("output").first.inner_text().startswith("t = ")


def test_figure__reduced_motion_moves_in_few_steps(show, flows):
    page = show(flows[0][0], reduced_motion="reduce")
    page.locator(PLAY).click()
    seen = []
    for _ in range(14):
        t = state(page)["t"]
        seen += [t] if t not in seen else []
        page.wait_for_timeout(100)
    assert 3 <= len(seen) <= 5
    np.testing.assert_allclose(seen[-1] / seen[-2], 1e5 ** (1 / 16), rtol=1e-6)


def test_figure__two_on_one_page_are_independent(show, flows, circles):
    page = show(flows[0][0], flows[1][0], circles[0])
    assert page.locator(".course-figure svg[role=img]").count() == 9
    others = picture(page, 1), picture(page, 2)
    set_time(page, 3.0)
    assert (picture(page, 1), picture(page, 2)) == others


def test_figure__survives_being_moved_and_stops_when_removed(show, circles):
    page = show(circles[0])
    page.locator(PLAY).click()
    page.evaluate("""() => {
        const element = document.querySelector('.course-figure');
        globalThis.kept = element; element.remove(); }""")
    assert page.evaluate("kept.playing") is False
    page.evaluate("document.body.append(kept)")
    assert page.locator("figure").count() == 1
    page.locator(PLAY).click()
    assert page.evaluate("kept.playing") is True


def luminance(rgb):
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_palette__contrast_on_white_and_on_dark():
    for colour in interactive.PALETTE.values():
        rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        for page in ((1, 1, 1), (0x14 / 255, 0x18 / 255, 0x1E / 255)):
            assert contrast(rgb, page) >= 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figure__text_follows_the_page(chromium, circles, tmp_path, scheme):
    page = chromium.new_page(color_scheme=scheme)
    page.goto(circles[0].save(tmp_path / "figure.html").as_uri())
    ink, ground = page.evaluate("""() => {
        const numbers = (css) => css.match(/[0-9.]+/g).slice(0, 3).map((v) => v / 255);
        return [numbers(getComputedStyle(document.querySelector('.course-figure text')).fill),
                numbers(getComputedStyle(document.body).backgroundColor)]; }""")
    page.close()
    assert contrast(ink, ground) >= 7


@pytest.mark.parametrize("width", [340, 820])
def test_figure__fits_its_column(show, flows, circles, width):
    page = show(flows[0][0], circles[0], width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [panel.bounding_box() for panel in page.locator(".panel").all()[:3]]
    stacked = boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]
    assert stacked == (width < 600)


def test_format__digits_signs_and_powers(show, circles):
    page = show(circles[0])
    shown = page.evaluate("""() => [
        ...[0.00999999977648258, 0.02, -9.996, 4e-4].map((v) => NtkCourse.format(v, 2)),
        ...[9.996, 99.96, 1.234e-4, 123456, 0].map((v) => NtkCourse.format(v)),
        NtkCourse.format(4e-4, 1)]""")
    assert shown == [
        "0.010", "0.020", "−10", "4·10⁻⁴", "10.0", "100", "1.2·10⁻⁴", "1.2·10⁵", "0", "4·10⁻⁴",
    ]  # fmt: skip


def test_figures__two_of_a_kind_stand_on_one_page_without_their_notes(show, circles):
    page = show(circles[0], circles[0])
    assert page.locator(".course-figure").count() == 2
    assert page.locator(".course-figure .panel").count() % 2 == 0
    assert not any(note.is_visible() for note in page.locator(".still").all())


def test_base__image_band_and_missing_values_can_be_drawn(show, circles):
    page = show(circles[0])
    paths = page.evaluate("""() => {
        const { CourseFigure, define } = NtkCourse;
        define('ntk-all-layers', class extends CourseFigure {
          build() {
            this.map = this.panel({ label: 'map', x: { domain: [0, 1] }, y: { domain: [0, 1] } });
            this.image = this.map.layer('image');
            this.band = this.map.layer('band', { color: 'gold', opacity: 0.3, name: 'spread' });
            this.curve = this.map.layer('line', { color: 'red' });
            this.marks = this.map.layer('points', { marker: 'cross', filled: false });
          }
          draw() {
            this.image.set([[0, 1], [1, 0]], [0, 1]);
            this.band.set([0, 1], [0, 0.5], [0.5, 1]);
            this.curve.set([0, 0.5, 1], [0, NaN, 1]);
            this.marks.set([0.5], [0.5]);
          }
        });
        const element = document.createElement('ntk-all-layers');
        element.className = 'course-figure';
        element.dataset.spec = '{}';
        document.querySelector('main').append(element);
        return [element.image.node.getAttribute('href'), element.band.node.getAttribute('d'),
                element.curve.node.getAttribute('d'), element.marks.node.getAttribute('d')]; }""")
    assert paths[0].startswith("data:image/png;base64,")
    assert paths[1].count("M") == 1
    assert paths[1].endswith("z")
    assert paths[2].count("M") == 2  # broken where a value is missing
    assert paths[3].startswith("M")
