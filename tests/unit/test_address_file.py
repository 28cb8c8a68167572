"""`.cloud.json`: whole or not at all, and removed by whoever wrote it."""

import json
from pathlib import Path

import pytest

from tests.cloud.address_file import published


def test_the_file_is_there_during_the_block_and_for_its_owner_only(tmp_path: Path) -> None:
    """It holds the function key, so that nobody else may read it, and nothing is left afterwards."""
    path = tmp_path / ".cloud.json"

    with published({"crm": "http://127.0.0.1:1"}, path):
        assert json.loads(path.read_text()) == {"crm": "http://127.0.0.1:1"}
        assert path.stat().st_mode & 0o777 == 0o600

    assert not path.exists()
    assert list((tmp_path / ".cloud").iterdir()) == []


def test_it_goes_when_the_block_fails(tmp_path: Path) -> None:
    """A crash leaves no addresses behind of what does not run any more."""
    path = tmp_path / ".cloud.json"

    with pytest.raises(RuntimeError), published({}, path):
        raise RuntimeError

    assert not path.exists()


def test_another_clouds_file_is_left_alone(tmp_path: Path) -> None:
    """Who was replaced by a second cloud does not take that one's addresses away."""
    path = tmp_path / ".cloud.json"

    with published({"crm": "first"}, path), published({"crm": "second"}, path.parent / "other.json"):
        (path.parent / "other.json").replace(path)

    assert json.loads(path.read_text()) == {"crm": "second"}
