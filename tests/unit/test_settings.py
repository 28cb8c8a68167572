"""The app settings: all that is wrong is told at once, in plain words, and no secret is ever among the words."""

import base64
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.settings import AUTHORITY, GRAPH, ConfigurationError, Settings, is_loopback, load, read

KEY = base64.b64encode(b"k" * 32).decode()
OLD_KEY = base64.b64encode(b"o" * 32).decode()
SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()

GOOD = {
    "AzureWebJobsStorage": "AccountName=x;AccountKey=c3RvcmFnZQ==",
    "PUBLIC_BASE_URL": "https://sync.example",
    "ENTRA_CLIENT_ID": "4f0c1f7e-0000-4000-8000-000000000001",
    "ENTRA_CLIENT_SECRET": "entra-secret",
    "CRM_WEBHOOK_URL": "https://crm.example/hooks",
    "CRM_WEBHOOK_SECRETS": SECRET,
    "ALLOWED_RETURN_ORIGINS": "https://crm.example",
    "ENCRYPTION_KEYS": KEY,
    "SIGNING_KEYS": KEY,
}
#: What looks like a certificate with its private key; more is not asked before one is used.
PEM = (
    "-----BEGIN PRIVATE KEY-----\nTUlJ\n-----END PRIVATE KEY-----\n"
    "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
)
REQUIRED = sorted(set(GOOD) - {"ENTRA_CLIENT_SECRET"})


def problems(environment: Mapping[str, str]) -> list[str]:
    """What is wrong with it; empty where nothing is."""
    try:
        read(environment)
    except ConfigurationError as error:
        told = error
    else:
        return []
    assert told.problems
    assert all(problem in str(told) for problem in told.problems)
    return told.problems


def with_setting(name: str, value: str) -> dict[str, str]:
    """The good settings with one changed."""
    return GOOD | {name: value}


def test_what_is_needed_and_what_is_assumed() -> None:
    """The least environment works, with Microsoft's addresses, basic notifications and six days of subscription."""
    settings = read(GOOD)
    assert (settings.graph_base_url, settings.entra_authority) == (GRAPH, AUTHORITY)
    assert GRAPH == "https://graph.microsoft.com/v1.0"
    assert AUTHORITY == "https://login.microsoftonline.com/organizations"
    assert settings.subscription_lifetime == timedelta(days=6)
    assert settings.forwarded_messages == "sync"
    assert settings.entra_managed_identity_client_id is None
    assert settings.provider_allowed_networks == ()
    assert settings.encryption_keys == (b"k" * 32,)


def test_an_empty_environment_is_told_in_full() -> None:
    """Who sets the app up sees every missing setting in one go, not one for each deployment."""
    told = "\n".join(problems({}))
    for name in REQUIRED:
        assert told.count(f"{name} is missing") == 1
    assert "ENTRA_CLIENT_SECRET" in told
    assert "ENTRA_MANAGED_IDENTITY_CLIENT_ID" in told
    assert len(problems({})) == len(REQUIRED) + 1


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, "", "   "])
def test_each_required_setting_is_asked_for(name: str, value: str | None) -> None:
    """Missing, empty and blank are one thing, and nothing else is complained about."""
    environment = {k: v for k, v in GOOD.items() if k != name} | ({} if value is None else {name: value})
    (problem,) = problems(environment)
    assert problem.startswith(f"{name} is missing")


WRONG = {
    "PUBLIC_BASE_URL": [
        "sync.example",
        "http://sync.example",
        "ftp://sync.example",
        "https://",
        "https://user@sync.example",
        "https://sync.example?x=1",
        "https://sync.example#x",
        "https://sync.example:99999",
        "https://[::1",
    ],
    "GRAPH_BASE_URL": ["http://graph.microsoft.com/v1.0", "graph"],
    "ENTRA_AUTHORITY": ["http://login.microsoftonline.com/organizations"],
    "CRM_WEBHOOK_URL": ["http://crm.example/hooks", "http://10.0.0.1/hooks"],
    "CRM_WEBHOOK_SECRETS": [
        "secret",
        "whsec_",
        "whsec_!!!",
        "whsec_" + base64.b64encode(b"s" * 23).decode(),
        "whsec_" + base64.b64encode(b"s" * 65).decode(),
        SECRET.removeprefix("whsec_"),
    ],
    "ALLOWED_RETURN_ORIGINS": [
        "*",
        "null",
        "crm.example",
        "https://",
        "https://crm.example/path",
        "https://crm.example?x",
        "https://user@crm.example",
        "https://crm.example:443",
        "http://crm.example",
    ],
    "ENCRYPTION_KEYS": [
        "key",
        "é" * 32,
        base64.b64encode(b"k" * 31).decode(),
        base64.b64encode(b"k" * 33).decode(),
        base64.b64encode(b"k" * 16).decode(),
    ],
    "SIGNING_KEYS": ["!", base64.b64encode(b"k" * 31).decode()],
    "SUBSCRIPTION_MINUTES": ["44", "10081", "0", "-60", "1.5", "one", "٦٠", "9" * 5_000, "60 minutes"],
    "FORWARDED_MESSAGES": ["yes", "Sync", "drop"],
    "NOTIFICATION_MODE": ["Basic", "RICH", "x"],
    "NOTIFICATION_CERTIFICATES": [
        "certificate",
        "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----",
        "-----BEGIN PRIVATE KEY-----\nTUlJ\n-----END PRIVATE KEY-----",
        PEM.replace("TUlJ", "T!lJ"),
        PEM.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
    ],
    "OUTLOOK_MESSAGES_PER_MINUTE": ["0", "3601", "-1", "1.5", "thirty", "٣٠"],
    "RETENTION_DAYS": ["0", "36501", "-1", "1.5", "30 days", "never", "٣٠"],
    "PROVIDER_ALLOWED_NETWORKS": ["10.0.0.0/33", "10.0.0.1/8", "mail.internal", "10.0.0.0/8;127.0.0.0/8", "fd00::/129"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_told_by_name(name: str, value: str) -> None:
    """One wrong value is one problem, that begins with the setting's name and does not repeat the value."""
    (problem,) = problems(with_setting(name, value))
    assert problem.startswith(name)
    if name in ("CRM_WEBHOOK_SECRETS", "ENCRYPTION_KEYS", "SIGNING_KEYS"):
        assert value == "whsec_" or value not in problem


def test_everything_wrong_is_told_at_once() -> None:
    """One wrong value in each setting is as many problems."""
    told = problems(GOOD | {name: values[0] for name, values in WRONG.items()})
    assert sorted(problem.split(maxsplit=1)[0].rstrip(",") for problem in told) == sorted(WRONG)


RIGHT = [
    ("PUBLIC_BASE_URL", "https://sync.example/", "public_base_url", "https://sync.example"),
    ("PUBLIC_BASE_URL", " https://sync.example ", "public_base_url", "https://sync.example"),
    ("PUBLIC_BASE_URL", "http://127.0.0.1:7071", "public_base_url", "http://127.0.0.1:7071"),
    ("PUBLIC_BASE_URL", "http://localhost:7071", "public_base_url", "http://localhost:7071"),
    ("CRM_WEBHOOK_URL", "http://[::1]:9000/x", "crm_webhook_url", "http://[::1]:9000/x"),
    ("GRAPH_BASE_URL", "https://graph.microsoft.us/v1.0/", "graph_base_url", "https://graph.microsoft.us/v1.0"),
    ("ALLOWED_RETURN_ORIGINS", "https://CRM.example/", "allowed_return_origins", ("https://crm.example",)),
    (
        "ALLOWED_RETURN_ORIGINS",
        "https://a.example, http://localhost:3000,,https://b.example:8443",
        "allowed_return_origins",
        ("https://a.example", "http://localhost:3000", "https://b.example:8443"),
    ),
    ("ENCRYPTION_KEYS", f"{KEY},{OLD_KEY}", "encryption_keys", (b"k" * 32, b"o" * 32)),
    ("ENCRYPTION_KEYS", KEY.rstrip("="), "encryption_keys", (b"k" * 32,)),
    ("SIGNING_KEYS", "-_" * 24, "signing_keys", (base64.urlsafe_b64decode("-_" * 24),)),
    ("SIGNING_KEYS", "+/" * 24, "signing_keys", (base64.b64decode("+/" * 24),)),
    ("CRM_WEBHOOK_SECRETS", f"{SECRET}, {SECRET}", "crm_webhook_secrets", (SECRET, SECRET)),
    ("SUBSCRIPTION_MINUTES", "45", "subscription_lifetime", timedelta(minutes=45)),
    ("SUBSCRIPTION_MINUTES", "10080", "subscription_lifetime", timedelta(days=7)),
    ("FORWARDED_MESSAGES", "withhold", "forwarded_messages", "withhold"),
    ("NOTIFICATION_MODE", "basic", "forwarded_messages", "sync"),
    ("OUTLOOK_MESSAGES_PER_MINUTE", "", "outlook_messages_per_minute", 30),
    ("OUTLOOK_MESSAGES_PER_MINUTE", "1", "outlook_messages_per_minute", 1),
    ("RETENTION_DAYS", " ", "retention", None),
    ("RETENTION_DAYS", "1", "retention", timedelta(days=1)),
    ("RETENTION_DAYS", "36500", "retention", timedelta(days=36_500)),
    ("PROVIDER_ALLOWED_NETWORKS", " ", "provider_allowed_networks", ()),
    ("PROVIDER_ALLOWED_NETWORKS", "10.1.2.3", "provider_allowed_networks", (ip_network("10.1.2.3/32"),)),
    (
        "PROVIDER_ALLOWED_NETWORKS",
        "10.20.0.0/16, fd00:1::/64,",
        "provider_allowed_networks",
        (ip_network("10.20.0.0/16"), ip_network("fd00:1::/64")),
    ),
]


@pytest.mark.parametrize(("name", "value", "field", "expected"), RIGHT)
def test_a_right_value_is_read(name: str, value: str, field: str, expected: object) -> None:
    """Lists are newest first, space around does not matter, and addresses lose their last slash."""
    assert getattr(read(with_setting(name, value)), field) == expected


def test_a_wrong_entry_of_a_list_is_told_by_its_place() -> None:
    """Of several keys the wrong one can be found without showing any."""
    told = problems(with_setting("ENCRYPTION_KEYS", f"{KEY},nokey,{OLD_KEY},short="))
    assert [problem.partition(":")[0] for problem in told] == ["ENCRYPTION_KEYS, entry 2", "ENCRYPTION_KEYS, entry 4"]


@pytest.mark.parametrize(
    ("secret", "identity", "words"),
    [("s", None, None), (None, "id", None), (None, None, "neither is set"), ("s", "id", "both are set")],
)
def test_one_way_to_prove_who_the_app_is(secret: str | None, identity: str | None, words: str | None) -> None:
    """A client secret or a managed identity: exactly one."""
    values = {"ENTRA_CLIENT_SECRET": secret or "", "ENTRA_MANAGED_IDENTITY_CLIENT_ID": identity or ""}
    told = problems(GOOD | values)
    assert [words in problem for problem in told] == ([True] if words else [])  # type: ignore[operator]


IDENTITY_STORAGE = {k: v for k, v in GOOD.items() if k != "AzureWebJobsStorage"}


def test_storage_by_identity() -> None:
    """The forms that Functions documents: an account name, service addresses, or both."""
    services = read(IDENTITY_STORAGE | {"AzureWebJobsStorage__accountName": "acme"}).storage_services
    assert services == {kind: f"https://acme.{kind}.core.windows.net" for kind in ("blob", "queue", "table")}
    addresses = {f"AzureWebJobsStorage__{kind}ServiceUri": f"https://{kind}.acme.example/" for kind in services}
    settings = read(IDENTITY_STORAGE | addresses | {"AzureWebJobsStorage__clientId": "identity-1"})
    assert settings.storage_services == {kind: f"https://{kind}.acme.example" for kind in services}
    assert (settings.storage_connection, settings.storage_identity_client_id) == (None, "identity-1")


def test_storage_by_identity_needs_all_three_services() -> None:
    """Queues alone are what the host needs; the app needs tables and blobs too."""
    (problem,) = problems(IDENTITY_STORAGE | {"AzureWebJobsStorage__queueServiceUri": "https://q.example"})
    assert problem.startswith("AzureWebJobsStorage is missing")


def test_no_secret_is_shown() -> None:
    """A settings object can be logged or end up in a traceback without giving anything away."""
    settings = read(GOOD)
    for shown in (repr(settings), str(settings), f"{settings}", f"{[settings]}"):
        assert "https://sync.example" in shown
        for value in ("entra-secret", SECRET, KEY, "kkkk", "c3RvcmFnZQ", GOOD["ENTRA_CLIENT_ID"]):
            assert value not in shown


def test_the_process_environment_is_what_load_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """`load` is `read` of the environment, at the moment it is called."""
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    assert isinstance(load(), Settings)
    monkeypatch.delenv("PUBLIC_BASE_URL")
    with pytest.raises(ConfigurationError, match="PUBLIC_BASE_URL is missing"):
        load()


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("2130706433", False),
        ("", False),
    ],
)
def test_which_hosts_are_this_machine(host: str, ours: bool) -> None:
    """Plain http is for the local cloud alone."""
    assert is_loopback(host) is ours


@given(st.dictionaries(st.sampled_from(sorted({*GOOD, *WRONG})), st.text()))
def test_any_environment_is_read_or_told(environment: dict[str, str]) -> None:
    """Whatever stands in the settings, the app says what is wrong instead of breaking."""
    assert all(isinstance(problem, str) for problem in problems(GOOD | environment))


REFERENCE = "@Microsoft.KeyVault(SecretUri=https://kv-sync.vault.azure.net/secrets/entra-client-secret)"


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_reference_that_azure_did_not_resolve_is_named_as_that(name: str) -> None:
    """Not as what it is mistaken for: one problem, which says where to look, and not the reference."""
    (told,) = problems(with_setting(name, REFERENCE))
    assert told.startswith(f"{name} is a Key Vault reference that Azure did not resolve")
    assert "vault.azure.net" not in told


def test_a_reference_of_somebody_else_is_kept_by_name() -> None:
    """The Functions host's own settings don't keep the app from starting; the status tells of them."""
    environment = {**GOOD, "AzureWebJobsDashboard": REFERENCE, "WEBSITE_X": "@microsoft.keyvault(x)"}
    assert read(environment).unresolved_references == ("AzureWebJobsDashboard", "WEBSITE_X")
    assert read(GOOD).unresolved_references == ()


RICH = GOOD | {"NOTIFICATION_MODE": "rich", "NOTIFICATION_CERTIFICATES": PEM}


def test_rich_notifications_need_a_certificate() -> None:
    """Without one they are refused, and so is a lifetime that Graph would not give; the usual one is below a day."""
    settings = read(RICH)
    assert (settings.notification_mode, settings.notification_certificates) == ("rich", PEM.strip())
    assert settings.subscription_lifetime == timedelta(hours=23)
    assert read(RICH | {"SUBSCRIPTION_MINUTES": "1440"}).subscription_lifetime == timedelta(days=1)
    assert problems(RICH | {"SUBSCRIPTION_MINUTES": "1441"}) == [
        "SUBSCRIPTION_MINUTES must be a whole number from 45 to 1440 while NOTIFICATION_MODE is rich."
    ]
    assert problems(GOOD | {"NOTIFICATION_MODE": "rich"}) == [
        "NOTIFICATION_CERTIFICATES is missing: NOTIFICATION_MODE=rich needs one."
    ]


def test_certificates_may_stay_in_basic_mode() -> None:
    """Whoever switches back still opens what Graph encrypted before. On one line they are read too."""
    one_line = PEM.replace("\n", "\\n")
    settings = read(GOOD | {"NOTIFICATION_CERTIFICATES": one_line})
    assert (settings.notification_mode, settings.notification_certificates) == ("basic", one_line)
