"""A connection's states: what each allows, and what moves it from one to the next."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import (
    ACCOUNT_OR_USER_ID,
    Connection,
    DefaultSender,
    Erased,
    Mailbox,
    State,
    Subscription,
    SyncState,
    anonymous,
    connected,
    disconnected,
    erased,
    needs_reconnect,
    renewed,
    same_mailbox,
    share_subscription,
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
    behind = replace(at, gap_since=NOW).sync_state
    assert behind is (SyncState.CATCHING_UP if watched is SyncState.ACTIVE else watched)


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
    new = connection(state=State.CONNECTING, subscription=None, synced_through=None)
    first = connected(new, SUBSCRIPTION)
    assert (first.state, first.subscription, first.synced_through) == (State.CONNECTED, SUBSCRIPTION, new.connected_at)
    again = connected(replace(first, subscription=None, synced_through=LATER), SUBSCRIPTION)
    assert again.synced_through == LATER


@pytest.mark.parametrize("state", [State.CONNECTED, State.NEEDS_RECONNECT])
def test_signing_in_again_keeps_threads_and_sender(state: State) -> None:
    """The same mailbox again is the same connection, with a subscription to open anew."""
    before = connection(
        state=state,
        problem_code="sign_in_expired",
        problem="x",
        claims="{}",
        thread_count=3,
        default_sender=DefaultSender.PROVIDER,
        version="v1",
    )
    renamed = replace(MAILBOX, email="anna.new@contoso.example")
    assert renewed(before, renamed) == replace(
        before,
        mailbox=renamed,
        state=State.CONNECTING,
        subscription=None,
        problem_code="",
        problem="",
        claims="",
        sign_ins=2,
    )


def test_what_a_refused_sign_in_changes() -> None:
    """The state, the words for the user, and what the next sign-in has to bring; everything else waits for that."""
    before = connection()
    after = needs_reconnect(before, "password_expired", "Your password has expired.", '{"access_token": {}}')
    assert after == replace(
        before,
        state=State.NEEDS_RECONNECT,
        problem_code="password_expired",
        problem="Your password has expired.",
        claims='{"access_token": {}}',
    )


@pytest.mark.parametrize("state", State)
def test_an_ended_connection_has_no_problem_left(state: State) -> None:
    """Nobody is asked to mend what has ended. When it ended is kept from the first time."""
    after = disconnected(connection(state=state, problem_code="x", problem="x", claims="{}", gap_since=NOW), NOW)
    assert (after.state, after.live, after.ended_at) == (State.DISCONNECTED, False, NOW)
    assert (after.problem_code, after.problem, after.claims, after.gap_since) == ("", "", "", None)
    assert disconnected(after, LATER) == disconnected(after) == after


def test_what_remains_of_an_erased_connection() -> None:
    """Neither address nor name; once nothing is open at Graph any more, not even whose mailbox it was."""
    before = disconnected(connection(previous=("con_0", "old@contoso.example")), NOW)
    counts = Erased(messages=2, attachments=1, events=4, anchors=9)
    after = erased(before, counts)
    assert after.erased == counts
    assert (after.mailbox.email, after.mailbox.display_name, after.mailbox.aliases) == ("", "", ())
    assert after.previous is None
    assert after.mailbox.identity == before.mailbox.identity
    assert anonymous(after).mailbox == Mailbox("", "", "", "")
    assert anonymous(after).erased == counts


@pytest.mark.parametrize(
    ("changes", "same", "shared"),
    [
        ({}, True, True),
        ({"user_id": "other", "account_id": "other"}, True, True),
        ({"subscription": replace(SUBSCRIPTION, subscription_id="sub-9")}, True, False),
        ({"subscription": None}, True, False),
        ({"state": State.NEEDS_RECONNECT}, True, True),
        ({"state": State.DISCONNECTED}, False, False),
        ({"mailbox": replace(MAILBOX, object_id="object-2")}, False, False),
        ({"mailbox": replace(MAILBOX, email="new@contoso.example")}, True, True),
    ],
)
def test_connections_of_one_mailbox(changes: dict[str, object], same: bool, shared: bool) -> None:
    """The same mailbox by its ids, as long as the other is live; one subscription is shared by those that name it."""
    one = connection(subscription=SUBSCRIPTION)
    other = replace(one, connection_id="con_2", **changes)  # type: ignore[arg-type]
    assert same_mailbox(one, other) is same
    assert share_subscription(one, other) is shared


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
