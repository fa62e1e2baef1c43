"""Figures that move and their live twins, as far as Python sees them (the browser has its own)."""

import base64
import html
import json
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_course import dynamics, interactive, kernels

THETA = np.linspace(-np.pi, np.pi, 8, endpoint=False)
Y = np.cos(THETA) + 0.5 * np.sin(2 * THETA)
GRID = np.linspace(-np.pi, np.pi, 21)


def on_circle(theta):
    return jnp.sqrt(2.0) * jnp.column_stack([jnp.cos(theta), jnp.sin(theta)])


@pytest.fixture(scope="module")
def problem():
    kernel_fn = kernels.fully_connected(1, b_std=0.5).ntk
    flow = dynamics.gradient_flow(kernel_fn(on_circle(THETA)), jnp.array(Y), learning_rate=0.02)
    return flow, kernel_fn(on_circle(GRID), on_circle(THETA))


@pytest.fixture(scope="module")
def run():
    return interactive.record_run(
        jax.random.key(0), 64, on_circle(THETA), Y, on_circle(GRID),
        learning_rate=0.02, num_steps=200, num_saves=6, b_std=0.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def variant():
    gram = kernels.fully_connected(1).ntk(on_circle(THETA)) / len(THETA)
    return interactive.Variant("uniform", THETA, *dynamics.eigenmodes(gram))


def read(figure):
    """The numbers as the page gets them: from the HTML, base64 decoded."""
    found = re.search(r'data-spec="([^"]*)"', figure._repr_html_()).group(1)

    def decode(item):
        if "f32" not in item:
            return item
        return np.frombuffer(base64.b64decode(item["f32"]), "<f4").reshape(item["shape"])

    return json.loads(html.unescape(found), object_hook=decode)


def test_compact__round_trip_of_arrays_scalars_and_text():
    matrix = np.arange(6.0).reshape(2, 3) / 7
    spec = {"a": matrix, "b": [1, 2.5, None, True], "c": 'quote " < &'}
    figure = interactive.Figure("linearized-dynamics", "test", interactive.compact(spec))
    back = read(figure)
    np.testing.assert_array_equal(back["a"], matrix.astype("f4"))
    assert back["b"] == spec["b"]
    assert back["c"] == spec["c"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_compact__rejects_what_the_page_cannot_draw(bad):
    with pytest.raises(ValueError, match=r"`spec.x\[1\]` must be finite"):
        interactive.compact({"x": [0.0, bad]})
    with pytest.raises(
        ValueError, match=r"must have one or two axes; got spec.x=shape \(1, 1, 1\)"
    ):
        interactive.compact({"x": np.zeros((1, 1, 1))})


def test_linearized_dynamics__numbers_give_back_the_flow(problem, run):
    flow, k = problem
    figure = interactive.linearized_dynamics(THETA, Y, GRID, flow, k, [run], angles=True)
    spec = read(figure)
    for t in (0.0, 3.0, 300.0):
        learned = -np.expm1(-spec["rates"] * t)
        np.testing.assert_allclose(learned @ spec["grid_modes"], flow.test(t, k), atol=1e-5)
        np.testing.assert_allclose(learned @ spec["train_modes"], flow.train(t), atol=1e-5)
    assert spec["times"] == [1.0, 200.0]
    assert spec["x_ticks"][0][1] == "−π"
    np.testing.assert_allclose(spec["runs"][0]["fx_grid"], run.fx_grid, rtol=1e-6)


def test_figure__repr_is_stable_and_page_stands_alone(problem, variant, tmp_path):
    flow, k = problem
    figures = [
        interactive.linearized_dynamics(THETA, Y, GRID, flow, k),
        interactive.spectral_bias([variant], (1, 2), (1.0, 0.5)),
    ]
    names = ["<linearized dynamics: figure that moves>", "<spectral bias: figure that moves>"]
    assert [repr(figure) for figure in figures] == names
    for figure in figures:
        page = figure.save(tmp_path / "figure.html").read_text(encoding="utf-8")
        assert figure._repr_html_() in page
        addresses = set(re.findall(r"https?://[^\"' )]+", page))
        assert addresses <= {"http://www.w3.org/2000/svg"}  # a namespace, never fetched
        assert page.count("</script>") == 1


def test_record_run__starts_at_zero_and_learns(run):
    assert run.times[0] == 0
    assert run.times[-1] == 200
    np.testing.assert_allclose(run.fx_grid[0], 0, atol=1e-6)
    np.testing.assert_allclose(run.loss[0], np.sum(Y**2), rtol=1e-5)
    assert run.kernel_drift[0] == run.weight_drift[0] == 0
    assert run.loss[-1] < 0.5 * run.loss[0]
    assert run.kernel_drift[-1] > 0


def test_record_run__wide_network_follows_the_kernel(problem):
    flow, k = problem
    wide = interactive.record_run(
        jax.random.key(1), 4096, on_circle(THETA), Y, on_circle(GRID),
        learning_rate=0.02, num_steps=100, num_saves=3, b_std=0.5,
    )  # fmt: skip
    gap = np.abs(wide.fx_grid[-1] - flow.test(100.0, k)).max()
    assert gap < 0.1 * np.abs(Y).max()


def test_linearized_dynamics__rejects_bad_input(problem, run, untyped):
    flow, k = problem
    make = interactive.linearized_dynamics
    with pytest.raises(ValueError, match="`k_grid_train` must have shape"):
        make(THETA, Y, GRID, flow, k.T)
    with pytest.raises(ValueError, match="`x_grid` must be finite"):
        make(THETA, Y, GRID * np.nan, flow, k)
    with pytest.raises(ValueError, match=r"`y_train` must equal flow\.y_train"):
        make(THETA, Y + 1, GRID, flow, k)
    with pytest.raises(ValueError, match=r"`flow\.fx_train_0` must be 0.*twin"):
        make(THETA, Y, GRID, flow._replace(fx_train_0=flow.y_train + 1), k)
    with pytest.raises(ValueError, match=r"`runs\[0\]\.times` must ascend"):
        make(THETA, Y, GRID, flow, k, [run._replace(times=run.times[::-1])])
    with pytest.raises(ValueError, match=r"`runs\[0\]\.loss` must have shape"):
        make(THETA, Y, GRID, flow, k, [run._replace(loss=run.loss[1:])])
    with pytest.raises(ValueError, match="`times` must ascend"):
        make(THETA, Y, GRID, flow, k, times=(2.0, 1.0))


def test_spectral_bias__rejects_bad_input(variant, untyped):
    make = interactive.spectral_bias
    with pytest.raises(ValueError, match="`frequencies` must be 1 to 6 different integers"):
        make([variant], (1, 1), (1.0, 1.0))
    with pytest.raises(ValueError, match="`amplitudes` must be one number"):
        make([variant], (1, 2), (1.0,))
    with pytest.raises(ValueError, match="`variants` must not be empty"):
        make([])
    with pytest.raises(ValueError, match=r"`variants\[0\]\.eigenvalues` must descend"):
        make([variant._replace(eigenvalues=variant.eigenvalues[::-1])])
    with pytest.raises(ValueError, match=r"`variants\[0\]\.eigenvectors` must have shape"):
        make([variant._replace(eigenvectors=variant.eigenvectors[:, 1:])])
    with pytest.raises(ValueError, match="`learning_rate` must be a finite number > 0"):
        make([variant], learning_rate=0.0)


def test_spectral_bias__rounded_zero_eigenvalues_have_rate_zero(variant):
    rates = read(interactive.spectral_bias([variant], (1, 3), (1.0, 1.0)))["variants"][0]["rates"]
    wave = np.cos(3 * THETA)
    spread = np.asarray(variant.eigenvectors).T @ wave
    assert np.sum(spread[rates > 0] ** 2) < 1e-6 * np.sum(spread**2)


# ---- live twins ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live():
    pytest.importorskip("ipywidgets", reason="pip install ipywidgets")
    from ntk_course.interactive import live

    return live


@pytest.fixture
def explorer(live):
    return live.explore_linearized_dynamics(
        THETA, Y, GRID, embed=on_circle, b_std=0.5, width=16, num_steps=20
    )


def test_explore_linearized_dynamics__retrains_when_asked(explorer):
    assert repr(explorer) == "<linearized dynamics: live explorer>"
    assert explorer.widget.children[-1] is explorer.image
    preview = bytes(explorer.image.value)
    assert preview.startswith(b"\x89PNG")
    explorer.button.click()
    assert explorer.message.value == "Trained."
    assert explorer.progress.value == 1.0
    assert not explorer.button.disabled
    trained = bytes(explorer.image.value)
    assert trained != preview
    explorer.controls["width"].value = 64
    assert explorer.progress.value == 0.0
    explorer.button.click()
    assert bytes(explorer.image.value) not in (preview, trained)


def test_explore_linearized_dynamics__shows_errors_in_words(explorer):
    assert explorer.widget is not None
    rate = explorer.controls["learning_rate"]
    rate.value = 10**rate.max
    explorer.controls["num_steps"].value = 2000
    explorer.button.click()
    assert "must keep the loss finite" in explorer.message.value
    assert not explorer.button.disabled


def test_explorer__an_interrupted_training_can_be_repeated(explorer, monkeypatch):
    assert explorer.widget is not None

    def interrupted(values, on_progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(explorer, "_experiment", interrupted)
    explorer.button.click()
    assert explorer.message.value.startswith("Interrupted.")
    assert not explorer.button.disabled


def test_explore_spectral_bias__target_and_bias_change_the_picture(live):
    explorer = live.explore_spectral_bias((1, 3), (1.0, 0.5), num_points=12, width=16, num_steps=20)
    assert explorer.widget is not None
    seen = [bytes(explorer.image.value)]
    for name, value in (("amplitude_3", 1.0), ("bias", True)):
        explorer.controls[name].value = value
        seen.append(bytes(explorer.image.value))
    explorer.button.click()
    assert explorer.message.value == "Trained."
    assert len({*seen, bytes(explorer.image.value)}) == 4


def test_explorer__static_build_shows_one_line_and_builds_no_widget(explorer, live, monkeypatch):
    shown = []
    monkeypatch.setattr(live, "display", lambda item, **options: shown.append(item))
    monkeypatch.setenv("NTK_COURSE_STATIC", "1")
    explorer._ipython_display_()
    note = {"text/plain": repr(explorer), "text/markdown": f"*{live.STATIC_NOTE}*"}
    assert shown == [note]
    assert "widget" not in vars(explorer)
    monkeypatch.delenv("NTK_COURSE_STATIC")
    explorer._ipython_display_()
    assert shown[1] is explorer.widget


def test_explore__rejects_bad_input(live, untyped):
    with pytest.raises(ValueError, match="`width` must be one of 16"):
        live.explore_spectral_bias(width=5)
    with pytest.raises(ValueError, match="`frequencies` must be different"):
        live.explore_spectral_bias((1, 1), (1.0, 0.5))
    with pytest.raises(ValueError, match="`num_steps` must be at most 20000"):
        live.explore_spectral_bias(num_steps=10**6)
    with pytest.raises(ValueError, match="`y_train` must have shape"):
        live.explore_linearized_dynamics(THETA, Y[1:], GRID)


def test_interactive__figures_need_no_notebook():
    code = (
        "import sys, ntk_course.interactive;"
        "bad = {'IPython', 'ipywidgets', 'matplotlib'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
