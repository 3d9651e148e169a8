"""The ASGI application; `python -m webapp` serves it."""

import os
import tempfile

from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django = get_asgi_application()

# These imports need Django to be set up.
from webapp.http.body_limit import BodyLimit  # noqa: E402
from webapp.http.proxies import Proxies  # noqa: E402
from webapp.http.streamed_body import StreamedBody  # noqa: E402

MULTIPART_OVERHEAD = 1_000_000  # bytes of a request besides the file in it

# Django buffers requests in the temporary folder; the one of the system is often in memory.
tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)
application = Proxies(BodyLimit(StreamedBody(django), settings.MAX_UPLOAD_BYTES + MULTIPART_OVERHEAD), settings.PROXIES)
