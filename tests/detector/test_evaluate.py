"""The yardstick: what is true of a case, figures on known answers, and the whole command on made-up songs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from detector import __main__ as command
from detector import classifier, draft_features, evaluate
from detector.classifier import ABSENT, KINDS, PRESENT, UNCERTAIN
from detector.evaluate import Case, Tally
from detector.training import train
from ensemble.errors import InvalidOption

RATE = 44_100
LOUD = np.full((2, RATE), 0.1, np.float32)
FAINT, MIDDLING = LOUD * 1e-3, LOUD * 10 ** (-32 / 20)


def case(names: tuple[str, ...], **stems: np.ndarray) -> Case:
    return Case("song", names, stems)


class TestTruth:
    def test_a_stem_that_sounds_is_there(self):
        assert case(("vocals", "drums"), vocals=LOUD).truth("vocals") is True
        assert case(("vocals", "drums"), vocals=LOUD).truth("drums") is False

    def test_level_decides(self):
        assert case(("vocals", "drums"), vocals=FAINT, drums=LOUD).truth("vocals") is False
        assert case(("vocals", "drums"), vocals=MIDDLING, drums=LOUD).truth("vocals") is None

    def test_other_may_hide_a_guitar_but_no_voice(self):
        hiding = case(("vocals", "drums", "other"), other=LOUD)
        assert hiding.truth("guitar") is None
        assert hiding.truth("vocals") is False

    def test_other_hides_no_guitar_where_the_guitar_has_its_own_stem(self):
        assert case(("guitar", "other"), other=LOUD).truth("guitar") is False

    def test_without_a_mixed_stem_nothing_is_hidden(self):
        assert case(("vocals", "drums", "other"), drums=LOUD).truth("piano") is False

    @pytest.mark.parametrize(("stem", "vocals"), [("accompaniment", False), ("rest", None)])
    def test_what_mixed_stems_may_hide(self, stem, vocals):
        assert case((stem,), **{stem: LOUD}).truth("vocals") is vocals

    def test_a_moment_has_its_own_truth(self):
        late = np.concatenate([0 * LOUD, LOUD], axis=1)
        found = case(("vocals", "drums"), vocals=late, drums=np.tile(LOUD, 2))
        assert (found.truth("vocals", 0, RATE), found.truth("vocals", RATE, 2 * RATE)) == (False, True)


class TestFigures:
    def test_area_under_the_curve(self):
        assert evaluate.auc([True, True, False, False], [0.9, 0.8, 0.2, 0.1]) == 1
        assert evaluate.auc([True, False], [0.1, 0.9]) == 0
        assert evaluate.auc([True, False, False], [0.5, 0.5, 0.1]) == pytest.approx(0.75)
        assert evaluate.auc([True, True], [0.1, 0.9]) is None

    def test_precision_recall_and_errors_by_song(self):
        tally = Tally()
        for song, truth, presence in (("a", True, PRESENT), ("b", True, UNCERTAIN), ("c", False, PRESENT)):
            tally.add(song, truth, 0.5, presence)
        tally.add("d", None, 0.5, PRESENT)
        tally.add("e", False, 0.5, ABSENT)
        found = evaluate.figures(tally)
        assert (found["precision"], found["recall"], found["f1"], found["songs"]) == (0.5, 0.5, 0.5, 2)
        assert (found["missed"], found["imagined"], found["uncertain"]) == (["b"], ["c"], 0.25)

    def test_reliability(self):
        assert evaluate.reliability([True, False, True], [0.71, 0.79, 1.0]) == [
            {"called": 0.75, "true": 0.5, "cases": 2},
            {"called": 1.0, "true": 1.0, "cases": 1},
        ]


class TestThresholds:
    def test_a_clean_gap_is_cut_inside(self):
        tally = Tally()
        for score in (0.1, 0.2, 0.7, 0.9):
            tally.add("a", score > 0.5, score)
        sure, maybe = train.thresholds(tally)
        assert 0.2 < sure <= 0.7 and maybe < sure
        assert train.thresholds(tally, 0.8, 0.05) == (0.8, 0.05)  # bounds

    def test_platt_undoes_a_bend(self):
        rng = np.random.default_rng(0)
        odds = rng.normal(0, 2, 4000)
        truth = rng.random(4000) < 1 / (1 + np.exp(-odds))
        slope, shift = train.platt(2 * odds + 1, truth.astype(float))
        assert (slope, shift) == (pytest.approx(0.5, abs=0.05), pytest.approx(-0.5, abs=0.1))

    def test_regression_finds_the_channel_that_tells(self):
        rng = np.random.default_rng(0)
        rows = rng.normal(0, 1, (500, 5)).astype(np.float32)
        truth = np.where(rng.random(500) < 0.1, np.nan, (rows[:, 2] > 0).astype(float))
        weights, _ = train.regression(rows, truth)
        assert np.argmax(np.abs(weights)) == 2 and weights[2] > 0

    def test_the_second_regression_reads_all_evidence_and_leaves_what_it_is_not_for(self):
        rng = np.random.default_rng(0)
        channels, kinds, windows = 20, len(KINDS), 2000
        sizes = (2, kinds), (1, channels), (10, len(draft_features.STEMS)), (0.1, draft_features.UNITS)
        evidence = np.concatenate([rng.normal(0, spread, (windows, width)) for spread, width in sizes], axis=1)
        truth = np.full((windows, kinds), np.nan)
        telling = {0: 0, 1: kinds + 3, 2: kinds + channels, 3: kinds + channels + len(draft_features.STEMS) + 5}
        for kind, column in telling.items():
            truth[:, kind] = evidence[:, column] > 0
        truth[:, 4] = 0
        found = train.mix(evidence, truth)
        for kind, column in telling.items():
            weights = found["mixing"][:, kind]
            assert np.argmax(np.abs(weights) * evidence.std(axis=0)) == column and weights[column] > 0
            right = (evidence @ weights + found["shift"][kind] > 0) == (truth[:, kind] > 0)
            assert right.mean() > 0.75
        rest = slice(len(train.TOGETHER), None)
        np.testing.assert_array_equal(found["mixing"][:, rest], train.unmixed(channels)["mixing"][:, rest])
        assert not found["shift"][rest].any()
        assert not found["mixing"][len(train.TOGETHER) : kinds, : len(train.TOGETHER)].any()

    def test_a_second_regression_that_changes_nothing(self):
        head = classifier.head()
        rng = np.random.default_rng(0)
        tagged, drafted = rng.normal(0, 2, (5, 953)), rng.normal(0, 1, (5, draft_features.FEATURES))
        same = replace(head, **train.unmixed(len(head.channels)))
        np.testing.assert_allclose(same.mixed(head.evidence(tagged, drafted)), head.odds(tagged), rtol=1e-6)

    def test_only_what_many_songs_tell_of_is_scaled(self):
        rng = np.random.default_rng(0)
        odds = rng.normal(0, 2, (3000, len(KINDS)))
        truth = (rng.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(float)
        songs = np.repeat(["a", "b", "c"], 1000)
        truth[1000:, 1] = 0  # of one song alone
        found = train.scales(3 * odds, truth, songs)
        assert set(found) == set(range(len(KINDS))) - {1}
        assert found[0] == (pytest.approx(1 / 3, abs=0.05), pytest.approx(0, abs=0.15))


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for song in ("one", "two"):
        (tmp_path / song).mkdir()
        for stem in ("vocals", "drums", "other", "mixture", "notes"):
            soundfile.write(tmp_path / song / f"{stem}.flac", rng.normal(0, 0.05, (9 * RATE, 2)), RATE)
    return tmp_path


@pytest.fixture
def loudness_tagger(monkeypatch):
    """A detector that hears every kind as soon as there is sound: the evaluation needs no model."""

    def hear(spectrogram, *_):
        windows = len(classifier.window_starts(spectrogram))
        return np.full((windows, len(KINDS)), float(spectrogram.rms > 0), np.float32)

    for name in ("classify", "classify_mixture"):
        monkeypatch.setattr(classifier, name, hear)


class TestCases:
    def test_the_full_mix_comes_first_then_different_subsets(self, songs):
        found = list(evaluate.cases(songs, 4))
        assert [case.song for case in found] == ["one"] * 4 + ["two"] * 4
        assert set(found[0].stems) == {"vocals", "drums", "other"}
        assert len({tuple(case.stems) for case in found[:4]}) == 4
        assert found[0].mixture.shape == (2, evaluate.SEGMENT)

    def test_seeded_and_apart_from_neighbours(self, songs):
        first = [case.mixture for case in evaluate.cases(songs, 2)]
        for path in (songs / "one").iterdir():
            path.unlink()
        again = [case.mixture for case in evaluate.cases(songs, 2)]
        assert all(np.array_equal(a, b) for a, b in zip(first[2:], again, strict=True))
        assert not np.array_equal(first[2], next(evaluate.cases(songs, 1, seed=1)).mixture)

    @pytest.mark.parametrize("folder", ["", "missing"])
    def test_no_songs(self, tmp_path, folder):
        with pytest.raises(InvalidOption, match="has no songs"):
            next(evaluate.cases(tmp_path / folder, 1))

    def test_another_sample_rate(self, tmp_path):
        (tmp_path / "song").mkdir()
        soundfile.write(tmp_path / "song" / "drums.wav", np.zeros((8000, 1)), 8000)
        with pytest.raises(InvalidOption, match="8000 Hz"):
            next(evaluate.cases(tmp_path, 1))


@pytest.mark.usefixtures("loudness_tagger")
class TestCommand:
    def test_both_stages(self, songs, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(evaluate, "separator", lambda: lambda mixture: {"vocals": mixture, "other": 0 * mixture})
        target = tmp_path / "figures.json"
        assert command.main(["evaluate", str(songs), "--cases", "3", "--json", str(target)]) == 0
        found = json.loads(target.read_text())
        assert {"auc", "precision", "recall", "f1", "songs"} <= found["stems"]["vocals"].keys()
        assert found["stems"]["drums"]["recall"] == 1
        assert found["confirmed"]["drums"]["recall"] == 0
        assert found["stems"]["vocals"]["songs"] == 2
        assert "piano" in capsys.readouterr().out

    def test_the_mixture_alone_needs_no_separator(self, songs, monkeypatch):
        monkeypatch.setattr(evaluate, "separator", lambda: pytest.fail("loaded"))
        assert command.main(["evaluate", str(songs), "--cases", "1", "--mixture-only"]) == 0

    def test_a_song(self, songs, capsys):
        assert command.main([str(songs / "one" / "drums.flac"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["stems"]["drums"]["presence"] == PRESENT
        assert command.main([str(songs / "one" / "drums.flac")]) == 0
        assert "█" in capsys.readouterr().out

    def test_not_a_song(self, tmp_path, capsys):
        (tmp_path / "text.wav").write_text("no sound")
        assert command.main([str(tmp_path / "text.wav")]) == 1
        assert "Export it again" in capsys.readouterr().err
