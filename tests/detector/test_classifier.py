"""Decisions on made-up timelines, and the real head on sounds whose contents nobody doubts."""

import json

import numpy as np
import pytest
import scipy.signal

from detector import classifier, features
from detector.classifier import ABSENT, CONFIRMED, KINDS, MIXTURE, PRESENT, UNCERTAIN
from ensemble import registry
from ensemble.errors import ModelUnavailable
from pipeline import demo

RATE = 44_100
SECONDS = 8


def line(*levels: float) -> np.ndarray:
    return np.asarray(levels)


class TestJudge:
    def test_three_seconds_make_an_instrument(self):
        assert classifier.judge(line(0, 0.9, 0.9, 0.9, 0), 0.6, 0.3).presence == PRESENT
        assert classifier.judge(line(0, 0.9, 0.9, 0.0, 0), 0.6, 0.3).presence == ABSENT

    def test_between_the_thresholds_it_is_uncertain(self):
        heard = classifier.judge(line(*[0.4] * 10), 0.6, 0.3)
        assert (heard.presence, heard.probability, heard.spans) == (UNCERTAIN, 0.4, ())

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


def spoken() -> np.ndarray:
    """Five seconds of syllables: a buzz of falling pitch through the formants of five vowels, with gaps between."""
    formants = [(730, 1090), (530, 1840), (270, 2290), (570, 840), (300, 870)]
    pulses = (np.diff(np.cumsum(np.geomspace(140, 95, RATE // 5)) / RATE % 1, prepend=0) < 0).astype(float)
    syllables = []
    for index in range(20):
        sound = pulses
        for frequency in formants[index * 3 % 5]:
            sound = scipy.signal.lfilter(*scipy.signal.iirpeak(frequency, 6, fs=RATE), sound)
        syllables += [sound * np.hanning(sound.size), np.zeros(RATE // 20)]
    words = np.concatenate(syllables)
    return (0.2 * words / np.abs(words).max()).astype(np.float32)


def listen(audio: np.ndarray) -> classifier.Detection:
    return classifier.listen(lambda start, stop: audio[:, start:stop], audio.shape[1], RATE)


@pytest.mark.usefixtures("tagger")
class TestListen:
    def test_a_value_a_second_for_each_kind(self, parts):
        found = listen(sum(parts.values()))
        assert found.seconds == SECONDS and tuple(found.stems) == KINDS
        assert {len(heard.timeline) for heard in found.stems.values()} == {SECONDS}
        assert json.loads(json.dumps(found.as_dict()))["stems"]["drums"]["presence"] in (PRESENT, UNCERTAIN, ABSENT)

    def test_drums_alone(self, parts):
        found = listen(parts["drums"])
        assert found.stems["drums"].presence == PRESENT
        assert found.stems["vocals"].presence == ABSENT

    def test_music_without_drums(self, parts):
        assert listen(parts["guitar"] + parts["piano"]).stems["drums"].presence != PRESENT

    def test_a_song_with_a_singer_and_drums(self, parts):
        found = listen(sum(parts.values()))
        assert found.stems["vocals"].presence != ABSENT and found.stems["drums"].presence != ABSENT

    def test_the_band_without_its_singer(self, parts):
        band = sum(part for name, part in parts.items() if name != "vocals")
        sung = listen(band + parts["vocals"]).stems["vocals"].probability
        assert listen(band).stems["vocals"].probability < sung - 0.2

    def test_speech_counts_as_a_voice(self):
        speech = np.tile(spoken(), (2, 1))
        heard = listen(speech).stems
        assert heard["vocals"].presence != ABSENT
        assert heard["vocals"].probability > max(heard[kind].probability for kind in ("drums", "bass", "guitar"))

    def test_drums_that_come_late(self, parts):
        audio = np.concatenate([parts["guitar"], parts["guitar"] + parts["drums"]], axis=1)
        timeline = listen(audio).stems["drums"].timeline
        assert np.mean(timeline[SECONDS + 2 :]) > np.mean(timeline[: SECONDS - 2]) + 0.3

    def test_silence_holds_nothing(self):
        found = listen(np.zeros((2, 5 * RATE), np.float32))
        assert found.named(ABSENT) == KINDS
        assert all(heard.probability == 0 for heard in found.stems.values())

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
        assert all(len(heard.timeline) == 1 for heard in listen(audio).stems.values())

    def test_loudness_changes_nothing(self, parts):
        loud, quiet = (listen(gain * parts["drums"]).stems["drums"].probability for gain in (10.0, 0.01))
        assert loud == pytest.approx(quiet, abs=0.02)

    def test_windows_do_not_depend_on_their_group(self, parts, monkeypatch):
        spectrogram = features.from_array(parts["guitar"], RATE)
        whole = classifier.hear(spectrogram)
        monkeypatch.setattr(classifier, "GROUP", 2)
        np.testing.assert_allclose(classifier.hear(spectrogram), whole, atol=0.25)


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
