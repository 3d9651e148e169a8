"""The deployment files: linted, compared with the settings, and nginx run with its configuration."""

import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from time import monotonic, sleep

import pytest
import yaml
from django.conf import settings as configured
from django.http import HttpResponse

from webapp import settings as defaults

ROOT = Path(configured.BASE_DIR)
CONF = ROOT / ".docker" / "nginx.conf"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
TOOLS = Path(sys.executable).parent
AROUND = """
daemon off; worker_processes 1; pid nginx.pid; {user}
events {{}}
http {{
    access_log off; client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path other; uwsgi_temp_path other; scgi_temp_path other;
{server}
}}
"""


def compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


@pytest.mark.parametrize(
    "command",
    [
        ("hadolint", "Dockerfile"),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"),
    ],
)
def test_linters_find_nothing(command):
    tool, *arguments = command
    done = subprocess.run([TOOLS / tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "DL" not in done.stdout, done.stdout + done.stderr


def test_every_variable_that_is_fixed_is_one_that_is_read():
    read = {*re.findall(r'"((?:SOUNDSCAPE_)?[A-Z_]+)"', Path(defaults.__file__).read_text())}
    for name in ("setup", "web", "worker", "worker-cuda"):
        assert {*compose()["services"][name]["environment"]} <= read


@pytest.mark.parametrize("name", ["README.md", "webapp/README.md", "Dockerfile", "compose.yaml", "Makefile"])
def test_every_way_to_the_web_server_has_its_options(name):
    """They are only in webapp/__main__.py: no deployment file starts uvicorn without them."""
    text = (ROOT / name).read_text()
    assert "webapp.asgi" not in text
    if name in ("webapp/README.md", "Dockerfile"):
        assert re.search(r'python"?,? "?-m"?,? "?webapp\b', text)


def test_the_image_gets_all_that_it_copies():
    """.dockerignore admits exactly what the Dockerfile copies."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {name for line in lines if re.match(r"COPY (?!--from)", line) for name in line.split()[1:-1]}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_installs_what_the_project_says():
    """Runs the lines with which the Dockerfile reads pyproject.toml and chooses a build of ONNX Runtime."""
    text = (ROOT / "Dockerfile").read_text()
    (code,) = re.findall(r'RUN python -c "(.*?)" \\\n +> requirements', text, re.S)
    code = code.replace("\\\n", "")
    requirements = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {"django>=5.2,<5.3", "redis>=5"} <= {*requirements.splitlines()}
    for target, expected in (("cpu", "onnxruntime>="), ("cuda", "onnxruntime-gpu[cuda,cudnn]>=")):
        (script,) = re.findall(rf"AS {target}-packages\nRUN sed -i '(.*?)'", text)
        changed = subprocess.run(["sed", script], input=requirements, capture_output=True, text=True, check=True).stdout
        assert next(line for line in changed.splitlines() if line.startswith("onnxruntime")).startswith(expected)


@pytest.fixture
def nginx(live_server, settings, tmp_path):
    """Sends requests to nginx in front of the web server; returns status, headers and body."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    settings.X_ACCEL = True
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"listen 80;": f"listen 127.0.0.1:{port};", "http://web:8000": live_server.url, "/data": str(tmp_path)}
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        AROUND.format(server=replaced(CONF.read_text(), own), user="user root;" if os.getuid() == 0 else "")
    )
    process = subprocess.Popen([NGINX, "-e", "stderr", "-p", tmp_path, "-c", conf])

    def ask(path, method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.status, error.headers, error.read()

    try:
        wait_for(port)
        yield ask
    finally:
        process.terminate()
        process.wait()


def replaced(text, values):
    for name, value in values.items():
        assert name in text
        text = text.replace(name, value)
    return text


def wait_for(port):
    deadline = monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert monotonic() < deadline
            sleep(0.05)


def test_nginx_sends_files_that_the_site_allows(nginx, real_job, browser, settings):
    job = real_job()
    mine = {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"}
    stem = f"/api/v1/jobs/{job.pk}/stems/vocals"
    body = (job.directory / "vocals.wav").read_bytes()

    status, headers, got = nginx(f"{stem}/download", **mine)
    assert (status, got, headers["Content-Type"]) == (200, body, "audio/wav")
    assert headers["Content-Disposition"] == 'attachment; filename="Song - vocals.wav"'
    assert (headers["Cache-Control"], headers["Accept-Ranges"]) == ("private, no-cache", "bytes")
    assert headers["X-Content-Type-Options"] == "nosniff" and "X-Accel-Redirect" not in headers

    assert nginx(f"{stem}/download", "HEAD", **mine)[1]["Content-Length"] == str(len(body))
    status, part, got = nginx(f"{stem}/download", Range="bytes=10-19", **mine)
    assert (status, part["Content-Range"], got) == (206, f"bytes 10-19/{len(body)}", body[10:20])
    assert nginx(f"{stem}/download", Range="bytes=99999-", **mine)[0] == 416
    assert nginx(f"{stem}/download", If_None_Match=headers["ETag"], **mine)[0] == 304
    assert nginx(f"{stem}/download", Range="bytes=0-9", If_Range='"old"', **mine)[0] == 200

    status, headers, got = nginx(f"{stem}/spectrogram", **mine)
    assert status == 200 and len(got) == int(headers["X-Bands"]) * int(headers["X-Columns"])

    assert nginx(f"{stem}/download")[0] == 404
    assert nginx(f"{stem}/segments/99.flac", **mine)[0] == 404
    inside = job.directory.relative_to(settings.DATA)
    assert nginx(f"/{inside}/vocals.wav", **mine)[0] == 404  # only if the site allows it


def test_nginx_tells_the_site_who_asks_and_not_what_they_claim(nginx, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        "django.core.handlers.base.BaseHandler.get_response",
        lambda _self, request: seen.update(request.headers) or HttpResponse("x"),
    )
    nginx("/healthz", X_Forwarded_For="6.6.6.6")
    assert seen["X-Forwarded-For"] == "127.0.0.1" and seen["X-Forwarded-Proto"] == "http"
    nginx("/healthz", X_Forwarded_Proto="https")
    assert seen["X-Forwarded-Proto"] == "https"
