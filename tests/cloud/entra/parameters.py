"""The parameters of one request: none twice, none that this emulator does not know."""

from collections.abc import Iterable

from tests.cloud.entra.errors import EntraError, invalid_request


def read_parameters(pairs: Iterable[tuple[str, str]], known: frozenset[str]) -> dict[str, str]:
    """
    The parameters by name; empty ones are left out.

    Stricter than Entra ID, which ignores what it does not know: here a typo, or a parameter nobody has thought about,
    is refused.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise invalid_request(f"This emulator does not know the parameter '{name}'.")
        if name in found:
            raise EntraError("invalid_request", 9000411, f"The parameter '{name}' is duplicated.")
        found[name] = value
    return {name: value for name, value in found.items() if value}
