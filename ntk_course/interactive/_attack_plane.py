"""The figure of section 3: PGD in the plane, in a square and in a disc."""

import numpy as np

from ntk_course import _checks
from ntk_course._checks import Numbers
from ntk_course.interactive._base import Figure, compact
from ntk_course.networks import Params, layer_stds


def attack_plane(
    params: Params,
    x: Numbers,
    y: Numbers,
    *,
    w_std: float | None = None,
    b_std: float = 0.0,
    epsilon: float = 0.3,
    num_steps: int = 20,
    first: int = 0,
    caption: str = "",
    label: str = "PGD in the plane",
) -> Figure:
    """A figure in which PGD climbs from a chosen point, for l_inf on the left, l2 on the right.

    Math: x^(t+1) = Pi_B(x) [x^t - alpha y u(grad f(x^t))], u the sign or the division by the norm;
    f is computed in the figure. This is `attacks.pgd` of the cross-entropy without a random start.

    Args:
        params: of `networks.fully_connected(2, widths, b_std=b_std)`, ReLU, one output.
        x: points to begin at, shape (n, 2).
        y: their labels +-1, shape (n,).
        w_std: of the network.
        b_std: of the network, > 0.
        epsilon: radius at the start; the slider goes to twice as much.
        num_steps: the largest number of steps.
        first: number of the point at the start.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match or a number is out of range.
    References:
        Madry et al. (2018). Lecture notes, section 3, eqs 28-29.
    """
    x = _checks.floats("x", x, ndim=2)
    _checks.shape("x", x, (None, 2), "Points of the plane.")
    y = _checks.floats("y", y, ndim=1)
    _checks.shape("y", y, (len(x),), "One label for each point.")
    scales = layer_stds("relu", _checks.integer("depth", len(params) - 1), w_std)
    b_std = _checks.scalar("b_std", b_std, positive=True)
    shape = params[0]["w"].shape[1:], params[-1]["w"].shape[:1]
    fix = "A network on the plane with one output."
    _checks.require(shape == ((2,), (1,)), "params", "have 2 inputs and 1 output", shape, fix)
    layers = [
        {"w": scale / np.sqrt(layer["w"].shape[1]) * layer["w"], "b": b_std * layer["b"]}
        for layer, scale in zip(params, scales, strict=True)
    ]
    first = _checks.integer("first", first, least=0)
    _checks.require(first < len(x), "first", f"be below {len(x)}", first, "Choose a point.")
    spec = {
        "caption": caption,
        "labels": {
            "linf": f"{label}: the way inside a square around the point, l_inf",
            "l2": f"{label}: the way inside a disc around the point, l2",
            "margin": f"{label}: label times output against the step, both norms",
        },
        "layers": layers,
        "x": x,
        "y": y,
        "epsilon": _checks.scalar("epsilon", epsilon, positive=True),
        "steps": _checks.integer("num_steps", num_steps),
        "first": first,
    }
    return Figure("attack-plane", "attacks in the plane", compact(spec))
