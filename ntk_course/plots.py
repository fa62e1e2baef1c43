"""The look of the course's pictures: one palette, one style. Arrays in, Axes out."""

from pathlib import Path

# The series colours of the course, at least 3.6:1 against white and against the dark page #14181e.
PALETTE = {
    "blue": "#2b7bd0",
    "orange": "#d55e00",
    "green": "#0a8f72",
    "purple": "#9467bd",
    "pink": "#c2569a",
    "gold": "#a07900",
    "red": "#d6475a",
    "grey": "#747c87",
}


def use_style() -> None:
    """Set matplotlib's defaults for the course: palette, calm axes, sharp pictures.

    The dash patterns cycle with the colours, so that no series is told by colour alone.
    """
    import matplotlib as mpl
    import matplotlib.style
    from cycler import cycler

    mpl.style.use(Path(__file__).with_name("course.mplstyle"))
    dashes = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 3))]
    mpl.rcParams["axes.prop_cycle"] = cycler(color=list(PALETTE.values()), linestyle=dashes)
