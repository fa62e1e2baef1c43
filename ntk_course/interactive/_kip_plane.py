"""The figure of section 2.3.2: a learned set in the plane, and the boundary that it draws."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ntk_course import _checks
from ntk_course._checks import Numbers
from ntk_course.interactive._base import Figure, compact


class PlaneRun(NamedTuple):
    """A run of KIP in the plane: steps (S,), support (S, m, 2), alpha (S, m), losses (S,).

    `alpha` are the dual coefficients of kernel ridge regression on each support set.
    """

    steps: Sequence[int]
    support: Numbers
    alpha: Numbers
    losses: Numbers


def kip_plane(
    run: PlaneRun,
    x_target: Numbers,
    y_target: Numbers,
    y_support: Numbers,
    *,
    w_std: float,
    b_std: float,
    caption: str = "",
    label: str = "Learned set",
) -> Figure:
    """A figure in which support points travel, and the predictor on them is computed as they go.

    Math: f(x) = sum_i alpha_i K(x, s_i), K the NTK of one hidden ReLU layer with biases.

    Args:
        run: what was saved of the run.
        x_target: points, shape (n, 2).
        y_target: their labels +-1, shape (n,).
        y_support: labels +-1 of the support points, shape (m,).
        w_std: of the kernel, as in `kernels.fully_connected`.
        b_std: of the kernel.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match.
    References:
        Nguyen et al. (2021a). Lecture notes, section 2.3.2, eq. 27.
    """
    x = _checks.floats("x_target", x_target, ndim=2)
    _checks.shape("x_target", x, (None, 2), "Points of the plane.")
    support = np.asarray(_checks.floats("run.support", run.support, ndim=3))
    s, m = len(run.steps), support.shape[1]
    _checks.shape("run.support", support, (s, None, 2), "One set for each step.")
    shapes = {"run.alpha": (run.alpha, (s, m)), "run.losses": (run.losses, (s,))}
    shapes |= {"y_target": (y_target, (len(x),)), "y_support": (y_support, (m,))}
    arrays = {}
    for name, (value, shape) in shapes.items():
        arrays[name] = _checks.floats(name, value, ndim=len(shape))
        _checks.shape(name, arrays[name], shape, "It must fit steps and points.")
    spec = {
        "caption": caption,
        "labels": {
            "plane": f"{label}: targets, support points and the predictor's sign in the plane",
            "loss": f"{label}: loss on the targets against the step",
        },
        "steps": np.asarray(run.steps, float),
        "support": support.reshape(s, -1),
        "alpha": arrays["run.alpha"],
        "losses": arrays["run.losses"],
        "x": x,
        "y": arrays["y_target"],
        "y_support": arrays["y_support"],
        "w_std": _checks.scalar("w_std", w_std, positive=True),
        "b_std": _checks.scalar("b_std", b_std),
    }
    return Figure("kip-plane", "learned set in the plane", compact(spec))
