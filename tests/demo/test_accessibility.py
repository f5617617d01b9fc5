"""axe-core finds nothing serious or moderate on any tab, light and dark, wide and on a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from demo.board.sources import Sources
from tests.demo.browsing import chromium, needs_browser, opened, served
from tests.demo.fake import FakePredictor
from tests.demo.runs import write_run

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
pytestmark = needs_browser

GRAVE = ("critical", "serious", "moderate")
VIEWS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}
#: What is seen on each tab when it is ready to be looked at.
READY = {"chat": "#chat .readout", "benchmark": "#plot-tokens .main-svg", "about": "#figure svg"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root, data = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("data")
    write_run(root / "run", data)
    with served(FakePredictor, is_embedded=True, sources=Sources(root, {"scenes": data})) as url:
        yield url


def findings(page: Any) -> list[str]:
    """Rule, impact and elements of each grave violation, once Gradio's own "Loading..." is gone."""
    page.wait_for_selector("p.loading", state="detached")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_grave(view: str, address: str, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "white").save(tmp_path / "white.png")
    found: dict[str, list[str]] = {}
    with chromium() as browser:
        with opened(browser, address, **VIEWS[view]) as page:
            page.wait_for_selector("#picture input[type=file]", state="attached")
            found["empty"] = findings(page)
            page.set_input_files("#picture input[type=file]", tmp_path / "white.png")
            page.wait_for_selector("#stage img")
            page.fill("#prompt textarea", "the hat")
            page.keyboard.press("Enter")
            page.wait_for_selector(READY["chat"])
            page.wait_for_selector("#masks li")
            found["chat"] = findings(page)
        for tab in ("benchmark", "about"):
            with opened(browser, address, f"?tab={tab}", **VIEWS[view]) as page:
                page.wait_for_selector(READY[tab], state="attached")
                found[tab] = findings(page)
    assert {tab: grave for tab, grave in found.items() if grave} == {}
