"""Demucs with its real weights and Open-Unmix with seeded ones, through export, blend, fit and filter."""

from dataclasses import replace

import numpy as np
import pytest

from ensemble import registry
from ensemble.evaluation import datasets, fitting
from ensemble.networks.demucs import Level
from ensemble.registry import Ensemble
from ensemble.separator import Separator, finish

torch = pytest.importorskip("torch", reason="needs PyTorch (the export extra)")
pytest.importorskip("demucs", reason="needs demucs (the export extra)")

from support import checkpoints  # noqa: E402  needs torch

from ensemble.conversion import export  # noqa: E402

SEGMENT = 343_980
STEMS = ["vocals", "drums", "bass", "other"]
MODELS = ["htdemucs", "noise"]


SONGS = ["falcon69", "too_bright"]  # lossless, each shorter than a segment


@pytest.fixture
def families(htdemucs, tmp_path, monkeypatch):
    """Both installed: the real model, and umxhq's architecture converted by our exporter."""
    row, files = checkpoints.umx(tmp_path)
    done = export.export(row, files, tmp_path / "noise.onnx")
    noise = replace(row, name="noise", file="noise.onnx", sha256=done.sha256, bytes=done.bytes)
    known = {"htdemucs": registry.model("htdemucs"), "noise": noise}
    (tmp_path / htdemucs.name).symlink_to(htdemucs)
    monkeypatch.setattr(registry, "models", lambda: known)
    monkeypatch.setattr(registry, "directory", lambda: tmp_path)


def test_the_fit_gives_the_noise_model_about_nothing_and_stems_sum_to_the_mixture(families, shared):
    listed = [song for song in datasets.songs(shared / "audio", "folder") if song.name in SONGS]
    fits = {stem: fitting.fit_stem(evidence) for stem, evidence in fitting.gather(listed, MODELS).items()}
    assert list(fits) == STEMS
    for stem, fitted in fits.items():
        assert fitted.weights[1] < 0.05, f"{stem}: {fitted}"
        assert fitted.held_out > fitted.equal
    # A weight of exactly zero would rightly leave the model out; here both families must run.
    members = {
        name: {stem: max(float(fitted.weights[index]), 0.001) for stem, fitted in fits.items()}
        for index, name in enumerate(MODELS)
    }
    mixture = np.pad(listed[0].load()[0], ((0, 0), (0, SEGMENT)))[:, :SEGMENT]
    separator = Separator(Ensemble("two", "Two families", members), Level(0.0, float(mixture.std())))
    assert [member.model.architecture for member in separator.loaded] == ["demucs", "openunmix"]
    estimates = separator.estimate(mixture)
    for bleed in registry.bleeds().values():
        stems = finish(mixture, estimates, bleed)
        missed = np.square(mixture - stems.sum(axis=0), dtype=np.float64).sum()
        assert missed < 1e-9 * np.square(mixture, dtype=np.float64).sum()
        assert np.isfinite(stems).all()
