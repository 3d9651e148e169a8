"""What several test folders share: real music, real weights, and skips that say why."""

from pathlib import Path

import pytest

from ensemble import registry

SHARED = Path(__file__).resolve().parents[2] / "shared"
SLOW = {"browsers_needs", "htdemucs", "reference", "shared", "site"}  # fixtures


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What makes a test slow is what it needs: a browser, a real network, real music, a running site."""
    for item in items:
        if SLOW.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real multitracks and reference weights, beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder ../shared with real music and reference weights")
    return SHARED


@pytest.fixture(scope="session")
def htdemucs() -> Path:
    """The installed model."""
    if not registry.installed("htdemucs"):
        pytest.skip("needs the model: python -m ensemble pull htdemucs")
    return registry.verified("htdemucs")
