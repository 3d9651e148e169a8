"""The environment is read once, and invalid values are rejected by name."""

import runpy
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

import webapp.settings

FILE = webapp.settings.__file__
VARIABLES = [
    "SECRET_KEY",
    "DATABASE_URL",
    "BROKER_URL",
    "PORT",
    *(
        f"SOUNDSCAPE_{name}"
        for name in ("DEBUG", "HOSTS", "ORIGINS", "PROXIES", "HTTPS", "GUESTS", "LOG_LEVEL", "HSTS_DAYS")
    ),
    *(
        f"SOUNDSCAPE_{name}"
        for name in ("GUEST_DAYS", "EXPORT_HOURS", "DRAFT", "X_ACCEL", "WEBHOOKS_PRIVATE", "EMAIL_FROM")
    ),
    *("EMAIL_URL", "STORAGE_URL"),
    *(f"SOUNDSCAPE_{who}{what}" for who in ("", "GUEST_") for what in ("MINUTES", "GB", "REQUESTS")),
    *(f"SOUNDSCAPE_MAX_{name}" for name in ("UPLOAD_MB", "HOURS")),
]


@pytest.fixture
def load(monkeypatch, tmp_path):
    """The settings with an environment of only these variables."""

    def run(**variables):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in ({"SOUNDSCAPE_DATA": str(tmp_path / "data")} | variables).items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(FILE)

    return run


def test_defaults_need_nothing_else(load, tmp_path):
    settings = load()
    database = settings["DATABASES"]["default"]
    assert database["ENGINE"].endswith("sqlite3")
    assert Path(database["NAME"]) == tmp_path / "data" / "db.sqlite3"
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert settings["CELERY_BROKER_URL"].startswith("filesystem://")
    assert Path(settings["CELERY_BROKER_TRANSPORT_OPTIONS"]["data_folder_in"]).is_dir()
    assert (settings["DEBUG"], settings["GUESTS"], settings["SESSION_COOKIE_SECURE"]) == (False, True, False)
    assert settings["DRAFT"]
    assert (settings["MAX_UPLOAD_BYTES"], settings["MAX_SECONDS"]) == (500_000_000, 3 * 3600)
    assert settings["GUEST_MINUTES"] < settings["MINUTES"] and settings["GUEST_BYTES"] < settings["BYTES"]
    assert settings["CACHES"]["default"]["BACKEND"].endswith("LocMemCache")
    assert "*" not in settings["ALLOWED_HOSTS"]


def test_everything_can_be_changed(load):
    settings = load(
        SECRET_KEY="k" * 50,
        STORAGE_URL="s3://songs",
        SOUNDSCAPE_X_ACCEL="1",
        DATABASE_URL="postgres://user:pa%23ss@db:5433/name",
        BROKER_URL="redis://cache:6379/1",
        PORT="8123",
        SOUNDSCAPE_DEBUG="yes",
        SOUNDSCAPE_HTTPS="true",
        SOUNDSCAPE_GUESTS="off",
        SOUNDSCAPE_DRAFT="off",
        SOUNDSCAPE_HOSTS="a.example, b.example",
        SOUNDSCAPE_ORIGINS="https://a.example",
        SOUNDSCAPE_PROXIES="127.0.0.1, 2001:db8::/32",
        SOUNDSCAPE_MAX_UPLOAD_MB="20",
        SOUNDSCAPE_MAX_HOURS="0.5",
        SOUNDSCAPE_MINUTES="30",
        SOUNDSCAPE_GUEST_GB="1.5",
        SOUNDSCAPE_GUEST_REQUESTS="60",
        SOUNDSCAPE_LOG_LEVEL="DEBUG",
    )
    database = settings["DATABASES"]["default"]
    assert (database["HOST"], database["PORT"], database["PASSWORD"]) == ("db", 5433, "pa#ss")
    assert "postgresql" in database["ENGINE"]
    assert "transaction_mode" not in database.get("OPTIONS", {})
    assert settings["CELERY_BROKER_URL"] == "redis://cache:6379/1"
    assert "data_folder_in" not in settings["CELERY_BROKER_TRANSPORT_OPTIONS"]
    assert settings["CACHES"]["default"]["LOCATION"] == "redis://cache:6379/1"
    assert (settings["MINUTES"], settings["GUEST_BYTES"], settings["GUEST_REQUESTS"]) == (30, 1_500_000_000, 60)
    assert settings["STORAGES"]["default"]["OPTIONS"] == {"bucket_name": "songs"}
    assert settings["X_ACCEL"] is True
    assert settings["PORT"] == 8123
    assert settings["SECRET_KEY"] == "k" * 50
    assert settings["ALLOWED_HOSTS"] == ["a.example", "b.example"]
    assert [*map(str, settings["PROXIES"])] == ["127.0.0.1/32", "2001:db8::/32"]
    assert settings["SESSION_COOKIE_SECURE"]
    assert settings["CSRF_COOKIE_SECURE"]
    assert (settings["MAX_UPLOAD_BYTES"], settings["MAX_SECONDS"]) == (20_000_000, 1800)
    assert not settings["DRAFT"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SOUNDSCAPE_DEBUG", "perhaps"),
        ("SOUNDSCAPE_GUESTS", "2"),
        ("SOUNDSCAPE_HTTPS", "https"),
        ("SOUNDSCAPE_MAX_UPLOAD_MB", "lots"),
        ("SOUNDSCAPE_MAX_UPLOAD_MB", "-1"),
        ("SOUNDSCAPE_MAX_HOURS", "0"),
        ("SOUNDSCAPE_MAX_HOURS", "nan"),
        ("SOUNDSCAPE_MAX_HOURS", "inf"),
        ("SOUNDSCAPE_EXPORT_HOURS", "0"),
        ("SOUNDSCAPE_MINUTES", "0"),
        ("SOUNDSCAPE_GUEST_GB", "much"),
        ("SOUNDSCAPE_GUEST_REQUESTS", "-5"),
        ("SOUNDSCAPE_REQUESTS", "0"),
        ("SOUNDSCAPE_GUEST_DAYS", "soon"),
        ("SOUNDSCAPE_HSTS_DAYS", "-1"),
        ("SOUNDSCAPE_WEBHOOKS_PRIVATE", "sometimes"),
        ("SOUNDSCAPE_X_ACCEL", "nginx"),
        ("SOUNDSCAPE_DRAFT", "quick"),
        ("SOUNDSCAPE_LOG_LEVEL", "loud"),
        ("SOUNDSCAPE_ORIGINS", "example.org"),
        ("SOUNDSCAPE_PROXIES", "nginx"),
        ("SOUNDSCAPE_PROXIES", "10.0.0.1/8"),
        ("PORT", "http"),
        ("PORT", "65536"),
        ("BROKER_URL", "mysql://x"),
        ("BROKER_URL", "nonsense"),
        ("STORAGE_URL", "s3:songs"),
        ("STORAGE_URL", "s3://songs/folder"),
        ("STORAGE_URL", "s3://key:secret@songs"),
        ("STORAGE_URL", "gs://songs"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "mongodb://host/name"),
    ],
)
def test_nonsense_is_refused_by_name(load, name, value):
    with pytest.raises(ImproperlyConfigured, match=name):
        load(**{name: value})


def test_a_folder_that_can_not_be_made_is_named(load, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ImproperlyConfigured, match="SOUNDSCAPE_DATA"):
        load(SOUNDSCAPE_DATA=str(tmp_path / "file" / "data"))


def test_the_secret_key_is_made_once_and_kept_private(load, tmp_path):
    first = load()["SECRET_KEY"]
    file = tmp_path / "data" / "secret_key"
    assert len(first) >= 50
    assert file.stat().st_mode & 0o777 == 0o600
    assert load()["SECRET_KEY"] == first == file.read_text()
    assert [path.name for path in file.parent.iterdir() if path.name.startswith("secret")] == ["secret_key"]


def test_a_key_made_by_another_process_meanwhile_is_taken(load, tmp_path, monkeypatch):
    path = tmp_path / "data" / "secret_key"
    touch = Path.touch

    def slow(self, *args, **options):
        touch(self, *args, **options)
        path.write_text("theirs" * 10)

    monkeypatch.setattr(Path, "touch", slow)
    assert load()["SECRET_KEY"] == "theirs" * 10
