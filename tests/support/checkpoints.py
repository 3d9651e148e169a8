"""Checkpoints of the official architectures in the official forms, with seeded random weights."""

from dataclasses import replace
from pathlib import Path

import torch
from demucs.htdemucs import HTDemucs

from ensemble import registry
from ensemble.conversion.export import official_open_unmix

DEMUCS = {"channels": 48, "bottom_channels": 512, "t_layers": 5, "t_heads": 8}  # as htdemucs and htdemucs_ft
SIX_STEMS = DEMUCS | {"bottom_channels": 0}
SMALL = {"channels": 8, "bottom_channels": 32, "t_layers": 2, "t_heads": 4}  # the same layers, narrow and fewer
UMXHQ = {"hidden_size": 512}
UMXL = {"hidden_size": 1024}


def demucs(folder: Path, name: str, shape: dict, segment: int = 44_100) -> tuple[registry.Model, list[Path]]:
    """A package as Meta publishes it: class by name, arguments, float16 weights. Returns (row, files)."""
    row = replace(registry.model(name), segment=segment, source=None)
    torch.manual_seed(0)
    kwargs = shape | {"sources": list(row.stems), "segment": segment / 44_100, "samplerate": 44_100}
    network = HTDemucs(**kwargs)
    for name_, weight in network.named_parameters():
        if name_.endswith("scale"):  # layers start all but switched off, and what is switched off can't be compared
            weight.data.fill_(0.5)
    state = {key: value.half() for key, value in network.state_dict().items()}
    path = folder / f"{row.checkpoint.files[0].split('.')[0]}.th"
    torch.save({"klass": HTDemucs, "args": (), "kwargs": kwargs, "state": state}, path)
    return row, [path]


def umx(folder: Path, name: str = "umxhq", shape: dict = UMXHQ) -> tuple[registry.Model, list[Path]]:
    """Bare state dicts, one per stem, with the leftovers that the published ones have. Returns (row, files)."""
    row = replace(registry.model(name), segment=44_100)
    files = []
    for seed, stem in enumerate(row.stems):
        torch.manual_seed(seed)
        state = official_open_unmix().OpenUnmix(nb_bins=2049, nb_channels=2, max_bin=1487, **shape).state_dict()
        files.append(folder / f"{stem}.pth")
        torch.save(state | {"sample_rate": torch.tensor(44_100.0)}, files[-1])
    return row, files
