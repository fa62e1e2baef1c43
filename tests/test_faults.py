"""Servers, disks and kills: nothing half-written is ever read, and the next run recovers."""

import gzip
import hashlib
import http.server
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntk_course import _checkpoint, _files, data, distillation, kernels

ROOT = Path(__file__).resolve().parents[1]
NAMES = list(data._SOURCES["mnist"][1])
NOWHERE = "http://127.0.0.1:9/"
PORTAL = b"<!doctype html><title>Welcome</title><p>Please accept our terms.</p>"


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


class Faulty(http.server.BaseHTTPRequestHandler):
    """Serves /<fault>/<file>: the fault says how."""

    def log_message(self, *args):
        pass

    def head(self, length=None, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def do_GET(self):
        fault, name = self.path.strip("/").split("/")
        body = self.server.bodies[name]
        half = body[: len(body) // 2]
        if fault in ("stall", "silent") and name != NAMES[0]:
            fault = "whole"  # to wait once is enough
        if fault.isdigit():
            self.send_error(int(fault))
        elif fault == "cut":
            self.head(len(body))
            self.wfile.write(half)
        elif fault == "cut-without-length":
            self.head()
            self.wfile.write(half)
        elif fault == "stall":
            self.head(len(body))
            self.wfile.write(half)
            self.server.over.wait(10)
        elif fault == "silent":
            self.server.over.wait(10)
        elif fault == "drip":
            self.head(len(body))
            for i in range(0, len(body), len(body) // 4):
                self.wfile.write(body[i : i + len(body) // 4])
                time.sleep(0.02)
        elif fault == "reset":
            self.head(len(body))
            self.wfile.write(half)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
        elif fault == "loop":
            self.head(0, 302, Location=self.path)
        elif fault == "hang-up":
            pass  # closed without a word
        else:
            flipped = half[:-1] + bytes([half[-1] ^ 1]) + body[len(half) :]
            sent = {
                "flipped": flipped, "another": self.server.bodies[NAMES[1]] + b"\0",
                "portal": PORTAL, "empty": b"",
            }.get(fault, body)  # fmt: skip
            if fault == "together":
                self.server.pairs[name].wait()  # until another process asks for it too
            self.head(len(sent))
            self.wfile.write(sent)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that was killed or gave up


@pytest.fixture(scope="module")
def mnist():
    """A small MNIST: the arrays, and the files by name."""
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (12, 28, 28)), rng.integers(0, 10, 12),
        rng.integers(0, 256, (6, 28, 28)), rng.integers(0, 10, 6),
    ]  # fmt: skip
    return arrays, {name: idx(array) for name, array in zip(NAMES, arrays, strict=True)}


@pytest.fixture
def mirrors(mnist, monkeypatch):
    """Sets the faults of MNIST's mirrors; each is a loopback server's address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    registry = {name: f"md5:{hashlib.md5(body).hexdigest()}" for name, body in mnist[1].items()}
    with Server(("127.0.0.1", 0), Faulty) as server:
        server.bodies, server.over = mnist[1], threading.Event()
        server.pairs = {name: threading.Barrier(2, timeout=20) for name in NAMES}
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def choose(*faults):
            urls = [f"http://127.0.0.1:{server.server_port}/{fault}/" for fault in faults]
            urls = tuple(NOWHERE if fault == "nowhere" else url for fault, url in
                         zip(faults, urls, strict=True))  # fmt: skip
            monkeypatch.setitem(data._SOURCES, "mnist", (urls, registry))
            return {"url": urls[0], "registry": registry}

        yield choose
        server.over.set()
        server.shutdown()


def check(loaded, mnist):
    assert loaded.name == "mnist"
    fields = ("x_train", "y_train", "x_test", "y_test")
    for field, array in zip(fields, mnist[0], strict=True):
        found = getattr(loaded, field)
        pixels = np.round(found[..., 0] * 255) if field[0] == "x" else found
        np.testing.assert_array_equal(pixels, array)


def contents(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# ------------------------------------------------------------------ servers

HASH = r"MD5 hash of downloaded file \(train-images\S+\) does not match the known hash\)"
FAULTS = {
    "nowhere": "Connection refused",
    "404": "404 Client Error: Not Found",
    "500": "500 Server Error: Internal Server Error",
    "cut": r"IncompleteRead\(\d+ bytes read, \d+ more expected\)",
    "cut-without-length": HASH,
    "stall": "timed out",
    "silent": "timed out",
    "flipped": HASH,
    "another": HASH,
    "portal": HASH,
    "empty": HASH,
    "reset": "Connection reset by peer",
    "hang-up": "Remote end closed connection without response",
    "loop": "Exceeded 30 redirects",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_load__from_a_faulty_server(fault, mirrors, mnist, tmp_path, monkeypatch):
    """Said in a few words, nothing kept; the second mirror helps, and so does the next call."""
    monkeypatch.setattr(data, "_TIMEOUT", 0.3)
    mirrors(fault)
    with pytest.warns(UserWarning, match="`mnist` could not") as said:
        assert data.load("mnist", cache_dir=tmp_path, n_train=5000).name == "digits"
    text = str(said.pop().message)
    assert not said
    opening = r"`mnist` could not be downloaded: train-images\S+ \(http://127.0.0.1:\d+/\S*: "
    assert re.match(opening + r"(\[Errno \d+\] )?" + FAULTS[fault], text), text
    assert "Going on with the embedded digits. Call again with a network" in text
    assert text.endswith(f"put the files into {tmp_path / 'mnist'}.")
    assert len(text) < 400 + len(str(tmp_path))
    assert contents(tmp_path) == []
    monkeypatch.setattr(data, "_TIMEOUT", 1.0 if FAULTS[fault] == "timed out" else 30.0)
    mirrors(fault, "whole")
    check(data.load("mnist", cache_dir=tmp_path / "second"), mnist)
    mirrors("drip" if fault == "stall" else "whole")
    monkeypatch.setattr(data, "_TIMEOUT", 30.0)
    check(data.load("mnist", cache_dir=tmp_path), mnist)
    assert contents(tmp_path / "mnist") == sorted(NAMES)


def test_load__downloads_once_with_a_bar_and_says_each_mirrors_reason(
    mirrors, mnist, tmp_path, capfd
):
    mirrors("nowhere", "whole")
    check(data.load("mnist", cache_dir=tmp_path), mnist)
    assert "100%" in capfd.readouterr().err  # the progress bar
    mirrors("nowhere", "404")
    assert data.load("mnist", cache_dir=tmp_path, n_train=7).x_train.shape == (7, 28, 28, 1)
    assert capfd.readouterr().err == ""
    with pytest.warns(UserWarning, match=r"9/: \[Errno \d+\] .*; http.*/404/: 404 Client Error"):
        data.load("mnist", cache_dir=tmp_path / "empty")


def test_load__without_a_network_files_may_be_put_where_it_says(mirrors, mnist, tmp_path):
    mirrors("nowhere")
    with pytest.warns(UserWarning, match="`mnist` could not") as said:
        data.load("mnist", cache_dir=tmp_path)
    folder = Path(re.search(r"into (.*)\.$", str(said.pop().message))[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in mnist[1].items():
        (folder / name).write_bytes(body)
    check(data.load("mnist", cache_dir=tmp_path), mnist)


def test_load__cifar10_without_a_network_gives_the_digits(tmp_path, monkeypatch):
    registry = data._SOURCES["cifar10"][1]
    monkeypatch.setitem(data._SOURCES, "cifar10", ((NOWHERE,), registry))
    with pytest.warns(UserWarning, match=r"`cifar10` could not be downloaded: cifar-10-python\S+ "):
        assert data.load("cifar10", cache_dir=tmp_path, n_train=5000).name == "digits"


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_load__a_kept_file_that_was_damaged_is_never_read(damage, mirrors, mnist, tmp_path):
    mirrors("whole")
    data.load("mnist", cache_dir=tmp_path)
    path = tmp_path / "mnist" / NAMES[2]
    body = mnist[1][NAMES[2]]
    bad = {"flipped": bytes([body[0] ^ 1]) + body[1:], "cut": body[:-1], "empty": b""}[damage]
    path.write_bytes(bad)
    mirrors("nowhere")
    with pytest.warns(UserWarning, match=r"t10k-images\S+ \(the kept one cannot be used; http"):
        assert data.load("mnist", cache_dir=tmp_path).name == "digits"
    assert path.read_bytes() == bad
    mirrors("whole")
    check(data.load("mnist", cache_dir=tmp_path), mnist)
    assert path.read_bytes() == body


def test_load__a_cache_folder_that_cannot_be_made_is_said(mirrors, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    mirrors("whole")
    with pytest.warns(UserWarning, match="Not a directory"):
        assert data.load("mnist", cache_dir=tmp_path / "file" / "cache").name == "digits"
    assert contents(tmp_path) == ["file"]


# ------------------------------------------------------------------ processes of their own


def call(action, method, folder, fields=None, **options):
    """How `faulty_run.py` is called."""
    arguments = {"action": action, "method": method, "folder": str(folder), "options": options}
    program = str(Path(__file__).with_name("faulty_run.py"))
    return {
        "args": [sys.executable, program, json.dumps(arguments | (fields or {}))],
        "env": os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True,
    }  # fmt: skip


def script(*arguments, **options):
    """Run `faulty_run.py`; its record."""
    done = subprocess.run(**call(*arguments, **options), timeout=300)
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def download(mirrors, mnist, tmp_path):
    """Runs a method of `faulty_run.Download` from a server with a fault."""
    arrays = [a if a.ndim == 1 else np.float32(a[..., None]) / 255 for a in mnist[0]]
    fields = dict(zip(("x_train", "y_train", "x_test", "y_test"), arrays, strict=True))
    np.savez(tmp_path / "expected.npz", **fields)

    def run(method, fault="whole", folder=tmp_path, **options):
        fields = mirrors(fault) | {"expected": str(tmp_path / "expected.npz")}
        return script("download", method, folder, fields, **options)

    return run


def test_load__killed_at_any_moment_the_next_call_is_right(download):
    record = download("killed", stride=9)
    assert record["kills"] >= 20
    assert record["left"] >= 5  # downloads left by the dead were there, and went


def test_load__on_a_full_disk_is_said_and_leaves_nothing(download):
    download("full_disk", limits=[0, 100, 3000])


def test_load__two_processes_at_once(download):
    download("together", fault="together")


def test_load__a_folder_that_may_not_be_written(download, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "read_only"
    folder.mkdir()
    parents = [p for p in (folder, *folder.parents) if p.stat().st_uid == os.getuid()]
    if os.getuid() == 0 and any(p.stat().st_mode & 0o005 != 0o005 for p in parents):
        folder = Path("/tmp") / f"ntk_course_read_only_{os.getpid()}"
        folder.mkdir(mode=0o755)
    try:
        download("read_only", folder=folder)
    finally:
        shutil.rmtree(folder)


def test_checkpoint__killed_at_any_moment_is_the_old_or_the_new(tmp_path):
    record = script("checkpoint", "killed", tmp_path, stride=5)
    assert record["kills"] >= 20
    assert record["left"] >= 5  # parts left by the dead were there, and went
    assert record["reached"] == [0, 1]


def test_checkpoint__on_a_full_disk_stays_the_old(tmp_path):
    script("checkpoint", "full_disk", tmp_path, limits=[0, 1, 100, 5000, 16_000])


# ------------------------------------------------------------------ damaged checkpoints


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint and its bytes."""
    path = tmp_path_factory.mktemp("checkpoint") / "c.npz"
    arrays = {"losses": np.arange(5.0), "state 0": np.ones((2, 3), np.float32), "empty": np.ones(0)}
    _checkpoint.save(path, {"key": "1"}, arrays)
    found = _checkpoint.load(path, {"key": "1"})
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    return path, path.read_bytes()


def refused(path, damaged):
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="`checkpoint` must be a whole checkpoint of this course"):
        _checkpoint.load(path, {"key": "1"})


def test_checkpoint__cut_at_every_length_or_with_any_bit_flipped_is_refused(whole):
    path, raw = whole
    for length in range(len(raw)):
        refused(path, raw[:length])
        flipped = raw[length] ^ (1 << length % 8)
        refused(path, raw[:length] + bytes([flipped]) + raw[length + 1 :])
    refused(path, raw + b"\0")


@settings(derandomize=True, deadline=None)
@given(st.data())
def test_checkpoint__blocks_lost_or_moved_are_refused(whole, draw):
    path, raw = whole
    start, stop, to = (draw.draw(st.integers(0, len(raw))) for _ in range(3))
    block = raw[start:stop]
    rest = raw[:start] + raw[stop:]
    for damaged in (
        rest,
        raw[:start] + bytes(len(block)) + raw[stop:],
        rest[:to] + block + rest[to:],
    ):
        if damaged != raw and start < stop:
            refused(path, damaged)


def test_kip__a_checkpoint_that_cannot_be_written_costs_no_run(tmp_path, rng):
    (tmp_path / "file").write_text("not a folder")
    x, y = rng.normal(size=(12, 3)), rng.normal(size=(12, 1))
    arguments = (jax.random.key(0), kernels.fully_connected(1).ntk, x, y, x[:3], y[:3])
    whole = distillation.kip(*arguments, num_steps=3)
    path = tmp_path / "file" / "run.npz"
    with pytest.warns(
        UserWarning, match=r"`checkpoint` must be .*file/run.npz \(.*File exists.*Make room, or"
    ):
        run = distillation.kip(*arguments, num_steps=3, checkpoint=path)
    for found, expected in zip(run, whole, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert contents(tmp_path) == ["file"]


def test_whole__keeps_the_old_file_and_others_parts_when_writing_fails(tmp_path):
    path, others = tmp_path / "page[1].html", tmp_path / "page[1].html.1.part"
    path.write_text("old")
    others.write_text("another process writes")
    with pytest.raises(TypeError), _files.whole(path) as file:
        file.writelines([b"half", None])
    assert path.read_text() == "old"
    assert contents(tmp_path) == [path.name, others.name]
    os.utime(others, (0, 0))
    with _files.whole(path) as file:
        file.write(b"new")
    assert path.read_text() == "new"
    assert contents(tmp_path) == [path.name]


# ------------------------------------------------------------------ the lectures' cache

LECTURE = """---
jupytext:
  text_representation:
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# {number}. A lecture

```{{code-cell}} python
{code}
```
"""


@pytest.fixture
def tree(tmp_path):
    """A tree with two lectures."""
    root = tmp_path / "tree"
    (root / "lectures").mkdir(parents=True)
    (root / "requirements.txt").write_text("numpy==1\n")
    for number, code in ((1, "print(6 * 7)"), (2, "print('second')")):
        path = root / "lectures" / f"{number:02}_lecture.md"
        path.write_text(LECTURE.format(number=number, code=code))
    return root


def test_lectures__killed_at_any_moment_the_next_run_is_right(tree):
    writing = "open_cache create_db keep cache_notebook_bundle write whole"
    record = script("lectures", "killed", tree, strides={writing: 3, "clear_cache _rmtree": 17})
    assert record["kills"] >= 20


def test_lectures__on_a_full_disk_say_so_and_recover(tree):
    script(
        "lectures", "full_disk", tree, limits=[0, 100, 9000, 60_000]
    )  # the last holds the database


def test_lectures__a_damaged_cache_is_not_used(tree):
    script("lectures", "damaged", tree)


def test_lectures__killed_while_a_cell_runs_and_dead_kernels(tree):
    """A real kernel: SIGKILL of the tool; then a kernel that kills itself, which ends no run."""
    mark, lectures = tree / "mark", tree / "lectures"
    slow = f"import os, time\nif not os.path.exists({str(mark)!r}):\n"
    slow += f"    open({str(mark)!r}, 'x').close()\n    time.sleep(600)\nprint('second')"
    (lectures / "02_lecture.md").write_text(LECTURE.format(number=2, code=slow))
    with subprocess.Popen(**call("lectures", "make", tree, {"real": True})) as process:
        first = process.stdout.readline()  # the other one goes on beside it
        assert "01_lecture.md" in first, process.communicate()
        while not mark.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.kill()
    assert not list(lectures.glob("*.ipynb*"))
    dying = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    (lectures / "03_lecture.md").write_text(LECTURE.format(number=3, code=dying))
    done = subprocess.run(**call("lectures", "make", tree, {"real": True}), timeout=300)
    assert done.returncode == 1
    assert re.search(r"01_lecture.md +cached .*\n", done.stdout)
    assert re.search(r"02_lecture.md +[\d.]+ s\n", done.stdout)
    assert re.search(r"03_lecture.md, code cell [01]:\nKernel died", done.stderr)
    assert "Traceback" not in done.stderr
    (lectures / "03_lecture.md").unlink()
    script("lectures", "make", tree, {"real": True})
    assert r'"second\n"' in (lectures / "02_lecture.ipynb").read_text()
