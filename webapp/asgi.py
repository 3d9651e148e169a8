"""The door for web servers, of which `python -m webapp` runs one."""

import os
import tempfile

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django = get_asgi_application()

# Nothing of ours can be imported before Django is set up.
from webapp.http.body_limit import BodyLimit  # noqa: E402
from webapp.http.proxies import Proxies  # noqa: E402
from webapp.http.streamed_body import Streamed  # noqa: E402

ENVELOPE = 1_000_000  # bytes of a request beside the file that it carries

# Django keeps a request in the temporary folder until it is complete, and the system's is often in memory.
tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)
application = Proxies(BodyLimit(Streamed(django), settings.MAX_UPLOAD_BYTES + ENVELOPE), settings.PROXIES)
