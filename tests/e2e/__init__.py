"""End-to-end tests: the real app in Microsoft's worker, on the local cloud."""

import pytest

# Their assertions are part of the tests, and should say as much when they fail.
pytest.register_assert_rewrite(
    "tests.e2e.account", "tests.e2e.conversation", "tests.e2e.life", "tests.e2e.way", "tests.e2e.witness"
)
