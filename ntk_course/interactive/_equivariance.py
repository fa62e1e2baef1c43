"""The figure of section 1.2: rotate the data; gradient descent rotates with it, Adam does not."""

import numpy as np
from jaxtyping import Float

from ntk_course import _checks
from ntk_course._checks import Numbers
from ntk_course.interactive._base import Figure, compact


def equivariance(
    x_train: Float[Numbers, "n d"],
    y_train: Float[Numbers, " n"],
    start: Float[Numbers, " d"],
    *,
    learning_rate: float,
    adam_rate: float,
    num_steps: int = 40,
    angle: float = 50.0,
    caption: str = "",
    label: str = "Orthogonal equivariance",
) -> Figure:
    """A figure in which the reader rotates a regression problem in the plane under two optimizers.

    Math: w_(t+1) = w_t - eta X (X^T w_t - Y), eq. 2, and Adam, both run in the page on (U X, Y);
    dashed is U w_t of the unrotated problem. The difference is max_t |w'_t - U w_t| / max_t |w_t|.

    Args:
        x_train: points of the plane that span it, one a row, shape (n, 2), n <= 200.
        y_train: targets, shape (n,); their sign is drawn.
        start: w_0, shape (2,).
        learning_rate: eta of gradient descent, below 2 / lambda_max of X X^T.
        adam_rate: learning rate of Adam (beta = 0.9 and 0.999, epsilon = 1e-8, as in optax).
        num_steps: steps of both, at most 200.
        angle: rotation at the start, in degrees between 0 and 360.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match, the points lie on a line, or a number is out of range.
    References:
        Li et al. (2021), section 4. Lecture notes, section 1.2, eqs 1-3.
    """
    x = _checks.floats("x_train", x_train, ndim=2)
    y = _checks.floats("y_train", y_train, ndim=1)
    start = _checks.floats("start", start, ndim=1)
    n = len(x)
    _checks.shape("x_train", x, (None, 2), "The figure shows a plane.")
    _checks.require(n <= 200, "x_train", "hold at most 200 points", n, "Take fewer points.")
    _checks.shape("y_train", y, (n,), "One target for each point.")
    _checks.shape("start", start, (2,), "The weights of a linear function in the plane.")
    low, high = np.linalg.svd(np.asarray(x, np.float64), compute_uv=False)[[-1, 0]] ** 2
    spans = n > 1 and low > 1e-9 * high
    _checks.require(bool(spans), "x_train", "span the plane", f"rank < 2 in {n} points", "Add one.")
    rate = _checks.scalar("learning_rate", learning_rate, positive=True)
    stable = bool(rate * high < 2)
    rule = f"be below 2 / lambda_max = {2 / high:.3g}"
    _checks.require(stable, "learning_rate", rule, rate, "Larger ones diverge. Lower it.")
    steps = _checks.integer("num_steps", num_steps, most=200, fix="Take fewer steps.")
    angle = _checks.scalar("angle", angle)
    rule = "be between 0 and 360 degrees"
    _checks.require(angle <= 360, "angle", rule, angle, "Leave out whole turns.")
    spec = {
        "caption": caption,
        "labels": [
            f"{label}: path of gradient descent on the rotated data, and the rotated original path",
            f"{label}: path of Adam on the rotated data, and the rotated original path",
        ],
        "x": x,
        "y": y,
        "start": start,
        "rates": [rate, _checks.scalar("adam_rate", adam_rate, positive=True)],
        "steps": steps,
        "angle": angle,
    }
    return Figure("equivariance", "orthogonal equivariance", compact(spec))
