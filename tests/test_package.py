"""Rules of the house: examples run, layers hold, no private JAX names, errors have one form."""

import ast
import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ntk_course
from ntk_course import checking

ROOT = Path(ntk_course.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MODULES = [m.name for m in pkgutil.iter_modules(ntk_course.__path__)]
PRESENTATION = {"plots", "interactive"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("name", MODULES)
def test_module__docstring_examples_run(name):
    checking._tries.clear()  # hints grow with what other tests have answered
    assert doctest.testmod(importlib.import_module(f"ntk_course.{name}")).failed == 0


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_module__numerics_import_no_presentation(path):
    if path.relative_to(ROOT).parts[0].removesuffix(".py") in PRESENTATION:
        return
    names = set(imports(path))
    forbidden = (
        "matplotlib",
        "ipywidgets",
        "IPython",
        "ntk_course.plots",
        "ntk_course.interactive",
    )
    assert not [n for n in names if n.startswith(forbidden)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_module__only_the_oracle_touches_private_jax(path):
    if path.name != "_neural_tangents.py":
        assert not re.search(r"jax\._src|jax\.interpreters|jax\.extend", path.read_text())
        assert "neural_tangents" not in path.read_text().replace("neural-tangents", "")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_module__public_functions_say_what_they_take_return_and_raise(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            text = ast.get_docstring(node)
            assert text, node.name
            if path.name.startswith("_"):
                continue
            takes = [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
            for name in takes if "Args:" in text else []:
                assert f"{name}:" in text, f"{node.name} does not describe {name}"
            assert "Args:" in text or len(takes) <= 2, (
                f"{node.name} does not describe its arguments"
            )


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_errors__say_what_to_do(path):
    """An error is `name` must <rule>; got name=<value>. <Fix>. -- the last part, too."""
    number = {"fail": 4, "require": 5, "shape": 4}  # of arguments, the last one being the fix
    for node in ast.walk(ast.parse(path.read_text())):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if (name := name.removeprefix("_checks.")) in number:
            given = [*node.args, *(k for k in node.keywords if k.arg == "fix")]
            assert len(given) == number[name], f"{path.name}:{node.lineno} {ast.unparse(node)}"


def lines_of_code(path):
    """Lines that are neither blank, comment nor docstring."""
    source, prose, documented = path.read_text(), set(), ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node):
            prose |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(bool(t.strip()) and t.strip()[0] != "#" and i not in prose for i, t in lines)


def test_package__size_of_the_house():
    lines = {path: lines_of_code(path) for path in FILES}
    shown = sum(n for path, n in lines.items() if path.parent.name == "interactive")
    assert sum(lines.values()) - shown <= 2600
    assert shown <= 1300
    longest = max(FILES, key=lambda p: len(p.read_text().splitlines()))
    assert len(longest.read_text().splitlines()) <= 400, longest


def test_package__root_exports_modules_only():
    code = "import ntk_course; print([n for n in vars(ntk_course) if not n.startswith('_')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(("chosen", "found"), [(None, "highest"), ("tensorfloat32",) * 2])
def test_package__asks_for_whole_float32_products_unless_the_user_has_chosen(chosen, found):
    code = "import ntk_course, jax; print(jax.config.jax_default_matmul_precision)"
    name = "JAX_DEFAULT_MATMUL_PRECISION"
    variables = {k: v for k, v in os.environ.items() if k != name}
    variables |= {name: chosen} if chosen else {}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
    assert run.stdout.strip() == found


def test_checks__are_the_only_place_that_words_errors():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and path.name not in (
                "_checks.py",
                "_neural_tangents.py",
            ):
                raised = ast.unparse(node)
                assert "MemoryError" in raised or node.exc is None, f"{path.name}: {raised}"
