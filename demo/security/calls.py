"""What a call of `/segment` has to look like: Gradio answers anything else with 500, or with an error without words."""

import json

#: Both of them, in this order.
PARAMETERS = ("image", "prompt")
NOT_JSON = "The body of a call must be a JSON object."
BY_PLACE = 'A call has "data", a list of 2: image and prompt. "Use via API" on the page shows one.'
BY_NAME = 'A call has "image" and "prompt" and nothing else. "Use via API" on the page shows one.'


def problem_by_place(body: bytes) -> str | None:
    """What is wrong with a call of `/call/segment`; None when nothing is."""
    content = _object(body)
    if content is None:
        return NOT_JSON
    data = content.get("data")
    return None if isinstance(data, list) and len(data) == len(PARAMETERS) else BY_PLACE


def problem_by_name(body: bytes) -> str | None:
    """What is wrong with a call of `/call/v2/segment`; None when nothing is."""
    content = _object(body)
    if content is None:
        return NOT_JSON
    return None if set(content) - {"oauth_token"} == set(PARAMETERS) else BY_NAME


def _object(body: bytes) -> dict[str, object] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
