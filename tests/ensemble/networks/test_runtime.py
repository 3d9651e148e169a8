"""What loading a network leaves behind on a machine."""

import os
import subprocess
import sys
from pathlib import Path

import ensemble

WEIGHTS = Path(ensemble.__file__).with_name("weights") / "unmix_split.onnx"
LOAD = "import sys; from pathlib import Path; from ensemble.networks import runtime; runtime.session(Path(sys.argv[1]))"


def test_nothing_is_reported_to_the_maker_of_the_runtime(tmp_path: Path) -> None:
    # An own process with an environment of its own: the answer holds for a process, and ONNX Runtime is silent in CI.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", LOAD, WEIGHTS], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
