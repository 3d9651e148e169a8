"""What several test folders share: real music, real weights, and skips that say why."""

from pathlib import Path

import pytest

from ensemble import registry

SHARED = Path(__file__).resolve().parents[2] / "shared"


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
