"""
Claims challenges: what Graph wants to be true of an access token, and what the token was asked for with.

A `claims` parameter is JSON (OpenID Connect Core 1.0, section 5.5): `{"access_token": {"nbf": {"essential": true, "value":
"1726258122"}}}`. Only its `access_token` matters here: claims by name, each with what is asked of it. An app that can be
challenged says so in the same place (`xms_cc` with `CP1`); tokens it asks for with that are CAE tokens
(https://learn.microsoft.com/entra/identity-platform/claims-challenge, …/app-resilience-continuous-access-evaluation).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: What is asked of an access token, by the claim's name.
type Claims = Mapping[str, Any]

#: The client capability of an app that understands claims challenges.
CHALLENGE_CAPABLE = "CP1"


@dataclass(frozen=True)
class Challenge:
    """What Graph wants of a person's CAE tokens. `interactive`: only the person, by signing in, can bring it about."""

    claims: Claims
    interactive: bool


def read_claims(parameter: str | None) -> Claims | None:
    """What a `claims` parameter asks of the access token, `{}` for none; None where it is not a JSON object of objects."""
    try:
        asked = json.loads(parameter) if parameter else {}
    except ValueError:
        return None
    claims = asked.get("access_token") or {} if isinstance(asked, dict) else None
    return claims if isinstance(claims, dict) else None


def as_parameter(claims: Claims) -> str:
    """The `claims` parameter that asks for these."""
    return json.dumps({"access_token": dict(claims)}, separators=(",", ":"))


def can_be_challenged(claims: Claims) -> bool:
    """Whether an app that asks for a token with these claims has said that it understands challenges."""
    capabilities = claims.get("xms_cc")
    return isinstance(capabilities, dict) and CHALLENGE_CAPABLE in capabilities.get("values", ())


def answers(asked: Claims, wanted: Claims) -> bool:
    """Whether who asked for a token with `asked` has asked for exactly what is `wanted`, whatever else beside it."""
    return all(asked.get(name) == value for name, value in wanted.items())
