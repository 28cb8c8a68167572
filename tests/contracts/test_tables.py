"""Keys that come from outside, as the ids in a path, and that no row can have."""

import pytest

from tests.contracts.stores import Stores


@pytest.mark.parametrize("name", ["a/b", "a\\b", "#", "?", "\x00", "\x85", "m" * 600, "café", "a b"])
async def test_an_impossible_id_finds_nothing(stores: Stores, name: str) -> None:
    """An id that no row can have is an id without a row, not an error."""
    journal = stores.journal()
    assert await journal.message("acme", name) is None
    assert await journal.thread("acme", name) is None
    assert await journal.event("acme", name) is None
