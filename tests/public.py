"""The public functions, for the tests that ask each of them something."""

import inspect

from ntk_course import (
    applications,
    attacks,
    checking,
    data,
    distillation,
    dynamics,
    empirical,
    evolution,
    features,
    kernels,
    networks,
    regression,
    runtime,
    tasks,
    training,
)

MODULES = (
    applications, attacks, checking, data, distillation, dynamics, empirical, evolution, features,
    kernels, networks, regression, runtime, tasks, training,
)  # fmt: skip


def functions():
    """Name -> function, for all that the modules define."""
    return {
        f"{module.__name__.split('.')[-1]}.{name}": function
        for module in MODULES
        for name, function in vars(module).items()
        if callable(function)
        and not inspect.isclass(function)
        and not name.startswith("_")
        and getattr(function, "__module__", "") == module.__name__
    }
