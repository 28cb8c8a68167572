"""
The API reference: what this app's HTTP API and its events are, for programs (`/openapi.json`) and for people (`/docs`).

    shapes          what answers and events look like, by pydantic
    refusals        the problem answers, by their code
    samples         the story that the examples tell, from which the code that answers makes them
    operations      what is said of each route
    document        OpenAPI 3.1, made from all of these
    page            the same to read

Made on the first request and kept. Nothing of it is imported before: neither the path that answers Graph nor any other call pays
for it.
"""

import json
from functools import cache

import azure.functions as func

from sync.api.pages import kept
from sync.api.reference.document import document
from sync.api.reference.page import Page, page


def openapi(req: func.HttpRequest, public_base_url: str) -> func.HttpResponse:
    """The OpenAPI document."""
    return kept(req, _document(public_base_url), "application/json")


def docs(req: func.HttpRequest, public_base_url: str) -> func.HttpResponse:
    """The page to read. It loads nothing, and its own style is the only one that counts."""
    shown = _page(public_base_url)
    return kept(req, shown.content, "text/html", {"Content-Security-Policy": shown.policy})


@cache
def _document(public_base_url: str) -> bytes:
    return json.dumps(document(public_base_url), ensure_ascii=False).encode()


@cache
def _page(public_base_url: str) -> Page:
    return page(document(public_base_url))
