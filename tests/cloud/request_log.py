"""Reading Graph's request log (`GET /_lab/requests`): `[{method, path, query, status, bytes, …}]`."""

from typing import Any


def asks_for_content(call: dict[str, Any]) -> bool:
    """Whether this call to Graph would have brought a body, a preview or a file of a message."""
    if "/attachments" in call["path"] or call["path"].endswith("/$value"):
        return True
    query = str(call["query"]).lower()
    return call["method"] == "GET" and ("$select" not in query or "body" in query or "attachments" in query)


def kind_of_call(call: dict[str, Any]) -> str:
    """`GET me/messages/{id}`: a call to Graph without what names one message, file or subscription."""
    collections = {"messages", "attachments", "mailFolders", "subscriptions"}
    steps = call["path"].removeprefix("/v1.0/").strip("/").split("/")
    named = [("{id}" if before in collections else step) for before, step in zip(["", *steps], steps, strict=False)]
    return f"{call['method']} {'/'.join(named)}"
