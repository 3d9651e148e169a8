"""Finishing a training: the mean of weights, and masks that are as sure as they deserve."""

import numpy as np
import pytest
import soundfile

from ensemble import corpus
from ensemble.datasets import songs

torch = pytest.importorskip("torch", reason="needs PyTorch (the train extra)")

from ensemble import finish, train  # noqa: E402  needs torch
from ensemble.network import BANDS, Unmix  # noqa: E402

TINY = train.Plan(train.FOUR, hidden=8, frames=4, batch=3)


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    """Two made-up songs with their mixtures."""
    folder = corpus.made_up(tmp_path_factory.mktemp("songs"), seconds=2)
    for song in folder.iterdir():
        parts = [soundfile.read(path) for path in song.glob("*.wav")]
        soundfile.write(song / "mixture.wav", sum(audio for audio, _ in parts), parts[0][1])
    return folder


def saved(path, seed, plan=TINY):
    """A checkpoint of a run of its own."""
    run = train.Run(train.Plan(plan.stems, plan.hidden, seed, plan.frames, plan.batch))
    run.average.scale.running_mean.fill_(float(seed))
    run.save(path)
    return path


def answers(truth, seed):
    """Of a song whose stems are the shares `truth` (stems, 2, BANDS, frames) of a mixture of equal power everywhere."""
    torch.manual_seed(seed)
    power = torch.rand(truth.shape[1:]) + 0.1
    widths = finish.BAND_WIDTHS
    stems = {k: (share * power, (share.square() * power * widths).sum()) for k, share in enumerate(truth)}
    return finish.Answers(torch.zeros_like(truth), power, stems)


def test_the_mean_of_weights_is_taken_number_by_number():
    first, second = ({"a": torch.tensor([1.0, x]), "count": torch.tensor(x)} for x in (2, 4))
    found = finish.mean([first, second])
    torch.testing.assert_close(found["a"], torch.tensor([1.0, 3.0]))
    assert found["count"] == 4


def test_a_folded_calibration_is_answered_by_the_network_itself():
    network = Unmix(4, 8).eval()
    power = torch.rand(2, 2, BANDS, 5)
    calibration = finish.Calibration(torch.tensor(0.6), torch.tensor([0.5, -1.0, 0.0, 2.0]))
    with torch.no_grad():
        expected = torch.stack([calibration.masks(masks.log()) for masks in network.masks(power)])
        calibration.fold_into(network)
        torch.testing.assert_close(network.masks(power), expected)


def test_the_best_calibration_is_found():
    """Masks that are twice as sure as they should be, and too low by a number for each stem."""
    logits = torch.randn(4, 2, BANDS, 6, generator=torch.Generator().manual_seed(0))
    offsets = torch.tensor([0.5, -1.0, 0.0, 0.5])
    truth = (logits * 0.5 + offsets[:, None, None, None]).softmax(0)
    listed = [finish.Answers(logits, *_rest(answers(truth, seed))) for seed in (1, 2)]
    found = finish.fit(listed)
    assert float(found.temperature) == pytest.approx(0.5, abs=0.02)
    torch.testing.assert_close(found.offsets, offsets - offsets.mean(), atol=0.03, rtol=0)
    assert finish.unseen(listed) > 1  # dB: another song of the same kind


def _rest(given):
    return given.power, given.stems


def test_quality_is_the_sdr_of_what_the_network_separates(valid):
    """By bands as by samples, but for what the two transforms do at the ends."""
    run = train.Run(TINY)
    run.average.eval()
    listed = songs(valid, "folder")
    plain = finish.Calibration(torch.ones(()), torch.zeros(4))
    found = [finish.answers(run.average, TINY, song) for song in listed]
    expected = train.scores(run.average, TINY, listed)["mean"]
    assert float(finish.quality(found, [plain] * 2)) == pytest.approx(expected, abs=0.3)


def test_the_command_writes_a_better_checkpoint(valid, tmp_path, capsys):
    checkpoints = [saved(tmp_path / f"{seed}.pt", seed) for seed in (1, 2)]
    output = tmp_path / "finished.pt"
    assert finish.main([*map(str, checkpoints), "--valid", str(valid), "-o", str(output)]) == 0
    finished = train.Run.load(output)
    np.testing.assert_allclose(finished.best["scale.running_mean"], 1.5)
    before, after = (
        float(line.rsplit("mean ", 1)[1])
        for line in capsys.readouterr().out.splitlines()
        if "vocals" in line and "mean " in line
    )
    assert after > before


def test_checkpoints_of_different_networks_are_refused(valid, tmp_path, capsys):
    checkpoints = [saved(tmp_path / "a.pt", 1), saved(tmp_path / "b.pt", 2, train.Plan(train.FOUR, 16, 0, 4, 3))]
    assert finish.main([*map(str, checkpoints), "--valid", str(valid), "-o", str(tmp_path / "c.pt")]) == 1
    assert "different networks" in capsys.readouterr().err
    assert not (tmp_path / "c.pt").exists()
