"""The documents and the packaging agree with the code: links, settings, pinned versions."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from webapp import __version__

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(path for package in ("ensemble", "detector", "pipeline", "webapp") for path in (ROOT / package).rglob("*.md")),
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SETTING = re.compile(r'"((?:SOUNDSCAPE_[A-Z_]+)|PORT|SECRET_KEY|[A-Z]+_URL)"')


def pins() -> dict[str, str]:
    """Versions in constraints.txt by package."""
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): pinned for name, pinned in (line.split("==") for line in lines)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 90


def test_every_setting_is_documented():
    read = {*SETTING.findall((ROOT / "webapp/settings.py").read_text("utf-8"))}
    documented = {*re.findall(r"`([A-Z][A-Z_]+)`", (ROOT / "webapp/README.md").read_text("utf-8"))}
    assert len(read) > 20
    assert read - documented == set()


def test_constraints_pin_every_requirement():
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for name in ("postgres", "redis", "s3", "test") for line in extras[name])]
    pinned = pins()
    for requirement in map(Requirement, lines):
        if requirement.name != "soundscape":
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_constraints_leave_pytorch_to_the_extras():
    assert {"torch", "torchaudio", "demucs", "openunmix"} & pins().keys() == set()


def test_the_version_is_in_the_changelog():
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
