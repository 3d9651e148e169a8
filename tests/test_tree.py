"""The rules of the source tree that no linter checks: where files go."""

from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("ensemble", "detector", "pipeline", "webapp")
CODE = {".py", ".js", ".ts", ".css"}
MOST = 14  # files of code in a folder
CROWDED = {"webapp/api"}


def test_webapp_has_few_modules_outside_its_packages():
    assert len(list((ROOT / "webapp").glob("*.py"))) <= 7


def test_static_files_are_in_folders():
    assert [path.name for path in (ROOT / "webapp/static/webapp").iterdir() if not path.is_dir()] == []


def test_folders_stay_small():
    code = [path for folder in (*PACKAGES, "tests") for path in (ROOT / folder).rglob("*") if path.suffix in CODE]
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in code)
    assert {folder: count for folder, count in counts.items() if count > MOST and folder not in CROWDED} == {}
