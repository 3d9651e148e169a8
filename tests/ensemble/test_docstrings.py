"""Docstrings of the packages that compute: a sentence each, and a shape wherever arrays come in or go out."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [path for package in ("ensemble", "detector", "pipeline") for path in sorted((ROOT / package).rglob("*.py"))]
ARRAYS = re.compile(r"\b(Audio|Array|NDArray|Spectrum|Masks|Hidden|Magnitudes|Real|Complex|Tensor|Stems|Samples)\b")
SHAPE = re.compile(r"\(([\w|/ +*.-]+,)+[\w|/ +*.-]*\)|\bshape[ds]?\b")  # (channels, samples), (n,), any shape


def definitions(path):
    """Public functions and classes of a module with their names, those of public classes included."""
    pending = [("", node) for node in ast.parse(path.read_text("utf-8")).body]
    while pending:
        prefix, node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                pending += [(f"{node.name}.", child) for child in node.body]


def annotations(function):
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return " ".join(ast.unparse(each) for each in [*(one.annotation for one in given), function.returns] if each)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_are_sentences_and_state_shapes(path):
    short, shapeless = [], []
    for name, node in definitions(path):
        docstring = ast.get_docstring(node) or ""
        if len(docstring.split()) < 4:
            short.append(name)
        if (
            isinstance(node, ast.FunctionDef)
            and ARRAYS.search(annotations(node))
            and not SHAPE.search(" ".join(docstring.split()))
        ):
            shapeless.append(name)
    assert not short, f"fewer than four words: {short}"
    assert not shapeless, f"no shape: {shapeless}"
