"""A connection's states: what each allows, and what moves it from one to the next."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import (
    ACCOUNT_OR_USER_ID,
    Connection,
    DefaultSender,
    Mailbox,
    State,
    Subscription,
    SyncState,
    connected,
    disconnected,
    needs_reconnect,
    renewed,
)
from tests.unit.sample_mail import MAILBOX, NOW, connection

SUBSCRIPTION = Subscription("sub-2", NOW + timedelta(days=6), NOW + timedelta(days=3))
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "live", "sends", "watched", "unwatched"),
    [
        (State.CONNECTING, True, True, SyncState.ACTIVE, SyncState.STARTING),
        (State.CONNECTED, True, True, SyncState.ACTIVE, SyncState.STARTING),
        (State.NEEDS_RECONNECT, True, False, SyncState.STOPPED, SyncState.STOPPED),
        (State.DISCONNECTED, False, False, SyncState.STOPPED, SyncState.STOPPED),
    ],
)
def test_what_a_state_allows(state: State, live: bool, sends: bool, watched: SyncState, unwatched: SyncState) -> None:
    """Whether threads sync, whether emails go out, and what the CRM reads as sync_state."""
    at = connection(state=state)
    assert (at.live, at.sends, at.sync_state) == (live, sends, watched)
    assert replace(at, subscription=None).sync_state is unwatched


def test_the_table_of_states_is_complete() -> None:
    """The words are the contract's."""
    assert [*State] == ["connecting", "connected", "needs_reconnect", "disconnected"]
    assert [*SyncState] == ["starting", "active", "catching_up", "stopped"]
    assert [*DefaultSender] == ["outlook", "provider"]


def test_connected_begins_the_proof_of_completeness_once() -> None:
    """
    `synced_through` starts with the connection, however late Graph begins to tell us: emails are sent, and answered, before.
    It is not moved forward over a gap by a new subscription.
    """
    new = connection(state=State.CONNECTING, subscription=None, synced_through=None, problem="sign in again")
    first = connected(new, SUBSCRIPTION)
    assert (first.state, first.subscription, first.synced_through) == (State.CONNECTED, SUBSCRIPTION, new.connected_at)
    assert first.problem == ""
    again = connected(replace(first, subscription=None, synced_through=LATER), SUBSCRIPTION)
    assert again.synced_through == LATER


@pytest.mark.parametrize("state", [State.CONNECTED, State.NEEDS_RECONNECT])
def test_signing_in_again_keeps_threads_and_sender(state: State) -> None:
    """The same mailbox again is the same connection, with a subscription to open anew."""
    before = connection(state=state, problem="x", thread_count=3, default_sender=DefaultSender.PROVIDER, version="v1")
    renamed = replace(MAILBOX, email="anna.new@contoso.example")
    assert renewed(before, renamed) == replace(
        before, mailbox=renamed, state=State.CONNECTING, subscription=None, problem="", sign_ins=2
    )


def test_what_a_refused_sign_in_changes() -> None:
    """The state and the words for the user; everything else waits for the next sign-in."""
    before = connection()
    after = needs_reconnect(before, "Your password was changed.")
    assert after == replace(before, state=State.NEEDS_RECONNECT, problem="Your password was changed.")


@pytest.mark.parametrize("state", State)
def test_an_ended_connection_has_no_problem_left(state: State) -> None:
    """Nobody is asked to mend what has ended."""
    after = disconnected(connection(state=state, problem="x"))
    assert (after.state, after.problem, after.live) == (State.DISCONNECTED, "", False)


def test_a_mailbox_is_its_ids_not_its_addresses() -> None:
    """A renamed mailbox is the same; another mailbox with a taken-over address is not."""
    assert replace(MAILBOX, email="new@contoso.example", aliases=()).identity == MAILBOX.identity
    assert replace(MAILBOX, object_id="object-2").identity != MAILBOX.identity
    assert replace(MAILBOX, tenant_id="tenant-2").identity != MAILBOX.identity


@pytest.mark.parametrize(
    ("mailbox", "own"),
    [
        (Mailbox("t", "o", "Anna@Contoso.example", "Anna"), {"anna@contoso.example"}),
        (Mailbox("t", "o", "a@x.example", "A", ("B@x.example ", "")), {"a@x.example", "b@x.example"}),
        (Mailbox("t", "o", "", "A"), set()),
    ],
)
def test_own_addresses(mailbox: Mailbox, own: set[str]) -> None:
    """The primary address and the aliases, without their case; a missing one is no address."""
    assert mailbox.own_addresses == own


def test_a_row_version_does_not_make_another_connection() -> None:
    """Two readings of an unchanged connection are equal."""
    assert connection(version="v1") == connection(version="v2")
    assert isinstance(connection(), Connection)


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("acme", True),
        ("A-z_09", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("", False),
        ("a b", False),
        ("a/b", False),
        ("a|b", False),
        ("a\n", False),
        ("é", False),
        ("٣", False),
        ("..", False),
    ],
)
def test_which_ids_the_crm_may_choose(text: str, usable: bool) -> None:
    """Ids become keys of rows and blobs, where these characters have no other meaning."""
    assert bool(ACCOUNT_OR_USER_ID.fullmatch(text)) is usable
