"""Long runs in processes of their own: eight devices, two processes, SIGKILL, bounded memory."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_course import kernels

SCRIPT = Path(__file__).with_name("long_run.py")


def start(out, *, devices=1, **options):
    """Start `long_run.py`; its process."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(SCRIPT), json.dumps({"out": str(out)} | options)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT)


def finish(process, out):
    """Wait for a process and read its results."""
    text = process.communicate(timeout=300)[0]
    assert process.returncode == 0, text.decode()[-3000:]
    with np.load(out) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The results of one process with one device, uninterrupted."""
    out = tmp_path_factory.mktemp("alone") / "out.npz"
    return finish(start(out), out)


def agree(found, expected):
    for name in expected:
        if name != "devices":
            np.testing.assert_allclose(
                found[name], expected[name], rtol=1e-6, atol=1e-6, err_msg=name
            )


def test_eight_devices__give_the_one_device_result(alone, tmp_path):
    out = tmp_path / "out.npz"
    found = finish(start(out, devices=8), out)
    assert (int(found["devices"]), int(alone["devices"])) == (8, 1)
    agree(found, alone)


def test_two_processes__give_the_one_device_result(alone, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    outs = [tmp_path / f"{i}.npz" for i in range(2)]
    processes = [start(outs[i], devices=2, processes=[address, 2, i]) for i in range(2)]
    for process, out in zip(processes, outs, strict=True):
        found = finish(process, out)
        assert int(found["devices"]) == 4
        agree(found, alone)


def test_killed_run__resumes_bit_by_bit(tmp_path, rng):
    whole = finish(start(tmp_path / "whole.npz", num_steps=400), tmp_path / "whole.npz")
    out, options = tmp_path / "out.npz", {"num_steps": 400, "checkpoint": str(tmp_path / "c.npz")}
    for stop in sorted(rng.integers(1, 250, 3)):
        process = start(out, **options)
        while process.poll() is None and steps(tmp_path / "c.npz") < stop:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not out.exists()
    assert 0 < steps(tmp_path / "c.npz") < 400
    found = finish(start(out, **options), out)
    assert set(found) == set(whole)
    for name in whole:
        np.testing.assert_array_equal(found[name], whole[name], err_msg=name)


def steps(checkpoint):
    """How many steps a checkpoint holds; it is whole at any moment."""
    if not checkpoint.exists():
        return 0
    with open(checkpoint, "rb") as stream, np.load(stream) as file:
        return len(file["losses"])


def test_convolutional_kernel__cifar_sized_runs_in_bounded_memory(rng, capfd, monkeypatch):
    monkeypatch.delenv("NTK_COURSE_STATIC", raising=False)
    kernel_fn = kernels.convolutional(2).ntk
    x1, x2 = (jnp.asarray(rng.normal(size=(n, 32, 32, 3)), jnp.float32) for n in (20, 100))
    before = high_water_mark()
    k = kernels.gram(kernel_fn, x1, x2, progress=True)
    assert k.shape == (20, 100)
    said = capfd.readouterr().err
    megabytes = float(said.split("kernel blocks, ")[1].split(" MB")[0].replace(",", ""))
    assert (high_water_mark() - before) / 1e6 < 1.5 * megabytes + 300
    with pytest.raises(MemoryError, match=r"needs about .* GB .* are free"):
        kernels.gram(kernel_fn, x1, x2, memory_limit=1e6)


def high_water_mark():
    """Peak resident bytes of this process (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)["VmHWM"].split()[0]) * 1024
