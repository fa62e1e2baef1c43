"""The look of the course's pictures: one palette, one style. Arrays in, Axes out."""

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
    from cycler import cycler

    dashes = ["-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 3))]
    mpl.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=list(PALETTE.values()), linestyle=dashes),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.2,
            "axes.titlesize": "medium",
            "legend.frameon": False,
            "figure.figsize": (7.0, 3.4),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "lines.linewidth": 1.8,
        }
    )
