"""The main job on real weights: stems that sum to the mixture, bounded work, and nothing left behind."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import av
import numpy as np
import pytest
from support.sounds import RATE, bass_line, music, read

from ensemble import registry
from ensemble.errors import InvalidAudio, InvalidOption, SeparationError
from ensemble.separator import Separator
from pipeline import __main__ as command_line
from pipeline import separate as module
from pipeline import spool
from pipeline.audio.decode import decode
from pipeline.audio.encode import Encoder, suffix
from pipeline.audio.tags import Tags
from pipeline.audio.tags import read as read_tags
from pipeline.options import FORMATS, Options
from pipeline.playback import segments
from pipeline.playback.segments import (
    HEADROOM,
    SAMPLES_PER_PEAK,
    SEGMENT,
    Block,
    SegmentWriter,
    gain_of,
    load,
    peaks,
    write_original,
)
from pipeline.report import Report
from pipeline.separate import separate_file

STEMS = ["vocals", "drums", "bass", "other"]
ALL = Options(stems=tuple(STEMS))


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    path = tmp_path_factory.mktemp("songs") / "Sóng “1” 🎸.wav"
    with Encoder(path, "wav", "float") as encoder:
        encoder.write(music(9) + bass_line(9))  # without a bass that stem would be empty, and merged into other
    return path


class Quarters(Separator):
    """Stands for a network where only what surrounds it is tested: every stem is a quarter of the mixture."""

    def __init__(self, *_):
        self.model = registry.model("htdemucs")
        self.provider, self.missing, self.segment, self.mean = "CPU", [], self.model.segment, 0.0
        self.stems = self.sources = STEMS

    @property
    def loaded(self):
        return [self]

    def __call__(self, mixture):
        return np.stack([mixture / 4] * 4)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(module, "Separator", Quarters)
    monkeypatch.setattr(registry, "TAGGER", "umxhq")  # not installed: nobody listens


def decibels(part, whole):
    return 10 * np.log10(np.square(part).sum() / np.square(whole).sum())


@pytest.fixture(scope="module")
def separated(song, htdemucs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("separated")
    progress, blocks = [], []
    report = separate_file(song, folder, ALL, on_progress=progress.append, on_block=blocks.append)
    return folder, report, progress, blocks


def test_stems_sum_to_the_mixture(separated, song):
    _, report, *_ = separated
    assert report.stems == STEMS
    stems = [read(path) for path in report.files.values()]
    mixture = read(song)
    assert decibels(mixture - sum(stems), mixture) < -90
    assert report.null_db < -90
    assert all(np.isfinite(stem).all() and stem.shape == mixture.shape for stem in stems)


def test_the_report_is_complete(separated):
    folder, report, *_ = separated
    reported = json.loads(json.dumps(report.as_dict()))
    assert reported["files"] == {stem: str(folder / f"{stem}.wav") for stem in [*STEMS, "residual"]}
    assert reported["stems"] == STEMS and reported["residual"] and reported["bleed"] == "light"
    assert set(reported["seconds"]) >= {"decode", "listen", "separate", "encode"}
    assert set(reported["evidence"]) == {"mixture", *STEMS, "residual"}
    assert all(reported["evidence"][stem]["bleed_db"] < 0 for stem in STEMS)
    assert Report.from_dict(reported) == report
    assert Report.from_dict({name: value for name, value in reported.items() if name != "evidence"}).evidence == {}
    assert reported["provider"] in {"CPU", "CUDA"}
    assert reported["models"][0]["sha256"] == registry.model("htdemucs").sha256
    assert reported["samples"] == 9 * RATE and reported["sample_rate"] == RATE


def test_a_song_at_another_rate_comes_back_at_that_rate(tmp_path, quick):
    """Its files add up to the upload itself, sound above 22.05 kHz included."""
    audio = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 96_000 * 3)).astype(np.float32)
    with Encoder(tmp_path / "song.wav", "wav", "float", rate=96_000) as encoder:
        encoder.write(audio)
    report = separate_file(tmp_path / "song.wav", tmp_path / "out", ALL)
    assert (report.sample_rate, report.samples) == (96_000, audio.shape[1])
    summed = sum(read(path) for path in report.files.values())
    assert 10 * np.log10(np.square(summed - audio).sum() / np.square(audio).sum()) < -120
    report = separate_file(tmp_path / "song.wav", tmp_path / "out", replace(ALL, sample_rate="44100"))
    assert report.sample_rate == RATE and read(report.files["drums"]).shape == (2, 3 * RATE)


def test_progress_is_true_and_blocks_adjoin(separated):
    _, _, progress, blocks = separated
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert blocks[-1].stop == blocks[-1].total == 9 * RATE
    counted = [(step.done, step.total) for step in progress if step.stage == "separate"]
    assert counted == [(done, len(blocks)) for done in range(len(blocks) + 1)]
    stages = list(dict.fromkeys(step.stage for step in progress))
    assert [stage for stage in stages if stage != "confirm"] == ["decode", "listen", "separate", "encode"]


def test_nothing_but_stems_is_left_behind(separated):
    folder, *_ = separated
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{stem}.wav" for stem in [*STEMS, "residual"])


def test_silence_gives_silence(htdemucs, tmp_path):
    with Encoder(tmp_path / "silence.wav", "wav", "16") as encoder:
        encoder.write(np.zeros((2, RATE), np.float32))
    report = separate_file(tmp_path / "silence.wav", tmp_path / "out")
    assert report.null_db <= -90
    assert {"vocals", "other"} <= set(report.files)
    for path in report.files.values():
        assert np.abs(read(path)).max() < 1e-6


def test_an_offset_is_in_the_sum_once_and_not_in_every_stem(htdemucs, tmp_path):
    """Recordings with a constant offset exist; the reference gives it to each of its stems."""
    with Encoder(tmp_path / "offset.wav", "wav", "float") as encoder:
        encoder.write(music(6) + bass_line(6) + np.float32(0.1))
    report = separate_file(tmp_path / "offset.wav", tmp_path / "out", ALL)
    means = {stem: abs(float(read(path).mean())) for stem, path in report.files.items()}
    assert report.null_db < -90
    assert max(means[stem] for stem in STEMS) < 0.02 and means["residual"] == pytest.approx(0.1, abs=0.02)


def test_a_clip_of_one_second(htdemucs, tmp_path):
    with Encoder(tmp_path / "click.wav", "wav", "16") as encoder:
        encoder.write(music(1))
    report = separate_file(tmp_path / "click.wav", tmp_path / "out")
    assert report.samples == RATE and read(report.files["vocals"]).shape == (2, RATE)


@pytest.mark.parametrize(("seconds", "message"), [(0.9, "shorter than a second"), (5, "longer than 0:04")])
def test_songs_that_are_too_short_or_too_long_are_refused_before_they_are_decoded(
    quick, seconds, message, tmp_path, monkeypatch
):
    with Encoder(tmp_path / "song.wav", "wav", "16") as encoder:
        encoder.write(music(seconds))
    monkeypatch.setattr(module, "decode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(InvalidAudio, match=message):
        separate_file(tmp_path / "song.wav", tmp_path / "out", Options(max_seconds=4))


def test_while_a_song_is_read_its_length_is_known(quick, song, tmp_path):
    steps = []
    separate_file(song, tmp_path, on_progress=steps.append)
    assert [(step.done, step.total) for step in steps if step.stage == "decode"][:3] == [(0, 9), (1, 9), (2, 9)]


def test_command_line_shows_how_much_of_a_song_is_read(quick, song, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command_line, "SECONDS_BETWEEN_LINES", -1)
    assert command_line.main([str(song), "-o", str(tmp_path)]) == 0
    assert "decoded 0:04 (44 %)" in capsys.readouterr().out


def test_loud_stems_keep_their_relative_level_and_say_so(quick, tmp_path):
    with Encoder(tmp_path / "loud.wav", "wav", "float") as encoder:
        encoder.write(8 * np.ones((2, RATE), np.float32))
    report = separate_file(tmp_path / "loud.wav", tmp_path / "out", Options(format="flac"))
    assert report.gain_db == pytest.approx(-6.02, abs=0.01)
    assert any("6.0 dB" in warning for warning in report.warnings)
    assert np.abs(read(report.files["drums"])).max() == pytest.approx(1, abs=1e-4)
    kept = separate_file(tmp_path / "loud.wav", tmp_path / "out")
    assert kept.gain_db == 0 and read(kept.files["drums"]).max() == 2


def test_without_bleed_control_four_stems_sum_to_the_mixture(htdemucs, song, tmp_path):
    report = separate_file(song, tmp_path, Options(stems=tuple(STEMS), bleed="off"))
    assert list(report.files) == STEMS and not report.residual
    mixture = read(song)
    assert decibels(mixture - sum(read(path) for path in report.files.values()), mixture) < -90


@pytest.mark.parametrize("format", FORMATS)
def test_formats(quick, format, song, tmp_path):
    report = separate_file(song, tmp_path, Options(format=format))
    assert {path.suffix for path in report.files.values()} == {f".{suffix(format)}"}
    *_, bass = decode(report.files["bass"], tmp_path / "raw.f32")
    assert bass.samples == 9 * RATE


def test_cancelling_stops_at_once_and_cleans_up(quick, song, tmp_path):
    class CancelledError(Exception):
        pass

    seen = []

    def cancel(block):
        seen.append(block)
        raise CancelledError

    with pytest.raises(CancelledError):
        separate_file(song, tmp_path, on_block=cancel)
    assert len(seen) == 1 and not list(tmp_path.iterdir())


def test_a_full_disk_is_reported_and_may_be_tried_again(quick, song, tmp_path, monkeypatch):
    def full(*_args, **_keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "interleaved", full)
    with pytest.raises(SeparationError, match="Make room") as failure:
        separate_file(song, tmp_path)
    assert not failure.value.permanent and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"format": "xyz"}, "wav, flac, mp3, mp3-v0, m4a, opus"),
        ({"preset": "no"}, "default"),
        ({"stems": ("vocals", "kazoo")}, "kazoo"),
        ({"bits": "8"}, "16"),
        ({"bleed": "no"}, "light"),
        ({"max_seconds": 0}, "0"),
    ],
)
def test_options_are_checked_at_the_door(wrong, message):
    with pytest.raises(InvalidOption, match=message):
        Options(**wrong)


def test_segments_join_to_the_stems_without_a_gap(tmp_path):
    rng = np.random.default_rng(0)
    song = rng.uniform(-3.9, 3.9, (2, 2, 2 * SEGMENT + 12_345)).astype(np.float32)
    cuts = [0, SEGMENT // 2, SEGMENT + 100, 2 * SEGMENT - 1, song.shape[2]]
    complete = []
    with SegmentWriter(tmp_path) as writer:
        for start, stop in pairwise(cuts):
            stems = {"vocals": song[0, :, start:stop], "drums": song[1, :, start:stop]}
            complete.append(writer.write(Block(start, stop, song.shape[2], stems)))
        complete.append(writer.close())
    assert complete == [0, 1, 1, 2, 3]
    for index, stem in enumerate(["vocals", "drums"]):
        parts = [read(tmp_path / stem / f"{k:05d}.flac") for k in range(3)]
        assert [part.shape[1] for part in parts] == [SEGMENT, SEGMENT, 12_345]
        np.testing.assert_allclose(HEADROOM * np.concatenate(parts, axis=1), song[index], atol=HEADROOM * 2**-23)
        stored = np.fromfile(tmp_path / stem / "peaks.i8", np.int8).reshape(-1, 2)
        assert len(stored) == 2 * SEGMENT // SAMPLES_PER_PEAK + -(-12_345 // SAMPLES_PER_PEAK)


def test_songs_from_before_the_length_of_a_segment_was_noted_are_read_as_they_were_cut(tmp_path, monkeypatch):
    song = np.random.default_rng(0).uniform(-1, 1, (2, 500_000)).astype(np.float32)
    monkeypatch.setattr(segments, "SEGMENT", 441_000)
    with SegmentWriter(tmp_path) as writer:
        writer.write(Block(0, 500_000, 500_000, {"other": song}))
        writer.close()
    monkeypatch.undo()
    index = json.loads((tmp_path / "index.json").read_text())
    assert index.pop("segment") == 441_000
    (tmp_path / "index.json").write_text(json.dumps(index))
    blocks = [*segments.replay(tmp_path)]
    assert [(block.start, block.stop) for block in blocks] == [(0, 441_000), (441_000, 500_000)]
    np.testing.assert_allclose(np.concatenate([b.stems["other"] for b in blocks], axis=1), song, atol=HEADROOM * 2**-23)


@pytest.mark.parametrize("level", [0.001, 1.0, 3.5])
def test_the_song_itself_is_cut_as_its_stems_are(level, tmp_path):
    samples = SEGMENT + 12_345
    audio = level * np.random.default_rng(0).uniform(-1, 1, (2, samples)).astype(np.float32)
    with Encoder(tmp_path / "song.wav", "wav", "float") as encoder:
        encoder.write(audio)
    *_, recording = decode(tmp_path / "song.wav", tmp_path / "raw.f32")
    assert write_original(tmp_path / "job", recording) == 2
    gain = gain_of(recording.peak)
    parts = [load(tmp_path / "job", "original", number, gain) for number in range(2)]
    assert [part.shape for part in parts] == [(2, SEGMENT), (2, 12_345)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), audio, atol=gain * 2**-23)
    drawn = np.fromfile(tmp_path / "job" / "original" / "peaks.i8", np.int8).reshape(-1, 2)
    np.testing.assert_array_equal(drawn, peaks(audio))
    assert sorted(path.name for path in (tmp_path / "job" / "original").iterdir()) == [
        "00000.flac", "00001.flac", "peaks.i8",
    ]  # fmt: skip


def test_peaks_are_the_extremes():
    audio = np.zeros((2, 1000), np.float32)
    audio[0, 10], audio[1, 450], audio[1, 999] = 0.5, -1.5, 0.25
    np.testing.assert_array_equal(peaks(audio), [[0, 64], [-127, 0], [0, 32]])


def test_command_line_goes_on_after_a_bad_file(quick, song, tmp_path, capsys):
    bad = tmp_path / "bad.mp3"
    bad.write_text("no music")
    twin = tmp_path / "other" / song.name
    twin.parent.mkdir()
    shutil.copy(song, twin)
    out, reported = tmp_path / "out", tmp_path / "reported" / "report.json"
    assert command_line.main([str(bad), str(song), str(twin), "-o", str(out), "--report", str(reported)]) == 1
    shown = capsys.readouterr()
    assert "bad.mp3: failed: This is not an audio file" in shown.err
    assert sorted(path.name for path in out.iterdir() if any(path.iterdir())) == [song.stem, f"{song.stem} (2)"]
    assert len(json.loads(reported.read_text())) == 2
    assert command_line.main([str(song), "-o", str(out), "--report", str(reported)]) == 0
    assert json.loads(reported.read_text())["stems"] == STEMS


def test_command_line_refuses_what_is_absent(tmp_path, capsys):
    assert command_line.main([str(tmp_path / "absent.wav"), "-o", str(tmp_path)]) == 1
    assert "absent.wav" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x" * 240 + ".wav", "🎸" * 60 + ".wav", "a'b\"c\\d.wav", "  .wav", "-o.wav"])
def test_names_of_every_kind_become_folders(quick, name, song, tmp_path):
    source = tmp_path / name
    shutil.copy(song, source)
    assert command_line.main(["-o", str(tmp_path / "out"), "--", str(source)]) == 0
    (folder,) = (tmp_path / "out").iterdir()
    assert len(list(folder.iterdir())) == 4


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, *_):
        if name.split(".")[0] in {"torch", "demucs", "openunmix", "torchaudio"}:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
from pipeline.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_the_whole_pipeline_runs_without_torch(song, htdemucs, tmp_path):
    command = [sys.executable, "-c", BLOCKED, str(song), "-o", str(tmp_path), "--stems", "drums,bass"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"})
    assert done.returncode == 0, done.stderr
    assert "block" in done.stdout and "vocals, drums, bass, other" in done.stdout


def test_bad_input_leaves_no_trace(quick, tmp_path):
    (tmp_path / "text.wav").write_text("no")
    with pytest.raises(InvalidAudio):
        separate_file(tmp_path / "text.wav", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_stems_keep_the_tags_of_the_song(quick, tmp_path):
    with Encoder(tmp_path / "song.flac", "flac", "24", Tags("Night Drive", "Ada", "Roads", "1999", "3/12")) as encoder:
        encoder.write(music(1))
    report = separate_file(tmp_path / "song.flac", tmp_path / "out", Options(format="mp3"))
    with av.open(str(report.files["drums"])) as stem:
        found = read_tags(stem)
    assert found == Tags("Night Drive (drums)", "Ada", "Roads", "1999", "3/12")


def test_stems_of_a_song_without_tags_are_titled_by_its_name(quick, song, tmp_path):
    report = separate_file(song, tmp_path, Options(format="flac"))
    with av.open(str(report.files["other"])) as stem:
        assert read_tags(stem) == Tags(f"{song.stem} (other)")
