"""`/segment` as a tool for agents: `python -m demo.mcp [--url URL]` speaks MCP on standard input and output.

It runs on the agent's machine and calls the page like any other program, so the page gets no new entry point. Pictures
are files on the agent's machine, and only their bytes are sent. Needs `pip install -r requirements-mcp.txt`.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.server.fastmcp import FastMCP

URL = "http://127.0.0.1:7860"


def build_server(url: str = URL) -> "FastMCP":
    """A server with the tool `segment`, which calls the page at `url`. Connects on the first call."""
    import httpx
    from anyio import to_thread
    from gradio_client import Client, handle_file
    from mcp.server.fastmcp import FastMCP

    server = FastMCP("stamp")
    clients: list[Client] = []

    @server.tool()
    async def segment(
        image: str,
        prompt: str,
        refine: str = "auto",
        conversation: list[dict[str, str]] | None = None,
        overlay: str | None = None,
    ) -> dict[str, Any]:
        """Answer a prompt about a picture, with a mask of everything the answer points to.

        Args:
            image: Absolute path of a picture file on this machine.
            prompt: What to ask, for example "segment the apple".
            refine: How masks get their edges: auto, none, guided or grabcut.
            conversation: What was said about this picture before: `conversation` of the last result.
            overlay: Absolute path of a PNG to write, the picture with its masks; must not exist yet.
        """

        def call() -> dict[str, Any]:
            path = _picture(image)
            if overlay is not None:
                _check_new(Path(overlay))
            if not clients:
                clients.append(Client(url, verbose=False, download_files=False))
            drawn, result = clients[0].predict(
                handle_file(path), prompt, refine, conversation or [], api_name="/segment"
            )
            if overlay is not None:
                png = httpx.get(drawn["url"], timeout=60).raise_for_status().content
                with Path(overlay).open("xb") as file:  # another call may have been faster
                    file.write(png)
            found: dict[str, Any] = result
            return found

        # In a thread, so that the server still hears the agent, which may cancel.
        return await to_thread.run_sync(call, abandon_on_cancel=True)

    return server


def _check_new(path: Path) -> None:
    if path.exists():
        raise ValueError(f"{path} exists already; name another file.")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is no folder on this machine; make it first, or name another file.")


def _picture(image: str) -> Path:
    path = Path(image)
    if not path.is_file():
        raise ValueError(f"{image} is not a file on this machine. Web addresses are not fetched.")
    return path


def main(arguments: list[str] | None = None) -> None:
    """Serve until the agent closes the pipe."""
    parser = argparse.ArgumentParser(prog="python -m demo.mcp", description="The tool `segment` for agents (MCP).")
    parser.add_argument("--url", default=os.environ.get("STAMP_URL", URL), help=f"address of the page (default: {URL})")
    given = parser.parse_args(arguments)
    try:
        server = build_server(given.url)
    except ImportError as error:
        raise SystemExit(f"error: {error}. Run pip install -r requirements-mcp.txt first.") from error
    server.run()


if __name__ == "__main__":
    main()
