"""Separate songs whose stems are known and measure the result.

mean.sdr and mean.sir average over vocals, drums, bass and other each stem's mean over songs: of the SDR over the whole
song, and of the SIR by projection onto the true stems. BSS Eval v4 figures (bss_sdr, ...) are, as usual, medians over
seconds within a song and medians over songs. "guitar in other" is the baseline of not dividing: all of `other`,
compared with the true guitar.
"""

import argparse
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ensemble import bleed as bleed_filter
from ensemble import registry
from ensemble.blend import split
from ensemble.errors import InvalidOption
from ensemble.evaluation import wiener
from ensemble.evaluation.datasets import DATASETS, WHOLE, Song, songs
from ensemble.evaluation.metrics import BSS_EVAL, Real, Truth, leakage, ratio_db
from ensemble.networks.demucs import Level
from ensemble.registry import RESIDUAL, STEMS, Ensemble
from ensemble.separator import Separator, finish
from ensemble.stft import Audio, istft, stft

RAW = "raw"  # the blended estimates, which don't sum to the mixture
MASKS = "masks"  # power masks applied to the mixture, which use its phase
EM = "em"  # the textbook's multichannel Wiener filter, applied to the mixture
BLEEDS = (RAW, MASKS, EM, *registry.bleeds())
FOUR = ("vocals", "drums", "bass", "other")
SPLIT = ("guitar", "piano")  # part of `other` for models without these stems
LEFT = {stem: f"{stem} in other" for stem in SPLIT}
SCORED = (*STEMS, *LEFT.values(), *WHOLE)
FIGURES = ("sdr", "sir", "si_sdr", "bleed", "leakage", *(f"bss_{name}" for name in BSS_EVAL))
MEDIANS = tuple(name for name in FIGURES if name.startswith("bss_"))

Stems = dict[str, Audio]
Scores = dict[str, dict[str, float | None]]
"""Figures by stem; null_db is filed under "sum"."""
Results = dict[str, dict[str, Scores]]
"""Scores by label of the system, then by song."""


@dataclass(frozen=True, slots=True)
class System:
    """A system to measure: a preset or a single model, a bleed setting, and whether experimental models run."""

    name: str
    bleed: str
    experimental: bool = False

    @property
    def label(self) -> str:
        """Name in tables and files."""
        return f"{self.name}/{self.bleed}"

    @property
    def recipe(self) -> dict[str, Any]:
        """Weights, checksums and settings. A song scored with another recipe is scored anew."""
        row = preset(self.name)
        weights = {**row.members, "split": row.split, "stems": wanted(self.name, experimental=self.experimental)}
        checksums = {name: registry.model(name).sha256 for name in {**row.members, **row.split}}
        setting = registry.bleeds().get(self.bleed)
        settings = [setting.unmix, setting.mask, bleed_filter.EXPONENT] if setting else []
        return {"weights": weights, "sha256": checksums, "bleed": settings}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command `evaluate`."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder of songs")
    parser.add_argument("--dataset", choices=DATASETS, default="folder", help="how DIR is laid out (default: folder)")
    parser.add_argument("--models", nargs="+", default=["default"], metavar="NAME", help="presets or single models")
    parser.add_argument(
        "--bleed",
        nargs="+",
        choices=BLEEDS,
        help=f"bleed settings to compare (default: {registry.DEFAULT_BLEED} for presets, {RAW} for single models)",
    )
    parser.add_argument("--experimental", action="store_true", help="include the stems of experimental models")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="songs to process in parallel (default: 1)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write figures to FILE; songs that it already holds are skipped"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one row per song, system and stem to FILE")


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, write the files and print the table. Raises SeparationError."""
    systems = systems_of(arguments.models, arguments.bleed, experimental=arguments.experimental)
    listed = songs(arguments.directory, arguments.dataset)
    names = [song.name for song in listed]
    results = load_results(arguments.json, systems)
    todo = [(song, [system for system in systems if song.name not in results[system.label]]) for song in listed]
    todo = [(song, missing) for song, missing in todo if missing]
    for song, scores in tqdm(score_all(todo, arguments.jobs), total=len(todo), unit="song", disable=None):
        for label, figures in scores.items():
            results[label][song] = figures
        write_json(arguments.json, report(systems, results, names))
    content = report(systems, results, names)
    write_json(arguments.json, content)
    write_csv(arguments.csv, content)
    print(table(content))


def systems_of(names: Sequence[str], bleeds: Sequence[str] | None, *, experimental: bool = False) -> list[System]:
    """All combinations of names and bleed settings.

    Raises InvalidOption for a name that is neither preset nor model.
    """
    chosen = {name: bleeds or [RAW if _is_model(name) else registry.DEFAULT_BLEED] for name in names}
    return [System(name, bleed, experimental) for name, some in chosen.items() for bleed in some]


def _is_model(name: str) -> bool:
    known = [*registry.ensembles(), *registry.models()]
    if name not in known:
        raise InvalidOption(f"There is no preset or model {name!r}. Known: {', '.join(dict.fromkeys(known))}.")
    return name not in registry.ensembles()


def preset(name: str) -> Ensemble:
    """A preset, or a single model as a preset of its own."""
    if _is_model(name):
        return Ensemble(name, name, {name: dict.fromkeys(registry.model(name).stems, 1.0)})
    return registry.ensemble(name)


def wanted(name: str, *, experimental: bool) -> list[str]:
    """The stems that the system separates."""
    return registry.stems_of(preset(name), experimental=experimental)


def separator(name: str, bleeds: Sequence[str], *, experimental: bool = False) -> Callable[[Audio], dict[str, Stems]]:
    """Build a function that separates a whole song once and applies several bleed settings.

    Filters run segment by segment, as in the service.

    Parameters
    ----------
    name
        A preset or a single model.
    bleeds
        Bleed settings, RAW, MASKS and EM included.
    experimental
        Whether experimental models run.

    Returns
    -------
    A function from a mixture, (2, samples) float32, to the stems by bleed setting and name, each (2, samples) float32.
    """

    def separate(mixture: Audio) -> dict[str, Stems]:
        mono = mixture.mean(axis=0)
        level = Level(float(mono.mean()), float(mono.std(ddof=1)))
        network = Separator(preset(name), level, "off", wanted(name, experimental=experimental))

        def segment(audio: Audio) -> Audio:
            estimates = network.estimate(audio)
            return np.stack([_with_residual(len(estimates), after(audio, estimates, bleed)) for bleed in bleeds])

        blocks = network.blocks(partial(_read, mixture), mixture.shape[-1], segment)
        whole = np.concatenate([block for _, block in blocks], axis=-1)
        names = [*network.sources, RESIDUAL]
        return {bleed: dict(zip(names, stems, strict=True)) for bleed, stems in zip(bleeds, whole, strict=True)}

    return separate


def after(mixture: Audio, estimates: Audio, bleed: str) -> Audio:
    """Apply a bleed setting to estimates.

    Parameters
    ----------
    mixture
        (channels, samples) float32.
    estimates
        (sources, channels, samples) float32.
    bleed
        A bleed setting, RAW, MASKS or EM.

    Returns
    -------
    (sources, channels, samples) float32, with a residual as one more source if the setting filters.
    """
    if bleed == RAW:
        return estimates
    if bleed == MASKS:
        return split(mixture, estimates)
    if bleed == EM:
        filtered = wiener.wiener(stft(mixture), stft(estimates)).astype(np.complex64)
        return istft(filtered, mixture.shape[-1])
    return finish(mixture, estimates, registry.bleed(bleed))


def _with_residual(sources: int, stems: Audio) -> Audio:
    """Append a silent residual to stems that have none, so that all settings have the same shape."""
    missing = sources + 1 - len(stems)
    return np.concatenate([stems, np.zeros((missing, *stems.shape[1:]), np.float32)])


def _read(audio: Audio, start: int, stop: int) -> Audio:
    """Samples start to stop, zeros outside."""
    samples = audio.shape[-1]
    inside = audio[:, max(start, 0) : min(stop, samples)]
    return np.pad(inside, ((0, 0), (max(0, -start), max(0, stop - samples))))


def score_song(song: Song, systems: Sequence[System]) -> dict[str, Scores]:
    """Separate a song with all systems; returns figures by label."""
    mixture, truth = song.load()
    results: dict[str, Scores] = {}
    truths: dict[tuple[str, ...], Truth] = {}
    for name, experimental in dict.fromkeys((system.name, system.experimental) for system in systems):
        bleeds = [system.bleed for system in systems if system.name == name]
        for bleed, stems in separator(name, bleeds, experimental=experimental)(mixture).items():
            scores = score(mixture, targets(truth, list(stems)), stems, truths)
            results[System(name, bleed).label] = scores | left(truth, stems)
    return results


def left(truth: Stems, stems: Stems) -> Scores:
    """Score the baseline of not dividing `other`: all of it, taken for the guitar and for the piano.

    truth, stems: (2, samples) float32 by name. Returns figures by baseline.
    """
    true = {stem: audio for stem, audio in truth.items() if audio.any()}
    if "other" not in stems or true.keys().isdisjoint(LEFT):
        return {}
    other = np.sum([audio for stem, audio in stems.items() if stem in (*SPLIT, "other")], axis=0)
    figures = Truth(np.stack([*true.values()])).global_figures(np.stack([other] * len(true)))
    rows = {LEFT[stem]: row for row, stem in enumerate(true) if stem in LEFT}
    return {name: {figure: _plain(values[row]) for figure, values in figures.items()} for name, row in rows.items()}


def targets(truth: Stems, stems: Sequence[str]) -> Stems:
    """The true stems that a model's answer can be compared with.

    A model that doesn't separate guitar or piano has them in `other`. Next to an accompaniment or a `rest`, which
    contain what was not recorded separately, a stem can only be scored if the model separates all that were; these two
    are then compared with the sum of the model's other stems. A true stem without an answer is left out.

    Parameters
    ----------
    truth
        (2, samples) float32 by stem.
    stems
        Names of the stems that the model separates.

    Returns
    -------
    (2, samples) float32 by stem.
    """
    whole = [stem for stem in WHOLE if stem in truth]
    merged = {stem: audio for stem, audio in truth.items() if stem not in SPLIT or stem in stems}
    lost = [audio for stem, audio in truth.items() if stem not in merged]
    if lost and whole:
        return {}
    if lost:
        merged["other"] = np.sum([*lost, *([truth["other"]] if "other" in truth else [])], axis=0)
    return {stem: audio for stem, audio in merged.items() if stem in stems or stem in whole}


def score(mixture: Audio, true: Stems, stems: Stems, truths: dict[tuple[str, ...], Truth]) -> Scores:
    """Score the stems of one song.

    Parameters
    ----------
    mixture
        (2, samples) float32.
    true, stems
        The true stems and the separated ones, (2, samples) float32 by name.
    truths
        A cache: costly statistics of the true stems, for the next system with the same stems.

    Returns
    -------
    Figures in dB by true stem, and null_db under "sum".
    """
    answers = {stem: _answer(stem, true, stems) for stem in true}
    scores: Scores = {"sum": {"null_db": null_db(mixture, stems)}}
    for stem, answer in answers.items():
        scores[stem] = {"leakage": leakage(mixture, true[stem], answer)}
    sounding = tuple(sorted(stem for stem, audio in true.items() if audio.any()))
    if not sounding:
        return scores
    truth = truths.setdefault(sounding, Truth(np.stack([true[stem] for stem in sounding])))
    for stem, figures in zip(sounding, _figures(truth, np.stack([answers[stem] for stem in sounding])), strict=True):
        scores[stem] |= figures
    return scores


def _figures(truth: Truth, estimates: Audio) -> list[dict[str, float | None]]:
    """All figures but leakage, per stem."""
    ratios = {f"bss_{name}": _medians(values) for name, values in truth.bss_eval(estimates).items()}
    columns = truth.global_figures(estimates) | ratios
    return [{name: _plain(values[row]) for name, values in columns.items()} for row in range(len(estimates))]


def _answer(stem: str, true: Stems, stems: Stems) -> Audio:
    """The system's answer for a true stem; for accompaniment and rest, the sum of its stems without a true one."""
    if stem in stems:
        return stems[stem]
    audio: Audio = np.sum([answer for name, answer in stems.items() if name not in (*true, RESIDUAL)], axis=0)
    return audio


def null_db(mixture: Audio, stems: Stems) -> float:
    """Energy of the mixture minus all stems, the residual included, relative to the mixture's.

    Parameters
    ----------
    mixture
        (2, samples) float32.
    stems
        (2, samples) float32 by name.

    Returns
    -------
    A ratio of energies in dB.

    """
    missed = mixture - np.sum(list(stems.values()), axis=0, dtype=np.float64)
    return float(ratio_db((missed**2).sum(), (mixture.astype(np.float64) ** 2).sum()))


def _medians(values: Real) -> Real:
    """Medians over the windows that could be scored, per stem; NaN where there are none."""
    return np.array([np.median(kept) if len(kept := row[~np.isnan(row)]) else np.nan for row in values])


def _plain(value: float) -> float | None:
    """Round a figure for JSON, which has no NaN."""
    return round(float(value), 6) if np.isfinite(value) else None


def score_all(todo: list[tuple[Song, list[System]]], jobs: int) -> Iterator[tuple[str, dict[str, Scores]]]:
    """Score songs in up to `jobs` processes; yields them as they finish."""
    if jobs <= 1:
        yield from ((song.name, score_song(song, systems)) for song, systems in todo)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(score_song, song, systems): song.name for song, systems in todo}
        try:
            yield from ((running[future], future.result()) for future in as_completed(running))
        finally:
            pool.shutdown(cancel_futures=True)


def load_results(path: Path | None, systems: Sequence[System]) -> Results:
    """Load songs that an earlier run scored with the same recipes. Raises InvalidOption for a file of another kind."""
    results: Results = {system.label: {} for system in systems}
    if path is None or not path.exists():
        return results
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))["systems"]
        for system in systems:
            kept = earlier.get(system.label, {"recipe": None})
            if kept["recipe"] == system.recipe:
                results[system.label] = kept["songs"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidOption(f"{path} is not a file of this command. Move it away or name another.") from error
    return results


def report(systems: Sequence[System], results: Results, names: Sequence[str]) -> dict[str, Any]:
    """The content of the JSON file: figures of the first system, and those of all systems by label."""
    columns = {
        system.label: summary({name: results[system.label][name] for name in names if name in results[system.label]})
        | {"recipe": system.recipe}
        for system in systems
    }
    return {"system": systems[0].label, **columns[systems[0].label], "systems": columns}


def summary(by_song: dict[str, Scores]) -> dict[str, Any]:
    """Figures per stem over songs (means; medians for BSS Eval) and their means over FOUR."""
    stems = {stem: _over_songs([scores[stem] for scores in by_song.values() if stem in scores]) for stem in SCORED}
    stems = {stem: figures for stem, figures in stems.items() if figures}
    mean = {name: _mean([stems[stem].get(name) for stem in FOUR if stem in stems]) for name in FIGURES}
    return {"mean": mean, "stems": stems, "songs": by_song}


def _over_songs(rows: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    if not rows:
        return {}
    return {name: (_median if name in MEDIANS else _mean)([row.get(name) for row in rows]) for name in FIGURES}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Replace the file atomically, so that an interrupted run leaves the earlier one."""
    if path is None:
        return
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


def write_csv(path: Path | None, content: dict[str, Any]) -> None:
    """Write one row per song, system and stem."""
    if path is None:
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["song", "system", "stem", *FIGURES])
        writer.writeheader()
        for label, column in content["systems"].items():
            for song, stem in product(column["songs"], SCORED):
                if stem in column["songs"][song]:
                    writer.writerow({"song": song, "system": label, "stem": stem, **column["songs"][song][stem]})


def table(content: dict[str, Any]) -> str:
    """Format the figures for the terminal: one row per system and stem, and each system's mean."""
    lines = [f"{'system':24}{'stem':17}" + "".join(f"{name:>9}" for name in FIGURES)]
    for label, column in content["systems"].items():
        lines += [_line(label, stem, figures) for stem, figures in column["stems"].items()]
        lines.append(_line(label, f"mean of {len(FOUR)}", column["mean"]))
    return "\n".join(lines)


def _line(label: str, stem: str, figures: dict[str, float | None]) -> str:
    cells = (figures.get(name) for name in FIGURES)
    return f"{label:24}{stem:17}" + "".join(f"{'-':>9}" if cell is None else f"{cell:9.2f}" for cell in cells)
