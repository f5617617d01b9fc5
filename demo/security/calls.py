"""Checks the shape of calls of `/segment`: Gradio would answer a malformed one with 500, or with an empty error."""

import json

#: What a call must have, and what it may have, in this order.
REQUIRED = ("image", "prompt")
OPTIONAL = ("refine", "conversation")
NOT_JSON = "The request body must be a JSON object."
BY_PLACE = 'A call needs "data", a list of image and prompt, optionally followed by refine and conversation'
BY_NAME = 'A call needs "image" and "prompt"; "refine" and "conversation" are optional'
SEE = 'See "Use via API" on the page for an example.'


def problem_by_place(body: bytes) -> str | None:
    """What is wrong with a call of `/call/segment`; None when nothing is."""
    content = _object(body)
    if content is None:
        return NOT_JSON
    data = content.get("data")
    if not isinstance(data, list):
        return f'{BY_PLACE}. Missing: "data". {SEE}'
    if missing := REQUIRED[len(data) :]:
        return f"{BY_PLACE}. Missing: {' and '.join(missing)}. {SEE}"
    if len(data) > (most := len(REQUIRED + OPTIONAL)):
        return f"{BY_PLACE}. This call has {len(data)} values; the limit is {most}. {SEE}"
    return None


def problem_by_name(body: bytes) -> str | None:
    """What is wrong with a call of `/call/v2/segment`; None when nothing is."""
    content = _object(body)
    if content is None:
        return NOT_JSON
    if missing := [name for name in REQUIRED if name not in content]:
        return f"{BY_NAME}. Missing: {' and '.join(missing)}. {SEE}"
    if unknown := sorted(set(content) - {*REQUIRED, *OPTIONAL, "oauth_token"}):
        return f"{BY_NAME}. Unknown: {', '.join(unknown):.80}. {SEE}"
    return None


def _object(body: bytes) -> dict[str, object] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
