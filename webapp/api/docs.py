"""The page that describes the API and tries it."""

from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularSwaggerSplitView


@method_decorator(csp_update({"img-src": ["data:"]}), "dispatch")  # its icons
class ApiDocs(SpectacularSwaggerSplitView):
    """The API's description, to read and to try; its script is a file of its own, as our policy asks."""

    template_name = "webapp/docs.html"
