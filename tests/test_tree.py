"""The rules of the source tree that no linter checks: where files go, and how they are named and described."""

import ast
import io
import re
import tokenize
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("ensemble", "detector", "pipeline", "webapp")
CODE = {".py", ".js", ".ts", ".css"}
MOST = 14  # files of code in a folder
CROWDED = {"webapp/api"}
PRIVATE = {"wish", "wishes", "wished", "told", "heard", "folded", "dossier", "takeout"}  # names that only we understood
FEWEST = 4  # words of a docstring
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
NOT_IDENTIFIERS = re.compile(r"/\*.*?\*/|//[^\n]*|`[^`]*`|\"[^\"\n]*\"|'[^'\n]*'", re.DOTALL)
IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*")
MARKUP = re.compile(r"<[^>]*>|{[{%].*?[%}]}", re.DOTALL)


def files(suffix: str, *folders: str) -> list[Path]:
    """Files with that suffix below those folders."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob(f"*{suffix}"))]


def private_words(text: str) -> set[str]:
    """Words of the text, split at underscores and capitals, that should have the field's name instead."""
    return {word.lower() for word in WORD.findall(text)} & PRIVATE


def test_webapp_has_few_modules_outside_its_packages():
    assert len(list((ROOT / "webapp").glob("*.py"))) <= 7


def test_static_files_are_in_folders():
    assert [path.name for path in (ROOT / "webapp/static/webapp").iterdir() if not path.is_dir()] == []


def test_folders_stay_small():
    code = [path for folder in (*PACKAGES, "tests") for path in (ROOT / folder).rglob("*") if path.suffix in CODE]
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in code)
    assert {folder: count for folder, count in counts.items() if count > MOST and folder not in CROWDED} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_python_names_are_the_fields(package):
    found = {}
    for path in files(".py", package):
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
        names = {token.string for token in tokens if token.type == tokenize.NAME and private_words(token.string)}
        if names:
            found[path.relative_to(ROOT).as_posix()] = names
    assert found == {}


def test_javascript_names_are_the_fields():
    found = {}
    for path in files(".js", "webapp/static/webapp"):
        code = NOT_IDENTIFIERS.sub("", path.read_text("utf-8"))
        if names := {name for name in IDENTIFIER.findall(code) if private_words(name)}:
            found[path.relative_to(ROOT).as_posix()] = names
    assert found == {}


def test_names_in_templates_are_the_fields():
    found = {}
    for path in files(".html", "webapp/templates"):
        if names := [tag for tag in MARKUP.findall(path.read_text("utf-8")) if private_words(tag)]:
            found[path.relative_to(ROOT).as_posix()] = names
    assert found == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_say_something(package):
    short = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {text}"
        for path in files(".py", package)
        for node in public(ast.parse(path.read_text("utf-8")))
        if (text := ast.get_docstring(node)) is not None and len(text.split()) < FEWEST
    ]
    assert short == []


def public(tree: ast.Module | ast.ClassDef):
    """Classes, functions and methods whose names are public all the way down."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)
