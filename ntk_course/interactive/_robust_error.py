"""The figure of section 3.1: error against the number of examples, without and with an attack."""

from ntk_course import _checks
from ntk_course.interactive._base import Figure, compact


def robust_error(
    *,
    d: int = 1000,
    c: float = 0.5,
    epsilon: float = 0.5,
    caption: str = "",
    label: str = "Robustness needs data",
) -> Figure:
    """A figure of the averaged classifier's exact error, with d, c and epsilon on sliders.

    Math: `tasks.averaged_error` with sigma = c d^(1/4), computed in the browser; and the n at which
    epsilon m(sigma / sqrt n) = 1 against d, m(s) = E|1 + s g|.

    Args:
        d: dimension at the start, 10 to 10^6.
        c: sigma / d^(1/4) at the start, 0.2 to 1.2.
        epsilon: radius at the start, 0 to 1.2; the play button moves it.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if a number is out of range.
    References:
        Schmidt et al. (2018). Lecture notes, section 3.1.
    """
    ranges = {"d": (10, 10**6), "c": (0.2, 1.2), "epsilon": (0.0, 1.2)}
    start = {"d": _checks.integer("d", d), "c": _checks.scalar("c", c)}
    start["epsilon"] = _checks.scalar("epsilon", epsilon)
    for name, (lo, hi) in ranges.items():
        value = start[name]
        _checks.require(lo <= value <= hi, name, f"lie between {lo} and {hi}", value, "Change it.")
    spec = {
        "caption": caption,
        "labels": {
            "error": f"{label}: error of the averaged classifier against the number of examples",
            "needed": f"{label}: examples for a robust error of one half against d",
        },
        "start": start,
        "ranges": {name: list(ends) for name, ends in ranges.items()},
        "n": [1, 10**5],
    }
    return Figure("robust-error", "robustness needs data", compact(spec))
