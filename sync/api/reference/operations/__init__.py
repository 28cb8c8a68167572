"""Every operation of the API, in the order in which it is read."""

from sync.api.reference.operations import connections, events, messages, running, settings_page
from sync.api.reference.operations.operation import Operation

#: Routes that nobody meets who does not work on the app itself.
NOT_DESCRIBED = {"http_settings_asset": "the settings page's own files"}

OPERATIONS: tuple[Operation, ...] = (
    *connections.OPERATIONS,
    *settings_page.OPERATIONS,
    *messages.OPERATIONS,
    *events.OPERATIONS,
    *running.OPERATIONS,
)

#: What each group is about.
TAGS: dict[str, str] = {
    "Connections": "A user's link to one Outlook mailbox.",
    "Provider": "What does not go through Outlook goes through an SMTP server of the account.",
    "Settings page": "A ready page where a user connects, updates and deletes the mailbox.",
    "Messages": "Sending, and what became of it.",
    "Batches": "What one send took over: one email, or a thousand.",
    "Threads": "Conversations that began with an email sent from the CRM, and their files.",
    "Events": "What happened, in order and without gaps, and how its deliveries stand.",
    "Webhook": "The one receiver of every account's events.",
    "Running it": "For whoever operates the app.",
    "Sign-in in the browser": "What the user's browser passes through.",
    "Microsoft Graph": "What Microsoft calls when something changes.",
}
