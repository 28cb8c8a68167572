"""
The shapes of answers and events, by pydantic: what the reference says of them. One file for each part of the API.

The answers themselves are made by `sync/api/answers.py` and `sync/domain/event.py` as plain JSON, since neither the domain nor
the path that answers Graph may import pydantic. That both say the same is tested: every answer of the end-to-end tests is held
against the document, and a member that only one of them knows fails there.

A member that may be null says so in its type; one that is left out where there is nothing to say is `absent()`.
"""
