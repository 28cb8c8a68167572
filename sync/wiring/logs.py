"""
What a line of the log says beside its words: the ids and codes that were given with it, and nothing else.

The Functions host takes a line as its text alone, so that what stands in `extra` would be lost. Only what is listed here is
told: ids of ours, counts, and the short codes of neighbours. A value that does not look like one of those is told as `?`, so
that nothing a person wrote gets into the log by mistake: no address fits, nor a sentence.
"""

import logging
import re

#: What can be told, in this order.
TOLD = (
    *("account_id", "connection_id", "batch_id", "message_id", "event_id", "queue", "key", "tries", "count"),
    *("kind", "status", "code", "reason", "cause", "request_id", "graph_request_id"),
)
PLAIN = re.compile(r"[A-Za-z0-9_.,:|/+=-]+(?: [A-Za-z0-9_.,:|/+=-]+)?", re.ASCII)
MAX_CHARS = 400
#: These log what passes through them: addresses, and more, for each request.
TALKATIVE = ("azure", "httpx", "httpcore", "msal", "urllib3", "opentelemetry", "aiohttp", "requests")


class Record(logging.LogRecord):
    """A line that tells its ids."""

    def getMessage(self) -> str:  # noqa: N802 - the standard library's name
        """The words, and in brackets what was given with them."""
        words = super().getMessage()
        if not self.name.startswith("sync."):
            return words
        told = [f"{name}={_plain(value)}" for name in TOLD if (value := self.__dict__.get(name)) not in (None, "")]
        return f"{words} ({', '.join(told)})" if told else words


def set_up() -> None:
    """For this process, whatever handlers there are."""
    logging.setLogRecordFactory(Record)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _plain(value: object) -> str:
    text = str(value)
    return text if len(text) <= MAX_CHARS and PLAIN.fullmatch(text) else "?"
