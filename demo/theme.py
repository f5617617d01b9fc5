"""Theme and styles of the page. Uses only the visitor's system fonts, so that no font is downloaded."""

import gradio as gr

from demo.board.board_theme import ABOUT_CSS, BOARD_CSS, BOARD_PHONE_CSS, CARDS_CSS

BOARD = (BOARD_CSS, CARDS_CSS, ABOUT_CSS, BOARD_PHONE_CSS)
SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONOSPACE_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

LAYOUT_CSS = """
.gradio-container { width: 100% !important; max-width: 1480px !important; margin-inline: auto !important; }
#hero h1 { font-size: 1.5rem; line-height: 1.2; margin: 0; }
#hero p { margin: 0.15rem 0 0; line-height: 1.4; color: var(--body-text-color-subdued); }
#hero .prose > *:last-child, #model .prose > *:last-child { margin-bottom: 0 !important; }
#hero .html-container, #model .html-container, .gradio-container .html-container:has(.notice) { padding: 0; }
.model-line { font-size: 0.85rem; line-height: 1.5; color: var(--body-text-color-subdued);
  border-left: 3px solid var(--border-color-primary); padding-left: 0.7rem; }
.model-line.ready { border-color: #2e9e6b; }
.model-line.failed { border-color: #d64545; color: var(--body-text-color); }
.model-line.loading { border-color: #d9a514; }
.model-line code { white-space: nowrap; }
.notice { border-left: 4px solid #d64545; background: rgba(214, 69, 69, 0.12); color: var(--body-text-color);
  border-radius: 6px; padding: 0.5rem 0.8rem; }
#picture-notice:not(:has(.notice)), #chat-notice:not(:has(.notice)) { display: none; }
.muted { color: var(--body-text-color-subdued); }
#chat .noun { padding: 0 0.25em; border-radius: 4px; font-weight: 600; cursor: pointer; }
/* "New chat" does the same. */
#chat .icon-button-wrapper:has([aria-label="Clear"]) { display: none; }
body.dropping { outline: 3px dashed var(--color-accent); outline-offset: -8px; }
.unsure { margin-top: 0.5rem; padding-left: 0.6rem; border-left: 3px solid #d9a514; font-size: 0.88rem; }
.readout summary { cursor: pointer; min-height: 24px; }
.readout { display: block; margin-top: 0.45rem; font-size: 0.78rem; color: var(--body-text-color-subdued); }
#chat .message, #chat .prose, #chat .prose * { opacity: 1; word-break: normal; overflow-wrap: anywhere; }
#stage img { object-fit: contain; cursor: crosshair; }
#copy.copied::after { content: " ✓"; }
#examples .html-container, #masks .html-container { padding: 0; }
body:not(:has(#chat .message)) #again { display: none; }
.masks { list-style: none; margin: 0; padding: 0; display: grid; gap: 0.35rem; max-height: 240px; overflow-y: auto; }
.masks li { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3rem; padding: 0.2rem 0.4rem;
  border: 1px solid var(--border-color-primary); border-left-width: 6px; border-radius: 6px; }
.masks svg { display: none; }
#stage .preview { position: absolute; pointer-events: none; overflow: visible; fill: none; stroke: #fff;
  stroke-width: 2.5px; paint-order: stroke; filter: drop-shadow(0 0 1.5px #000) drop-shadow(0 0 1px #000); }
#stage .preview path { vector-effect: non-scaling-stroke; }
.masks li.selected { outline: 2px solid var(--color-accent); outline-offset: -2px; }
.masks li.unseen .name { opacity: 0.55; }
.masks button { min-height: 28px; padding: 0 0.55rem; border-radius: 6px; font-size: 0.82rem; font-weight: 400;
  cursor: pointer; margin: 0 !important; background: none; color: var(--body-text-color); }
.masks button:not(.name) { border: 1px solid var(--border-color-primary); white-space: nowrap; }
.masks button:hover, .masks button:focus-visible { background: var(--background-fill-secondary); }
.masks .name { flex: 1 1 10rem; text-align: left; }
.masks .name span { color: var(--body-text-color-subdued); }
#prompt .submit-button { background: var(--button-primary-background-fill);
  color: var(--button-primary-text-color); }
#downloads a, #earlier a { color: var(--body-text-color) !important; text-decoration: underline; }
#downloads .label-clear-button { display: none; }
"""

# Each example is a card: the picture above its question.
EXAMPLES_CSS = """
#examples .cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(136px, 1fr)); gap: 0.6rem; }
#examples p { margin: 0 0 0.3rem; font-size: 0.85rem; }
#examples button { display: flex; flex-direction: column; align-items: center; gap: 0.3rem; padding: 0.5rem;
  font-size: 0.82rem; line-height: 1.3; cursor: pointer; border: 1px solid var(--border-color-primary);
  border-radius: 8px; background: var(--block-background-fill); }
#examples button:hover, #examples button:focus-visible { border-color: var(--color-accent); }
#examples img { width: 100%; height: 104px; object-fit: cover; border-radius: 5px; }
#refine label.selected { border-color: var(--color-accent); }
#refine input[type="radio"]:checked { border-color: var(--color-accent) !important;
  background: radial-gradient(white 30%, var(--color-accent) 35%) !important; }
"""

# What the model knows, as chips in flowing lines.
KNOWN_CSS = """
#nouns .gallery { display: flex; flex-wrap: wrap; gap: 0.35rem; max-height: 220px; overflow-y: auto; border: none; }
#nouns .gallery-item { border: 1px solid var(--border-color-primary); border-radius: 999px; padding: 0 0.6rem;
  font-size: 0.82rem; line-height: 1.7; background: var(--block-background-fill); }
#nouns .gallery-item[hidden] { display: none; }
#nouns .gallery-item:hover, #nouns .gallery-item:focus-visible { border-color: var(--color-accent); }
"""

# One column; the picture stays in sight while the conversation scrolls below it.
PHONE_CSS = """
@media (max-width: 768px) {
  .gradio-container { overflow: clip !important; }
  .main.app { padding: 0.75rem !important; }
  .model-line { font-size: 0.78rem; line-height: 1.4; }
  .model-line code { white-space: normal; }
  #sides { flex-direction: column; flex-wrap: nowrap; }
  #picture-side, #chat-side, #stage-panel { display: contents; }
  #sides > *, #picture-side > *, #chat-side > *, #stage-panel > * { width: 100%; }
  #mask-panel, #downloads, #earlier { order: 1; }
  #change { order: 2; }
  footer .divider { display: none !important; }
  .tab-container button { padding-inline: 0.5rem !important; }
  #examples { contain: inline-size; }
  #examples .cards { display: flex; overflow-x: auto; }
  #examples button { flex: 0 0 132px; }
  #stage { position: sticky; top: 0; z-index: 20; }
  #picture { height: 240px !important; }
  #stage, #stage .image-container, #stage .image-frame { height: 36vh !important; }
  #chat { height: 320px !important; flex: none; }
}
"""


def theme() -> gr.themes.Base:
    """A quiet theme that follows the visitor's light or dark mode."""
    return gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="slate",
        font=list(SYSTEM_FONTS),
        font_mono=list(MONOSPACE_FONTS),
        radius_size="md",
    ).set(
        body_text_color_subdued="*neutral_600",
        # One step darker than Gradio's: white on indigo 500 has a contrast of 4.46; 4.5 is required.
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
    )


def css() -> str:
    """The style sheet."""
    return "\n".join((LAYOUT_CSS, EXAMPLES_CSS, KNOWN_CSS, PHONE_CSS, *BOARD))
