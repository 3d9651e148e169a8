"""Presets of several models: shares, gaps, the split of `other`, and always the sum."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from ensemble import __main__ as command_line
from ensemble import registry, separator
from ensemble.blend import blend, fit, moments, split
from ensemble.errors import InvalidOption, ModelUnavailable
from ensemble.evaluation import fitting
from ensemble.networks.demucs import Level
from ensemble.registry import STEMS, Ensemble
from ensemble.separator import SPLIT, Member, Separator

LEVEL = Level(0.0, 1.0)
FOUR = ("vocals", "drums", "bass", "other")
SIX = ("drums", "bass", "other", "vocals", "guitar", "piano")


def scaled(stems, factors, source=registry.MIXTURE):
    """A made-up network: every stem is what it hears times a factor."""
    model = replace(registry.model("htdemucs"), stems=tuple(stems), segment=5000, input=source)
    return Member(model, lambda mixture: np.stack([np.float32(f) * mixture for f in factors]), "CPU")


@pytest.fixture
def networks(monkeypatch):
    """Installed networks by name; everything around them is real."""
    known = {
        "one": scaled(FOUR, [0.4, 0.3, 0.2, 0.1]),
        "two": scaled(FOUR, [0.0, 0.1, 0.4, 0.5]),
        "six": scaled(SIX, [0.2, 0.2, 0.1, 0.2, 0.3, 0.0]),
        "own": scaled(SPLIT, [0.5, 0.2, 0.3], source="other"),
    }
    monkeypatch.setattr(registry, "installed", lambda name: name in known)
    monkeypatch.setattr(separator, "load", lambda name, _: known[name])
    return known


def preset(split=(), **weights):
    members = {name: dict.fromkeys(FOUR, weight) for name, weight in weights.items()}
    return Ensemble("test", "Test", members, dict(split))


def mixture():
    return np.random.default_rng(0).standard_normal((2, 5000)).astype(np.float32)


@pytest.mark.parametrize("bleed", ["off", "light", "strong"])
@pytest.mark.parametrize(
    "chosen",
    [
        preset(one=1.0),
        preset(one=0.3, two=0.7),
        preset({"six": 1.0}, one=0.5, two=0.5),
        preset({"own": 1.0}, one=1.0),
        preset({"six": 0.3, "own": 0.7}, one=0.5, two=0.5),
    ],
)
def test_whatever_is_chosen_stems_sum_to_the_mixture(networks, chosen, bleed):
    song = mixture()
    found = Separator(chosen, LEVEL, bleed)
    stems = found(song)
    assert stems.shape == (len(found.stems), 2, 5000)
    assert ("residual" in found.stems) == (bleed != "off")
    error = np.square(song - stems.sum(axis=0)).sum() / np.square(song).sum()
    assert 10 * np.log10(error) < -90


def test_weights_are_shares_and_the_absent_leave_theirs_to_the_rest(networks):
    song = mixture()
    both = Separator(preset(one=1.0, two=3.0), LEVEL, "off")
    np.testing.assert_allclose(both.estimate(song)[0], 0.1 * song, atol=1e-6)
    alone = Separator(preset(one=1.0, two=3.0, absent=4.0), LEVEL, "off")
    assert alone.missing == ["absent"]
    np.testing.assert_allclose(alone.estimate(song), both.estimate(song))


def test_a_stand_in_runs_only_for_stems_that_have_no_specialist(networks):
    stand_in = dict.fromkeys(FOUR, 0.0)
    fine = Ensemble("fine", "Fine", {"two": dict.fromkeys(FOUR, 1.0), "one": stand_in})
    assert list(Separator(fine, LEVEL, "off").members) == ["two"]
    gap = Ensemble("gap", "Gap", {"two": {"vocals": 1.0}, "one": stand_in})
    found = Separator(gap, LEVEL, "off")
    assert list(found.members) == ["two", "one"]
    drums = found.estimate(mixture())[1]
    np.testing.assert_allclose(drums, 0.3 * mixture(), atol=1e-6)  # the stand-in alone, not the other's by-product
    closed = Ensemble("closed", "Closed", {"absent": dict.fromkeys(FOUR, 1.0), "one": stand_in})
    song = mixture()
    assert list(Separator(closed, LEVEL, "off").members) == ["one"]
    np.testing.assert_allclose(Separator(closed, LEVEL, "off").estimate(song)[0], 0.4 * song, atol=1e-6)


def test_nothing_installed_says_what_to_do(networks):
    with pytest.raises(ModelUnavailable, match="python -m ensemble pull absent"):
        Separator(preset(absent=1.0), LEVEL)
    with pytest.raises(InvalidOption, match="off, light, strong"):
        Separator(preset(one=1.0), LEVEL, "loud")


@pytest.mark.parametrize(
    ("splitters", "guitar"),
    [
        ({"six": 1.0}, 0.9),  # 0.3^2 beside 0.1^2
        ({"own": 1.0}, 0.5),
        ({"six": 3.0, "own": 1.0}, 0.8),
        ({"six": 1.0, "own": 0.0}, 0.9),
        ({"absent": 1.0, "own": 0.0}, 0.5),
    ],
)
def test_other_is_divided_and_nothing_of_it_lost(networks, splitters, guitar):
    """By one network, by several in their shares, or by one that stands in for another."""
    song = mixture()
    found = Separator(preset(splitters, one=1.0), LEVEL, "off")
    assert found.stems == ["vocals", "drums", "bass", "guitar", "piano", "other"]
    assert len(found.splitters) == len(
        [name for name, weight in splitters.items() if weight and name in networks] or [1]
    )
    estimates = dict(zip(found.sources, found.estimate(song), strict=True))
    other = 0.1 * song
    np.testing.assert_allclose(estimates["guitar"] + estimates["piano"] + estimates["other"], other, atol=1e-5)
    np.testing.assert_allclose(estimates["guitar"], guitar * other, atol=1e-4)


def test_what_the_bleed_filter_gets_is_divided_from_the_blend(networks):
    """The network for `other` hears the blended estimate, not one member's, nor the mixture."""
    song = mixture()
    found = Separator(preset({"own": 1.0}, one=0.5, two=0.5), LEVEL, "off")
    estimates = dict(zip(found.sources, found.estimate(song), strict=True))
    np.testing.assert_allclose(estimates["piano"], 0.2 * 0.3 * song, atol=1e-5)


SPECIALISTS = Ensemble(
    "fine", "Fine", {"a": {"vocals": 1.0}, "b": {"drums": 1.0}, "c": {"bass": 1.0}, "d": {"other": 1.0}}, {"six": 1.0}
)


@pytest.mark.parametrize(
    ("wanted", "members", "sources"),
    [
        (STEMS, ["a", "b", "c", "d"], ["vocals", "drums", "bass", "guitar", "piano", "other"]),
        (["vocals", "drums", "bass", "other"], ["a", "b", "c", "d"], ["vocals", "drums", "bass", "other"]),
        (["vocals", "bass", "other"], ["a", "c"], ["vocals", "bass", "other"]),
        (["vocals", "other"], ["a"], ["vocals", "other"]),
        (["vocals", "guitar"], ["a"], ["vocals", "guitar", "piano", "other"]),
    ],
)
@pytest.mark.parametrize("bleed", ["off", "light"])
def test_networks_that_nobody_needs_dont_run_and_other_keeps_their_share(networks, wanted, members, sources, bleed):
    for name in "abcd":
        networks[name] = networks["one"]
    song = mixture()
    found = Separator(SPECIALISTS, LEVEL, bleed, wanted)
    assert (list(found.members), found.sources) == (members, sources)
    assert bool(found.splitters) == ("guitar" in sources)
    stems = found(song)
    np.testing.assert_allclose(stems.sum(axis=0), song, atol=1e-5)
    if bleed == "off" and sources == ["vocals", "other"]:
        np.testing.assert_allclose(stems[0], 0.4 * song, atol=1e-3)


def test_a_lone_specialist_leaves_the_rest_in_other(networks):
    networks["a"] = networks["one"]
    found = Separator(SPECIALISTS, LEVEL, "off")
    assert found.sources == ["vocals", "guitar", "piano", "other"] and found.missing == ["b", "c", "d"]
    np.testing.assert_allclose(found(mixture()).sum(axis=0), mixture(), atol=1e-5)


def test_one_network_for_all_gives_what_was_not_asked_for_too(networks):
    found = Separator(preset({"six": 1.0, "own": 0.0}, one=1.0), LEVEL, "off", ["vocals", "other"])
    assert found.sources == list(FOUR) and not found.splitters


def test_a_missing_splitter_leaves_other_whole(networks):
    found = Separator(preset({"absent": 1.0}, one=1.0), LEVEL, "off")
    assert found.sources == ["vocals", "drums", "bass", "other"] and found.missing == ["absent"]


def test_a_stem_without_weight_is_the_mean_of_those_who_know_it():
    estimates = {"a": {"bass": np.ones((2, 4), np.float32)}, "b": {"bass": np.zeros((2, 4), np.float32)}}
    np.testing.assert_array_equal(blend(estimates, {"a": {}, "b": {}}, ["bass"])[0], np.full((2, 4), 0.5))


def test_split_sums_and_follows_power():
    rng = np.random.default_rng(1)
    whole, parts = mixture(), rng.standard_normal((3, 2, 5000)).astype(np.float32)
    np.testing.assert_allclose(split(whole, parts).sum(axis=0), whole, atol=1e-5)


def test_fitted_weights_are_the_least_squares_answer():
    """Against a grid search, on songs with estimates of different quality."""
    rng = np.random.default_rng(2)
    errors = np.zeros((3, 3))
    for _ in range(4):
        true = rng.standard_normal((2, 3000)).astype(np.float32)
        common = rng.standard_normal((2, 3000))
        noise = [0.3 * common + s * rng.standard_normal((2, 3000)) for s in (0.3, 0.5, 2.0)]
        errors += moments(true, [(true + n).astype(np.float32) for n in noise])
    weights = fit(errors)
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1)
    grid = [(a, b, 1 - a - b) for a in np.linspace(0, 1, 101) for b in np.linspace(0, 1 - a, 101)]
    best = min(np.asarray(w) @ errors @ np.asarray(w) for w in grid)
    assert weights @ errors @ weights <= 1.005 * best
    assert weights[0] > weights[1] > weights[2]


def test_noise_is_given_no_weight():
    rng = np.random.default_rng(3)
    true = rng.standard_normal((2, 5000)).astype(np.float32)
    good = true + 0.1 * rng.standard_normal((2, 5000)).astype(np.float32)
    noise = rng.standard_normal((2, 5000)).astype(np.float32)
    np.testing.assert_allclose(fit(moments(true, [good, noise])), [1, 0], atol=0.02)


def test_equal_models_share_equally():
    true = np.zeros((2, 100), np.float32)
    estimate = np.ones((2, 100), np.float32)
    weights = fit(moments(true, [estimate, estimate]))
    assert weights.sum() == pytest.approx(1) and weights.min() >= 0


def test_fit_command_gives_noise_no_weight(networks, monkeypatch, capsys, tmp_path):
    """From a folder of songs to rows for the table, with one good network and one that answers noise."""
    rng = np.random.default_rng(4)
    true = {stem: 0.1 * rng.standard_normal((2, 20_000)).astype(np.float32) for stem in FOUR}
    for stem, audio in {**true, "mixture": sum(true.values())}.items():
        for song in ("one", "two"):
            (tmp_path / song).mkdir(exist_ok=True)
            soundfile.write(tmp_path / song / f"{stem}.wav", audio.T, 44_100, subtype="FLOAT")
    good = {stem: 0.9 * audio for stem, audio in true.items()}
    bad = {stem: rng.standard_normal((2, 20_000)).astype(np.float32) for stem in FOUR}
    answers = {"one": good, "two": bad}
    monkeypatch.setattr(fitting, "separator", lambda name, _: lambda _: {"raw": answers[name]})
    assert command_line.main(["fit", str(tmp_path), "--models", "one", "two"]) == 0
    shown = capsys.readouterr().out
    assert "members.one = { vocals = 1.000, drums = 1.000, bass = 1.000, other = 1.000 }" in shown
    assert command_line.main(["fit", str(tmp_path), "--models", "one", "absent"]) == 1
