"""A conversation as one HTML file, to keep or to pass on: the picture with its masks, questions and answers.

Nothing is put online: the file goes to the visitor who asks for it. It opens in any browser and loads nothing.
"""

from typing import TYPE_CHECKING

from demo.html import data_uri, literal

if TYPE_CHECKING:
    from demo.chat.visit import Visit

TRANSCRIPT_FILE = "conversation.html"
WHO = {"user": "You", "assistant": "STAMP"}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="content-security-policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>A conversation with STAMP</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
img {{ max-width: 100%; border-radius: 8px; }}
dt {{ font-weight: 600; margin-top: 1rem; }}
dd {{ margin: 0; }}
.noun {{ padding: 0 0.25em; border-radius: 4px; font-weight: 600; }}
.readout, .muted, .unsure, footer {{ font-size: 0.85rem; opacity: 0.8; }}
</style>
</head>
<body>
<h1>A conversation with STAMP</h1>
<img src="{picture}" alt="The picture with its masks">
<dl>
{messages}
</dl>
<footer>Answered by {model}. Answers and masks may be wrong.</footer>
</body>
</html>
"""


def transcript_html(visit: "Visit", model: str) -> str:
    """The page of a visit, with the picture as it is shown. model: the name of what answered."""
    messages = "\n".join(
        f"<dt>{WHO[message['role']]}</dt>\n<dd>{message['content']}</dd>" for message in visit.messages
    )
    return PAGE.format(picture=data_uri(visit.draw(), "WEBP", quality=85), messages=messages, model=literal(model))
