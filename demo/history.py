"""The earlier questions and answers that a call of `/segment` sends along, in chat format: role and content."""

from collections.abc import Sequence
from typing import Any

from stamp.errors import PromptError, is_utf8

#: Most exchanges, and most characters in all: everything that the model reads takes memory and time.
MAX_EXCHANGES = 20
MAX_CHARACTERS = 20_000
ROLES = ("user", "assistant")
WANTED = (
    'conversation must be a list that alternates {"role": "user", "content": question} and {"role": "assistant", '
    '"content": response}: pass the one that the last call returned'
)

Exchange = tuple[str, str]


def read_history(conversation: Any) -> list[Exchange]:
    """(question, response) of each exchange; None and "" are a new conversation. Raises PromptError."""
    if conversation in (None, ""):
        return []
    if not isinstance(conversation, list):
        raise PromptError(f"{WANTED}; got {type(conversation).__name__}.")
    texts = [_content(message, ROLES[number % 2], number) for number, message in enumerate(conversation)]
    if len(texts) % 2:
        raise PromptError(f"{WANTED}; the last one has no answer.")
    if len(texts) > 2 * MAX_EXCHANGES:
        raise PromptError(
            f"The conversation has {len(texts) // 2} questions; the limit is {MAX_EXCHANGES}. Begin a new one."
        )
    if (characters := sum(map(len, texts))) > MAX_CHARACTERS:
        raise PromptError(
            f"The conversation has {characters:,} characters; the limit is {MAX_CHARACTERS:,}. Begin a new one."
        )
    return list(zip(texts[::2], texts[1::2], strict=True))


def _content(message: Any, role: str, number: int) -> str:
    if not isinstance(message, dict) or message.get("role") != role or not isinstance(message.get("content"), str):
        raise PromptError(f"{WANTED}; number {number + 1} has no role {role!r} or no text.")
    content: str = message["content"]
    if not is_utf8(content):
        raise PromptError(f"{WANTED}; number {number + 1} holds characters that are not UTF-8.")
    return content


def to_conversation(history: Sequence[Exchange]) -> list[dict[str, str]]:
    """The inverse of `read_history`."""
    return [
        {"role": role, "content": content}
        for exchange in history
        for role, content in zip(ROLES, exchange, strict=True)
    ]
