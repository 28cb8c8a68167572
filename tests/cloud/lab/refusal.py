"""What the lab answers when something cannot be done: a status and a sentence for the person who tried."""

from typing import Any


class Refusal(Exception):
    """
    It cannot be done; answered as JSON, `{"error": words, …more}`.

    words: a sentence that is shown as it is. more: further members of the answer.
    """

    def __init__(self, status: int, words: str, **more: Any) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.more = more
