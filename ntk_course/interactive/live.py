"""Live twins of the figures that move: widgets that retrain the real network in the kernel.

In a static build (environment variable NTK_COURSE_STATIC=1) they show one line that says where to
run them, and build no widget. They work with ipywidgets 7.7.1 and 8.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from html import escape
from io import BytesIO
from typing import Any

import ipywidgets
import jax
import jax.numpy as jnp
import numpy as np
from IPython.display import display
from jaxtyping import Float
from matplotlib.figure import Figure as Picture

from ntk_course import _checks, dynamics, kernels
from ntk_course._checks import Numbers
from ntk_course.interactive._base import PALETTE
from ntk_course.interactive._linearized_dynamics import record_run

STATIC_NOTE = "Run this notebook in Jupyter or Colab to retrain the network live."
WIDTHS = (16, 64, 256, 1024, 4096)

Progress = Callable[[float], None]


class Explorer:
    """Controls, a Train button and a picture; the picture comes from one function.

    Fields: title; make_controls() -> the widgets by name; experiment(values, on_progress) -> a
    matplotlib Figure, with on_progress None for the preview before the first training.
    """

    def __init__(
        self,
        title: str,
        make_controls: Callable[[], dict[str, Any]],
        experiment: Callable[[Mapping[str, Any], Progress | None], Picture],
    ):
        self.title = title
        self._make_controls = make_controls
        self._experiment = experiment

    def __repr__(self) -> str:
        return f"<{self.title}: live explorer>"

    def _ipython_display_(self) -> None:
        if os.environ.get("NTK_COURSE_STATIC") == "1":
            note = {"text/plain": repr(self), "text/markdown": f"*{STATIC_NOTE}*"}
            display(note, raw=True)
        else:
            display(self.widget)

    @cached_property
    def controls(self) -> dict[str, Any]:
        """The controls by name; their `value` is what the next training uses."""
        return self._make_controls()

    @cached_property
    def widget(self) -> ipywidgets.VBox:
        """The whole widget, built when first asked for, with the preview drawn."""
        self.button = ipywidgets.Button(description="Train", button_style="primary")
        self.progress = ipywidgets.FloatProgress(min=0.0, max=1.0, value=0.0)
        self.message = ipywidgets.HTML(value="Press Train to train the network.")
        self.image = ipywidgets.Image(format="png")
        self.image.layout.max_width = "100%"
        self.button.on_click(lambda _: self.train())
        for control in self.controls.values():
            control.style.description_width = "8em"
            control.layout.width = "24em"
            control.continuous_update = False
            control.observe(lambda _: self._preview(), names="value")
        self._preview()
        bar = ipywidgets.HBox([self.button, self.progress, self.message])
        return ipywidgets.VBox([*self.controls.values(), bar, self.image])

    def train(self) -> None:
        """Train with the controls' values and show the result, or the error in words."""
        assert self.widget is not None  # builds the button, the bar and the message
        self.button.disabled = True
        self.message.value = "Training."
        try:
            if self._show(lambda share: setattr(self.progress, "value", share)):
                self.message.value = "Trained."
        except KeyboardInterrupt:
            self.message.value = "Interrupted. Press Train to begin anew."
        finally:
            self.button.disabled = False

    def _preview(self) -> None:
        self.progress.value = 0.0
        if self._show(None):
            self.message.value = "Press Train to train the network."

    def _show(self, on_progress: Progress | None) -> bool:
        """Draw; False if that failed, with the error in the message."""
        values = {name: control.value for name, control in self.controls.items()}
        try:
            buffer = BytesIO()
            self._experiment(values, on_progress).savefig(buffer, format="png", dpi=110)
        except Exception as error:  # a callback's traceback is lost; the reader needs the words
            self.message.value = f"<b>It did not work.</b> {escape(str(error))}"
            return False
        self.image.value = buffer.getvalue()
        return True


def explore_linearized_dynamics(
    x_train: Float[Numbers, " n"],
    y_train: Float[Numbers, " n"],
    x_grid: Float[Numbers, " g"],
    *,
    embed: Callable[[Numbers], Numbers] = lambda x: np.asarray(x)[:, None],
    activation: str = "relu",
    b_std: float = 0.0,
    width: int = 256,
    num_steps: int = 1000,
) -> Explorer:
    """Retrain a network of any width, depth and learning rate beside its kernel's flow.

    Args:
        x_train: where the training points are drawn, shape (n,).
        y_train: targets, shape (n,).
        x_grid: where outputs are drawn, ascending, shape (n_grid,).
        embed: maps such numbers, shape (n,), to the network's inputs, shape (n, d).
        activation: "relu" or "erf".
        b_std: scale of the biases.
        width: m to start with, one of 16, 64, 256, 1024, 4096.
        num_steps: steps of gradient descent to start with, 10 to 20000.
    Returns:
        An `Explorer`; as the last line of a cell it shows itself.
    Raises:
        ValueError: if shapes do not match or an option is unknown.
    References:
        Lecture notes, section 2.2, eqs 12-18.
    """
    x = _checks.floats("x_train", x_train, ndim=1)
    grid = _checks.floats("x_grid", x_grid, ndim=1)
    y = _checks.floats("y_train", y_train, ndim=1)
    _checks.shape("y_train", y, x.shape, "One target for each point.")
    _checks.is_callable("embed", embed)
    inputs, grid_inputs = (_checks.floats("embed", embed(a), ndim=2) for a in (x, grid))
    start = _start(width, num_steps)
    top = _largest_eigenvalue(kernels.fully_connected(1, activation, b_std=b_std).ntk(inputs))

    def controls():
        depth = ipywidgets.IntSlider(min=1, max=4, value=1, description="hidden layers")
        return {**_controls(*start, top), "depth": depth}

    def experiment(values, on_progress):
        kernel_fn = kernels.fully_connected(values["depth"], activation, b_std=b_std).ntk
        rate, steps = values["learning_rate"], values["num_steps"]
        flow = dynamics.gradient_flow(kernel_fn(inputs), y, learning_rate=rate)
        picture = Picture(figsize=(9, 3.6), layout="constrained")
        left, right = picture.subplots(1, 2, width_ratios=(3, 2))
        left.plot(x, y, "o", color="0.2", label="training data", zorder=3)
        predicted = flow.test(float(steps), kernel_fn(grid_inputs, inputs))
        left.plot(grid, predicted, color=PALETTE["blue"], lw=2.5, label="kernel")
        times = jnp.geomspace(1, steps, 80)
        right.loglog(times, flow.loss(times), color=PALETTE["blue"], lw=2.5, label="loss, kernel")
        if on_progress:
            key = jax.random.key(values["seed"])
            run = record_run(
                key, values["width"], inputs, y, grid_inputs, depth=values["depth"],
                activation=activation, b_std=b_std, learning_rate=rate, num_steps=steps,
                on_progress=on_progress,
            )  # fmt: skip
            after, network = run.times[1:], {"color": PALETTE["orange"], "ls": "--"}
            left.plot(grid, run.fx_grid[-1], **network, label=f"network, m = {run.width}")
            right.loglog(after, run.loss[1:], **network, label="loss, network")
            drift = {"kernel_drift": ("purple", "-."), "weight_drift": ("green", ":")}
            for name, (colour, dash) in drift.items():
                style = {"color": PALETTE[colour], "ls": dash, "label": name.replace("_", " ")}
                right.loglog(after, getattr(run, name)[1:], **style)
        left.set(xlabel="x", title=f"outputs after {steps} steps")
        return _finish(picture, left, right)

    return Explorer("linearized dynamics", controls, experiment)


def explore_spectral_bias(
    frequencies: Sequence[int] = (1, 2, 3, 8),
    amplitudes: Sequence[float] = (1.0, 0.7, 0.5, 0.5),
    *,
    num_points: int = 64,
    width: int = 1024,
    num_steps: int = 1000,
) -> Explorer:
    """Retrain a ReLU network on waves of the reader's choice, with or without a bias.

    Args:
        frequencies: k of the waves cos(k theta), integers >= 0.
        amplitudes: their amplitudes to start with, in [0, 2].
        num_points: points spread evenly on the circle, at least 8.
        width: m to start with, one of 16, 64, 256, 1024, 4096.
        num_steps: steps of gradient descent to start with, 10 to 20000.
    Returns:
        An `Explorer`; as the last line of a cell it shows itself.
    Raises:
        ValueError: if an option is out of range or the two sequences differ in length.
    References:
        Basri et al. (2020). Lecture notes, section 2.3.1, eqs 20-21.
    """
    n = _checks.integer("num_points", num_points, least=8)
    ks = [_checks.integer("frequencies", k, least=0) for k in frequencies]
    _checks.require(len(set(ks)) == len(ks), "frequencies", "be different", ks, "One slider each.")
    first = [_checks.scalar("amplitudes", a) for a in amplitudes]
    fits = 0 < len(first) == len(ks) and max(first) <= 2
    rule = "be one number in [0, 2] for each frequency"
    _checks.require(fits, "amplitudes", rule, first, "They are where the sliders start.")
    start = _start(width, num_steps)
    theta = np.linspace(-np.pi, np.pi, n, endpoint=False)
    inputs = jnp.sqrt(2.0) * jnp.column_stack([jnp.cos(theta), jnp.sin(theta)])
    waves = np.cos(np.outer(ks, theta))
    top = _largest_eigenvalue(kernels.fully_connected(1, b_std=1.0).ntk(inputs))

    def controls():
        made = _controls(*start, top)
        made["bias"] = ipywidgets.Checkbox(value=False, description="bias", indent=True)
        for k, a in zip(ks, first, strict=True):
            made[f"amplitude_{k}"] = ipywidgets.FloatSlider(
                min=0.0, max=2.0, step=0.1, value=a, description=f"amplitude, k = {k}"
            )
        return made

    def experiment(values, on_progress):
        amplitude = np.array([values[f"amplitude_{k}"] for k in ks])
        y, b_std = amplitude @ waves, float(values["bias"])
        rate, steps = values["learning_rate"], values["num_steps"]
        gram = kernels.fully_connected(1, b_std=b_std).ntk(inputs)
        flow = dynamics.gradient_flow(gram, jnp.asarray(y), learning_rate=rate)
        times = jnp.r_[0.0, jnp.geomspace(1, steps, 80)]
        picture = Picture(figsize=(9, 3.6), layout="constrained")
        left, right = picture.subplots(1, 2, width_ratios=(3, 2))
        left.plot(theta, y, color="0.2", lw=1.2, ls=":", label="target")
        left.plot(theta, flow.train(float(steps)), color=PALETTE["blue"], lw=2.5, label="kernel")
        fits = [(times, np.asarray(flow.train(times)), "-")]
        if on_progress:
            run = record_run(
                jax.random.key(values["seed"]), values["width"], inputs, y, inputs,
                b_std=b_std, learning_rate=rate, num_steps=steps, on_progress=on_progress,
            )  # fmt: skip
            network = {"color": PALETTE["orange"], "ls": "--", "label": f"network, m = {run.width}"}
            left.plot(theta, run.fx_grid[-1], **network)
            fits.append((run.times, run.fx_grid, "--"))
        for t, fx, dash in fits:
            remains = np.abs((y - fx) @ waves.T) / (waves**2).sum(1)
            for k, colour, left_over in zip(ks, PALETTE.values(), remains.T, strict=False):
                label = f"k = {k}" if dash == "-" else None
                right.semilogx(t[1:], left_over[1:], dash, color=colour, label=label)
        left.set(xlabel="angle", title=f"outputs after {steps} steps")
        right.set_title("amplitude left (kernel —, network - -)", fontsize=10)
        return _finish(picture, left, right)

    return Explorer("spectral bias", controls, experiment)


def _start(width: int, num_steps: int) -> tuple[int, int]:
    _checks.one_of("width", width, WIDTHS)
    steps = _checks.integer("num_steps", num_steps, least=10, most=20_000, fix="Take fewer.")
    return width, steps


def _largest_eigenvalue(gram: Numbers) -> float:
    return float(np.linalg.eigvalsh(gram)[-1])


def _controls(width: int, num_steps: int, largest_eigenvalue: float) -> dict[str, Any]:
    """Width, learning rate (to beyond 2 / lambda_max, where descent diverges), steps, seed."""
    rate, step = -np.log10(largest_eigenvalue), 0.05
    return {
        "width": ipywidgets.SelectionSlider(options=WIDTHS, value=width, description="width m"),
        "learning_rate": ipywidgets.FloatLogSlider(
            min=rate - 2, max=rate + 1.0, step=step, value=10**rate, readout_format=".2g",
            description="learning rate",
        ),
        "num_steps": ipywidgets.IntSlider(
            min=10, max=20_000, step=10, value=num_steps, description="steps"
        ),
        "seed": ipywidgets.IntSlider(min=0, max=9, value=0, description="seed"),
    }  # fmt: skip


def _finish(picture: Picture, left: Any, right: Any) -> Picture:
    right.set_xlabel("steps t")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.15)
        axes.legend(frameon=False, fontsize=8)
    return picture
