"""A run of KIP and a Gram matrix in a process of its own: `python long_run.py '{"out": ...}'`.

Options: out, the file of results; num_steps; checkpoint; processes, [address, how many, which].
"""

import json
import sys
from functools import partial

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)


def _scores(w, x):
    return x @ w


def main(out, num_steps=12, checkpoint=None, processes=None):
    if processes:
        jax.distributed.initialize(processes[0], processes[1], processes[2])
    from ntk_course import attacks, distillation, kernels

    rng = np.random.default_rng(3)
    x, x_s = rng.normal(size=(90, 12)), rng.normal(size=(8, 12))
    y = np.eye(3)[rng.integers(0, 3, 90)] - 1 / 3
    kernel_fn = kernels.fully_connected(2, b_std=0.1).ntk
    images = rng.normal(size=(9, 4, 4, 1))
    run = distillation.kip(
        jax.random.key(0), kernel_fn, x, y, x_s, y[:8], num_steps=num_steps, batch_size=30,
        learn_labels=True, save_at=range(0, num_steps, 3), checkpoint=checkpoint,
        checkpoint_every=1,
    )  # fmt: skip
    whole = distillation.kip(jax.random.key(0), kernel_fn, x, y, x_s, y[:8], num_steps=3)
    attack_fn = partial(attacks.pgd, epsilon=0.1, step_size=0.03, num_steps=3, bounds=None)
    options = {"num_steps": 3, "attack_fn": attack_fn}
    attacked = distillation.kip(jax.random.key(0), kernel_fn, x, y, x_s, y[:8], **options)
    last = jax.devices()[-1]
    if not processes:  # where the caller says: one device that is not the first
        used = set()

        def linear(x1, x2):
            used.update(() if isinstance(x1, jax.core.Tracer) else x1.devices() | x2.devices())
            return x1 @ x2.T

        kernels.gram(linear, x, mesh=jax.sharding.Mesh(np.array([last]), ("rows",)))
        assert used == {last}, used
        points, w = rng.uniform(size=(128, 12)), rng.normal(size=(12, 3))
        labels, moved = np.eye(3)[np.arange(128) % 3], []
        for device in (jax.devices()[0], last):
            there = jax.device_put((points, labels, w), device)
            predict_fn = jax.tree_util.Partial(_scores, there[2])
            options = {"epsilon": 0.1, "step_size": 0.03, "num_steps": 3}
            found = attacks.pgd(jax.random.key(0), predict_fn, *there[:2], **options)
            assert found.devices() == {device}
            moved.append(np.asarray(found))
        np.testing.assert_allclose(*moved, atol=1e-12)
    results = run._asdict() | {
        "devices": len(jax.devices()),
        "gram": kernels.gram(kernel_fn, x, block_size=20),
        "rectangle": kernels.gram(kernel_fn, x_s, x),
        "conv": kernels.gram(kernels.convolutional(2, readout="pool").ntk, images),
        "whole": whole.x_support,
        "attacked": attacked.x_support,
    }
    np.savez(out, **results)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
