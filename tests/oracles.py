"""Independent answers: neural-tangents' kernels, and ours in extended precision."""

import jax
import mpmath
import numpy as np

from ntk_course import networks


def neural_tangents_kernel(stax, depth, activation, w_std, b_std, *, conv=False, pool=False):
    """kernel_fn(x1, x2, "ntk") of the same network in neural-tangents."""
    nonlinearity = {"relu": stax.Relu, "erf": stax.Erf}[activation]
    stds = networks.layer_stds(activation, depth, w_std)
    layers = []
    for std in stds[:-1]:
        linear = (
            stax.Conv(1, (3, 3), padding="SAME", W_std=std, b_std=b_std or None)
            if conv
            else stax.Dense(1, W_std=std, b_std=b_std or None)
        )
        layers += [linear, nonlinearity()]
    if conv:
        layers.append(stax.GlobalAvgPool() if pool else stax.Flatten())
    layers.append(stax.Dense(1, W_std=stds[-1], b_std=b_std or None))
    kernel_fn = stax.serial(*layers)[2]

    def call(x1, x2, which):
        with jax.numpy_rank_promotion("allow"):
            return np.asarray(kernel_fn(x1, x2, which))

    return call


def extended_precision_ntk(x1, x2, depth, w_std=None, b_std=0.0):
    """The ReLU NTK of one pair of rows with 40 digits."""
    mpmath.mp.dps = 40
    stds = [mpmath.mpf(s) for s in networks.layer_stds("relu", depth, w_std)]
    a, b = ([mpmath.mpf(float(v)) for v in x] for x in (x1, x2))
    scale, bias = stds[0] ** 2 / len(a), mpmath.mpf(b_std) ** 2
    k11, k22, k12 = (
        scale * sum(p * q for p, q in zip(u, v, strict=True)) + bias
        for u, v in ((a, a), (b, b), (a, b))
    )
    theta = k12
    for std in stds[1:]:
        size = mpmath.sqrt(k11 * k22)
        angle = mpmath.acos(min(mpmath.mpf(1), k12 / size))
        kappa_0 = (mpmath.pi - angle) / mpmath.pi
        kappa_1 = (mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle)) / mpmath.pi
        k11, k22 = (std**2 * k / 2 + bias for k in (k11, k22))
        k12 = std**2 * size * kappa_1 / 2 + bias
        theta = k12 + std**2 * kappa_0 / 2 * theta
    return float(theta)


def float32_only():
    """Without float64, into which neural-tangents would silently go."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(False)
    return jax.experimental.disable_x64()
