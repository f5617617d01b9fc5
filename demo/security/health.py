"""`GET /health`, for watchdogs."""

from fastapi.responses import JSONResponse
from gradio.routes import App

from demo.security.admission import open_questions
from demo.security.page import Page
from stamp import __version__


def add_health(app: App, page: Page) -> None:
    """Serve /health: 200 when questions are answered, 503 while the model loads or when it could not be loaded."""

    def health() -> JSONResponse:
        slot = page.slot
        status = "ready" if slot.is_ready else "failed" if slot.has_failed else "loading"
        content = {"status": status, "model": slot.name, "version": __version__, "questions": open_questions(page)}
        return JSONResponse(content, 200 if slot.is_ready else 503, {"cache-control": "no-store"})

    app.add_api_route("/health", health, methods=["GET", "HEAD"])
    app.router.routes.insert(0, app.router.routes.pop())  # before Gradio's routes, one of which takes any name
