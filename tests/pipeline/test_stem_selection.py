"""What the detector and the caller decide together, and that no sound is lost by it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.sounds import RATE, music, read

from detector import classifier
from detector.classifier import ABSENT, KINDS, PRESENT, UNCERTAIN, Detected, Detection
from ensemble import registry
from ensemble.errors import ModelUnavailable
from ensemble.registry import STEMS
from pipeline import __main__ as command_line
from pipeline import separate as module
from pipeline import stem_selection
from pipeline.audio.encode import Encoder
from pipeline.options import Options, experimental_stems, presets_of, stem_choices
from pipeline.playback import segments
from pipeline.playback.segments import SEGMENT, SegmentWriter
from pipeline.report import Report
from pipeline.separate import reselect_stems, reusable, separate_file
from pipeline.stem_selection import Merged

FOUR = ["vocals", "drums", "bass", "other"]
SHARES = {"vocals": 0.4, "drums": 0.3, "bass": 0.2, "other": 0.1}
SECONDS = 23
LEVELS = dict.fromkeys(STEMS, -10.0)


def detection(**presences):
    """As the detector answers; what is not named is present."""
    detected = {kind: presences.get(kind, PRESENT) for kind in KINDS}
    return Detection(SECONDS, {kind: Detected(0.5, said, (0.5,) * SECONDS, ()) for kind, said in detected.items()})


def test_what_is_asked_for_is_separated_and_vocals_and_other_come_always():
    nothing = detection(**dict.fromkeys(KINDS, ABSENT))
    assert stem_selection.wanted(["drums"], nothing) == ["vocals", "drums", "other"]
    assert stem_selection.wanted([], nothing) == ["vocals", "other"]
    assert stem_selection.wanted([], None) == list(STEMS)
    assert stem_selection.wanted([], detection(drums=ABSENT, piano=UNCERTAIN)) == [s for s in STEMS if s != "drums"]


def test_what_is_experimental_comes_only_when_asked_for():
    experimental = ["guitar", "piano"]
    assert stem_selection.wanted([], None, experimental) == FOUR
    assert stem_selection.wanted([], detection(drums=ABSENT), experimental) == ["vocals", "bass", "other"]
    assert stem_selection.wanted(["guitar"], None, experimental) == ["vocals", "guitar", "other"]


@pytest.fixture
def splitters(monkeypatch):
    """Makes these the installed models that divide `other`, our own being experimental."""
    rows = registry.models()
    rows["unmix_split"] = replace(rows["unmix_split"], experimental=True)
    monkeypatch.setattr(registry, "models", lambda: rows)

    def install(*names):
        monkeypatch.setattr(registry, "installed", lambda name: name in ("htdemucs", "musicnn", *names))

    return install


def test_the_choice_of_stems_follows_the_models_and_tells_what_is_experimental(splitters):
    splitters()
    assert (stem_choices(), experimental_stems()) == (FOUR, [])
    splitters("unmix_split")
    assert (stem_choices(), experimental_stems()) == (list(STEMS), ["guitar", "piano"])
    assert (stem_choices("draft"), experimental_stems("draft")) == (FOUR, [])
    splitters("htdemucs_6s", "unmix_split")
    assert (stem_choices(), experimental_stems()) == (list(STEMS), [])
    assert presets_of("unmix_split") == presets_of("htdemucs_6s") == ["default", "fine"]


def test_what_is_judged_empty_goes_but_vocals_and_other():
    nothing = detection(bass=ABSENT, vocals=ABSENT, other=ABSENT)
    assert stem_selection.proven(FOUR, nothing, LEVELS) == ["vocals", "drums", "other"]
    assert stem_selection.proven(FOUR, None, LEVELS) == FOUR
    assert stem_selection.proven(FOUR, detection(), dict.fromkeys(FOUR, -40.0)) == ["vocals", "other"]
    assert stem_selection.proven(FOUR, detection(), dict.fromkeys(FOUR, -39.9)) == FOUR


def test_a_missed_stem_is_offered_but_not_one_left_out_on_purpose_nor_one_that_is_empty():
    stems = ["vocals", "other"]
    found = detection(bass=ABSENT)
    assert stem_selection.merged(FOUR, stems, [], found, LEVELS) == [
        Merged("drums", PRESENT, True),
        Merged("bass", ABSENT, False, empty=True),
    ]
    assert not any(stem.offered for stem in stem_selection.merged(FOUR, stems, ["vocals"], found, LEVELS))
    assert stem_selection.merged(FOUR, stems, [], None, LEVELS)[0] == Merged("drums", "", False)
    faint = LEVELS | {"drums": -45.0}
    assert stem_selection.merged(FOUR, stems, [], found, faint)[0] == Merged("drums", PRESENT, False, empty=True)


class Shares:
    """Stands for the networks where only what surrounds them is tested: each stem is a known share of the mixture."""

    provider, missing = "CPU", []
    preset = registry.ensemble("default")
    sources = stems = FOUR

    def __init__(self, *_):
        self.model = registry.model("htdemucs")
        self.loaded = [self]

    def count(self, samples):
        return -(-samples // 300_000)

    def blocks(self, read, samples):
        for start in range(0, samples, 300_000):
            audio = read(start, min(start + 300_000, samples))
            yield start, np.stack([np.float32(SHARES[stem]) * audio for stem in FOUR])


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.wav"
    with Encoder(path, "wav", "float") as encoder:
        encoder.write(music(SECONDS))
    return path


@pytest.fixture
def decide(monkeypatch):
    """Makes the detector say this of the mixture and that of the stems."""
    monkeypatch.setattr(module, "Separator", Shares)

    def install(mixture, stems=None):
        monkeypatch.setattr(classifier, "listen", lambda *_: mixture)
        monkeypatch.setattr(classifier, "confirm", lambda *_: stems or mixture)

    return install


def shares(report, song):
    """What share of the mixture each file is, and that they sum to it."""
    mixture = read(song)
    found = {stem: read(path) for stem, path in report.files.items()}
    np.testing.assert_allclose(sum(found.values()), mixture, atol=1e-5)
    return {stem: round(float(np.vdot(audio, mixture) / np.vdot(mixture, mixture)), 3) for stem, audio in found.items()}


@pytest.mark.parametrize(
    ("asked", "mixture", "stems", "expected"),
    [
        ((), {}, {}, SHARES),
        ((), {"drums": ABSENT}, {"drums": ABSENT}, {"vocals": 0.4, "bass": 0.2, "other": 0.4}),
        ((), {}, {"bass": ABSENT, "other": ABSENT}, {"vocals": 0.4, "drums": 0.3, "other": 0.3}),
        (("vocals",), {}, {}, {"vocals": 0.4, "other": 0.6}),
        (("drums",), {"drums": ABSENT}, {"drums": UNCERTAIN}, {"vocals": 0.4, "drums": 0.3, "other": 0.3}),
        (("drums",), {"drums": PRESENT}, {"drums": ABSENT}, {"vocals": 0.4, "other": 0.6}),
    ],
)
def test_what_does_not_come_out_stays_in_other(decide, song, tmp_path, asked, mixture, stems, expected):
    decide(detection(**mixture), detection(**stems))
    report = separate_file(song, tmp_path / "out", Options(stems=asked))
    assert shares(report, song) == expected
    assert report.null_db < -90 and list(report.files) == report.stems
    assert {stem.name for stem in report.merged} == set(FOUR) - set(expected)


def test_the_detector_is_reported_as_soon_as_it_has_listened(decide, song, tmp_path):
    decide(detection(drums=ABSENT))
    events = []
    separate_file(
        song,
        tmp_path / "out",
        on_progress=lambda progress: events.append(progress.stage),
        on_detected=lambda stage, detected: events.append((stage, detected.stems["drums"].presence)),
        on_block=lambda block: events.append(tuple(block.stems)),
    )
    reported = list(dict.fromkeys(events))
    lanes = ("vocals", "bass", "other")
    assert reported == [
        "decode",
        "listen",
        ("mixture", ABSENT),
        "separate",
        lanes,
        "confirm",
        ("confirmed", ABSENT),
        "encode",
    ]


FIVE = ["vocals", "drums", "bass", "guitar", "other"]


class Six(Shares):
    """A fuller ensemble: what the draft calls `other` is a guitar and the rest of it; with a residual."""

    sources, stems = FIVE, [*FIVE, "residual"]

    def blocks(self, read, samples):
        for start, four in super().blocks(read, samples):
            yield start, np.concatenate([four[:3], four[3:] / 2, four[3:] / 4, four[3:] / 4])


@pytest.mark.parametrize("asked", [(), ("guitar",)])
def test_an_experimental_network_runs_only_when_it_is_asked(decide, splitters, song, tmp_path, monkeypatch, asked):
    """Not even where the detector is sure."""
    splitters("unmix_split")
    decide(detection())
    loaded = []

    def load(_preset, _level, _bleed, wanted):
        loaded.append("guitar" in wanted or "piano" in wanted)
        return Six() if loaded[-1] else Shares()

    monkeypatch.setattr(module, "Separator", load)
    report = separate_file(song, tmp_path, Options(stems=asked))
    assert (loaded, "guitar" in report.stems) == ([bool(asked)], bool(asked))
    assert "piano" not in report.stems


def test_a_draft_is_the_song_in_those_of_its_stems_that_it_knows(decide, splitters, song, tmp_path, monkeypatch):
    splitters("htdemucs_6s", "unmix")
    decide(detection(drums=ABSENT))
    made = {"default": Six, "draft": Shares}
    monkeypatch.setattr(module, "Separator", lambda preset, *_: made[preset.name]())
    events, drafted = [], []

    def on_draft(stems, blocks):
        events.append(tuple(stems))
        drafted.extend(blocks)

    def on_block(block):
        events.append(tuple(block.stems))

    def on_progress(progress):
        events.append(progress.stage)

    separate_file(song, tmp_path, on_progress=on_progress, on_draft=on_draft, on_block=on_block)
    lanes = ("vocals", "bass", "guitar", "other", "residual")
    assert list(dict.fromkeys(events)) == ["decode", "listen", lanes, "draft", "separate", "confirm", "encode"]
    assert events.index("separate") < events.index(lanes, events.index(lanes) + 1)
    assert [block.start for block in drafted] == [0, *(block.stop for block in drafted[:-1])]
    assert all([*block.stems] == ["vocals", "bass", "other"] and not block.merged for block in drafted)
    whole = np.concatenate([sum(block.stems.values()) for block in drafted], axis=1)
    np.testing.assert_allclose(whole, read(song), atol=1e-5)


@pytest.mark.parametrize(("preset", "installed"), [("draft", True), ("default", False)])
def test_there_is_no_draft_of_a_draft_nor_without_its_network(decide, song, tmp_path, monkeypatch, preset, installed):
    decide(detection())
    known = registry.installed
    monkeypatch.setattr(registry, "installed", lambda name: known(name) and (installed or name != "unmix"))
    report = separate_file(song, tmp_path, Options(preset=preset), on_draft=lambda *_: pytest.fail("it was drafted"))
    assert report.stems == FOUR


def test_without_a_detector_every_stem_comes_and_the_report_says_why(decide, song, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Separator", Shares)
    monkeypatch.setattr(registry, "TAGGER", "umxhq")  # known, not installed
    report = separate_file(song, tmp_path / "out")
    assert report.stems == FOUR and report.detected == {}
    assert any("not detected" in warning and "umxhq" in warning for warning in report.warnings)


def silent_detector(*_):
    raise ModelUnavailable("It is not installed.")


FAINT = {"vocals": 0.694, "drums": 0.005, "bass": 0.3, "other": 0.001}  # drums at -46 dB


@pytest.mark.parametrize("asked", [(), ("drums",)])
@pytest.mark.parametrize("detecting", [True, False])
def test_a_stem_40_db_under_the_mixture_is_merged_into_other(decide, song, tmp_path, monkeypatch, asked, detecting):
    decide(detection())
    monkeypatch.setitem(globals(), "SHARES", FAINT)
    if not detecting:
        monkeypatch.setattr(classifier, "listen", silent_detector)
    report = separate_file(song, tmp_path / "out", Options(stems=asked))
    assert "drums" not in report.stems and shares(report, song)["other"] == round(0.006 + (0.3 if asked else 0), 3)
    drums = next(stem for stem in report.merged if stem.name == "drums")
    assert drums.empty and not drums.offered
    assert ("No drums could be separated from this song: its sound stays in other." in report.warnings) == bool(asked)


def test_vocals_40_db_under_the_mixture_come_as_silence_even_if_asked_for(decide, song, tmp_path, monkeypatch):
    decide(detection())
    monkeypatch.setitem(globals(), "SHARES", {"vocals": 0.005, "drums": 0.5, "bass": 0.3, "other": 0.195})
    report = separate_file(song, tmp_path / "out", Options(stems=("vocals",)))
    assert shares(report, song) == {"vocals": 0.0, "other": 1.0}
    assert any("No vocals could be separated" in warning for warning in report.warnings)


def test_a_stem_that_was_asked_for_in_vain_is_put_back_and_named(decide, song, tmp_path):
    """The first time and at another choice, on the command line too; when it is over, the sentence is gone."""
    decide(detection(), detection(bass=ABSENT))
    sentence = "No bass could be separated from this song: its sound stays in other."
    first = segmented(song, tmp_path / "1", Options(stems=("bass", "drums")))
    assert shares(first, song) == {"vocals": 0.4, "drums": 0.3, "other": 0.3} and first.warnings == [sentence]
    segments.merge_into_other(tmp_path / "1", ["bass"])
    second = reselect_stems(song, tmp_path / "1", first, tmp_path / "2", Options(stems=("drums",)))
    assert (second.stems, second.warnings) == (["vocals", "drums", "other"], [])
    third = reselect_stems(song, tmp_path / "1", first, tmp_path / "3", Options(stems=("bass",)))
    assert (third.stems, third.warnings) == (["vocals", "other"], [sentence])


def test_command_line_says_what_was_asked_for_in_vain(decide, song, tmp_path, capsys):
    decide(detection(), detection(bass=ABSENT))
    assert command_line.main([str(song), "-o", str(tmp_path / "out"), "--stems", "bass"]) == 0
    assert "note: No bass could be separated from this song" in capsys.readouterr().err


def test_asking_for_what_no_model_gives_is_answered(decide, splitters, song, tmp_path):
    splitters()
    decide(detection())
    report = separate_file(song, tmp_path / "out", Options(stems=("piano",)))
    assert report.stems == ["vocals", "other"]
    assert "No installed model separates piano: its sound is in other." in report.warnings
    assert "piano" not in stem_choices()


def test_stems_of_an_earlier_run_dont_count_twice(decide, song, tmp_path):
    decide(detection())
    separate_file(song, tmp_path / "out")
    (tmp_path / "out" / "notes.wav").write_text("mine")
    report = separate_file(song, tmp_path / "out", Options(stems=("vocals",)))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"vocals.wav", "other.wav", "notes.wav"}
    assert shares(report, song) == {"vocals": 0.4, "other": 0.6}


def test_a_quiet_song_keeps_its_digits_through_another_choice(decide, tmp_path):
    """At -75 dBFS, where segments of a fixed level would leave the sum at -57 dB."""
    song = tmp_path / "quiet.wav"
    with Encoder(song, "wav", "float") as encoder:
        encoder.write(music(SECONDS) * np.float32(3e-4))
    decide(detection())
    first = segmented(song, tmp_path / "1")
    second = reselect_stems(song, tmp_path / "1", first, tmp_path / "2", Options(stems=("vocals",)))
    assert second.null_db < -90
    mixture, stems = read(song), [read(path) for path in second.files.values()]
    assert 10 * np.log10(np.square(mixture - sum(stems)).sum() / np.square(mixture).sum()) < -90


def test_a_loud_song_is_not_clipped_in_segments(decide, tmp_path):
    song = tmp_path / "loud.wav"
    with Encoder(song, "wav", "float") as encoder:
        encoder.write(music(SECONDS) * np.float32(30))
    decide(detection())
    segmented(song, tmp_path / "1")
    np.testing.assert_allclose(joined(tmp_path / "1", "vocals"), 0.4 * read(song), atol=1e-4)


@pytest.mark.parametrize(("first", "then"), [((), ("drums",)), (("vocals",), ()), (("vocals",), ("piano",))])
def test_what_no_model_gives_needs_no_new_separation(decide, splitters, song, tmp_path, first, then):
    splitters()
    decide(detection(piano=PRESENT))
    report = segmented(song, tmp_path / "1", Options(stems=first))
    assert reusable(tmp_path / "1", report, Options(stems=then))


def test_a_model_that_came_since_is_a_reason_to_separate_again(decide, splitters, song, tmp_path):
    """An experimental one only if what it gives is asked for."""
    splitters()
    decide(detection(piano=PRESENT, guitar=ABSENT))
    report = segmented(song, tmp_path / "1", Options(stems=("vocals",)))
    for name, again in {"unmix_split": True, "htdemucs_6s": False}.items():
        splitters(name)
        assert reusable(tmp_path / "1", report, Options()) == again
        assert not reusable(tmp_path / "1", report, Options(stems=("guitar",)))
        assert reusable(tmp_path / "1", report, Options(stems=("bass",)))


def test_a_wish_that_is_over_is_not_warned_of(decide, song, tmp_path):
    decide(detection())
    first = segmented(song, tmp_path / "1", Options(stems=("piano",)))
    second = reselect_stems(song, tmp_path / "1", first, tmp_path / "2", Options(stems=("drums",)))
    assert (len(first.warnings), second.warnings) == (1, [])


def segmented(song, folder, options=None):
    with SegmentWriter(folder) as writer:
        report = separate_file(song, folder, options, on_block=writer.write)
        writer.close()
    return report


def joined(folder, stem):
    numbers = range(len(segments.index(folder).starts))
    gain = segments.index(folder).gain
    return gain * np.concatenate([read(segments.segment(folder / stem, k)) for k in numbers], axis=1)


def test_another_choice_needs_no_separation(decide, song, tmp_path, monkeypatch):
    decide(detection(drums=ABSENT), detection(drums=PRESENT, bass=ABSENT))
    first = segmented(song, tmp_path / "1")
    segments.merge_into_other(tmp_path / "1", ["bass"])
    assert first.stems == ["vocals", "other"]
    assert first.merged == [Merged("drums", PRESENT, True), Merged("bass", ABSENT, False, empty=True)]
    np.testing.assert_allclose(joined(tmp_path / "1", "other"), 0.6 * read(song), atol=1e-5)

    monkeypatch.setattr(module, "Separator", None)
    reported = Report.from_dict(json.loads(json.dumps(first.as_dict())))
    with SegmentWriter(tmp_path / "2") as writer:
        options = Options(stems=("drums",), format="flac", bits="24")
        second = reselect_stems(song, tmp_path / "1", reported, tmp_path / "2", options, on_block=writer.write)
        writer.close()
    assert shares(second, song) == {"vocals": 0.4, "drums": 0.3, "other": 0.3}
    assert [stem.name for stem in second.merged] == ["bass"]
    assert second.models == first.models and second.asked == ["drums"]
    np.testing.assert_allclose(joined(tmp_path / "2", "other"), 0.3 * read(song), atol=1e-5)

    third = reselect_stems(song, tmp_path / "2", second, tmp_path / "3", Options())
    assert shares(third, song) == {"vocals": 0.4, "other": 0.6}


def test_folded_lanes_are_drawn_as_they_sound(decide, song, tmp_path):
    decide(detection(), detection(drums=ABSENT))
    segmented(song, tmp_path / "1")
    assert segments.index(tmp_path / "1").stems == FOUR
    segments.merge_into_other(tmp_path / "1", ["drums"])
    found = segments.index(tmp_path / "1")
    assert (found.stems, found.merged, found.total) == (["vocals", "bass", "other"], ["drums"], SECONDS * RATE)
    drawn = np.fromfile(tmp_path / "1" / "other" / "peaks.i8", np.int8).reshape(-1, 2)
    whole = np.concatenate([segments.peaks(0.4 * read(song)[:, k : k + SEGMENT]) for k in found.starts])
    assert np.abs(drawn.astype(int) - whole).max() <= 1


def test_command_line_tells_what_was_detected_and_merged(decide, song, tmp_path, capsys):
    decide(detection(drums=ABSENT, piano=UNCERTAIN), detection(drums=PRESENT, bass=ABSENT))
    assert command_line.main([str(song), "-o", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "detected vocals, bass, guitar" in shown and "perhaps piano" in shown
    assert "drums was not expected, but is present" in shown and "--stems drums" in shown
    assert "bass is barely present" in shown
    assert command_line.main([str(song), "-o", str(tmp_path / "out"), "--stems", "kazoo"]) == 2
    assert "kazoo" in capsys.readouterr().err


def test_vocals_that_nobody_sings_come_as_silence_and_can_be_had_back(decide, song, tmp_path):
    decide(detection(vocals=UNCERTAIN), detection(vocals=ABSENT))
    first = segmented(song, tmp_path / "1")
    assert shares(first, song) == {"vocals": 0.0, "drums": 0.3, "bass": 0.2, "other": 0.5}
    assert not read(first.files["vocals"]).any() and first.merged == [Merged("vocals", ABSENT, False)]
    segments.merge_into_other(tmp_path / "1", ["vocals"], silent=["vocals"])
    assert not joined(tmp_path / "1", "vocals").any()
    assert not np.fromfile(tmp_path / "1" / "vocals" / "peaks.i8", np.int8).any()
    np.testing.assert_allclose(joined(tmp_path / "1", "other"), 0.5 * read(song), atol=1e-5)

    assert reusable(tmp_path / "1", first, Options(stems=("vocals", "drums")))
    second = reselect_stems(song, tmp_path / "1", first, tmp_path / "2", Options(stems=("vocals", "drums")))
    assert shares(second, song) == {"vocals": 0.4, "drums": 0.3, "other": 0.3}


@pytest.mark.parametrize(
    ("mixture", "confirmed"), [(UNCERTAIN, ABSENT), (ABSENT, UNCERTAIN), (ABSENT, ABSENT)], ids="-".join
)
def test_vocals_are_silenced_when_one_stage_finds_none_and_the_other_none_for_sure(mixture, confirmed):
    assert stem_selection.silent((), detection(vocals=mixture), detection(vocals=confirmed), LEVELS) == ["vocals"]


@pytest.mark.parametrize(
    ("asked", "mixture", "confirmed"),
    [
        ((), PRESENT, ABSENT),
        ((), ABSENT, PRESENT),
        ((), UNCERTAIN, UNCERTAIN),
        ((), ABSENT, None),
        (("vocals",), ABSENT, ABSENT),
    ],
)
def test_vocals_are_kept_where_a_stage_finds_them_or_none_is_sure_or_somebody_asked(asked, mixture, confirmed):
    detected = confirmed and detection(vocals=confirmed)
    assert stem_selection.silent(asked, detection(vocals=mixture), detected, LEVELS) == []
