"""Figures against museval and against constructed truth; data sets on disk; the command from folder to files."""

import argparse
import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ensemble.errors import InvalidAudio, InvalidOption
from ensemble.evaluation import datasets, evaluate, metrics

RATE = 44_100


def signals(count=2, samples=RATE, seed=0, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal((count, 2, samples))).astype(np.float32)


@pytest.fixture
def short(monkeypatch):
    """Windows, filters and transforms small enough for a test."""
    for name, value in {"TAPS": 16, "WINDOW": 2_000, "HOP": 2_000, "BLOCK": 1 << 10}.items():
        monkeypatch.setattr(metrics, name, value)


@pytest.fixture(scope="module")
def museval_metrics():
    """museval's BSS Eval. Its package asks for ffmpeg on import; the file with the measures doesn't."""
    found = importlib.util.find_spec("museval")
    if found is None:
        pytest.skip("museval is in the dev extra")
    file = Path(found.submodule_search_locations[0]) / "metrics.py"
    spec = importlib.util.spec_from_file_location("museval_metrics", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_museval(module, true, estimates):
    transposed = [np.ascontiguousarray(s.transpose(0, 2, 1), np.float64) for s in (true, estimates)]
    answer = module.bss_eval(*transposed, window=metrics.WINDOW, hop=metrics.HOP, filters_len=metrics.TAPS)
    return dict(zip(metrics.BSS_EVAL, answer, strict=False))


def assert_same(ours, theirs):
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, atol=1e-3)


@pytest.mark.parametrize("samples", [1_500, 2_000, 7_990])
@pytest.mark.parametrize("count", [2, 4])
def test_bss_eval_agrees_with_museval(museval_metrics, short, samples, count):
    true = signals(count, samples)
    estimates = 0.8 * true + 0.3 * np.roll(true, (1, 3), axis=(0, 2)) + 0.2 * signals(count, samples, seed=1)
    assert_same(metrics.Truth(true).bss_eval(estimates), by_museval(museval_metrics, true, estimates))


@pytest.mark.slow
def test_bss_eval_agrees_with_museval_at_full_size(museval_metrics):
    true = signals(2, RATE + 20_000).cumsum(axis=-1)  # red noise, as ill-conditioned as music
    true -= true.mean(axis=-1, keepdims=True)
    estimates = true + 0.2 * true[::-1] + 0.1 * signals(2, RATE + 20_000, seed=1)
    assert_same(metrics.Truth(true).bss_eval(estimates), by_museval(museval_metrics, true, estimates))


def test_windows_with_silence_are_skipped_as_in_museval(museval_metrics, short):
    true, estimates = signals(2, 8_000), signals(2, 8_000, seed=1)
    true[0, :, 2_000:4_000] = 0
    estimates[1, :, 4_000:6_000] = 0
    ours = metrics.Truth(true).bss_eval(estimates)
    assert_same(ours, by_museval(museval_metrics, true, estimates))
    np.testing.assert_array_equal(np.isnan(ours["sdr"]), [[False, True, True, False]] * 2)


def test_bss_eval_by_hand(short):
    """An estimate of own stem, other stem and noise, 20 and 40 dB down: SIR 20, SAR just over 40."""
    true, noise = signals(2, 20_000), signals(1, 20_000, seed=9)[0]
    estimates = np.stack([true[0] + 0.1 * true[1] + 0.01 * noise, true[1]])
    ratios = {name: np.median(values[0]) for name, values in metrics.Truth(true).bss_eval(estimates).items()}
    assert ratios["sir"] == pytest.approx(20, abs=0.3)
    assert ratios["sar"] == pytest.approx(40, abs=0.3)
    assert ratios["sdr"] == pytest.approx(20, abs=0.3)
    assert ratios["isr"] > 35


@pytest.mark.parametrize("spoil", ["mono", "silent channel"])
def test_bss_eval_survives_singular_truth(short, spoil):
    true = signals(2, 6_000)
    true[:, 1] = true[:, 0] if spoil == "mono" else 0
    estimates = true + 0.1 * true[::-1]
    ratios = metrics.Truth(true).bss_eval(estimates)
    np.testing.assert_allclose(ratios["sdr"], 20, atol=0.5)
    np.testing.assert_allclose(ratios["sir"], 20, atol=0.5)


@pytest.mark.parametrize("samples", [10, 500, 1_009, 3_000])
def test_lagged_is_the_sum_it_says(short, samples):
    a, b = (signals(1, samples, seed)[0].astype(np.float64) for seed in (0, 1))
    padded = np.pad(b, ((0, 0), (0, metrics.TAPS)))
    expected = [[[p @ q[lag : lag + samples] for lag in range(metrics.TAPS)] for q in padded] for p in a]
    np.testing.assert_allclose(metrics.lagged(a, b), expected, atol=1e-9)


def test_projection_finds_a_known_mix():
    true = signals(3)
    gains = np.array([[1, 0.1, 0], [0, 0.5, 0], [0.2, -0.05, 2]])
    estimates = np.tensordot(gains, true, axes=1)
    truth = metrics.Truth(true)
    np.testing.assert_allclose(truth.project(estimates), gains, atol=1e-6)
    figures = truth.global_figures(estimates)
    assert figures["sir"][0] == pytest.approx(20, abs=0.2)
    assert figures["bleed"][0] == pytest.approx(-20, abs=0.2)
    assert figures["sdr"][1] == pytest.approx(6.02, abs=0.01)
    assert figures["si_sdr"][1] > 100  # half the level and nothing else


def test_leakage_is_measured_where_the_true_stem_is_silent():
    mixture, true = signals(2, 4 * RATE)
    true[:, : 2 * RATE] = 0
    estimate = true.copy()
    estimate[:, : 2 * RATE] = 0.01 * mixture[:, : 2 * RATE]
    assert metrics.leakage(mixture, true, estimate) == pytest.approx(-40, abs=0.01)
    assert metrics.leakage(mixture, mixture, estimate) is None


def write(path, audio, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio.T, rate, subtype="PCM_24" if path.suffix == ".flac" else "FLOAT")


@pytest.fixture
def folder(tmp_path):
    """Two songs of vocals, drums, guitar, other; in the second the vocals are silent."""
    for number, name in enumerate(("a", "b")):
        stems = signals(4, 2 * RATE, seed=number)
        stems[0] *= 1 - number
        for stem, audio in zip(("vocals", "drums", "guitar", "other"), stems, strict=True):
            write(tmp_path / "songs" / name / f"{stem}.wav", audio)
        write(tmp_path / "songs" / name / "mixture.flac", stems.sum(axis=0))
    return tmp_path / "songs"


@pytest.fixture
def calls(monkeypatch):
    """A network that gives every stem a quarter of the mixture, and how often it was asked."""
    asked = []

    def separator(name, bleeds, *, experimental):
        def separate(mixture):
            asked.append((name, *bleeds))
            return {bleed: dict.fromkeys(evaluate.FOUR, mixture / 4) | {"residual": 0 * mixture} for bleed in bleeds}

        return separate

    monkeypatch.setattr(evaluate, "separator", separator)
    monkeypatch.setattr(metrics, "TAPS", 8)
    return asked


def command(*words):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    evaluate.run(parser.parse_args([str(word) for word in words]))


def test_command_writes_figures_and_shows_them(folder, calls, tmp_path, capsys):
    command(folder, "--json", tmp_path / "out.json", "--csv", tmp_path / "out.csv")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["system"] == f"default/{evaluate.registry.DEFAULT_BLEED}"
    assert set(found["songs"]) == {"a", "b"}
    four = {"vocals", "drums", "other"}  # other: guitar + other; no bass to score
    assert set(found["stems"]) == {*four, "guitar in other"}
    assert found["mean"]["sdr"] == pytest.approx(np.mean([found["stems"][stem]["sdr"] for stem in four]))
    assert found["songs"]["b"]["vocals"].keys() == {"leakage"}
    assert found["songs"]["b"]["vocals"]["leakage"] == pytest.approx(-12.04, abs=0.01)
    assert found["songs"]["a"]["sum"]["null_db"] < -90
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert {(row["song"], row["stem"]) for row in rows} == {(song, stem) for song in "ab" for stem in found["stems"]}
    assert "mean of 4" in capsys.readouterr().out


def test_one_run_of_the_network_serves_all_bleed_settings(folder, calls, tmp_path):
    command(folder, "--bleed", "off", "strong", "--json", tmp_path / "out.json")
    assert calls == [("default", "off", "strong")] * 2
    assert list(json.loads((tmp_path / "out.json").read_text())["systems"]) == ["default/off", "default/strong"]


def test_finished_songs_are_kept(folder, calls, tmp_path):
    target = tmp_path / "out.json"
    command(folder, "--json", target)
    first = target.read_text()
    command(folder, "--json", target)
    assert len(calls) == 2
    assert target.read_text() == first


def test_a_stopped_run_goes_on_where_it_was(folder, calls, tmp_path, monkeypatch):
    scored = evaluate.score_song

    def stops_at_b(song, systems):
        if song.name == "b":
            raise KeyboardInterrupt
        return scored(song, systems)

    monkeypatch.setattr(evaluate, "score_song", stops_at_b)
    with pytest.raises(KeyboardInterrupt):
        command(folder, "--json", tmp_path / "out.json")
    monkeypatch.setattr(evaluate, "score_song", scored)
    command(folder, "--json", tmp_path / "out.json")
    assert len(calls) == 2
    assert set(json.loads((tmp_path / "out.json").read_text())["songs"]) == {"a", "b"}


def test_another_recipe_is_measured_anew(folder, calls, tmp_path, monkeypatch):
    command(folder, "--json", tmp_path / "out.json")
    monkeypatch.setattr(evaluate.bleed_filter, "EXPONENT", 3.0)
    command(folder, "--json", tmp_path / "out.json")
    assert len(calls) == 4


def test_resuming_from_another_file_is_refused(folder, calls, tmp_path):
    (tmp_path / "notes.json").write_text("[1]")
    with pytest.raises(InvalidOption, match=r"notes\.json is not a file of this command"):
        command(folder, "--json", tmp_path / "notes.json")
    assert (tmp_path / "notes.json").read_text() == "[1]"


def test_wrong_folders_and_names_are_explained(tmp_path):
    with pytest.raises(InvalidOption, match="There is no folder"):
        command(tmp_path / "nowhere")
    with pytest.raises(InvalidOption, match=r"holds no song.*mixture\.wav"):
        command(tmp_path)
    with pytest.raises(InvalidOption, match=r"no preset or model 'gold'.*htdemucs"):
        command(tmp_path, "--models", "gold")


def test_doing_nothing_is_all_of_other_taken_for_the_guitar():
    """However it is divided; and only where there is a guitar."""
    guitar, piano, drums = signals(3, level=0.1)
    truth = {"guitar": guitar, "drums": drums, "piano": 0 * piano}
    whole = guitar + 0.5 * drums
    found = evaluate.left(truth, {"drums": 0.5 * drums, "other": whole})
    assert found.keys() == {"guitar in other"}
    assert found["guitar in other"]["sdr"] == pytest.approx(6.02, abs=0.1)
    assert found["guitar in other"]["sir"] == pytest.approx(6.02, abs=0.1)
    divided = evaluate.left(
        truth, {"drums": 0.5 * drums, "guitar": 0.75 * whole, "piano": 0 * whole, "other": 0.25 * whole}
    )
    assert divided["guitar in other"] == pytest.approx(found["guitar in other"])
    assert evaluate.left({"drums": drums}, {"other": whole}) == {}


def test_experimental_stems_are_measured_only_when_asked_for(monkeypatch):
    usual, all_stems = (evaluate.wanted("default", experimental=experimental) for experimental in (False, True))
    assert (usual, all_stems) == (list(evaluate.FOUR), list(datasets.STEMS))
    recipes = [evaluate.System("default", "off", experimental).recipe for experimental in (False, True)]
    assert recipes[0] != recipes[1]


def test_default_bleed_is_the_products_for_presets_and_none_for_models():
    labels = [system.label for system in evaluate.systems_of(["default", "htdemucs"], None)]
    assert labels == [f"default/{evaluate.registry.DEFAULT_BLEED}", "htdemucs/raw"]


@pytest.mark.parametrize("bleed", ["off", "light", "strong"])
def test_finished_stems_and_residual_sum_to_the_mixture(bleed):
    estimates = signals(4)
    mixture = estimates.sum(axis=0) + 0.01 * signals(1, seed=5)[0]
    stems = dict(enumerate(evaluate.after(mixture, estimates, bleed)))
    assert evaluate.null_db(mixture, stems) < -90
    np.testing.assert_array_equal(evaluate.after(mixture, estimates, "raw"), estimates)


def test_targets():
    audio = signals(6)
    six = dict(zip(datasets.STEMS, audio, strict=True))
    assert evaluate.targets(six, datasets.STEMS).keys() == set(datasets.STEMS)
    merged = evaluate.targets(six, evaluate.FOUR)
    assert merged.keys() == set(evaluate.FOUR)
    np.testing.assert_allclose(merged["other"], audio[3:].sum(axis=0), atol=1e-6)
    beside = {"vocals": audio[0], "accompaniment": audio[1]}
    assert evaluate.targets(beside, evaluate.FOUR).keys() == {"vocals", "accompaniment"}
    rest = {"guitar": audio[0], "rest": audio[1]}
    assert evaluate.targets(rest, evaluate.FOUR) == {}
    assert evaluate.targets(rest, datasets.STEMS).keys() == {"guitar", "rest"}


def test_accompaniment_is_the_sum_of_all_but_vocals(calls):
    mixture = np.ones((2, RATE), np.float32)
    stems = {stem: np.full_like(mixture, level) for level, stem in enumerate((*evaluate.FOUR, "residual"))}
    true = {"vocals": mixture, "accompaniment": mixture}
    np.testing.assert_array_equal(evaluate._answer("accompaniment", true, stems), np.full_like(mixture, 1 + 2 + 3))


def test_moisesdb(tmp_path):
    parts = dict(zip(("bass/x", "wind/y", "wind/z"), signals(3, 1_000), strict=True))
    for name, audio in parts.items():
        write(tmp_path / "v1" / "song" / f"{name}.wav", audio)
    stems = [
        {"stemName": "bass", "tracks": [{"id": "x", "extension": "wav"}]},
        {"stemName": "wind", "tracks": [{"id": "y", "extension": "wav"}, {"id": "z", "extension": "wav"}]},
    ]
    (tmp_path / "v1" / "song" / "data.json").write_text(json.dumps({"stems": stems}))
    (song,) = datasets.songs(tmp_path, "moisesdb")
    mixture, truth = song.load()
    np.testing.assert_allclose(truth["other"], parts["wind/y"] + parts["wind/z"], atol=1e-6)
    np.testing.assert_allclose(mixture, sum(parts.values()), atol=1e-6)


def test_medleydb(tmp_path):
    names = ("male singer", "bass clarinet", "drum set", "acoustic guitar")
    entries = []
    for number, (name, audio) in enumerate(zip(names, signals(4, 1_000), strict=True), 1):
        file = f"Song_STEM_{number:02}.wav"
        write(tmp_path / "Song" / "Song_STEMS" / file, audio)
        raw = "    raw:\n      R01:\n        filename: no.wav\n        instrument: no\n"
        entries.append(f"  S{number:02}:\n    filename: {file}\n    instrument: {name}\n{raw}")
    (tmp_path / "Song" / "Song_METADATA.yaml").write_text("artist: x\nstems:\n" + "".join(entries))
    (song,) = datasets.songs(tmp_path, "medleydb")
    assert song.files.keys() == {"vocals", "other", "drums", "guitar"}
    assert song.load()[0].shape == (2, 1_000)


def test_musdb18hq_takes_the_test_part(folder, tmp_path):
    folder.rename(tmp_path / "test")
    (tmp_path / "train" / "c").mkdir(parents=True)
    assert [song.name for song in datasets.songs(tmp_path, "musdb18hq")] == ["a", "b"]


def test_reading(tmp_path):
    write(tmp_path / "mono.wav", signals(1, 22_050)[0][:1], rate=22_050)
    assert datasets.read(tmp_path / "mono.wav").shape == (2, RATE)
    (tmp_path / "text.wav").write_text("no music")
    with pytest.raises(InvalidAudio, match=r"text\.wav could not be read"):
        datasets.read(tmp_path / "text.wav")
