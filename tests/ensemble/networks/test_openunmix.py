"""Open-Unmix on ONNX Runtime against openunmix's own network and separator on PyTorch, with seeded weights."""

import importlib.util

import numpy as np
import pytest
from support.sounds import RATE, music

from ensemble.networks.openunmix import OpenUnmix, with_phase
from ensemble.networks.runtime import Session
from ensemble.stft import BINS, frames_of, stft

torch = pytest.importorskip("torch", reason="needs PyTorch (the export extra)")
if importlib.util.find_spec("openunmix") is None:  # importing it fails where torchaudio does
    pytest.skip("needs openunmix (the export extra)", allow_module_level=True)

from support import checkpoints  # noqa: E402  needs torch

from ensemble.conversion import export  # noqa: E402


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """(our adapter, the official networks): umxhq's architecture, exported."""
    folder = tmp_path_factory.mktemp("umxhq")
    row, files = checkpoints.umx(folder)
    done = export.export(row, files, folder / "umxhq.onnx")
    official = export.OpenUnmix(row, [export.read(file) for file in files]).official
    return OpenUnmix(Session(done.path)), official


def close(found, expected):
    return np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.slow
def test_the_networks_answer_what_pytorch_answers(pair):
    ours, official = pair
    spectrum = stft(music(3.0))
    with torch.no_grad():
        expected = np.stack([stem(torch.from_numpy(np.abs(spectrum))[None])[0].numpy() for stem in official])
    found = ours.magnitudes(spectrum)
    assert found.shape == expected.shape == (4, 2, BINS, frames_of(3 * RATE))
    assert close(found, expected)
    assert found.min() >= 0
    assert np.abs(found[0] - found[1]).max() > 0.01 * found.max()  # each stem has weights of its own


def test_the_waveforms_are_those_of_the_official_separator(pair):
    """Its separator without expectation-maximisation, too, gives the mixture's phase to the networks' magnitudes."""
    ours, official = pair
    targets = dict(zip(("vocals", "drums", "bass", "other"), official, strict=True))
    separator = export.official_open_unmix().Separator(targets, niter=0).eval()
    mixture = music(2.5)
    with torch.no_grad():
        expected = separator(torch.from_numpy(mixture)[None])[0].numpy()
    assert close(ours(mixture), expected)


@pytest.mark.parametrize("samples", [1, 700, 2048, 2049, 44_100, 100_001])
def test_any_length(pair, samples):
    segment = music(3.0)[:, :samples]
    before = segment.copy()
    found = pair[0](segment)
    assert found.shape == (4, 2, samples)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(segment, before)


def test_silence_stays_silence(pair):
    assert not pair[0](np.zeros((2, 20_000), np.float32)).any()


def test_a_mono_song_gives_finite_stems(pair):
    found = pair[0](np.repeat(music(1.0, channels=1), 2, axis=0))
    assert np.isfinite(found).all()
    assert found.any()


def test_a_batch_is_each_song_alone(pair):
    session = pair[0].session
    mixtures = np.stack([np.abs(stft(music(1.0, seed))) for seed in range(3)])
    together = session.named({"mixture": mixtures})["estimates"]
    alone = [session.named({"mixture": mixture[None]})["estimates"][0] for mixture in mixtures]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5 * together.max())


def test_the_phase_is_the_mixtures():
    spectrum = np.array([[[3 + 4j, 0]]], np.complex64)
    np.testing.assert_allclose(with_phase(np.array([[[[10, 1]]]], np.float32), spectrum), [[[[6 + 8j, 0]]]])
