"""The figure of section 1.2: random filters fill a bank as coupons fill a collection."""

from ntk_course import _checks
from ntk_course.interactive._base import Figure, compact

SMALLEST, LARGEST = 2, 6


def filter_bank(
    k: int = 4, *, seed: int = 1, caption: str = "", label: str = "Filter bank"
) -> Figure:
    """A figure in which random filters are drawn, each lighting the one pattern it answers to.

    Math: P(all 2^k patterns seen after q draws) and its union bound 1 - 2^k exp(-q / 2^k), beside
    the share seen in this draw. The numbers are those of `tasks.coupon_coverage` and `coupon_mean`.

    Args:
        k: length of the patterns at the start, 2 to 6; the reader may change it.
        seed: of the first row of draws, >= 0; a button starts the next one.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if k or the seed is out of range.
    References:
        Malach and Shalev-Shwartz (2020). Lecture notes, section 1.2, below eq. 5.
    """
    fix = f"2^{LARGEST} slots fill the panel. Take a shorter pattern."
    k = _checks.integer("k", k, least=SMALLEST, most=LARGEST, fix=fix)
    spec = {
        "caption": caption,
        "labels": {
            "slots": f"{label}: the patterns of k signs, lit where a filter has been drawn",
            "curve": f"{label}: probability that all patterns have been seen, against the draws",
        },
        "k": k,
        "range": [SMALLEST, LARGEST],
        "seed": _checks.integer("seed", seed, least=0),
    }
    return Figure("filter-bank", "filter bank", compact(spec))
