"""`.cloud.json`: where a running local cloud is found, for tests and for a CRM developer."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def published(addresses: Mapping[str, Any], path: Path) -> Iterator[None]:
    """
    Keep `addresses` as JSON at `path` while the block runs.

    The file appears whole or not at all, can be read by its owner only (it holds the function key), and is removed at
    the end unless another local cloud has put its own there meanwhile.
    """
    text = json.dumps(dict(addresses), indent=2) + "\n"
    # A folder that git ignores, on the same file system as `path`, so that the last step is one rename.
    draft = path.parent / ".cloud" / f"addresses-{os.getpid()}.json"
    draft.parent.mkdir(exist_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    try:
        yield
    finally:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            path.unlink()
