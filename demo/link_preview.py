"""What a link to the page shows where it is shared: our title, description and picture instead of Gradio's."""

import re
from collections.abc import Callable
from pathlib import Path

from fastapi.responses import FileResponse
from gradio.routes import App, templates
from jinja2 import BaseLoader, Environment

DESCRIPTION = "Chat about a picture: each thing the answer points to gets its own mask, predicted in one parallel pass."
PICTURE = Path(__file__).resolve().parent.parent / "assets" / "preview.jpg"
PICTURE_PATH = "/preview.jpg"
TEMPLATE = "frontend/index.html"
#: `config` is Gradio's; its root is the address that the visitor sees, also behind a proxy.
TAGS = f"""
<meta name="description" content="{DESCRIPTION}" />
<meta property="og:type" content="website" />
<meta property="og:title" content="{{{{ config['title'] }}}}" />
<meta property="og:description" content="{DESCRIPTION}" />
<meta property="og:url" content="{{{{ config['root'] }}}}" />
<meta property="og:image" content="{{{{ config['root'] }}}}{PICTURE_PATH}" />
<meta name="twitter:card" content="summary_large_image" />
"""
GRADIO_TAGS = re.compile(r"""<meta\s+(?:property="og:|name="(?:twitter:|description"))[^>]*>""")


class OurTags(BaseLoader):
    """Gradio's templates, the page with TAGS in place of Gradio's own."""

    def __init__(self, gradio: BaseLoader):
        self.gradio = gradio

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        """See BaseLoader."""
        source, path, is_current = self.gradio.get_source(environment, template)
        if template == TEMPLATE:
            source = GRADIO_TAGS.sub("", source).replace("<head>", f"<head>{TAGS}", 1)
        return source, path, is_current


def add_link_preview(app: App) -> None:
    """Put the tags into the page, and serve the picture."""
    environment = templates.env
    if environment.loader is not None and not isinstance(environment.loader, OurTags):
        environment.loader = OurTags(environment.loader)
    app.add_api_route(PICTURE_PATH, lambda: FileResponse(PICTURE), methods=["GET", "HEAD"])
    app.router.routes.insert(0, app.router.routes.pop())  # before Gradio's routes, one of which takes any name
