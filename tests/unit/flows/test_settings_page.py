"""The settings page: for one user, what it shows in each state, and what can be done there."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from sync.domain.connection import Connection, DefaultSender, State
from sync.domain.errors import NotConnected, NotFound, ReturnUrlNotAllowed, SettingsPageExpired
from sync.domain.settings_page import LINK_LIFETIME, Visit
from sync.domain.sign_in import SHOWN_FOR, WAITS_FOR
from sync.flows.default_sender import choose
from tests.unit.flows.conftest import DANA
from tests.unit.flows.world import ACCOUNT, RETURN_URL, World

BOB = "bob@crm.example"


def visit_of(world: World, user_id: str = "u1") -> Visit:
    """The page as the CRM's frame opens it."""
    url, _ = world.settings_page.link(ACCOUNT, user_id, RETURN_URL)
    return world.settings_page.visit(url.partition("#token=")[2])


async def came_back(world: World, visit: Visit, email: str, decision: str = "accept") -> dict[str, str]:
    """What the browser brings back to the CRM after a sign-in that was begun on the page."""
    url, _ = await world.settings_page.sign_in(visit)
    opened = await world.connect.open_link(url.rpartition("/")[2])
    answer = world.entra.sign_in(opened.location, email, decision)  # type: ignore[arg-type]
    back = await world.connect.park(answer, opened.binding)
    assert back.location.startswith(RETURN_URL)
    return {name: values[0] for name, values in parse_qs(urlsplit(back.location).query).items()}


async def test_the_link_opens_the_page_of_that_user_for_an_hour(world: World) -> None:
    """The token is in the fragment, which no server gets to see; it names account, user and the way back."""
    url, expires_at = world.settings_page.link(ACCOUNT, "u1", RETURN_URL)
    assert url.startswith("https://app.example/settings/email#token=")
    assert expires_at == world.clock() + LINK_LIFETIME
    assert visit_of(world) == Visit(ACCOUNT, "u1", RETURN_URL)
    world.clock.advance(LINK_LIFETIME)
    with pytest.raises(SettingsPageExpired):
        world.settings_page.visit(url.partition("#token=")[2])


async def test_a_page_leads_back_only_to_the_crm(world: World) -> None:
    """Its way back is checked when the link is asked for, as that of a sign-in."""
    with pytest.raises(ReturnUrlNotAllowed):
        world.settings_page.link(ACCOUNT, "u1", "https://evil.example/")


async def test_who_never_connected_sees_no_connection(world: World) -> None:
    """Then the page offers to connect."""
    view = await world.settings_page.view(visit_of(world))
    assert (view.connection, view.sign_in) == (None, None)


async def test_a_sign_in_begun_on_the_page_is_completed_by_the_crm(world: World) -> None:
    """The page alone can't complete it: who is signed in to the CRM only the CRM knows."""
    visit = visit_of(world)
    back = await came_back(world, visit, DANA)
    assert back["result"] == "ok"
    assert (await world.settings_page.view(visit)).connection is None
    await world.connect.complete(ACCOUNT, "u1", back["completion_code"])
    await world.settle(timedelta(minutes=1))
    view = await world.settings_page.view(visit)
    assert view.connection is not None
    assert (view.connection.state, view.connection.mailbox.email) == (State.CONNECTED, DANA)


async def test_a_declined_sign_in_is_shown_for_a_while(world: World) -> None:
    """And not once another one came to its end."""
    visit = visit_of(world)
    assert (await came_back(world, visit, DANA, "decline"))["result"] == "declined"
    shown = (await world.settings_page.view(visit)).sign_in
    assert shown is not None
    assert (shown.outcome, shown.at, shown.admin_consent_url) == ("declined", world.clock(), "")
    world.clock.advance(SHOWN_FOR)
    assert (await world.settings_page.view(visit)).sign_in is None

    await came_back(world, visit, DANA, "decline")
    await world.connected(DANA)
    assert (await world.settings_page.view(visit)).sign_in is None


async def test_who_waits_for_an_administrator_sees_the_link_until_it_is_approved(world: World) -> None:
    """For weeks if need be; then that the mailbox can be connected now."""
    visit = visit_of(world)
    world.people[DANA].admin_consent_required = True
    back = await came_back(world, visit, DANA)
    assert back["result"] == "admin_consent_required"
    world.clock.advance(WAITS_FOR - timedelta(days=1))
    waiting = (await world.settings_page.view(visit)).sign_in
    assert waiting is not None
    assert waiting.outcome == "admin_consent_required"
    assert waiting.admin_consent_url == back["admin_consent_url"]
    assert (await world.show.connection(ACCOUNT, "u1")) == (None, waiting)

    state = parse_qs(urlsplit(waiting.admin_consent_url).query)["state"][0]
    await world.sign_in_ends.approved(state)
    approved = (await world.settings_page.view(visit)).sign_in
    assert approved is not None
    assert (approved.outcome, approved.at) == ("admin_consented", world.clock())

    world.people[DANA].admin_consent_required = False
    await world.connected(DANA)
    assert (await world.settings_page.view(visit)).sign_in is None


@pytest.mark.parametrize("state", ["", "x", "secret1", "../../x", "ä"])
async def test_an_approval_of_nothing_changes_nothing(world: World, state: str) -> None:
    """The redirect comes from a browser, so that anything may stand in it."""
    visit = visit_of(world)
    await came_back(world, visit, DANA, "decline")
    before = await world.settings_page.view(visit)
    await world.sign_in_ends.approved(state)
    assert await world.settings_page.view(visit) == before


async def test_another_mailbox_than_expected_is_told(world: World) -> None:
    """The sign-in itself went well, and was refused when the CRM completed it."""
    code = await world.completion_code(BOB, expected_email=DANA)
    with pytest.raises(Exception, match="expected_email"):
        await world.connect.complete(ACCOUNT, "u1", code)
    shown = (await world.settings_page.view(visit_of(world))).sign_in
    assert shown is not None
    assert shown.outcome == "wrong_mailbox"


async def test_signing_in_again_suggests_the_mailbox_and_updating_does_not(world: World, dana: Connection) -> None:
    """Who updates wants another one; who has to sign in again, most likely the same."""
    visit = visit_of(world)

    async def hint() -> str:
        url, sign_in = await world.settings_page.sign_in(visit)
        opened = await world.connect.open_link(url.rpartition("/")[2])
        assert sign_in.expected_email == ""
        return parse_qs(urlsplit(opened.location).query, keep_blank_values=True)["login_hint"][0]

    assert await hint() == ""
    await world.connections.save(replace(dana, state=State.NEEDS_RECONNECT))
    assert await hint() == DANA


async def test_delete_on_the_page_ends_the_connection(world: World, dana: Connection) -> None:
    """Again, or where there never was one, it is as asked."""
    visit = visit_of(world)
    for _ in range(2):
        view = await world.settings_page.delete(visit)
        assert view.connection is not None
        assert (view.connection.connection_id, view.connection.state) == (dana.connection_id, State.DISCONNECTED)
    assert (await world.settings_page.delete(visit_of(world, "u2"))).connection is None


async def test_the_default_sender_is_kept_with_the_connection(world: World, dana: Connection) -> None:
    """Also by a new sign-in, and by another mailbox that takes over: it is the user's choice."""
    visit = visit_of(world)
    view = await world.settings_page.choose_default_sender(visit, "provider")
    assert view.connection is not None
    assert view.connection.default_sender is DefaultSender.PROVIDER
    assert (await world.connected(DANA)).default_sender is DefaultSender.PROVIDER
    assert (await world.connected(BOB)).default_sender is DefaultSender.PROVIDER

    await world.disconnect.delete(ACCOUNT, "u1")
    assert (await world.connected(DANA)).default_sender is DefaultSender.OUTLOOK


async def test_two_choices_at_once_do_not_undo_what_else_happens(world: World, dana: Connection) -> None:
    """A choice is written over the row as it is then."""

    async def meanwhile() -> None:
        await world.connections.save(replace(await world.connection(), synced_through=world.clock()))

    world.faults.meanwhile("connections.save", meanwhile)
    chosen = await choose(world.connections, ACCOUNT, "u1", DefaultSender.PROVIDER)
    assert chosen.synced_through == world.clock()
    assert await world.connection() == chosen


async def test_there_is_nothing_to_choose_without_a_connection(world: World, dana: Connection) -> None:
    """Never connected, or not any more."""
    with pytest.raises(NotFound):
        await choose(world.connections, ACCOUNT, "u2", DefaultSender.PROVIDER)
    await world.disconnect.delete(ACCOUNT, "u1")
    with pytest.raises(NotConnected):
        await choose(world.connections, ACCOUNT, "u1", DefaultSender.PROVIDER)
