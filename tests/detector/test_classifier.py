"""Decisions on made-up timelines, and the real head on sounds whose contents nobody doubts."""

import json
import shutil
import subprocess
import threading

import numpy as np
import pytest
import soundfile
import soxr

from detector import classifier, draft_features, features
from detector.classifier import ABSENT, CONFIRMED, KINDS, MIXTURE, PRESENT, UNCERTAIN
from ensemble import registry
from ensemble.errors import ModelUnavailable
from pipeline import demo

RATE = 44_100
SECONDS = 8
TEXT = "Good evening. This is a short talk about music, and whoever hears it should know that somebody speaks."


def line(*levels: float) -> np.ndarray:
    return np.asarray(levels)


class TestJudge:
    def test_three_seconds_make_an_instrument(self):
        assert classifier.judge(line(0, 0.9, 0.9, 0.9, 0), 0.6, 0.3).presence == PRESENT
        assert classifier.judge(line(0, 0.9, 0.9, 0.0, 0), 0.6, 0.3).presence == ABSENT

    def test_between_the_thresholds_it_is_uncertain(self):
        found = classifier.judge(line(*[0.4] * 10), 0.6, 0.3)
        assert (found.presence, found.probability, found.spans) == (UNCERTAIN, 0.4, ())

    def test_a_long_song_needs_more_than_three_seconds(self):
        assert classifier.judge(np.repeat([0.9, 0.0], [15, 285]), 0.6, 0.3).presence == ABSENT
        assert classifier.judge(np.repeat([0.9, 0.0], [30, 270]), 0.6, 0.3).presence == PRESENT

    def test_less_than_three_seconds_in_all_are_judged_as_they_are(self):
        assert classifier.judge(line(0.9), 0.6, 0.3).presence == PRESENT

    def test_a_span_goes_on_until_the_lower_threshold(self):
        assert list(classifier.hysteresis(line(0, 0.4, 0.9, 0.4, 0.4, 0), 0.6, 0.3)) == [(1, 5)]

    def test_short_gaps_are_closed_and_short_spans_dropped(self):
        assert list(classifier.hysteresis(line(0.9, 0.9, 0, 0, 0.9, 0.9), 0.6, 0.3)) == [(0, 6)]
        assert list(classifier.hysteresis(line(0, 0.9, 0.9, 0, 0, 0, 0), 0.6, 0.3)) == []

    def test_a_span_that_is_never_sure_is_none(self):
        assert list(classifier.hysteresis(line(0.5, 0.5, 0.5, 0.5), 0.6, 0.3)) == []


@pytest.fixture(scope="module")
def tagger() -> None:
    if not registry.installed("musicnn"):
        pytest.skip("needs the model: python -m ensemble pull musicnn")


@pytest.fixture(scope="module")
def parts() -> dict[str, np.ndarray]:
    """Eight seconds of each part of the demo song."""
    return {name: part[:, 8 * RATE : (8 + SECONDS) * RATE] for name, part in demo.compose().items()}


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> np.ndarray:
    """Eight seconds of a synthetic speaker: syllables made of sines and noise are no voice to who knows any."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("needs eSpeak: apt-get install espeak-ng")
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    subprocess.run(["espeak-ng", "-w", path, TEXT], check=True)
    words, rate = soundfile.read(path, dtype="float32")
    said = np.resize(soxr.resample(words, rate, RATE), SECONDS * RATE)
    return np.tile(0.2 * said / np.abs(said).max(), (2, 1))


def listen(audio: np.ndarray) -> classifier.Detection:
    return classifier.listen(lambda start, stop: audio[:, start:stop], audio.shape[1])


@pytest.mark.usefixtures("tagger")
class TestListen:
    def test_a_value_a_second_for_each_kind(self, parts):
        found = listen(sum(parts.values()))
        assert found.seconds == SECONDS and tuple(found.stems) == KINDS
        assert {len(row.timeline) for row in found.stems.values()} == {SECONDS}
        assert json.loads(json.dumps(found.as_dict()))["stems"]["drums"]["presence"] in (PRESENT, UNCERTAIN, ABSENT)

    def test_drums_alone(self, parts):
        found = listen(parts["drums"])
        assert found.stems["drums"].presence == PRESENT
        assert found.stems["vocals"].presence == ABSENT

    def test_music_without_drums(self, parts):
        assert listen(parts["guitar"] + parts["piano"]).stems["drums"].presence != PRESENT

    def test_a_voice_and_drums(self, parts, speech):
        found = listen(parts["drums"] + parts["bass"] + speech)
        assert found.stems["vocals"].presence != ABSENT and found.stems["drums"].presence != ABSENT

    def test_a_band_with_a_voice_and_without(self, parts, speech):
        band = sum(part for name, part in parts.items() if name != "vocals")
        found = listen(band + 2 * speech).stems["vocals"].probability
        assert listen(band).stems["vocals"].probability < found - 0.2

    def test_speech_counts_as_a_voice(self, speech):
        found = listen(speech).stems
        assert found["vocals"].presence == PRESENT
        assert found["vocals"].probability > max(found[kind].probability for kind in ("drums", "bass", "guitar"))

    def test_drums_that_come_late(self, parts):
        audio = np.concatenate([parts["guitar"], parts["guitar"] + parts["drums"]], axis=1)
        timeline = listen(audio).stems["drums"].timeline
        assert np.mean(timeline[SECONDS + 2 :]) > np.mean(timeline[: SECONDS - 2]) + 0.3

    def test_silence_holds_nothing(self):
        found = listen(np.zeros((2, 5 * RATE), np.float32))
        assert found.named(ABSENT) == KINDS
        assert all(row.probability == 0 for row in found.stems.values())

    @pytest.mark.parametrize("name", ["noise", "sine", "click"])
    def test_what_is_no_music_has_no_voice(self, name):
        t = np.arange(5 * RATE) / RATE
        sound = {
            "noise": np.random.default_rng(0).normal(0, 0.1, t.size),
            "sine": 0.3 * np.sin(2 * np.pi * 440 * t),
            "click": (np.arange(t.size) == RATE).astype(float),
        }[name]
        assert listen(np.tile(sound, (2, 1)).astype(np.float32)).stems["vocals"].presence != PRESENT

    @pytest.mark.parametrize("samples", [1, RATE // 2])
    def test_half_a_second_and_less(self, samples):
        audio = np.random.default_rng(0).normal(0, 0.1, (2, samples)).astype(np.float32)
        assert all(len(row.timeline) == 1 for row in listen(audio).stems.values())

    def test_loudness_changes_nothing(self, parts):
        loud, quiet = (listen(gain * parts["drums"]).stems["drums"].probability for gain in (10.0, 0.01))
        assert loud == pytest.approx(quiet, abs=0.02)

    def test_without_the_network_for_levels_the_tagger_decides_alone(self, parts, monkeypatch):
        drums = parts["drums"]
        spectrogram = features.from_array(drums, RATE)
        known = [lambda start, stop: drums[:, start:stop], drums.shape[1]]
        assert np.abs(classifier.classify_mixture(spectrogram, *known) - classifier.classify(spectrogram)).max() > 0.01
        monkeypatch.setattr(draft_features, "installed", lambda: False)
        np.testing.assert_array_equal(
            classifier.classify_mixture(spectrogram, *known), classifier.classify(spectrogram)
        )

    def test_progress_is_reported_in_the_thread_that_asked(self, parts):
        reported = []
        audio = np.tile(parts["guitar"], 3)
        classifier.listen(
            lambda start, stop: audio[:, start:stop],
            audio.shape[1],
            lambda done: reported.append((done, threading.get_ident())),
        )
        assert {thread for _, thread in reported} == {threading.get_ident()}
        assert [done for done, _ in reported] == sorted({done for done, _ in reported})
        assert reported[-1][0] == audio.shape[1]

    def test_windows_do_not_depend_on_their_group(self, parts, monkeypatch):
        spectrogram = features.from_array(parts["guitar"], RATE)
        whole = classifier.classify(spectrogram)
        monkeypatch.setattr(classifier, "GROUP", 2)
        np.testing.assert_allclose(classifier.classify(spectrogram), whole, atol=0.25)


@pytest.mark.usefixtures("tagger")
class TestConfirm:
    def confirm(self, stems: dict[str, np.ndarray]) -> classifier.Detection:
        mixture = features.from_array(sum(stems.values()), RATE)
        return classifier.confirm(mixture, ((n, features.from_array(s, RATE)) for n, s in stems.items()), SECONDS)

    def test_a_loud_stem_that_sounds_like_itself(self, parts):
        assert self.confirm(parts).stems["drums"].probability > 0.5

    def test_a_faint_stem_is_a_leftover(self, parts):
        found = self.confirm(parts | {"drums": parts["drums"] * 1e-3})
        assert found.stems["drums"].presence == ABSENT

    def test_a_loud_stem_that_is_something_else(self, parts):
        assert self.confirm({"drums": parts["drums"], "vocals": parts["drums"]}).stems["vocals"].presence != PRESENT

    def test_a_silent_song(self):
        silence = np.zeros((2, SECONDS * RATE), np.float32)
        assert self.confirm({"vocals": silence, "other": silence}).named(ABSENT) == KINDS


def test_thresholds_are_in_order():
    for stage in (MIXTURE, CONFIRMED):
        for kind, (sure, maybe) in classifier.head().thresholds[stage].items():
            assert 0 < maybe < sure < 1, (stage, kind)


def test_says_how_to_get_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "directory", lambda: tmp_path)
    with pytest.raises(ModelUnavailable, match="ensemble pull musicnn"):
        listen(np.ones((2, RATE), np.float32))
