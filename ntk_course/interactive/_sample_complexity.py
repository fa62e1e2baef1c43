"""The figure of section 1.2: accuracy against the number of examples, at several dimensions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ntk_course import _checks
from ntk_course._checks import Numbers
from ntk_course.interactive._base import Figure, compact


class Curves(NamedTuple):
    """Learning curves at one d: numbers of examples and accuracies of FC, then those of CONV.

    Fields: d; sizes_fc and accuracy_fc, (m,); sizes_conv and accuracy_conv, (k,). Sizes ascend.
    """

    d: int
    sizes_fc: Numbers
    accuracy_fc: Numbers
    sizes_conv: Numbers
    accuracy_conv: Numbers


def sample_complexity(
    curves: Sequence[Curves],
    *,
    level: float = 0.8,
    caption: str = "",
    label: str = "Sample complexity",
) -> Figure:
    """A figure of learning curves with d on a slider, on the axis n or on n/d^2.

    Math: the numbers at `level` are read from the curves by linear interpolation in log n.

    Args:
        curves: two or more, of different d, ascending; all must cross `level`.
        level: accuracy at which examples are counted, between 0 and 1.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match, something does not ascend, or a curve misses the level.
    References:
        Li et al. (2021), figure 1. Lecture notes, section 1.2, eq. 4.
    """
    level = _checks.scalar("level", level, positive=True)
    ds = [_checks.integer(f"curves[{i}].d", c.d) for i, c in enumerate(curves)]
    ascend = len(ds) > 1 and bool((np.diff(ds) > 0).all())
    _checks.require(ascend, "curves", "be two or more of ascending d", ds, "Sort them.")
    spec = {
        "caption": caption,
        "labels": {
            "accuracy": f"{label}: accuracy of both networks against the number of examples",
            "needed": f"{label}: number of examples at the level against d, logarithmic axes",
        },
        "level": level,
        "d": ds,
        "fc": [_curve(f"curves[{i}]", "fc", c[1], c[2], level) for i, c in enumerate(curves)],
        "conv": [_curve(f"curves[{i}]", "conv", c[3], c[4], level) for i, c in enumerate(curves)],
    }
    return Figure("sample-complexity", "sample complexity", compact(spec))


def _curve(name: str, kind: str, sizes: Numbers, accuracy: Numbers, level: float) -> dict:
    """Check one curve, and find the number of examples at the level."""
    n = _checks.floats(f"{name}.sizes_{kind}", sizes, ndim=1)
    a = _checks.floats(f"{name}.accuracy_{kind}", accuracy, ndim=1)
    _checks.shape(f"{name}.accuracy_{kind}", a, (len(n),), "One for each size.")
    n, a = np.asarray(n, np.float64), np.asarray(a, np.float64)
    ascend = bool(n[0] > 0 and (np.diff(n) > 0).all())
    _checks.require(ascend, f"{name}.sizes_{kind}", "ascend from > 0", n, "Sort the curve.")
    best = np.maximum.accumulate(a)
    crosses = bool(best[0] < level <= best[-1])
    _checks.require(crosses, f"{name}.accuracy_{kind}", f"cross {level}", a, "Choose other sizes.")
    return {"n": n, "accuracy": a, "needed": float(np.exp(np.interp(level, best, np.log(n))))}
