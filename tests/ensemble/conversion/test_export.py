"""Exports agree with PyTorch, come out the same each time, and a wrong or dangerous one leaves nothing behind."""

import hashlib
import json
import pickle
from dataclasses import replace
from fractions import Fraction

import numpy as np
import onnx
import pytest
from support.sounds import music

from ensemble import download, registry
from ensemble.__main__ import main
from ensemble.errors import InvalidAudio, InvalidOption, ModelUnavailable
from ensemble.networks.runtime import Session

torch = pytest.importorskip("torch", reason="needs PyTorch (the export extra)")
pytest.importorskip("demucs", reason="needs demucs (the export extra)")

from safetensors.torch import save_file  # noqa: E402
from support import checkpoints  # noqa: E402  needs torch

from ensemble.conversion import checkpoint, export  # noqa: E402

CLOSE = 1e-5  # what our exports reach; the gate allows ten times as much


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """An empty folder of models."""
    monkeypatch.setattr(registry, "directory", lambda: tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(row, files) of a narrow htdemucs."""
    return checkpoints.demucs(tmp_path_factory.mktemp("small"), "htdemucs_ft_drums", checkpoints.SMALL)


@pytest.fixture(scope="module")
def graph(small):
    """Its graph, not yet written."""
    row, files = small
    network = export.Demucs(row, [checkpoint.read(file) for file in files])
    return network, export.trace(network)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_real_htdemucs_agrees_on_real_music(shared, tmp_path, capsys):
    target = tmp_path / "htdemucs.onnx"
    audio = shared / "audio" / "so_easy" / "mixture.flac"
    repo = shared / "models" / "demucs"
    assert main(["export", "htdemucs", f"--repo={repo}", f"--audio={audio}", "--half", f"-o{target}"]) == 0
    printed = capsys.readouterr().out
    assert float(printed.split("by ")[1].split()[0]) < CLOSE
    assert sha256(target) in printed
    assert target.stat().st_size < 90e6
    assert [*tmp_path.iterdir()] == [target]
    session = Session(target)
    assert session.inputs == {"wave": ["batch", 2, 343_980], "spectrum": ["batch", 4, 2048, 336]}
    assert session.outputs == {"spectra": ["batch", 4, 4, 2048, 336], "waves": ["batch", 4, 2, 343_980]}


@pytest.mark.slow
def test_htdemucs_6s_agrees_and_is_installed(tmp_path, models):
    row, files = checkpoints.demucs(tmp_path, "htdemucs_6s", checkpoints.SIX_STEMS)
    done = export.export(row, files)
    assert done.difference < CLOSE
    assert done.path == models / "htdemucs_6s.onnx"
    assert (done.sha256, done.bytes) == (sha256(done.path), done.path.stat().st_size)
    assert registry.installed("htdemucs_6s")
    assert registry.verified("htdemucs_6s") == done.path
    assert registry.card("htdemucs_6s").sha256 == done.sha256
    done.path.write_bytes(b"x" * done.bytes)
    with pytest.raises(ModelUnavailable, match=r"damaged.*ensemble export htdemucs_6s"):
        registry.verified("htdemucs_6s")


def test_the_same_checkpoint_gives_the_same_bytes(small, graph):
    row, files = small
    again = export.trace(export.Demucs(row, [checkpoint.read(file) for file in files]))
    assert again.SerializeToString(deterministic=True) == graph[1].SerializeToString(deterministic=True)


def test_a_batch_is_each_segment_alone(graph, tmp_path):
    path = tmp_path / "small.onnx"
    onnx.save(graph[1], path)
    session = Session(path)
    rng = np.random.default_rng(0)
    batch = {name: rng.standard_normal((3, *shape[1:])).astype(np.float32) for name, shape in session.inputs.items()}
    together = session.named(batch)
    for i in range(3):
        alone = session.named({name: value[i : i + 1] for name, value in batch.items()})
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][i : i + 1], value, atol=1e-5 * np.abs(value).max())


def test_the_file_names_no_path_of_this_machine(graph):
    assert str(export.__file__.rsplit("/", 3)[0]).encode() not in graph[1].SerializeToString()
    assert b"site-packages" not in graph[1].SerializeToString()


@pytest.mark.parametrize("signal", ["music", "noise", "silence"])
def test_a_graph_that_differs_on_anything_is_not_written(small, tmp_path, monkeypatch, signal):
    row, files = small
    index = ["music", "noise", "silence"].index(signal)
    calls = []

    class Broken(export.Demucs):
        def reference(self, segment):
            return np.stack([segment] * 4)

        def adapter(self, _):
            def separate(segment):
                calls.append(segment)
                answer = self.reference(segment)
                return answer + 2e-4 * max(np.abs(answer).max(), export.QUIET) * (len(calls) == index + 1)

            return separate

    monkeypatch.setitem(export.NETWORKS, "demucs", Broken)
    monkeypatch.setattr(export, "trace", lambda _: onnx.ModelProto())
    monkeypatch.setattr(export, "Session", lambda _: None)
    with pytest.raises(ModelUnavailable, match=f"on {signal}"):
        export.export(row, files, tmp_path / "broken.onnx")
    assert [*tmp_path.iterdir()] == []


def test_a_graph_that_gives_no_numbers_is_not_written(small, graph, tmp_path, monkeypatch):
    """Through ONNX Runtime: a weight of the finished graph is spoilt."""
    spoilt = onnx.ModelProto()
    spoilt.CopyFrom(graph[1])
    weight = max(spoilt.graph.initializer, key=lambda each: len(each.raw_data))
    weight.raw_data = np.full(len(weight.raw_data) // 4, np.nan, np.float32).tobytes()
    monkeypatch.setattr(export, "trace", lambda _: spoilt)
    with pytest.raises(ModelUnavailable, match="graph is wrong"):
        export.export(*small, tmp_path / "spoilt.onnx")
    assert [*tmp_path.iterdir()] == []


# Checkpoints


class Dropper:
    """Pickles to a call that leaves a file behind."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (type(self.target).touch, (self.target,))


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
@pytest.mark.parametrize("place", ["state", "klass"])
def test_a_checkpoint_that_holds_code_is_refused_and_the_code_not_run(tmp_path, write, place):
    trap = tmp_path / "trap"
    package = {"klass": "demucs.htdemucs.HTDemucs", "args": (), "kwargs": {}, "state": {}} | {place: Dropper(trap)}
    write(package, tmp_path / "955717e8.th")
    with pytest.raises(ModelUnavailable, match="refused") as caught:
        checkpoint.read(tmp_path / "955717e8.th")
    assert caught.value.permanent
    assert not trap.exists()


@pytest.mark.parametrize("suffix", [".th", ".safetensors"])
def test_a_foreign_class_is_only_a_name(tmp_path, suffix):
    path = tmp_path / f"955717e8{suffix}"
    if suffix == ".th":
        torch.save({"klass": "os.system", "kwargs": {}, "state": {}}, path)
    else:
        save_file({"w": torch.zeros(1)}, path, {"klass": "os.system", "kwargs": "{}"})
    with pytest.raises(ModelUnavailable, match="this is not one"):
        export.Demucs(registry.model("htdemucs"), [checkpoint.read(path)])


def test_safetensors_of_the_hub_are_read_like_the_package(small, tmp_path):
    package = checkpoint.read(small[1][0])
    kwargs = package["kwargs"] | {"segment": {"_type": "fraction", "numerator": 1, "denominator": 1}}
    about = {"klass": checkpoint.DEMUCS_CLASS, "args": "[]", "kwargs": json.dumps(kwargs)}
    save_file(package["state"], tmp_path / "f7e0c4bc.safetensors", about)
    found = checkpoint.read(tmp_path / "f7e0c4bc.safetensors")
    assert found["kwargs"]["segment"] == Fraction(1)
    ours, theirs = export.Demucs(small[0], [found]), export.Demucs(small[0], [package])
    mixture = music(1.0)
    with torch.no_grad():
        np.testing.assert_array_equal(ours.reference(mixture), theirs.reference(mixture))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04"])
@pytest.mark.parametrize("suffix", [".th", ".safetensors"])
def test_a_file_that_is_no_checkpoint(tmp_path, content, suffix):
    path = tmp_path / f"955717e8{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelUnavailable):
        checkpoint.read(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ModelUnavailable, match="nowhere"):
        checkpoint.read(tmp_path / "nowhere.th")


def test_a_name_that_promises_another_checksum(tmp_path):
    path = tmp_path / "vocals-b62c91ce.pth"
    torch.save({}, path)
    with pytest.raises(ModelUnavailable, match="damaged"):
        checkpoint.read(path)


def test_a_repository_finds_files_by_signature(tmp_path):
    row = registry.model("umxhq")
    with pytest.raises(ModelUnavailable, match="no file of vocals"):
        checkpoint.find(row, tmp_path)
    for stem in row.stems:
        (tmp_path / f"{stem}.pth").touch()
    assert [file.stem for file in checkpoint.find(row, tmp_path)] == list(row.stems)
    (tmp_path / "bass-12345678.pth").touch()
    with pytest.raises(ModelUnavailable, match="several files of bass"):
        checkpoint.find(row, tmp_path)


def test_weights_of_another_model(small, tmp_path):
    row, files = small
    package = checkpoint.read(files[0])
    with pytest.raises(ModelUnavailable, match="stems and segment"):
        export.Demucs(registry.model("htdemucs_6s"), [package])
    with pytest.raises(ModelUnavailable, match="missing or misshapen"):
        export.Demucs(row, [package | {"kwargs": package["kwargs"] | {"channels": 16}}])
    with pytest.raises(ModelUnavailable, match="checkpoint per stem"):
        export.OpenUnmix(registry.model("umxhq"), [package])
    with pytest.raises(ModelUnavailable, match="Open-Unmix checkpoint holds"):
        export.OpenUnmix(registry.model("umxhq"), [package] * 4)


# The command


def test_what_is_fetched_ready_made_is_not_replaced(models, capsys):
    assert main(["export", "htdemucs"]) == 1
    assert "-o FILE" in capsys.readouterr().err
    assert not models.exists()


def test_unknown_names_and_unreadable_music(small, tmp_path, capsys):
    assert main(["export", "nonesuch"]) == 1
    assert "nonesuch" in capsys.readouterr().err
    with pytest.raises(InvalidAudio, match=r"nowhere\.wav"):
        export.export(*small, tmp_path / "out.onnx", audio=tmp_path / "nowhere.wav")
    with pytest.raises(InvalidOption):
        checkpoint.find(replace(small[0], checkpoint=None), None)


def test_models_to_export_say_so(models):
    assert not registry.installed("umxl")
    for ask in registry.verified, download.pull:
        with pytest.raises(ModelUnavailable, match="python -m ensemble export umxl"):
            ask("umxl")
    assert "non-commercial" in registry.card("umxl").licence
