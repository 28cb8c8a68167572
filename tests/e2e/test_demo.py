"""The story that `make demo` plays."""

from pathlib import Path

import pytest

from tests.cloud.demo import play

HEALTHY = Path(__file__).parents[1] / "integration" / "apps" / "healthy"


async def test_the_whole_story_goes_as_told(capsys: pytest.CaptureFixture[str]) -> None:
    """From the sign-in to the reply after the delete, every step is as the demo says."""
    status = await play()

    told = capsys.readouterr().out
    assert status == 0, told
    assert "It works." in told


async def test_an_app_that_does_otherwise_fails_the_story(capsys: pytest.CaptureFixture[str]) -> None:
    """A step that goes wrong ends the demo with what was expected, what came instead, and status 1."""
    status = await play(HEALTHY)

    told = capsys.readouterr().out
    assert status == 1
    assert "expected: 201 from POST /v1/accounts/acme/users/dana/connection/sign-in" in told
    assert "got:      404" in told
    assert "It works." not in told
