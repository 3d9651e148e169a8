"""What stems tell about themselves, on signals of which the truth is known."""

import numpy as np
import pytest

from pipeline.audio.recording import Recording
from pipeline.quality import CHUNK, FLOOR_DB, clipped, weigh
from pipeline.spool import Spool

SAMPLES = 2 * CHUNK + 999  # two whole looks and a short one


def noise(seed, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal((2, SAMPLES))).astype(np.float32)


@pytest.fixture
def evidence(tmp_path):
    """Evidence of files that are sums of stems, whose sum is the song."""

    def look(stems, files=None, gain=1.0):
        recording, spool = Recording(tmp_path / "mixture.f32"), Spool(tmp_path)
        with recording.path.open("wb") as file:
            recording.append(np.sum([*stems.values()], axis=0), file)
        with spool:
            spool.write(stems)
        return weigh(recording, spool, files or {name: [name] for name in stems}, gain)

    return look


@pytest.mark.parametrize("leak_db", [-10.0, -20.0])
def test_what_leaks_from_one_stem_into_another_is_estimated(evidence, leak_db):
    drums, vocals = noise(1), noise(2)
    found = evidence({"vocals": vocals + 10 ** (leak_db / 20) * drums, "drums": drums})
    assert found["vocals"].bleed_db == pytest.approx(leak_db, abs=1)


def test_what_has_nothing_in_common_shows_no_bleed(evidence):
    found = evidence({"vocals": noise(1), "drums": noise(2), "bass": noise(3)})
    assert all(found[name].bleed_db < -30 for name in ("vocals", "drums", "bass"))


def test_the_residual_is_no_stem_of_its_own(evidence):
    drums = noise(1)
    found = evidence({"drums": drums, "vocals": noise(2), "residual": drums / 2})
    assert found["residual"].bleed_db is None and found["mixture"].bleed_db is None
    assert found["drums"].bleed_db < -30


def test_silence_is_reported(evidence):
    found = evidence({"vocals": np.zeros((2, SAMPLES), np.float32), "drums": noise(1)})
    assert (found["vocals"].level_db, found["vocals"].peak_db, found["vocals"].clipped) == (FLOOR_DB, FLOOR_DB, 0.0)
    assert found["drums"].level_db == pytest.approx(0, abs=0.01)


def test_a_file_is_weighed_as_it_is_written(evidence):
    stems = {"vocals": noise(1), "guitar": noise(2), "other": noise(3)}
    found = evidence(stems, {"vocals": [], "other": ["guitar", "other"]}, gain=0.5)
    loudest = 0.5 * np.abs(stems["guitar"] + stems["other"]).max()
    assert found["other"].peak_db == pytest.approx(20 * np.log10(loudest), abs=0.01)
    assert found["vocals"].peak_db == FLOOR_DB
    assert found["mixture"].peak_db == pytest.approx(20 * np.log10(np.abs(sum(stems.values())).max()), abs=0.01)


def test_clipping_is_a_share_of_all_samples(evidence):
    hard = np.clip(noise(1, level=1.0), -1, 1)
    found = evidence({"drums": hard, "vocals": noise(2)})
    likely = 0.3173  # that a sample is beyond one standard deviation
    assert found["drums"].clipped == pytest.approx(likely**3, rel=0.05)
    assert found["vocals"].clipped == 0.0


@pytest.mark.parametrize(
    ("audio", "count"),
    [
        ([1.0, 1.0, 0.9, 1.0], 0),  # peaks may touch full scale
        ([1.0, -1.0, 1.1, 1.0], 2),
        ([1.0, 1.0], 0),
        ([], 0),
    ],
)
def test_clipping_takes_several_samples_in_a_row(audio, count):
    assert clipped(np.array([audio, np.zeros(len(audio))], np.float32)) == count


def test_a_short_song_can_be_weighed(tmp_path):
    recording, spool = Recording(tmp_path / "mixture.f32"), Spool(tmp_path)
    with recording.path.open("wb") as file:
        recording.append(np.full((2, 10), 0.5, np.float32), file)
    with spool:
        spool.write({"vocals": np.full((2, 10), 0.5, np.float32)})
    assert weigh(recording, spool, {"vocals": ["vocals"]}, 1.0)["vocals"].bleed_db == FLOOR_DB
