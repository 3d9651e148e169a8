"""HTDemucs on ONNX Runtime against Demucs 4.1.0 on PyTorch, with the same weights."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.sounds import RATE, music, read

from ensemble import chunking, registry
from ensemble.networks import runtime
from ensemble.networks.demucs import Demucs, Level, analyse, centred, from_channels, synthesise, to_channels
from pipeline.audio.decode import decode
from pipeline.audio.encode import Encoder

SEGMENT = 343_980
INAUDIBLE = 1e-6  # amplitude; where the reference itself is silent there is nothing to be 60 dB below


@pytest.mark.parametrize("samples", [10_000, 44_101, SEGMENT])
def test_framing_is_inverted_but_for_the_highest_bin(samples):
    """Noise has the same energy in all 2049 bins, of which the framing drops one; both ends lack the trimmed frames."""
    wave = np.random.default_rng(0).standard_normal((2, samples)).astype(np.float32)
    spectrum = analyse(wave)
    assert spectrum.shape == (2, 2048, -(-samples // 1024))
    rebuilt = synthesise(spectrum[None], samples)[0]
    assert rebuilt.shape == wave.shape
    error = np.square((rebuilt - wave)[:, 3000:-3000]).mean()
    assert error < 2 / 2049


def test_complex_spectra_travel_as_channels():
    spectrum = (
        np.random.default_rng(0).standard_normal((3, 2, 5, 4, 2)).view(np.complex128)[..., 0].astype(np.complex64)
    )
    channels = np.stack([to_channels(source) for source in spectrum])
    assert channels.shape == (3, 4, 5, 4)
    np.testing.assert_array_equal(channels[:, 0], spectrum[:, 0].real)
    np.testing.assert_array_equal(channels[:, 3], spectrum[:, 1].imag)
    np.testing.assert_array_equal(from_channels(channels), spectrum)


@pytest.fixture(scope="module")
def reference(shared):
    """Demucs' own separator on the official weights: mixture (2, samples) -> {stem: (2, samples)}."""
    torch = pytest.importorskip("torch", reason="needs PyTorch (the export extra)")
    api = pytest.importorskip("demucs.api", reason="needs demucs (the export extra)")
    separator = api.Separator(model="htdemucs", repo=shared / "models" / "demucs", shifts=0)

    def separate(mixture):
        _, stems = separator.separate_tensor(torch.from_numpy(mixture.copy()))
        return {stem: audio.numpy() for stem, audio in stems.items()}

    return separate


def ours(recording):
    network = Demucs(runtime.session(registry.verified("htdemucs")), Level(recording.mean, recording.std))
    read = centred(recording.read, recording.samples, recording.mean)
    blocks = chunking.overlap_add(network, read, recording.samples, SEGMENT)
    whole = np.concatenate([block for _, block in blocks], axis=-1)
    whole += np.float32(recording.mean)  # as the reference does
    return dict(zip(registry.model("htdemucs").stems, whole, strict=True))


def lithium(shared, seconds):
    return read(shared / "audio" / "lithium" / "mixture.flac")[:, : int(seconds * RATE)].astype(np.float32)


def write(path: Path, audio, rate=RATE, codec="pcm_f32le"):
    """Any rate, channel count and sample format, unlike our own encoder."""
    import av  # noqa: PLC0415

    layout = {1: "mono", 2: "stereo"}[audio.shape[0]]
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        packed, format = (audio, "flt") if codec == "pcm_f32le" else (np.uint8(np.rint(audio * 127) + 128), "u8")
        stream.codec_context.format = format
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed.T).reshape(1, -1), format=format, layout=layout)
        frame.rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def clip(case, shared, folder):
    """A file of each kind that people bring."""
    song = folder / f"{case}.wav"
    if case == "real":
        return shared / "audio" / "falcon69" / "mixture.flac"
    if case == "two segments":
        return write(song, lithium(shared, 9))
    if case == "silence":
        return write(song, np.zeros((2, 2 * RATE), np.float32))
    if case == "short":
        return write(song, lithium(shared, 0.7))
    if case == "mono":
        return write(song, lithium(shared, 3)[:1])
    if case == "48 kHz":
        return write(song, lithium(shared, 3), rate=48_000)
    if case == "8 bit":
        return write(song, lithium(shared, 3), codec="pcm_u8")
    return write(song, lithium(shared, 3) * np.float32([[1], [0]]))


CASES = ["real", "two segments", "silence", "short", "mono", "48 kHz", "8 bit", "one silent channel"]


@pytest.mark.parametrize("case", CASES)
def test_parity_with_the_reference(case, shared, htdemucs, reference, tmp_path):
    *_, recording = decode(clip(case, shared, tmp_path), tmp_path / "raw")
    mixture = recording.read(0, recording.samples)
    expected, found = reference(mixture), ours(recording)
    assert set(found) == set(expected)
    for stem, audio in found.items():
        error = np.square(audio - expected[stem], dtype=np.float64).sum()
        allowed = max(1e-6 * np.square(expected[stem], dtype=np.float64).sum(), INAUDIBLE**2 * audio.size)
        assert error <= allowed, f"{stem}: {10 * np.log10(error / allowed) - 60:.1f} dB"


def test_provider_is_named(htdemucs):
    assert runtime.session(htdemucs).provider in {"CPU", "CUDA"}


def test_two_who_ask_for_a_network_at_once_share_it(monkeypatch):
    loads = []
    monkeypatch.setattr(runtime, "Session", lambda path: (time.sleep(0.05), loads.append(path), path)[-1])
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(runtime.session, [Path("a network")] * 4)]
    runtime._loaded.cache_clear()
    assert (len(set(found)), loads) == (1, [Path("a network")])


def test_level_of_the_song_not_of_the_segment_counts(tmp_path):
    """Mean and deviation as NumPy has them, gathered in pieces."""
    audio = music(2.5) + np.float32(0.01)
    song = tmp_path / "song.wav"
    with Encoder(song, "wav", "float") as encoder:
        encoder.write(audio)
    *_, recording = decode(song, tmp_path / "raw")
    mono = audio.mean(axis=0, dtype=np.float64)
    assert recording.mean == pytest.approx(mono.mean(), rel=1e-6)
    assert recording.std == pytest.approx(mono.std(ddof=1), rel=1e-6)
