"""The figure of section 3: accuracy and robustness of TRADES as beta grows."""

from collections.abc import Mapping, Sequence

import numpy as np

from ntk_course import _checks
from ntk_course._checks import Numbers
from ntk_course.interactive._base import Figure, compact


def frontier(
    betas: Sequence[float] | Numbers,
    accuracies: Mapping[str, Numbers],
    references: Mapping[str, tuple[float, float]],
    *,
    caption: str = "",
    label: str = "TRADES",
) -> Figure:
    """A figure of clean against worst-case accuracy with beta on a slider, and of each attack.

    Args:
        betas: of the trainings, ascending from > 0, shape (B,).
        accuracies: "clean", one entry for each attack, and "worst", as `attacks.evaluate` names
            them; each of shape (B, seeds).
        references: name -> (clean, worst) of other trainings, drawn as marks.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match, an accuracy is missing or not in [0, 1].
    References:
        Zhang et al. (2019). Lecture notes, section 3, eq. 31.
    """
    betas = np.asarray(_checks.floats("betas", np.asarray(betas, float), ndim=1))
    ascend = bool(len(betas) > 1 and betas[0] > 0 and (np.diff(betas) > 0).all())
    _checks.require(ascend, "betas", "ascend from > 0", betas, "Sort them.")
    names = list(accuracies)
    both = {"clean", "worst"} <= set(names)
    _checks.require(both, "accuracies", "hold 'clean' and 'worst'", names, "See attacks.evaluate.")
    values, seeds = {}, np.shape(accuracies["clean"])[-1]
    for name in names:
        value = np.asarray(_checks.floats(f"accuracies[{name!r}]", accuracies[name], ndim=2))
        _checks.shape(f"accuracies[{name!r}]", value, (len(betas), seeds), "A row for each beta.")
        inside = bool((value >= 0).all() and (value <= 1).all())
        _checks.require(inside, f"accuracies[{name!r}]", "be in [0, 1]", value, "Not percent.")
        values[name] = value
    spec = {
        "caption": caption,
        "labels": {
            "frontier": f"{label}: accuracy under the worst attack against clean accuracy",
            "attacks": f"{label}: accuracy on clean and attacked images against beta",
        },
        "betas": betas,
        "names": names,
        "values": [values[name] for name in names],
        "references": [{"name": n, "at": list(map(float, at))} for n, at in references.items()],
    }
    return Figure("frontier", "accuracy and robustness", compact(spec))
