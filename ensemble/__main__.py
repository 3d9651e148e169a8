"""Command line for the models: python -m ensemble COMMAND."""

import argparse
import importlib
import sys
from typing import Any

from tqdm import tqdm

from ensemble import download, registry
from ensemble.errors import SeparationError

HEAVY = {  # imported only when called: their dependencies, PyTorch among them, are slow to import
    "evaluate": ("ensemble.evaluation.evaluate", "separate songs with known stems and measure the result"),
    "fit": ("ensemble.evaluation.fitting", "fit blend weights on songs with known stems"),
    "export": ("ensemble.conversion.export", "convert a model from its official PyTorch checkpoint"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        arguments = parser(argv[0] if argv else "").parse_args(argv)
        arguments.run(arguments)
    except SeparationError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def parser(command: str) -> argparse.ArgumentParser:
    """Build the parser. A heavy command gets its arguments only if it is the one called."""
    made = argparse.ArgumentParser(
        prog="python -m ensemble", description="Manage, convert and measure the separation models."
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="list the models: stems, size, licence, and whether they are installed")
    listing.set_defaults(run=lambda _: show())
    pulling = commands.add_parser("pull", help="download and verify models")
    pulling.add_argument("names", nargs="+", metavar="NAME")
    pulling.set_defaults(run=lambda arguments: pull(arguments.names))
    for name, (module, text) in HEAVY.items():
        heavy = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name == command:
            _describe(heavy, module)
    return made


def _describe(heavy: argparse.ArgumentParser, module: str) -> None:
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise SeparationError(
            f"{error.name} is not installed. Install it with: pip install 'soundscape[export]'"
        ) from error
    loaded.add_arguments(heavy)
    heavy.set_defaults(run=loaded.run)


def show() -> None:
    """Print a paragraph for each model and a line for each preset."""
    for name in registry.models():
        card = registry.card(name)
        print(f"{name}  {'installed' if card.installed else 'not installed'}  {card.bytes / 1e6:.1f} MB")
        print(f"  {card.title}: {', '.join(card.stems)}")
        if card.experimental:
            print("  experimental: its stems are separated on request only")
        print(f"  licence: {card.licence}")
        print(f"  from:    {card.origin}; {card.provenance}")
        print(f"  sha256:  {card.sha256 or 'recorded on export'}")
    for preset in registry.ensembles().values():
        print(f"preset {preset.name}: {preset.title} ({', '.join({**preset.members, **preset.split})})")


def pull(names: list[str]) -> None:
    """Fetch each model with a progress bar."""
    for name in names:
        print(f"{name}: {download.pull(name, Bar())}")


class Bar:
    """Progress of a download: a bar on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None

    def __call__(self, name: str, done: int, total: int) -> None:
        """Show `done` of `total` bytes."""
        if self.bar is None:
            self.bar = tqdm(total=total, desc=name, unit="B", unit_scale=True, initial=done, disable=None)
        self.bar.update(done - self.bar.n)
        if done >= total:
            self.bar.close()


if __name__ == "__main__":
    sys.exit(main())
