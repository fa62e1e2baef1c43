"""pytest plugin for nbval: compares pictures too, and lets each notebook find its compiled code."""

import os

import pytest

from lectures import kernel_environment

BEFORE = dict(os.environ)


def pytest_collection_modifyitems(items) -> None:
    """Take PNG off the list of outputs that nbval does not compare."""
    for item in items:
        notebook = item.parent
        notebook.skip_compare = tuple(k for k in notebook.skip_compare if k != "image/png")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item) -> None:
    """What the kernel of this notebook, which may start now, takes over."""
    os.environ.update(kernel_environment(item.path, BEFORE))
