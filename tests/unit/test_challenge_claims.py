"""The claims of a challenge, as Entra ID and Graph of the local cloud compare them."""

import json
from typing import Any

import pytest

from tests.cloud.claims import answers, as_parameter, can_be_challenged, read_claims

NBF = {"nbf": {"essential": True, "value": "1726258122"}}


@pytest.mark.parametrize(
    ("parameter", "claims"),
    [
        (None, {}),
        ("{}", {}),
        ('{"id_token":{"acr":null}}', {}),
        ('{"access_token":null}', {}),
        ('{"access_token":{"nbf":{"essential":true, "value":"1726258122"}}}', NBF),
        ("[]", None),
        ("{", None),
        ('{"access_token":"nbf"}', None),
    ],
)
def test_read(parameter: str | None, claims: dict[str, Any] | None) -> None:
    """Only what is asked of the access token is read; what is not an object of objects is nothing that can be read."""
    assert read_claims(parameter) == claims


def test_written_and_read_again() -> None:
    """The parameter is the compact JSON that Graph sends in its header, and reads as what was written."""
    assert as_parameter(NBF) == '{"access_token":{"nbf":{"essential":true,"value":"1726258122"}}}'
    assert read_claims(as_parameter(NBF)) == NBF


@pytest.mark.parametrize(
    ("asked", "capable"),
    [
        ({"xms_cc": {"values": ["CP1"]}}, True),
        ({"xms_cc": {"values": ["cp1"]}}, False),
        ({"xms_cc": {"values": []}}, False),
        ({"xms_cc": None}, False),
        (NBF, False),
    ],
)
def test_capability(asked: dict[str, Any], capable: bool) -> None:
    """An app can be challenged if, and only if, it says CP1."""
    assert can_be_challenged(asked) is capable


@pytest.mark.parametrize(
    ("asked", "enough"),
    [
        (NBF, True),
        ({**NBF, "xms_cc": {"values": ["CP1"]}}, True),
        ({}, False),
        ({"nbf": {"essential": True, "value": "1726258123"}}, False),
        (json.loads('{"nbf":{"value":"1726258122"}}'), False),
    ],
)
def test_answers(asked: dict[str, Any], enough: bool) -> None:
    """Exactly what is wanted has to be asked for, whatever else is."""
    assert answers(asked, NBF) is enough
