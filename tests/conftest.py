"""Strict ground rules: float64 at hand, no silent broadcasting, annotated shapes enforced."""

import jax
import jaxtyping
import numpy as np
import pytest
from browser import book_url, built_book, chromium, open_page, show  # noqa: F401

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jaxtyping.install_import_hook("ntk_course", "beartype.beartype")


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def untyped():
    """Lets bad input through to the course's own checks."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def stax():
    """neural-tangents' stax, the independent oracle."""
    from ntk_course import _neural_tangents

    _neural_tangents.load()
    from neural_tangents import stax

    return stax
