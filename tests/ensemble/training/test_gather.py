"""Music to train on: out of Debian's packages, cut, and divided so that nothing is lost."""

import shutil
import subprocess
import zipfile

import numpy as np
import pytest
import soundfile
from support.sounds import music

from ensemble.evaluation.datasets import SAMPLE_RATE
from ensemble.registry import RESIDUAL
from ensemble.training import gather

needs_debian = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")


def thirds(mixture):
    """Three equal parts and a residual stand in for a separator."""
    return dict.fromkeys(("vocals", "drums", "bass"), mixture / 4) | {RESIDUAL: mixture / 4}


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A package with two songs, one of them in an archive of its own; the table asks for both."""
    monkeypatch.setattr(
        gather, "separator", lambda _, bleeds: lambda mixture: {bleed: thirds(mixture) for bleed in bleeds}
    )
    inside = tmp_path / "game" / "usr" / "share" / "game"
    (tmp_path / "game" / "DEBIAN").mkdir(parents=True)
    inside.mkdir(parents=True)
    (tmp_path / "game" / "DEBIAN" / "control").write_text(
        "Package: game-music\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: -\n"
    )
    for name in ("theme", "battle"):
        soundfile.write(inside / f"{name}.ogg", music(3).T, SAMPLE_RATE)
    with zipfile.ZipFile(inside / "data.pk3", "w") as archive:
        archive.write(inside / "battle.ogg", "music/battle.ogg")
    (inside / "battle.ogg").unlink()
    (tmp_path / "debs").mkdir()
    subprocess.run(
        ["dpkg-deb", "--build", tmp_path / "game", tmp_path / "debs" / "game-music_1_all.deb"],
        check=True,
        capture_output=True,
    )
    table(tmp_path, monkeypatch, '["theme", "battle"]')
    return tmp_path / "debs"


def table(folder, monkeypatch, songs, name="game-music"):
    (folder / "songs.toml").write_text(f'[{name}]\nlicence = "MIT"\nsongs = {songs}\n')
    monkeypatch.setattr(gather, "SONGS", folder / "songs.toml")


@needs_debian
def test_songs_of_packages_and_of_ones_own_become_stems(packages, tmp_path):
    soundfile.write(tmp_path / "mine.wav", music(3).T, SAMPLE_RATE)
    out, call = tmp_path / "out", ["--packages", str(packages), "--sung", str(tmp_path / "mine.wav"), "--seconds", "2"]
    assert gather.main([str(out), *call]) == 0
    stems = {song.name: sorted(path.stem for path in song.iterdir()) for song in out.iterdir()}
    played = ["bass", "drums", "other"]
    assert stems == {"game-music-theme": played, "game-music-battle": played, "mine": [*played, "vocals"]}
    assert soundfile.info(out / "mine" / "vocals.flac").frames == 2 * SAMPLE_RATE
    (out / "mine" / "vocals.flac").unlink()
    assert gather.main([str(out), *call]) == 0
    assert not (out / "mine" / "vocals.flac").exists()  # what is there is left alone


@needs_debian
def test_songs_of_ones_own_alone(packages, tmp_path):
    soundfile.write(tmp_path / "mine.wav", music(1).T, SAMPLE_RATE)
    call = ["--packages", str(tmp_path / "none"), "--sung", str(tmp_path / "mine.wav"), "--only-sung", "--bleed", "off"]
    assert gather.main([str(tmp_path / "out"), *call]) == 0
    assert [song.name for song in (tmp_path / "out").iterdir()] == ["mine"]


@needs_debian
def test_a_song_that_a_package_has_not_got(packages, tmp_path, monkeypatch, capsys):
    table(tmp_path, monkeypatch, '["theme", "chorus"]')
    assert gather.main([str(tmp_path / "out"), "--packages", str(packages)]) == 1
    assert "game-music has no chorus" in capsys.readouterr().err


@needs_debian
def test_a_package_that_nobody_has(packages, tmp_path, monkeypatch, capsys):
    table(tmp_path, monkeypatch, '["theme"]', name="no-such-package-anywhere")
    assert gather.main([str(tmp_path / "out"), "--packages", str(packages)]) == 1
    assert "no-such-package-anywhere" in capsys.readouterr().err


def test_the_table_names_every_song_once_with_a_licence():
    rows = gather.tomllib.loads(gather.SONGS.read_text())
    assert all(row["licence"] and len(set(row["songs"])) == len(row["songs"]) > 0 for row in rows.values())


@pytest.mark.parametrize("loud", [0, 3, 8])
def test_the_loudest_seconds_are_cut_out_at_one_level(loud):
    song = np.random.default_rng(0).normal(0, 0.001, (2, 10 * SAMPLE_RATE)).astype(np.float32)
    loudest = song[:, loud * SAMPLE_RATE : (loud + 2) * SAMPLE_RATE]
    loudest *= 20
    found = gather.loudest(song, 2)
    np.testing.assert_allclose(found, loudest * found.std() / loudest.std(), rtol=1e-3)
    assert 20 * np.log10(np.sqrt(np.square(found).mean())) == pytest.approx(gather.LEVEL_DB, abs=0.01)


def test_peaks_stay_below_full_scale():
    clicks = np.zeros((2, 3 * SAMPLE_RATE), np.float32)
    clicks[:, :: SAMPLE_RATE // 2] = 0.1
    assert np.abs(gather.loudest(clicks, 2)).max() == pytest.approx(gather.PEAK)


def test_a_song_shorter_than_asked_stays_whole():
    assert gather.loudest(music(1.1), 5).shape == (2, int(1.1 * SAMPLE_RATE))


@pytest.mark.parametrize("stems", [gather.PLAYED, gather.SUNG])
def test_other_is_what_the_rest_leaves(stems):
    mixture = music(1)
    found = gather.divided(mixture, thirds, stems)
    assert set(found) == {*stems, "other"}
    np.testing.assert_allclose(sum(found.values()), mixture, atol=1e-6)
