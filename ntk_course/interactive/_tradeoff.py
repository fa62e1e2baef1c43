"""The figure of section 3.2: accuracy and robustness of every mixture of two kinds of features."""

from ntk_course import _checks
from ntk_course.interactive._base import Figure, compact


def tradeoff(
    *,
    d: int = 1000,
    strength: float = 3.0,
    p: float = 0.9,
    caption: str = "",
    label: str = "Accuracy and robustness",
) -> Figure:
    """A figure of `tasks.tradeoff_accuracy` for all mixtures, with d, eta sqrt(d), epsilon to move.

    Math: w = ((1 - share), share / sqrt d, ..., share / sqrt d); the play button moves the share.

    Args:
        d: number of weak features at the start, 10 to 10^5.
        strength: eta sqrt(d) at the start, 1 to 10 (the accuracy of their sum is Phi(strength)).
        p: reliability of the strong feature, between 1/2 and 1.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if a number is out of range.
    References:
        Tsipras et al. (2019). Lecture notes, section 3.2.
    """
    start = {"d": _checks.integer("d", d), "strength": _checks.scalar("strength", strength)}
    _checks.require(10 <= d <= 10**5, "d", "lie between 10 and 10^5", d, "Change it.")
    _checks.require(1 <= strength <= 10, "strength", "lie between 1 and 10", strength, "Change it.")
    p = _checks.scalar("p", p)
    _checks.require(0.5 < p < 1, "p", "lie between 1/2 and 1", p, "The notes take 0.9.")
    spec = {
        "caption": caption,
        "labels": {
            "plane": f"{label}: robust against clean accuracy of all mixtures, and the bound",
            "share": f"{label}: both accuracies against the share of the weak features",
        },
        "start": start,
        "p": p,
    }
    return Figure("tradeoff", "accuracy and robustness", compact(spec))
