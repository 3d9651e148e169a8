"""All configuration. This is the only module that reads the environment; invalid values stop start-up with a message.

The defaults work on one machine with nothing else installed: SQLite, a message queue in files, and one folder for all
data. webapp/README.md lists the variables.
"""

import logging
import math
import secrets
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
import environ  # type: ignore[import-untyped]
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()


def _text(name: str, default: object) -> str:
    return str(env.str(name, default=str(default))).strip()


def _switch(name: str, default: bool) -> bool:
    value = _text(name, default).lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off", ""):
        return False
    raise ImproperlyConfigured(f"{name}={value!r} must be true or false.")


def _positive(name: str, default: float, most: float = math.inf) -> float:
    value = _text(name, default)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (0 < number <= most and math.isfinite(number)):
        limit = "" if math.isinf(most) else f" and not above {most:.0f}"
        raise ImproperlyConfigured(f"{name}={value!r} must be a number above 0{limit}.")
    return number


def _choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = _text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name}={value!r} must be one of: {', '.join(allowed)}.")
    return value


def _words(name: str, default: str) -> list[str]:
    return [word.strip() for word in _text(name, default).split(",") if word.strip()]


def _networks(name: str) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(word) for word in _words(name, "")]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}. Name addresses or networks, such as 10.0.0.0/8.") from error


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"Cannot make the folder {path}: {error.strerror}. Set SOUNDSCAPE_DATA to a folder you own."
        ) from error
    return path


def _secret_key(path: Path) -> str:
    """The key in the file, which is created at the first call and readable only by its owner."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            path.hardlink_to(draft)  # unlike a rename, never replaces a key that another process has just created
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def _database(url: str) -> dict[str, Any]:
    _one_of("DATABASE_URL", url, ("sqlite", "postgres", "postgresql"))
    config = dict(env.db_url_config(url))
    if config["ENGINE"] == "django.db.backends.sqlite3":
        config["OPTIONS"] = SQLITE | config.get("OPTIONS", {})
    return config


def _storage(url: str) -> dict[str, Any]:
    """The storage of songs and stems: the media folder, or the bucket that s3://bucket names."""
    if not url:
        return {"BACKEND": "webapp.storage.local.Folder"}
    bucket = urlsplit(_one_of("STORAGE_URL", url, ("s3",)))
    if not bucket.netloc or bucket.geturl() != f"s3://{bucket.hostname}":
        raise ImproperlyConfigured("STORAGE_URL must be a bucket's name and nothing else, like this: s3://bucket")
    return {"BACKEND": "webapp.storage.s3.Bucket", "OPTIONS": {"bucket_name": bucket.netloc}}


def _one_of(name: str, url: str, schemes: tuple[str, ...]) -> str:
    """The URL, if its scheme is allowed. Error messages omit the rest of it, which may contain a password."""
    scheme = urlsplit(url).scheme
    if scheme not in schemes:
        raise ImproperlyConfigured(f"{name} begins with {scheme!r}; it must be a URL of: {', '.join(schemes)}.")
    return url


# -- data ----------------------------------------------------------------------------------------------------

DATA = _folder(Path(_text("SOUNDSCAPE_DATA", BASE_DIR / "data")).expanduser().resolve())
MEDIA_ROOT = DATA / "media"
DEMO_SONG = DATA / "demo.flac"
FILE_UPLOAD_TEMP_DIR = _folder(DATA / "uploads")  # beside media, so that a complete upload is moved, not copied
FILE_UPLOAD_HANDLERS = [
    "django.core.files.uploadhandler.TemporaryFileUploadHandler"
]  # a separate process inspects each upload
FILE_UPLOAD_PERMISSIONS = 0o644

# Write-ahead logging allows reads while the worker writes. Transactions take the write lock at their start and wait for
# it: one that requests it later, after reading, would fail at once with "database is locked".
SQLITE: dict[str, Any] = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}
DATABASES = {"default": _database(_text("DATABASE_URL", f"sqlite:///{DATA / 'db.sqlite3'}"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- limits --------------------------------------------------------------------------------------------------

MAX_UPLOAD_BYTES = int(_positive("SOUNDSCAPE_MAX_UPLOAD_MB", 500) * 1_000_000)
MAX_SECONDS = _positive("SOUNDSCAPE_MAX_HOURS", 3) * 3600
DRAFT = _switch("SOUNDSCAPE_DRAFT", True)  # whether a draft can be played until the stems are finished
GUESTS = _switch("SOUNDSCAPE_GUESTS", True)
GUEST_DAYS = _positive("SOUNDSCAPE_GUEST_DAYS", 30)  # days for which songs of guests are kept
EXPORT_HOURS = _positive("SOUNDSCAPE_EXPORT_HOURS", 24)  # hours for which the files of exports are kept
WEBHOOKS_PRIVATE = _switch("SOUNDSCAPE_WEBHOOKS_PRIVATE", False)  # whether webhooks may post into the private network
# Quotas of members and guests: minutes of music in 30 days, storage for songs and stems, requests per minute.
MINUTES = _positive("SOUNDSCAPE_MINUTES", 3000)
BYTES = int(_positive("SOUNDSCAPE_GB", 100) * 1e9)
REQUESTS = int(_positive("SOUNDSCAPE_REQUESTS", 600))
GUEST_MINUTES = _positive("SOUNDSCAPE_GUEST_MINUTES", 600)
GUEST_BYTES = int(_positive("SOUNDSCAPE_GUEST_GB", 20) * 1e9)
GUEST_REQUESTS = int(_positive("SOUNDSCAPE_GUEST_REQUESTS", 300))
PORT = int(_positive("PORT", 8000, most=65535))  # of `manage.py serve`

# -- the site ------------------------------------------------------------------------------------------------

DEBUG = _switch("SOUNDSCAPE_DEBUG", False)
SECRET_KEY = _text("SECRET_KEY", "") or _secret_key(DATA / "secret_key")
ALLOWED_HOSTS = _words("SOUNDSCAPE_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = _words("SOUNDSCAPE_ORIGINS", "")
for origin in CSRF_TRUSTED_ORIGINS:
    if "://" not in origin:
        raise ImproperlyConfigured(f"SOUNDSCAPE_ORIGINS: {origin!r} must start with https:// or http://.")

PROXIES = _networks("SOUNDSCAPE_PROXIES")  # whose X-Forwarded-For and X-Forwarded-Proto are trusted
HTTPS = _switch("SOUNDSCAPE_HTTPS", False)  # the site is reached over HTTPS; cookies are sent only that way
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_AGE = 90 * 24 * 3600  # the jobs of a guest are reachable only while the session lives
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # requested internally, without HTTPS
SECURE_HSTS_SECONDS = int(_positive("SOUNDSCAPE_HSTS_DAYS", 365) * 86400) if _text("SOUNDSCAPE_HSTS_DAYS", "") else 0
# `check --deploy` also recommends HSTS for all subdomains, which may belong to others.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
X_ACCEL = _switch("SOUNDSCAPE_X_ACCEL", False)  # nginx sends the files: see .docker/nginx.conf
# Only files of this site, and nothing inline. The page of a song also runs WebAssembly: see `pages.songs.job`.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {"default-src": [NONE], "base-uri": [NONE], "form-action": [SELF], "frame-ancestors": [NONE]}
    | {f"{kind}-src": [SELF] for kind in ("script", "style", "img", "font", "media", "connect", "manifest")}
}

ROOT_URLCONF = "webapp.urls"
ASGI_APPLICATION = "webapp.asgi.application"
INSTALLED_APPS = [
    "webapp",
    "webapp.apps.AdminSiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "servestatic",
    "rest_framework",
    "knox",
    "django_filters",
    "csp",
    "axes",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "webapp.http.problems.ProblemMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "webapp.http.guests.GuestMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webapp.pages.songs.about",
            ],
        },
    },
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "webapp.api.authentication.TokenAuthentication",
        "webapp.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_METADATA_CLASS": None,  # the OpenAPI document describes what OPTIONS would
    "DEFAULT_SCHEMA_CLASS": "webapp.api.openapi.OperationSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer", "webapp.api.browsable.BrowsableRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "webapp.http.parsers.StrictJSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["webapp.api.permissions.WithinScope"],
    "DEFAULT_THROTTLE_CLASSES": ["webapp.api.throttling.PerAccount"],
    "EXCEPTION_HANDLER": "webapp.http.problems.handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "SoundScape",
    "DESCRIPTION": "Upload songs, separate them into stems. Times are ISO 8601, ids UUIDs, URLs relative to this site.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_PATCH": False,  # the body of a PATCH has one field
    "COMPONENT_SPLIT_REQUEST": True,  # a file is binary in a request and absent from the response
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,  # choices explain themselves
    "POSTPROCESSING_HOOKS": ["webapp.api.openapi.complete"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "",
}
# The prefix lets people, and scanners for leaked secrets, recognise a token.
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_PREFIX": "scape_", "TOKEN_TTL": None}
KNOX_TOKEN_MODEL = "webapp.Token"
MIGRATION_MODULES = {"knox": None}  # replaced by the table of webapp.Token

AUTH_USER_MODEL = "webapp.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# An address that guesses the password of an account is locked out of that account for a while. `pages.guessing` adds a
# second lock.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # otherwise continued guessing would lock the member out for good
AXES_LOCKOUT_CALLABLE = "webapp.pages.guessing.locked_out"
AXES_HANDLER = "webapp.pages.guessing.GuessHandler"
AXES_ENABLE_ACCESS_FAILURE_LOG = True  # used by `pages.guessing`, which deletes old rows
AXES_CLIENT_IP_CALLABLE = "webapp.api.throttling.visitor"  # the same key as for rate limits
AXES_DISABLE_ACCESS_LOG = True  # do not record who logged in when and from where
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
PASSWORD_RESET_TIMEOUT = 24 * 3600  # seconds for which the link in the e-mail is valid
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "home"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

# -- e-mail --------------------------------------------------------------------------------------------------

MAILERS = ("consolemail", "smtp", "smtp+tls", "smtp+ssl")
MAIL = env.email_url_config(_one_of("EMAIL_URL", _text("EMAIL_URL", "consolemail://"), MAILERS))
EMAIL_BACKEND = MAIL["EMAIL_BACKEND"]  # by default the console, where the administrator finds the link
EMAIL_HOST, EMAIL_PORT = MAIL["EMAIL_HOST"] or "localhost", MAIL["EMAIL_PORT"] or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = MAIL["EMAIL_HOST_USER"] or "", MAIL["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = MAIL.get("EMAIL_USE_TLS", False), MAIL.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = SERVER_EMAIL = _text("SOUNDSCAPE_EMAIL_FROM", "SoundScape <soundscape@localhost>")

# -- static files --------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = DATA / "static"
NODE_MODULES = BASE_DIR / "node_modules"
WAVESURFER = NODE_MODULES / "wavesurfer.js" / "dist"
VENDOR = {"wavesurfer": WAVESURFER, "signalsmith": NODE_MODULES / "signalsmith-stretch"}
STATICFILES_DIRS = [(f"vendor/{name}", folder) for name, folder in VENDOR.items() if folder.is_dir()]
# File names are not hashed: the ES modules import one another by plain relative names, which Django would rewrite with
# regular expressions that also match type imports in comments and then miss the file. Instead, browsers revalidate each
# file, mostly with the result "304 Not Modified".
STORAGES = {
    "default": _storage(_text("STORAGE_URL", "")),
    "staticfiles": {"BACKEND": "servestatic.storage.CompressedStaticFilesStorage"},
}
SERVESTATIC_MAX_AGE = 0
SERVESTATIC_MIMETYPES = {".webmanifest": "application/manifest+json", ".flac": "audio/flac"}

# -- the queue and the worker --------------------------------------------------------------------------------

BROKERS = ("filesystem", "redis", "rediss", "amqp", "amqps")
CELERY_BROKER_URL = _one_of("BROKER_URL", _text("BROKER_URL", "filesystem://localhost"), BROKERS)
CELERY_BROKER_CONNECTION_TIMEOUT = 3  # seconds
BROKER_FOLDER = DATA / "broker"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {}
if CELERY_BROKER_URL.startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": CELERY_BROKER_CONNECTION_TIMEOUT}
elif CELERY_BROKER_URL.startswith("filesystem"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_folder(BROKER_FOLDER / "messages")),
        "data_folder_out": str(
            BROKER_FOLDER / "messages"
        ),  # on one machine, messages are received from the folder they are sent to
        "control_folder": str(_folder(BROKER_FOLDER / "control")),
    }
# The cache holds rate limits, shared by all web processes. Without Redis, each process counts on its own.
LOCAL_MEMORY = "django.core.cache.backends.locmem.LocMemCache"
CACHES: dict[str, Any] = {
    "default": {"BACKEND": LOCAL_MEMORY, "OPTIONS": {"MAX_ENTRIES": 10_000}}
}  # concurrent visitors
if CELERY_BROKER_URL.startswith("redis"):
    IN_TIME = {"socket_connect_timeout": 1, "socket_timeout": 1}  # seconds
    REDIS = "django.core.cache.backends.redis.RedisCache"
    CACHES["default"] = {"BACKEND": REDIS, "LOCATION": CELERY_BROKER_URL, "OPTIONS": IN_TIME}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "soundscape"
CELERY_TASK_IGNORE_RESULT = True
# One song at a time, in a thread: a song already uses every core, a fork would copy ONNX Runtime without its threads,
# and the "solo" pool would not respond to remote control during a task.
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = 1
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# -- logging -------------------------------------------------------------------------------------------------


def _is_not_503(record: logging.LogRecord) -> bool:
    return getattr(record, "status_code", None) != 503


LOG_LEVEL = _choice("SOUNDSCAPE_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    # /healthz responds with 503 and the reason while a part is missing; do not log each of these.
    "filters": {"no_503": {"()": "django.utils.log.CallbackFilter", "callback": _is_not_503}},
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["no_503"]}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "webapp": {"level": LOG_LEVEL},
        "django": {"handlers": [], "level": "WARNING"},
        "django.request": {"level": "ERROR"},  # not every 404
    },
}
