"""The page on which people read about the API and try it."""

from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularSwaggerSplitView


@method_decorator(csp_update({"img-src": ["data:"]}), "dispatch")  # icons of Swagger UI
class ApiDocs(SpectacularSwaggerSplitView):
    """Swagger UI, with its script in a separate file, as the content security policy requires."""

    template_name = "webapp/docs.html"
