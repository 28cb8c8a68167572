"""The requests that were made to the emulator, kept for tests, without their secrets."""

from collections.abc import Iterable
from dataclasses import dataclass, field

#: Parameters whose value is replaced: that they were sent is worth knowing, what they say is not.
_SECRETS = frozenset({"client_secret", "client_assertion", "code", "code_verifier", "refresh_token", "proof"})
HIDDEN = "(hidden)"


@dataclass(frozen=True)
class RecordedRequest:
    """
    One request that is not a control. `at` is when it arrived (RFC 3339), `status` that of the answer.

    `error` and `error_code` (the AADSTS number) say how it was refused; None where it was not. `oid`: whose code or refresh
    token it brought; None: it brought none of anybody.
    """

    at: str
    method: str
    path: str
    status: int
    error: str | None = None
    error_code: int | None = None
    query: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] = field(default_factory=dict)
    oid: str | None = None

    @property
    def is_token_call(self) -> bool:
        """Whether a token was asked for."""
        return self.method == "POST" and self.path.endswith("/oauth2/v2.0/token")


def without_secrets(parameters: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parameters by name, the secret ones as `(hidden)`; of a repeated one the last."""
    return {name: HIDDEN if name in _SECRETS else value for name, value in parameters}
