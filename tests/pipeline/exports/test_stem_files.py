"""Stems as files: what was separated, in any format, and together still the song."""

import zipfile

import numpy as np
import pytest
from support.sounds import music, read

from pipeline.audio.tags import Tags
from pipeline.exports import stem_files
from pipeline.exports.song import Song
from pipeline.exports.stem_files import Form
from pipeline.playback.segments import Block, SegmentWriter, gain_of

TAGS = Tags("Song", artist="Somebody")


@pytest.fixture
def folder(tmp_path):
    def make(level=1.0):
        parts = {name: level * music(11, seed) for seed, name in enumerate(("vocals", "drums", "other"))}
        total = parts["vocals"].shape[1]
        with SegmentWriter(tmp_path) as writer:
            writer.write(Block(0, total, total, parts, gain=gain_of(level)))
            writer.close()
        return tmp_path, parts

    return make


def test_a_stem_is_what_was_separated(folder):
    directory, parts = folder()
    lowered = stem_files.write(Song.open(directory), "drums", directory / "out", Form("wav", "float", TAGS))
    assert lowered == 0
    np.testing.assert_allclose(read(directory / "out"), parts["drums"], atol=1e-6)


@pytest.mark.parametrize(("format", "bits"), [("flac", "24"), ("wav", "16")])
def test_all_are_lowered_alike_so_that_they_are_still_the_song(folder, format, bits):
    directory, parts = folder(level=8.0)
    loudest = max(np.abs(part).max() for part in parts.values())
    assert loudest > 1
    added = 0.0
    for name in parts:
        lowered = stem_files.write(Song.open(directory), name, directory / "out", Form(format, bits, TAGS))
        added += read(directory / "out")
        assert lowered == pytest.approx(20 * np.log10(loudest), abs=0.01)
    np.testing.assert_allclose(added * loudest, sum(parts.values()), atol=3 * loudest * 2**-15)


def test_an_archive_holds_every_stem_as_written_alone(folder):
    directory, parts = folder(level=8.0)
    form = Form("flac", "24", TAGS)
    lowered = stem_files.archive(Song.open(directory), "A song", directory / "all.zip", form)
    with zipfile.ZipFile(directory / "all.zip") as packed:
        assert sorted(packed.namelist()) == [f"A song/A song - {name}.flac" for name in sorted(parts)]
        for name in parts:
            assert lowered == stem_files.write(Song.open(directory), name, directory / "one", form)
            (directory / "packed").write_bytes(packed.read(f"A song/A song - {name}.flac"))
            np.testing.assert_array_equal(read(directory / "packed"), read(directory / "one"))
    assert {path.name for path in directory.iterdir()} == {*parts, "index.json", "all.zip", "one", "packed"}


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_progress_goes_from_the_beginning_to_the_end(folder, format):
    directory, _ = folder()
    reported = []
    stem_files.archive(Song.open(directory), "A", directory / "all.zip", Form(format, "float", TAGS), reported.append)
    assert reported == sorted(reported) and reported[-1] == 1.0 and 0 < reported[0] <= 0.2
    reported.clear()
    stem_files.write(Song.open(directory), "drums", directory / "out", Form(format, "float", TAGS), reported.append)
    assert reported[-1] == 1.0


def test_what_progress_raises_stops_the_work(folder):
    directory, _ = folder()

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stem_files.archive(Song.open(directory), "A", directory / "all.zip", Form("wav", "16", TAGS), stop)
    assert not list(directory.glob("tmp*"))


def test_a_folder_that_is_not_complete_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        stem_files.write(Song.open(tmp_path), "drums", tmp_path / "out", Form("wav", "16", TAGS))
