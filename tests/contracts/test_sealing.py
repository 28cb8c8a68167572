"""The promises of sealing, on the fake and on AES-GCM; and what only cryptography can promise."""

import base64
from collections.abc import Callable
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.adapters.sealing import AesGcmSealing, key_id
from sync.flows.ports import Sealing
from tests.fakes.sealing import FakeSealing

OLD, NEW = b"o" * 32, b"n" * 32
PLACE = ("acme", "con_1", "token_cache")


class Rotating(Sealing, Protocol):
    """The port, and what is asked of it while keys rotate."""

    def is_newest(self, sealed: str) -> bool: ...


def aes(*keys: bytes) -> Rotating:
    return AesGcmSealing(keys)


def fake(*keys: bytes) -> Rotating:
    return FakeSealing([key.decode() for key in keys])


@pytest.fixture(params=["fake", "aes"], scope="module")
def sealing(request: pytest.FixtureRequest) -> Sealing:
    return FakeSealing() if request.param == "fake" else AesGcmSealing([NEW, OLD])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine may take long over an example
@given(secret=st.text(), place=st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"])), max_size=4))
def test_what_is_sealed_opens_at_its_place(sealing: Sealing, secret: str, place: list[str]) -> None:
    """Any text, any place."""
    assert sealing.unseal(sealing.seal(secret, *place), *place) == secret


@pytest.mark.parametrize(
    "other",
    [
        ("other", "con_1", "token_cache"),
        ("acme", "con_2", "token_cache"),
        ("acme", "con_1", "flow"),
        ("acme", "con_1"),
        ("acme", "con_1token_cache"),
        (),
    ],
)
def test_what_is_sealed_opens_nowhere_else(sealing: Sealing, other: tuple[str, ...]) -> None:
    """A row moved to another account, connection or column can't be read there."""
    with pytest.raises(ValueError, match="another place"):
        sealing.unseal(sealing.seal("secret", *PLACE), *other)


@pytest.mark.parametrize("text", ["", ".", "secret", "sealed", "nokey.AAAA", "\u00fc.x"])
def test_what_was_never_sealed_does_not_open(sealing: Sealing, text: str) -> None:
    """It is a ValueError, not a value and not another error."""
    with pytest.raises(ValueError):
        sealing.unseal(text, *PLACE)


def test_the_secret_can_not_be_read_from_what_is_sealed_and_no_two_are_alike() -> None:
    """The same secret sealed twice looks different each time."""
    sealing = AesGcmSealing([NEW])
    sealed = {sealing.seal("correct horse", *PLACE) for _ in range(50)}
    assert len(sealed) == 50
    assert not any(b"horse" in base64.urlsafe_b64decode(one.partition(".")[2]) for one in sealed)


@pytest.mark.parametrize("with_keys", [fake, aes])
def test_keys_rotate_by_putting_a_new_one_in_front(with_keys: Callable[..., Rotating]) -> None:
    """Old seals open as long as their key is kept, new ones are made with the newest; then the old key can go."""
    sealed_before = with_keys(OLD).seal("secret", *PLACE)
    both = with_keys(NEW, OLD)
    assert both.unseal(sealed_before, *PLACE) == "secret"
    assert not both.is_newest(sealed_before)
    sealed_now = both.seal("secret", *PLACE)
    assert both.is_newest(sealed_now)
    assert with_keys(NEW).unseal(sealed_now, *PLACE) == "secret"
    with pytest.raises(ValueError, match="key id"):
        with_keys(NEW).unseal(sealed_before, *PLACE)


def test_who_can_not_open_a_seal_is_told_which_key_it_takes() -> None:
    """The name of a key that is missing, and what to do; of text that was never sealed no more than a few characters."""
    sealed = AesGcmSealing([OLD]).seal("secret", *PLACE)
    with pytest.raises(ValueError, match=f"{key_id(OLD)}.*put that key back"):
        AesGcmSealing([NEW]).unseal(sealed, *PLACE)
    with pytest.raises(ValueError) as told:
        AesGcmSealing([NEW]).unseal("correct horse battery staple", *PLACE)
    assert "horse" not in str(told.value)


def test_every_changed_byte_is_noticed() -> None:
    """Nonce, ciphertext or tag."""
    sealing = AesGcmSealing([NEW])
    name, _, text = sealing.seal("secret", *PLACE).partition(".")
    data = base64.urlsafe_b64decode(text)
    for i in range(len(data)):
        changed = data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]
        with pytest.raises(ValueError):
            sealing.unseal(f"{name}.{base64.urlsafe_b64encode(changed).decode()}", *PLACE)


@pytest.mark.parametrize("cut", [0, 1, 11, 12, 20, 27, -1])
def test_what_was_cut_short_is_noticed(cut: int) -> None:
    """Down to nothing at all; it is a ValueError each time."""
    sealing = AesGcmSealing([NEW])
    name, _, text = sealing.seal("secret", *PLACE).partition(".")
    data = base64.urlsafe_b64decode(text)[:cut]
    with pytest.raises(ValueError):
        sealing.unseal(f"{name}.{base64.urlsafe_b64encode(data).decode()}", *PLACE)


def test_a_seal_under_another_keys_name_does_not_open() -> None:
    """The name of the key is part of what is proved."""
    sealing = AesGcmSealing([NEW, OLD])
    text = sealing.seal("secret", *PLACE).partition(".")[2]
    with pytest.raises(ValueError):
        sealing.unseal(f"{key_id(OLD)}.{text}", *PLACE)
