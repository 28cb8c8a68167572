"""The token of a link to the settings page: whose page it is, for how long, and that nobody else can make one."""

import base64
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.domain.errors import SettingsPageExpired
from sync.domain.settings_page import LINK_LIFETIME, Visit, issue, read
from tests.unit.sample_mail import NOW

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
VISIT = Visit("acme", "dana", "https://crm.example/settings?tab=email")
TOKEN = issue(VISIT, NOW + LINK_LIFETIME, KEY)


def test_a_link_opens_the_page_of_the_user_it_was_asked_for() -> None:
    """Until its time is over; also once another signing key is the newest."""
    assert read(TOKEN, [KEY], NOW) == VISIT
    assert read(TOKEN, [OTHER_KEY, KEY], NOW + LINK_LIFETIME - timedelta(seconds=1)) == VISIT
    with pytest.raises(SettingsPageExpired):
        read(TOKEN, [KEY], NOW + LINK_LIFETIME)


def test_a_token_fits_into_a_header_and_a_fragment() -> None:
    """Nothing in it has to be escaped."""
    assert all(c.isascii() and (c.isalnum() or c in "-_.") for c in TOKEN)


def test_a_token_of_a_dropped_key_opens_nothing() -> None:
    """A signing key that leaked is taken out of SIGNING_KEYS."""
    with pytest.raises(SettingsPageExpired):
        read(TOKEN, [OTHER_KEY], NOW)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "x",
        TOKEN.partition(".")[0],
        TOKEN.partition(".")[0] + ".",
        "." + TOKEN.partition(".")[2],
        TOKEN + "x",
        TOKEN + ".x",
        "ä" + TOKEN,
        TOKEN.replace(".", ".ä"),
    ],
)
def test_what_is_no_token_opens_nothing(token: str) -> None:
    """Also what is not even text that could be compared."""
    with pytest.raises(SettingsPageExpired):
        read(token, [KEY], NOW)


def test_another_user_can_not_be_written_into_a_token() -> None:
    """The whole of it is signed."""
    _, _, mac = TOKEN.partition(".")
    forged = json.dumps(["acme", "boss", VISIT.return_url, int((NOW + LINK_LIFETIME).timestamp())])
    payload = base64.urlsafe_b64encode(forged.encode()).rstrip(b"=").decode()
    with pytest.raises(SettingsPageExpired):
        read(f"{payload}.{mac}", [KEY], NOW)


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_a_changed_token_opens_nothing(place: int, character: str) -> None:
    """Not one character of it can be."""
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    if changed == TOKEN:
        return
    with pytest.raises(SettingsPageExpired):
        read(changed, [KEY], NOW)


@given(st.text(max_size=300))
def test_nothing_made_up_opens_the_page(text: str) -> None:
    """And nothing made up breaks it."""
    with pytest.raises(SettingsPageExpired):
        read(text, [KEY], NOW)


def test_a_clientstate_is_no_settings_token() -> None:
    """The same keys sign both, each for its purpose alone."""
    from sync.domain.notification import client_state

    with pytest.raises(SettingsPageExpired):
        read(client_state(TOKEN.partition(".")[0], KEY), [KEY], NOW)
