"""The API as it was last agreed, in a file: whoever changes it sees by how much, and so does whoever reviews that."""

import json
import os
from pathlib import Path

from sync.api.reference.document import document

GOLDEN = Path(__file__).parent / "openapi.golden.json"


def test_the_api_is_as_agreed() -> None:
    """Not a word of the document changes unseen."""
    now = json.dumps(document("https://sync.example"), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("RENEW_GOLDEN"):
        GOLDEN.write_text(now)
    assert now == GOLDEN.read_text(), (
        "The API is no longer as tests/unit/openapi.golden.json says. Adding is fine: run `make golden`, read the difference that"
        " git shows, and commit it. Renaming or removing breaks CRMs that are in use."
    )
