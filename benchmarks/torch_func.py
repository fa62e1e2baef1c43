"""A row for the empirical NTK: ours beside torch.func, same weights, same inputs.

PyTorch's tutorial on NTKs takes the Jacobian of every example (`vmap` of `jacrev` through
`functional_call`) and contracts; we contract layer by layer. Printed as JSON; the environment is
that of `peers.txt`.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.func import functional_call, jacrev, vmap

from benchmarks import growth, race
from ntk_course import empirical, networks

WIDTH = 512


class Net(torch.nn.Module):
    """The same network in the NTK parametrization: every layer over the root of its fan-in."""

    def __init__(self, weights, scales):
        super().__init__()
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(w) for w in weights)
        self.scales = scales

    def forward(self, x):
        for i, (w, scale) in enumerate(zip(self.weights, self.scales, strict=True)):
            x = scale * (x @ w.T)
            if i < len(self.scales) - 1:
                x = torch.relu(x)
        return x


def setup(n):
    """Ours and theirs for n points, as functions of no arguments."""
    x = np.random.default_rng(0).normal(size=(n, 784)).astype(np.float32)
    network = networks.fully_connected(784, (WIDTH, WIDTH))
    params = network.init_fn(jax.random.key(0))
    weights = [np.asarray(leaf) for leaf in jax.tree.leaves(params) if np.ndim(leaf) == 2]
    scales = [(1 if i == 0 else 2**0.5) / w.shape[1] ** 0.5 for i, w in enumerate(weights)]
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    net = Net([torch.tensor(w, device=device) for w in weights], scales)
    points, parameters = torch.tensor(x, device=device), dict(net.named_parameters())
    fx = np.asarray(network.apply_fn(params, jnp.asarray(x)))
    gap = np.abs(net(points)[:, 0].detach().cpu().numpy() - fx).max()
    assert gap < 1e-4 * np.abs(fx).max(), f"the two networks differ by {gap}"

    def output(parameters, point):
        return functional_call(net, parameters, (point[None],))[0, 0]

    def theirs():
        jacobians = vmap(jacrev(output), (None, 0))(parameters, points)
        return sum(j.flatten(1) @ j.flatten(1).T for j in jacobians.values()).detach().cpu().numpy()

    return lambda: empirical.layerwise_ntk(params, jnp.asarray(x)), theirs


if __name__ == "__main__":
    name = f"empirical NTK, width {WIDTH}, depth 2, n = 500"
    row = race(name, *setup(500), 10.0, (9, 3), "torch.func")
    print(json.dumps([row._replace(growth=growth(setup, 500))._asdict()]))
