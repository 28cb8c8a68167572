"""The promises of connections, sign-ins under way and anchors, on the fakes and on Azure Tables."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from sync.domain.connection import Connection, Erased, State, Subscription, disconnected
from sync.domain.errors import Conflict
from sync.domain.sign_in import LastSignIn, Step
from sync.domain.thread_rule import Anchor, KeyKind
from tests.contracts.stores import Stores
from tests.contracts.values import ACCOUNT, NOW, connection, sign_in


async def test_a_users_connection_comes_back_as_it_was_saved(stores: Stores) -> None:
    """By user and by id, also in another process; before, and for others, there is none."""
    connections = stores.connections()
    assert await connections.of_user(ACCOUNT, "u1") is None
    assert await connections.by_id("con_1") is None
    await connections.introduce(connection())
    await connections.save(connection())

    for seen_by in (connections, stores.connections()):
        assert await seen_by.of_user(ACCOUNT, "u1") == connection()
        assert await seen_by.by_id("con_1") == connection()
        assert await seen_by.of_user(ACCOUNT, "u2") is None
        assert await seen_by.of_user("acm", "u1") is None


async def test_of_many_first_connections_of_a_user_one_is_saved(stores: Stores) -> None:
    """The others are refused, and stay disconnected."""
    stored = [stores.connections() for _ in range(8)]
    for i, connections in enumerate(stored):
        await connections.introduce(connection(f"con_{i}"))
    ends = await asyncio.gather(
        *(connections.save(connection(f"con_{i}")) for i, connections in enumerate(stored)), return_exceptions=True
    )
    (winner,) = [end for end in ends if not isinstance(end, BaseException)]
    assert all(isinstance(end, Conflict) for end in ends if end is not winner)
    for i in range(8):
        found = await stores.connections().by_id(f"con_{i}")
        assert found is not None
        assert found.live is (found.connection_id == winner.connection_id)


async def test_a_save_names_the_version_it_read(stores: Stores) -> None:
    """Of two who read the same, the second is refused; what a save returns can be saved again."""
    connections = stores.connections()
    first = await connections.save(connection())
    second = await connections.save(replace(first, state=State.NEEDS_RECONNECT))
    with pytest.raises(Conflict):
        await connections.save(replace(first, state=State.CONNECTED))
    third = await connections.save(replace(second, problem="later"))
    found = await connections.of_user(ACCOUNT, "u1")
    assert found is not None
    assert (found.problem, found.version) == ("later", third.version)


async def test_a_connection_that_another_took_the_place_of_is_disconnected_for_good(stores: Stores) -> None:
    """And still tells what it had opened, so that this can be closed; also to a process that knew it as current."""
    knows_the_old = stores.connections()
    await knows_the_old.introduce(connection("con_1"))
    old = await knows_the_old.save(connection("con_1"))
    assert await knows_the_old.by_id("con_1") == old

    connections = stores.connections()
    await connections.introduce(connection("con_2"))
    await connections.retire(old)
    await connections.save(replace(connection("con_2"), version=old.version))
    for seen_by in (knows_the_old, stores.connections()):
        assert await seen_by.by_id("con_1") == disconnected(old)
        assert await seen_by.by_id("con_2") == connection("con_2")
        assert await seen_by.of_user(ACCOUNT, "u1") == connection("con_2")
    with pytest.raises(Conflict):
        await knows_the_old.save(replace(old, problem="too late"))


async def test_connections_of_one_mailbox_know_of_each_other(stores: Stores) -> None:
    """Those that live, of the same mailbox, and told of it by the same subscription; whoever's they are."""
    connections = stores.connections()
    mine = connection("con_1", "u1")
    elsewhere = replace(connection().subscription, subscription_id="another")  # type: ignore[type-var]
    bobs = replace(connection().mailbox, object_id="bob")
    for other in (
        mine,
        connection("con_2", "u2"),
        connection("con_3", "u1", account_id="other"),
        connection("con_4", "u4", state=State.DISCONNECTED),
        connection("con_5", "u5", mailbox=bobs),
        connection("con_6", "u6", subscription=elsewhere),
    ):
        await connections.introduce(other)
        await connections.save(other)

    async def sharing_with(one: Connection) -> set[str]:
        return {other.connection_id for other in await stores.connections().sharing(one)}

    assert await sharing_with(mine) == {"con_2", "con_3"}
    assert await sharing_with(replace(mine, subscription=None)) == {"con_2", "con_3", "con_6"}
    assert await sharing_with(connection("con_5", "u5", mailbox=bobs)) == set()
    await connections.leave(connection("con_2", "u2"))
    assert await sharing_with(mine) == {"con_3"}


async def test_live_connections_of_one_mailbox_are_found_whatever_tells_of_it(stores: Stores) -> None:
    """Also those that another subscription tells; neither ended ones nor those of another mailbox, nor itself."""
    connections = stores.connections()
    elsewhere = replace(connection().subscription, subscription_id="another")  # type: ignore[type-var]
    mine = connection("con_1", "u1")
    for other in (
        mine,
        connection("con_2", "u2", subscription=elsewhere),
        connection("con_3", "u1", account_id="other", subscription=None),
        connection("con_4", "u4", state=State.DISCONNECTED),
        connection("con_5", "u5", mailbox=replace(connection().mailbox, tenant_id="another")),
        connection("con_6", "u6", state=State.NEEDS_RECONNECT),
    ):
        await connections.introduce(other)
        await connections.save(other)
    assert {c.connection_id for c in await stores.connections().of_mailbox(mine)} == {"con_2", "con_3", "con_6"}
    await connections.leave(connection("con_2", "u2"))
    assert {c.connection_id for c in await stores.connections().of_mailbox(mine)} == {"con_3", "con_6"}


async def test_every_connection_a_user_had_is_found(stores: Stores) -> None:
    """The current one as it is, those before as they were retired, one that never was the current one; nobody else's."""
    connections = stores.connections()
    assert await connections.all_of(ACCOUNT, "u1") == []
    for other in (
        connection("con_1"),
        connection("con_3", "u10"),
        connection("con_4", "u"),
        connection("con_5", account_id="other"),
    ):
        await connections.introduce(other)
        current = await connections.save(other)
        if other.connection_id == "con_1":
            first = current
    retired = replace(first, ended_at=NOW, erased=Erased(messages=2))
    await connections.retire(retired)
    await connections.introduce(connection("con_2"))
    await connections.save(replace(connection("con_2"), version=first.version))
    await connections.introduce(connection("con_6"))

    found = {c.connection_id: c for c in await stores.connections().all_of(ACCOUNT, "u1")}
    assert found == {
        "con_1": disconnected(retired),
        "con_2": connection("con_2"),
        "con_6": disconnected(connection("con_6")),
    }
    assert found["con_2"].version is not None
    await connections.retire(replace(found["con_1"], erased=Erased(messages=3)))
    assert Erased(messages=3) in {c.erased for c in await connections.all_of(ACCOUNT, "u1")}


async def test_connections_are_counted_by_state(stores: Stores) -> None:
    """Each user's current one, of all accounts; every state is named."""
    connections = stores.connections()
    assert await connections.standing(NOW) == ({state.value: 0 for state in State}, 0)
    for i, state in enumerate([State.CONNECTED, State.CONNECTED, State.DISCONNECTED]):
        await connections.introduce(connection(f"con_{i}", f"u{i}"))
        await connections.save(connection(f"con_{i}", f"u{i}", account_id=f"account{i}", state=state))
    counts, _ = await connections.standing(NOW)
    assert counts == {"connecting": 0, "connected": 2, "needs_reconnect": 0, "disconnected": 1}


async def test_how_connections_stand_is_counted(stores: Stores) -> None:
    """By state as above; and those connected ones whose subscription ends before a time, wherever they belong."""
    connections = stores.connections()
    soon, later = (Subscription(f"sub-{h}", NOW + timedelta(hours=h), NOW) for h in (1, 9))
    people = [
        (State.CONNECTED, soon),
        (State.CONNECTED, later),
        (State.CONNECTING, None),
        (State.NEEDS_RECONNECT, soon),
        (State.DISCONNECTED, soon),
    ]
    for i, (state, subscription) in enumerate(people):
        made = connection(f"con_{i}", f"u{i}", account_id=f"account{i}", state=state, subscription=subscription)
        await connections.introduce(made)
        await connections.save(made)
    counts, ending = await connections.standing(NOW + timedelta(hours=2))
    assert counts == {"connecting": 1, "connected": 2, "needs_reconnect": 1, "disconnected": 1}
    assert ending == 1
    assert (await connections.standing(NOW + timedelta(hours=10)))[1] == 2


async def test_a_tenant_that_has_the_app_is_found(stores: Stores) -> None:
    """That of a mailbox that is connected now; there may be none."""
    connections = stores.connections()
    assert await connections.a_tenant() is None
    ended = await connections.save(connection("con_0", "u0", state=State.DISCONNECTED))
    assert await connections.a_tenant() is None
    await connections.save(connection("con_1", "u1", state=State.CONNECTED))
    assert await connections.a_tenant() == ended.mailbox.tenant_id


async def test_a_sign_in_is_saved_once_per_version(stores: Stores) -> None:
    """What decides who redeems: of many that go from the same step, one does."""
    sign_ins = stores.sign_ins()
    assert await sign_ins.get("abc") is None
    first = await sign_ins.save(sign_in())
    assert await stores.sign_ins().get("abc") == sign_in()
    with pytest.raises(Conflict):
        await sign_ins.save(sign_in())
    ends = await asyncio.gather(
        *(stores.sign_ins().save(replace(first, step=Step.OPENED)) for _ in range(8)), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ends) == ["Conflict"] * 7 + ["SignIn"]
    found = await sign_ins.get("abc")
    assert found is not None
    await sign_ins.save(replace(found, step=Step.PARKED))


async def test_how_a_users_last_sign_in_ended_is_kept_until_it_is_forgotten(stores: Stores) -> None:
    """The latest end counts; of another user, or in another account, there is none."""
    sign_ins = stores.sign_ins()
    assert await sign_ins.last(ACCOUNT, "u1") is None
    await sign_ins.forget_last(ACCOUNT, "u1")
    for outcome in ("declined", "admin_consent_required"):
        last = LastSignIn(ACCOUNT, "u1", "abc", outcome, NOW)
        await sign_ins.keep_last(last)
        assert await stores.sign_ins().last(ACCOUNT, "u1") == last
    assert await sign_ins.last(ACCOUNT, "u2") is None
    assert await sign_ins.last("other", "u1") is None
    await sign_ins.forget_last(ACCOUNT, "u1")
    assert await sign_ins.last(ACCOUNT, "u1") is None


async def test_all_sign_ins_of_a_user_are_removed(stores: Stores) -> None:
    """Those under way, which can't be finished then, and how the last one ended; nobody else's; again it is no error."""
    sign_ins = stores.sign_ins()
    mine = [await sign_ins.save(sign_in(name)) for name in ("a", "b")]
    others = [sign_in("c", user_id="u10"), sign_in("d", user_id="u"), sign_in("e", account_id="other")]
    for other in others:
        await sign_ins.save(other)
        await sign_ins.keep_last(LastSignIn(other.account_id, other.user_id, "x", "failed", NOW))
    await sign_ins.keep_last(LastSignIn(ACCOUNT, "u1", "a", "failed", NOW))
    for _ in range(2):
        await stores.sign_ins().remove_of(ACCOUNT, "u1")
        assert [await sign_ins.get(one.sign_in_id) for one in mine] == [None, None]
        assert await sign_ins.last(ACCOUNT, "u1") is None
    with pytest.raises(Conflict):
        await sign_ins.save(replace(mine[0], step=Step.OPENED))
    assert [await sign_ins.get(other.sign_in_id) for other in others] == others
    for other in others:
        assert await sign_ins.last(other.account_id, other.user_id) is not None


#: Keys as they come: with everything that a table's key can't hold, and longer than it may be.
VALUES = ["<a/b\\c#d?e@x.example>", "AAQk" + "x" * 2000, "ünï 🎈", "a|b", "%2F", " "]


async def test_anchors_are_found_under_their_own_kind_and_connection(stores: Stores) -> None:
    """Whatever the key looks like; what is not there is left out; in the order asked for."""
    anchors = stores.anchors()
    kept = [Anchor("message_id", value, f"thr_{i}", f"subject {i}") for i, value in enumerate(VALUES)]
    await anchors.add("con_1", kept)
    keys: list[tuple[KeyKind, str]] = [("message_id", value) for value in VALUES]
    assert await stores.anchors().find("con_1", [("message_id", "none"), *keys]) == kept
    assert await anchors.find("con_1", [("conversation", value) for value in VALUES]) == []
    assert await anchors.find("con_2", keys) == []
    assert await anchors.find("con_1", []) == []


async def test_the_first_thread_of_a_key_keeps_it(stores: Stores) -> None:
    """A key can't be taken over by another thread, also not when many try at once."""
    await asyncio.gather(*(stores.anchors().add("con_1", [Anchor("conversation", "c", f"thr_{i}")]) for i in range(5)))
    (first,) = await stores.anchors().find("con_1", [("conversation", "c")])
    await stores.anchors().add("con_1", [Anchor("conversation", "c", "thr_late"), Anchor("conversation", "d", "thr_d")])
    found = await stores.anchors().find("con_1", [("conversation", "c"), ("conversation", "d")])
    assert found == [first, Anchor("conversation", "d", "thr_d")]


async def test_a_name_leads_to_the_message_it_was_remembered_for(stores: Stores) -> None:
    """Within its connection; an empty name to none; a later word counts."""
    anchors = stores.anchors()
    for value in VALUES:
        assert await anchors.message_of("con_1", value) is None
        await anchors.remember("con_1", value, "msg_1")
        assert await stores.anchors().message_of("con_1", value) == "msg_1"
        assert await anchors.message_of("con_2", value) is None
    assert await anchors.message_of("con_1", "") is None
    await anchors.remember("con_1", VALUES[0], "msg_2")
    assert await anchors.message_of("con_1", VALUES[0]) == "msg_2"


async def test_the_keys_of_a_connection_are_counted_and_removed(stores: Stores) -> None:
    """Of every kind, and what was remembered with them, which is not counted; of no other connection; again it is no error."""
    anchors = stores.anchors()
    assert await anchors.count("con_1") == 0
    await anchors.remove_all("con_1")
    kept = [Anchor("message_id", value, "thr_1", "subject") for value in VALUES]
    kept += [Anchor("conversation", "c", "thr_1"), Anchor("conversation_index", "c", "thr_1")]
    for connection_id in ("con_1", "con_10"):
        await anchors.add(connection_id, kept)
        await anchors.remember(connection_id, "graph id", "msg_1")
    assert await stores.anchors().count("con_1") == len(kept)

    for _ in range(2):
        await stores.anchors().remove_all("con_1")
        assert await anchors.count("con_1") == 0
        assert await anchors.find("con_1", [(anchor.kind, anchor.value) for anchor in kept]) == []
        assert await anchors.message_of("con_1", "graph id") is None
    assert await anchors.count("con_10") == len(kept)
    assert await anchors.message_of("con_10", "graph id") == "msg_1"


async def test_more_keys_than_a_page_holds_are_removed(stores: Stores) -> None:
    """A service hands out 1,000 rows at a time."""
    anchors = stores.anchors()
    await anchors.add("con_1", [Anchor("conversation", f"{i}", "thr_1") for i in range(1_100)])
    assert await anchors.count("con_1") == 1_100
    await anchors.remove_all("con_1")
    assert await anchors.count("con_1") == 0
