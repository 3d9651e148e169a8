"""Training: the loss is the metric, a killed run goes on as if it had not been, and exports come out the same."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from support.sounds import music

from ensemble import registry
from ensemble.errors import InvalidOption, ModelUnavailable
from ensemble.networks.draft import BAND_OF_BIN, BANDS, EDGES
from ensemble.networks.draft import Unmix as Adapter
from ensemble.networks.runtime import Session
from ensemble.stft import BINS, stft
from ensemble.training import corpus

torch = pytest.importorskip("torch", reason="needs PyTorch (the train extra)")

from ensemble.training import train  # noqa: E402  needs torch
from ensemble.training.network import Unmix, pool  # noqa: E402

torch.set_num_threads(1)  # so little at once is slower on more
TINY = train.Plan(train.FOUR, hidden=8, frames=4, batch=3)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """A folder of two made-up songs."""
    return corpus.made_up(tmp_path_factory.mktemp("songs"), seconds=4)


@pytest.fixture(scope="module")
def source(songs, tmp_path_factory):
    return corpus.load([songs], train.FOUR, tmp_path_factory.mktemp("cache"))


def steps(run, source, count):
    return [loss for _, loss in zip(range(count), run.train(source), strict=False)]


# The network


def test_masks_sum_to_one_at_any_length():
    network = Unmix(stems=4, hidden=8).eval()
    for frames in (1, 7):
        masks, hidden = network(torch.rand(2, 2, BINS, frames))
        assert hidden.shape == (frames, 2, 8)
        assert masks.shape == (2, 4, 2, frames, BANDS)
        assert masks.min() >= 0
        torch.testing.assert_close(masks.sum(1), torch.ones(2, 2, frames, BANDS))


def test_every_bin_has_the_band_that_it_is_pooled_into():
    owners = torch.from_numpy(BAND_OF_BIN).float()
    pooled = pool(owners[:, None])[:, 0]
    torch.testing.assert_close(pooled, torch.arange(BANDS).float())  # a mean of equals


def test_learning_and_use_agree_but_for_the_statistics():
    """Batch norm as torch has it, and written out."""
    network = Unmix(stems=2, hidden=8)
    norm = network.scale.eval()
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(5, 3, 2 * BANDS)
    torch.testing.assert_close(network._normed(norm, x), norm(x.flatten(0, 1)).unflatten(0, (5, 3)))


# The loss


def test_the_loss_is_the_sdr_of_the_masked_mixture():
    torch.manual_seed(0)
    stems = torch.randn(3, 4, 2, BINS, 5, dtype=torch.complex64)
    mixture = stems.sum(1)
    masks = torch.rand(3, 4, 2, BANDS, 5)
    energy, own = pool(mixture.abs().square()), pool(stems.abs().square())
    found = train.distortion(masks, energy, pool((mixture[:, None].conj() * stems).real), own)
    inside = slice(None, EDGES[-1])
    separated = masks[..., torch.from_numpy(BAND_OF_BIN), :] * mixture[:, None]
    error = (separated - stems)[..., inside, :].abs().square().sum((2, 3, 4))
    floor = train.NEAR * mixture[..., inside, :].abs().square().sum((1, 2, 3))[:, None]
    expected = 10 * ((error + floor) / (stems[..., inside, :].abs().square().sum((2, 3, 4)) + floor)).log10().mean()
    torch.testing.assert_close(found, expected)


def test_a_mixture_as_played_keeps_songs_together_and_another_does_not():
    song = torch.arange(1.0, 65.0)[:, None] * torch.ones(64, 4)  # each song's spectra hold its number
    spectra = song[..., None, None, None, None].expand(64, 4, 2, 2, 6, 1).contiguous()
    rng = np.random.default_rng(0)
    for as_played, alike in ((True, 0.99), (False, 0.3)):
        sounding = train.mixed(spectra, rng, as_played=as_played)
        assert sounding.shape == spectra.shape
        level = sounding[:, :, 0, 0, 0, 0]
        assert 0.02 < float((level == 0).float().mean()) < 0.25  # left out
        order = torch.log(level / level.mean(0)).nan_to_num(neginf=0.0)
        correlation = np.corrcoef(order[:, 0], torch.log(song[:, 0]))[0, 1] ** 2
        assert (correlation > 0.2) == (alike > 0.5)


def test_stems_are_raised_to_the_levels_of_the_plan():
    ones = torch.ones(8, 4, 2, 2, 6, 1)
    plain, raised = (
        train.mixed(ones, np.random.default_rng(0), levels, as_played=True) for levels in ((), (0, 6, -20, 0))
    )
    expected = plain * torch.tensor([1.0, 10**0.3, 0.1, 1.0])[:, None, None, None, None]
    torch.testing.assert_close(raised, expected)


# A run


def test_a_killed_run_goes_on_as_if_nothing_had_happened(source, tmp_path):
    whole = train.Run(TINY)
    losses = steps(whole, source, 7)
    first = train.Run(TINY)
    steps(first, source, 3)  # in the middle of a batch's mixes
    first.save(tmp_path / "run.pt")
    second = train.Run.load(tmp_path / "run.pt")
    assert steps(second, source, 4) == losses[3:]
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, second.average.state_dict()[name]), name
    assert (second.plan, second.step) == (TINY, 7)
    assert [*tmp_path.iterdir()] == [tmp_path / "run.pt"]


def test_another_seed_is_another_run(source):
    assert steps(train.Run(TINY), source, 1) != steps(train.Run(replace(TINY, seed=1)), source, 1)


def test_the_best_weights_are_kept_and_staleness_counted(source, monkeypatch):
    run = train.Run(TINY)
    means = iter([1.0, 3.0, 2.0])
    monkeypatch.setattr(train, "scores", lambda *_: {"mean": next(means)})
    kept = []
    for _ in range(3):
        steps(run, source, 1)
        run.validate([], 0.0)
        kept.append({name: value.clone() for name, value in run.best.items()})
    assert run.stale == 1
    assert not torch.equal(kept[0]["encode.weight"], kept[1]["encode.weight"])
    assert torch.equal(kept[1]["encode.weight"], kept[2]["encode.weight"])


def test_the_command_trains_measures_and_saves(songs, tmp_path, capsys):
    valid = tmp_path / "valid" / "song"
    valid.mkdir(parents=True)
    sound, rate = soundfile.read(songs / "0" / "vocals.wav")
    rest, _ = soundfile.read(songs / "0" / "bass.wav")
    for name, audio in {"mixture": sound + rest, "vocals": sound, "bass": rest}.items():
        soundfile.write(valid / f"{name}.wav", audio[:rate], rate)
    command = [str(songs), "--valid", str(valid.parent), "-o", str(tmp_path / "run.pt"), "--hidden=8", "--minutes=0.01"]
    for rows, rate in enumerate(("0.01", "0.002"), 1):
        assert train.main([*command, "--cache", str(tmp_path / "cache"), "--rate", rate]) == 0
        run = train.Run.load(tmp_path / "run.pt")
        assert (len(run.history), run.optimiser.param_groups[0]["lr"]) == (rows, float(rate))
    assert "mixture as every stem" in capsys.readouterr().out


def test_a_level_is_wanted_for_each_stem(songs, tmp_path, capsys):
    place = ["--valid", str(songs), "-o", str(tmp_path / "file.pt")]
    assert train.main([str(songs), *place, "--levels", "1", "2"]) == 1
    assert "vocals, drums, bass, other" in capsys.readouterr().err


def test_the_command_says_what_is_missing(tmp_path, capsys):
    assert train.main([str(tmp_path)]) == 1
    assert "--valid" in capsys.readouterr().err


def test_smoke(capsys):
    assert train.main(["--smoke"]) == 0
    assert "loss" in capsys.readouterr().out


# The corpus


def test_stems_that_are_not_asked_for_belong_to_other(songs, tmp_path):
    place = tmp_path / "songs" / "one"
    place.mkdir(parents=True)
    for name, level in {"other": 0.1, "guitar": 0.2, "vocals": 0.3}.items():
        soundfile.write(place / f"{name}.flac", np.full((44_100, 2), level), 44_100)
    (tmp_path / "songs" / ".unfinished").mkdir()
    found = corpus.load([place.parent], ("vocals", "other"), tmp_path / "cache")
    np.testing.assert_allclose(found.songs[0][:, 0, 0] / corpus.FULL, [0.3, 0.3], atol=1e-3)
    found = corpus.load([place.parent], ("guitar", "other"), tmp_path / "cache")
    np.testing.assert_allclose(found.songs[0][:, 0, 0] / corpus.FULL, [0.2, 0.1], atol=1e-3)
    with pytest.raises(InvalidOption, match="has drums"):
        corpus.load([place.parent], ("drums", "other"), tmp_path / "cache")


def test_an_excerpt_is_of_one_moment_and_holds_what_was_chosen(source):
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = source.excerpt(30_000, rng)
        assert found.shape == (4, 2, 30_000)
        assert found.dtype == np.float32
        assert 0.05 < np.abs(found).max() < 0.5


def test_a_long_folder_counts_no_more_than_a_short_one(tmp_path):
    levels = {"long": 0.1, "short": 0.2}
    for folder, level in levels.items():
        place = tmp_path / folder / "song"
        place.mkdir(parents=True)
        seconds = 20 if folder == "long" else 1
        soundfile.write(place / "vocals.wav", np.full((seconds * 44_100, 2), level), 44_100)
    source = corpus.load([tmp_path / folder for folder in levels], ("vocals",), tmp_path / "cache")
    rng = np.random.default_rng(0)
    found = [source.excerpt(1000, rng).max() for _ in range(400)]
    assert 150 < sum(level > 0.15 for level in found) < 250


def test_a_song_that_was_replaced_is_decoded_again(tmp_path):
    place = corpus.made_up(tmp_path / "songs", seconds=2)
    first = corpus.load([place], train.FOUR, tmp_path / "cache").songs[0].copy()
    soundfile.write(place / "0" / "bass.wav", np.zeros((88_200, 2)), 44_100)
    second = corpus.load([place], train.FOUR, tmp_path / "cache").songs[0]
    bass = train.FOUR.index("bass")
    assert first[bass].any()
    assert not second[bass].any()
    np.testing.assert_array_equal(first[0], second[0])


# The export


@pytest.fixture(scope="module", params=[train.FOUR, ("guitar", "piano", "other")], ids=["mixture", "other"])
def checkpoint(request, source, tmp_path_factory):
    run = train.Run(replace(TINY, stems=request.param))
    if request.param == train.FOUR:
        steps(run, source, 2)
        run.best = run.average.state_dict()
    path = tmp_path_factory.mktemp("run") / "run.pt"
    run.save(path)
    return path, request.param


def test_the_export_is_the_same_each_time_and_answers_what_pytorch_answers(checkpoint, tmp_path):
    export = pytest.importorskip("ensemble.conversion.export", reason="needs the export extra")
    path, stems = checkpoint
    row = replace(registry.model("unmix"), stems=stems, segment=44_100)
    done = [export.export(row, [path], tmp_path / f"{k}.onnx", half=True) for k in range(2)]
    assert done[0].sha256 == done[1].sha256
    network = export.OwnUnmix(row, [export.read(path)]).core
    mixture = np.abs(stft(music(2.0)))
    with torch.no_grad():
        masks, hidden = network(torch.from_numpy(mixture)[None])
    found = Adapter(Session(done[0].path)).listen(mixture)
    np.testing.assert_allclose(found[0], masks[0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[1], hidden[:, 0], rtol=0, atol=1e-4)
    with pytest.raises(ModelUnavailable, match="this is not one"):
        export.OwnUnmix(row, [{"state": {}}])
