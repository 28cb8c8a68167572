"""The promises of the accounts' providers, on the fake and on the table; and what the table alone has to keep: the password."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync.adapters.providers import ProvidersTable
from sync.adapters.sealing import AesGcmSealing, key_id
from sync.adapters.tables import Table
from sync.domain.errors import OperatorAlarm
from sync.domain.mail import Address
from sync.domain.provider import Provider
from tests.cloud.azurite import Azurite
from tests.contracts.stores import AzureStores, Stores
from tests.contracts.values import ACCOUNT, NOW

KEY, OLD_KEY = b"k" * 32, b"o" * 32


def provider(**changes: Any) -> Provider:
    """A provider with every field filled."""
    made = Provider(
        account_id=ACCOUNT,
        host="smtp.example",
        port=587,
        security="starttls",
        sender=Address("offers@crm.example", "Offers Ünï 🎈"),
        domains=("crm.example", "xn--bcher-kva.example"),
        username="apikey",
        password="pässwörd 🎈",
        checked_at=NOW,
    )
    return replace(made, **changes)


async def test_a_provider_is_found_by_its_account(stores: Stores) -> None:
    """Whole, by another worker, too; another account has none."""
    assert await stores.providers().of_account(ACCOUNT) is None
    saved = await stores.providers().save(provider())
    found = await stores.providers().of_account(ACCOUNT)
    assert found == saved == provider()
    assert found is not None
    assert found.password == "pässwörd 🎈"
    assert found.version == saved.version is not None
    assert await stores.providers().of_account("other") is None


async def test_a_provider_takes_the_place_of_another(stores: Stores) -> None:
    """Whatever was read before: an account has one; also one without a login."""
    first = await stores.providers().save(provider())
    bare = provider(host="127.0.0.1", security="none", username="", password="", sender=Address("a@crm.example"))
    second = await stores.providers().save(bare)
    assert await stores.providers().of_account(ACCOUNT) == bare
    assert second.version != first.version
    later = replace(first, checked_at=NOW + timedelta(days=1), domains=())
    await stores.providers().save(later)
    assert await stores.providers().of_account(ACCOUNT) == later


async def test_a_removed_provider_is_gone(stores: Stores) -> None:
    """Again it is no error, and nobody else's goes."""
    await stores.providers().save(provider())
    await stores.providers().save(provider(account_id="other"))
    for _ in range(2):
        await stores.providers().remove(ACCOUNT)
        assert await stores.providers().of_account(ACCOUNT) is None
    assert await stores.providers().of_account("other") == provider(account_id="other")


@pytest.fixture
async def azure(azurite: Azurite) -> AsyncIterator[AzureStores]:
    stores = AzureStores(azurite.connection_string)
    yield stores
    await stores.close()


async def row_of(table: Table, account_id: str = ACCOUNT) -> dict[str, Any]:
    """The row as it is stored."""
    found = await table.get(f"account|{account_id}", "provider")
    assert found is not None
    return found[0]


def with_keys(stores: AzureStores, *keys: bytes) -> ProvidersTable:
    """The providers as a worker with these keys sees them."""
    return stores.providers(AesGcmSealing(keys))


async def test_what_is_stored_shows_no_password(azure: AzureStores) -> None:
    """It is sealed; everything else can be read by the operator."""
    await with_keys(azure, KEY).save(provider())
    row = await row_of(azure.table("providers"))
    assert "smtp.example" in str(row)
    assert not any(word in str(row) for word in ("pässwörd", r"p\u00e4ss"))
    assert key_id(KEY) in str(row)


async def test_a_password_moved_to_another_account_does_not_open_there(azure: AzureStores) -> None:
    """Whoever can write to the storage can't send with somebody else's login."""
    await with_keys(azure, KEY).save(provider())
    row = await row_of(azure.table("providers"))
    moved = row | {"PartitionKey": "account|other", "doc0": row["doc0"].replace(f'"{ACCOUNT}"', '"other"')}
    await azure.table("providers").upsert(moved)
    with pytest.raises(OperatorAlarm, match=r"account other .*another place"):
        await with_keys(azure, KEY).of_account("other")


async def test_an_old_key_can_go_once_the_provider_was_read(azure: AzureStores) -> None:
    """Reading seals anew, once; what is there stays the same."""
    await with_keys(azure, OLD_KEY).save(provider())
    read = await with_keys(azure, KEY, OLD_KEY).of_account(ACCOUNT)
    again = await with_keys(azure, KEY).of_account(ACCOUNT)
    assert read == again == provider()
    assert read is not None
    assert again is not None
    assert read.version == again.version
    assert read.password == again.password == provider().password


async def test_a_key_that_went_too_early_is_the_operators_matter(azure: AzureStores) -> None:
    """The alarm names account and key, and what to do; a provider that is set anew replaces what can't be opened."""
    await with_keys(azure, OLD_KEY).save(provider())
    with pytest.raises(OperatorAlarm, match=f"account {ACCOUNT} .*{key_id(OLD_KEY)}.*put that key back"):
        await with_keys(azure, KEY).of_account(ACCOUNT)
    await with_keys(azure, KEY).save(provider(password="new"))
    found = await with_keys(azure, KEY).of_account(ACCOUNT)
    assert found is not None
    assert found.password == "new"


async def test_a_provider_saved_meanwhile_is_not_undone_by_sealing_anew(azure: AzureStores) -> None:
    """Who reads with a new key gives way to who sets another provider at that moment."""
    await with_keys(azure, OLD_KEY).save(provider())

    reader = with_keys(azure, KEY, OLD_KEY)
    table = reader._table
    replace_row = table.replace

    async def late(row: dict[str, Any], version: str) -> str:
        await with_keys(azure, KEY).save(provider(host="other.example"))
        return await replace_row(row, version)

    table.replace = late  # type: ignore[method-assign]
    assert await reader.of_account(ACCOUNT) == provider()
    found = await with_keys(azure, KEY).of_account(ACCOUNT)
    assert found == provider(host="other.example")
