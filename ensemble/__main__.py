"""The command line of the models: python -m ensemble list | pull NAME."""

import argparse
import sys
from typing import Any

from tqdm import tqdm

from ensemble import registry
from ensemble.errors import SeparationError


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m ensemble", description="The separation models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="every known model: stems, size, licence, whether it is here")
    listing.set_defaults(run=lambda _: show())
    pulling = commands.add_parser("pull", help="fetch models and verify them")
    pulling.add_argument("names", nargs="+", metavar="NAME")
    pulling.set_defaults(run=lambda arguments: pull(arguments.names))
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except SeparationError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def show() -> None:
    """Print a paragraph per model."""
    for name in registry.models():
        card = registry.card(name)
        print(f"{name}  {'present' if card.installed else 'not present'}  {card.bytes / 1e6:.1f} MB")
        print(f"  {card.title}: {', '.join(card.stems)}")
        print(f"  licence: {card.licence}")
        print(f"  from:    {card.origin}; {card.provenance}")
        print(f"  sha256:  {card.sha256}")


def pull(names: list[str]) -> None:
    """Fetch each, with a progress bar."""
    for name in names:
        print(f"{name}: {registry.pull(name, Bar())}")


class Bar:
    """Shows a download: a bar on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None

    def __call__(self, name: str, done: int, total: int) -> None:
        """Called with bytes done of bytes in all."""
        if self.bar is None:
            self.bar = tqdm(total=total, desc=name, unit="B", unit_scale=True, initial=done, disable=None)
        self.bar.update(done - self.bar.n)
        if done >= total:
            self.bar.close()


if __name__ == "__main__":
    sys.exit(main())
