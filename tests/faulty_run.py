"""Stops an action at every moment, and lets it run again: `python faulty_run.py '{"action": ...}'`.

Each run is a fork of this process, killed before the k-th line of the code that writes, or given a
disk on which no file grows beyond `limit` bytes (as on a full one, `write` fails). What the next
run finds is asserted here; the last line printed is a JSON record for `test_faults.py`.
"""

import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import traceback
import warnings
from copy import deepcopy
from itertools import count
from pathlib import Path

import nbformat
import numpy as np


def start(work, *, kill_at=None, watched=None, limit=None):
    """Fork a process that does the work; its id."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        if kill_at is not None:
            sys.settrace(killer(kill_at, watched))
        work()
        code = 0
    except SystemExit as error:
        print(error, file=sys.stderr)
        code = 3
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


def finish(pid):
    """0 if all went well, 1 after an exception, 3 after a clear message, -9 if killed."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(work, **fault):
    return finish(start(work, **fault))


def killer(at, watched):
    """A trace function that ends this process before the `at`-th line of watched code."""
    lines = count(1)

    def line(frame, event, argument):
        if event == "line" and next(lines) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return line

    return lambda frame, event, argument: line if watched(frame) else None


def kills(work, watched, stride):
    """Run the work again and again, killed later each time; stop when it has reached its end."""
    for at in count(1, stride):
        code = run(work, kill_at=at, watched=watched)
        assert code in (0, -signal.SIGKILL), code
        yield at
        if code == 0:
            return


def of_modules(*names):
    """Watches all code of these packages."""
    return lambda frame: frame.f_globals.get("__name__", "").split(".")[0] in names


def of_functions(*names):
    """Watches those functions of the package and of the tool that write, and of what they call."""
    modules = of_modules("lectures", "ntk_course", "jupyter_cache", "shutil", "pathlib")
    return lambda frame: frame.f_code.co_name.startswith(names) and modules(frame)


def age(paths):
    """Make files so old that nobody can be writing to them."""
    for path in paths:
        os.utime(path, (0, 0))
    return len(paths)


class Download:
    """Loads MNIST from a loopback server into a cache."""

    def __init__(self, folder, url, registry, expected):
        from ntk_course import data

        self.data, self.cache, self.registry = data, folder / "cache", registry
        data._SOURCES["mnist"] = ((url,), registry)
        with np.load(expected) as file:
            self.expected = dict(file)

    def load(self, name="mnist"):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            loaded = self.data.load("mnist", cache_dir=self.cache)
        assert loaded.name == name, said
        if name == "mnist":
            for field, array in self.expected.items():
                np.testing.assert_array_equal(getattr(loaded, field), array)
        return " ".join(str(w.message) for w in said)

    def files(self):
        """The files kept, all whole, and what else there is."""
        found = set(self.cache.rglob("*.*")) | set(self.cache.rglob("tmp*"))
        kept = {path for path in found if path.name in self.registry}
        for path in kept:
            known = self.registry[path.name].removeprefix("md5:")
            assert hashlib.md5(path.read_bytes()).hexdigest() == known, path
        return kept, found - kept

    def killed(self, stride):
        left, number = 0, 0
        for _ in kills(self.load, of_modules("pooch", "shutil", "ntk_course"), stride):
            kept, rest = self.files()
            assert len(rest) <= 1, rest
            number, left = number + 1, left + age(rest)
            assert run(self.load) == 0
            kept, rest = self.files()
            assert (len(kept), rest) == (4, set())
            shutil.rmtree(self.cache)
        return {"kills": number, "left": left}

    def full_disk(self, limits):
        for limit in limits:
            assert run(lambda: self.refused("File too large"), limit=limit) == 0
            assert not self.files()[1]
        assert run(self.load) == 0
        return {"limits": limits}

    def read_only(self):
        """As a user who may not write, as root may anywhere."""
        self.data.load("digits")  # imports what a user may not read in root's home
        self.cache.mkdir()
        self.cache.chmod(0o555)
        assert run(lambda: as_user(lambda: self.refused("Permission denied"))) == 0
        self.cache.chmod(0o755)
        self.load()
        for path in self.files()[0]:
            path.chmod(0o444)  # pooch's are for their owner alone
        (self.cache / "mnist").chmod(0o555)
        self.data._SOURCES["mnist"] = (("http://127.0.0.1:9/",), self.registry)
        assert run(lambda: as_user(self.load)) == 0
        return {}

    def refused(self, reason):
        assert reason in self.load("digits")

    def together(self):
        both = [start(self.load) for _ in range(2)]
        assert [finish(pid) for pid in both] == [0, 0]
        kept, rest = self.files()
        assert (len(kept), rest) == (4, set())
        return {}


def as_user(work):
    if os.getuid() == 0:
        os.setuid(65534)
    work()


class Checkpoint:
    """Replaces one checkpoint by another."""

    def __init__(self, folder):
        from ntk_course import _checkpoint

        rng = np.random.default_rng(0)
        self.run = {"key": "1"}
        self.module, self.path = _checkpoint, folder / "run.npz"
        self.old = {"losses": rng.normal(size=30), "state 0": rng.normal(size=(40, 50))}
        self.new = {"losses": rng.normal(size=60), "state 0": rng.normal(size=(40, 50))}
        self.save(self.old)

    def save(self, arrays):
        self.module.save(self.path, self.run, arrays)

    def check(self, *allowed):
        found = self.module.load(self.path, self.run)
        same = [
            set(found) == set(arrays) and all(np.array_equal(found[k], arrays[k]) for k in arrays)
            for arrays in allowed
        ]
        assert any(same)
        return same.index(True)

    def parts(self):
        return [path for path in self.path.parent.iterdir() if path != self.path]

    def killed(self, stride):
        reached, left, number = set(), 0, 0
        watched = of_modules("ntk_course", "zipfile", "numpy")
        for _ in kills(lambda: self.save(self.new), watched, stride):
            reached.add(self.check(self.old, self.new))
            parts = self.parts()
            assert len(parts) <= 1
            number, left = number + 1, left + age(parts)
            self.save(self.old)
            assert not self.parts()
        return {"kills": number, "left": left, "reached": sorted(reached)}

    def full_disk(self, limits):
        for limit in limits:
            assert run(self.save_fails, limit=limit) == 0
            assert self.check(self.old) == 0
            assert not self.parts()
        return {"limits": limits}

    def save_fails(self):
        try:
            self.save(self.new)
        except OSError as error:
            assert "File too large" in str(error)  # noqa: PT017
        else:
            raise AssertionError("the disk was full")


class Lectures:
    """Executes and exports two lectures in a tree of their own; no kernel, unless `real`."""

    def __init__(self, folder, real=False):
        tools = Path(__file__).resolve().parents[1] / "book" / "tools"
        sys.path[:0] = [str(tools), str(tools.parent / "_ext")]
        import lectures

        self.tool, self.root, self.build = lectures, folder, folder / "_build"
        lectures.ROOT, lectures.LECTURES = folder, folder / "lectures"
        lectures.CACHE = self.build / ".jupyter_cache"
        lectures.FINGERPRINT, lectures.BUILT = self.build / "package.sha256", self.build / "built"
        if not real:  # each lecture is read once
            read = {path: lectures.read_lecture(path) for path in lectures.sources()}
            exported = lectures.export(lectures.sources(), lectures.BIBLIOGRAPHY)
            lectures.read_lecture = lambda path: deepcopy(read[path])
            lectures.export = lambda *_: deepcopy(exported)
            lectures.run_lecture = self.pretend

    def pretend(self, path, notebook):
        for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
            text = f"{self.tool.package_fingerprint()} ran {cell.source}\n" * 1000
            cell.execution_count = number
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]

    def tool_runs(self, *commands):
        for command in commands:
            if code := self.tool.main([command]):
                sys.exit(code)

    def make(self):
        self.tool_runs("execute", "export")

    def notebooks(self):
        return {p.name: p.read_bytes() for p in self.tool.LECTURES.glob("*.ipynb")}

    def states(self):
        """The notebooks after a change of the package, and before it; the tree is as before."""
        assert run(self.make) == 0
        old = self.notebooks()
        shutil.copytree(self.root, self.root.with_name("old"))
        (self.root / "requirements.txt").write_text("numpy==2\n")
        assert run(self.make) == 0
        new = self.notebooks()
        assert new.keys() == old.keys()
        assert all(new[name] != old[name] for name in old)
        self.restore()
        return old, new

    def restore(self):
        """The tree before the change, the change made."""
        shutil.rmtree(self.root)
        shutil.copytree(self.root.with_name("old"), self.root)
        (self.root / "requirements.txt").write_text("numpy==2\n")
        self.tool.BUILT.touch()

    def recover(self, old, new):
        """Whatever happened, notebooks are whole, and the next run is right."""
        for name, text in self.notebooks().items():
            assert text in (old[name], new[name]), name
        assert run(self.make) == 0
        assert self.notebooks() == new
        assert not self.tool.BUILT.exists()  # the pages are to be built anew

    def killed(self, strides):
        """With a stride for each group of functions, separated by blanks."""
        old, new = self.states()
        number = 0
        for names, stride in strides.items():
            for _ in kills(self.make, of_functions(*names.split()), stride):
                self.recover(old, new)
                self.restore()
                number += 1
        return {"kills": number}

    def full_disk(self, limits):
        old, new = self.states()
        for limit in limits:
            assert run(self.make, limit=limit) == 3  # a message, no traceback
            self.recover(old, new)
            self.restore()
        assert run(lambda: self.tool_runs("execute")) == 0
        assert run(lambda: self.tool_runs("export"), limit=limits[-1]) == 3
        self.recover(old, new)
        return {"limits": limits}

    def damaged(self):
        """A cache whose files were cut, emptied or lost: never used, never a traceback."""
        old, _ = self.states()
        (self.root / "requirements.txt").write_text("numpy==1\n")
        database = self.tool.CACHE / "global.db"
        assert run(self.make) == 0
        kept = sorted(self.tool.CACHE.glob("executed/*/base.ipynb"))
        assert len(kept) == 2
        for path in (database, *kept):
            raw = path.read_bytes()
            for damage in (raw[:0], raw[:100], raw[: len(raw) // 2], raw[:-1], bytes(len(raw))):
                path.write_bytes(damage)
                assert run(lambda: self.tool_runs("export")) in (0, 3)  # a message at most
                assert self.notebooks() == old
                assert run(self.make) == 0
                assert self.notebooks() == old
        for path in (database, *kept, *(p.parent for p in kept), self.tool.CACHE):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            assert run(self.make) == 0
            assert self.notebooks() == old
        return {}


def main(action, method, folder, options, **fields):
    made = {"download": Download, "checkpoint": Checkpoint, "lectures": Lectures}[action]
    record = getattr(made(Path(folder), **fields), method)(**options)
    print(json.dumps(record))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
