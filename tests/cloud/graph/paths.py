"""
The ways in which Graph lets one resource be addressed.

Imitated: `me` and `users/{id or address}`, keys as a segment (`messages/{id}`) and in parentheses (`messages('{id}')`).
Stricter than Graph: segments compare with case.
"""

from collections.abc import Awaitable, Callable
from itertools import product

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_KEYS = ("mailFolders/{folder_id}", "messages/{message_id}", "attachments/{attachment_id}")


def variants(path: str) -> list[str]:
    """Every form of a path such as `/me/messages/{message_id}/send`, under `/v1.0`."""
    keys = [key for key in _KEYS if key in path]
    forms = []
    for prefix, in_parentheses in product(("/v1.0/me", "/v1.0/users/{user}"), product((False, True), repeat=len(keys))):
        form = path
        for key, parenthesise in zip(keys, in_parentheses, strict=True):
            if parenthesise:
                form = form.replace(key, key.replace("/{", "('{") + "')")
        forms.append(prefix + form.removeprefix("/me"))
    return forms


def route(router: web.UrlDispatcher, method: str, path: str, handler: Handler) -> None:
    """Register the handler for every form of the path."""
    for form in variants(path):
        router.add_route(method, form, handler)
