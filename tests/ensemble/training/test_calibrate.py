"""Calibration: masks that are as sure as they deserve to be."""

import pytest
import soundfile

from ensemble.evaluation.datasets import songs
from ensemble.networks.draft import BANDS
from ensemble.training import corpus

torch = pytest.importorskip("torch", reason="needs PyTorch (the train extra)")

from ensemble.training import calibrate, train  # noqa: E402  needs torch
from ensemble.training.network import Unmix  # noqa: E402

TINY = train.Plan(train.FOUR, hidden=8, frames=4, batch=3)


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    """Two made-up songs with their mixtures."""
    folder = corpus.made_up(tmp_path_factory.mktemp("songs"), seconds=2)
    for song in folder.iterdir():
        parts = [soundfile.read(path) for path in song.glob("*.wav")]
        soundfile.write(song / "mixture.wav", sum(audio for audio, _ in parts), parts[0][1])
    return folder


def answers(truth, seed):
    """Of a song whose stems are the shares `truth` (stems, 2, BANDS, frames) of a mixture of equal power everywhere."""
    torch.manual_seed(seed)
    power = torch.rand(truth.shape[1:]) + 0.1
    widths = calibrate.BAND_WIDTHS
    stems = {k: (share * power, (share.square() * power * widths).sum()) for k, share in enumerate(truth)}
    return calibrate.Answers(torch.zeros_like(truth), power, stems)


def test_a_folded_calibration_is_answered_by_the_network_itself():
    network = Unmix(4, 8).eval()
    power = torch.rand(2, 2, BANDS, 5)
    calibration = calibrate.Calibration(torch.tensor(0.6), torch.tensor([0.5, -1.0, 0.0, 2.0]))
    with torch.no_grad():
        expected = torch.stack([calibration.masks(masks.log()) for masks in network.masks(power)])
        calibration.bake_into(network)
        torch.testing.assert_close(network.masks(power), expected)


def test_the_best_calibration_is_found():
    """Masks that are twice as sure as they should be, and too low by a number for each stem."""
    logits = torch.randn(4, 2, BANDS, 6, generator=torch.Generator().manual_seed(0))
    offsets = torch.tensor([0.5, -1.0, 0.0, 0.5])
    truth = (logits * 0.5 + offsets[:, None, None, None]).softmax(0)
    listed = [calibrate.Answers(logits, *_rest(answers(truth, seed))) for seed in (1, 2)]
    found = calibrate.fit(listed)
    assert float(found.temperature) == pytest.approx(0.5, abs=0.02)
    torch.testing.assert_close(found.offsets, offsets - offsets.mean(), atol=0.03, rtol=0)
    assert calibrate.unseen(listed) > 1  # dB: another song of the same kind


def _rest(given):
    return given.power, given.stems


def test_quality_is_the_sdr_of_what_the_network_separates(valid):
    """By bands as by samples, but for what the two transforms do at the ends."""
    run = train.Run(TINY)
    run.average.eval()
    listed = songs(valid, "folder")
    plain = calibrate.Calibration(torch.ones(()), torch.zeros(4))
    found = [calibrate.answers(run.average, TINY, song) for song in listed]
    expected = train.scores(run.average, TINY, listed)["mean"]
    assert float(calibrate.quality(found, [plain] * 2)) == pytest.approx(expected, abs=0.3)


def test_the_command_writes_a_better_checkpoint(valid, tmp_path, capsys):
    checkpoint, output = tmp_path / "run.pt", tmp_path / "calibrated.pt"
    train.Run(TINY).save(checkpoint)
    assert calibrate.main([str(checkpoint), "--valid", str(valid), "-o", str(output)]) == 0
    before, after = (
        float(line.rsplit("mean ", 1)[1])
        for line in capsys.readouterr().out.splitlines()
        if "vocals" in line and "mean " in line
    )
    assert after > before
    run = train.Run.load(output)
    run.average.load_state_dict(run.best)
    assert train.scores(run.average, TINY, songs(valid, "folder"))["mean"] == pytest.approx(after, abs=0.006)


def test_a_folder_without_songs_is_refused(tmp_path, capsys):
    train.Run(TINY).save(tmp_path / "run.pt")
    assert calibrate.main([str(tmp_path / "run.pt"), "--valid", str(tmp_path), "-o", str(tmp_path / "c.pt")]) == 1
    assert "holds no song" in capsys.readouterr().err
    assert not (tmp_path / "c.pt").exists()
