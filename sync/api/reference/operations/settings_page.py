"""The settings page: what the CRM asks for, what it puts into its frame, and what the page itself calls."""

from sync.api import models
from sync.api.reference import samples
from sync.api.reference.operations.connections import CHOOSE_SENDER, RETURN_URL, SIGN_IN_LINK, USER
from sync.api.reference.operations.operation import BAD_BODY, Body, Example, Operation, html, ok
from sync.api.reference.shapes import connections as shapes
from sync.domain.event import rfc3339
from sync.domain.settings_page import LINK_LIFETIME

TAG = "Settings page"
_VIEW = ok(shapes.SettingsView, samples.settings_view())
_ITSELF = "For the page itself, which proves itself with the token of its link."

OPERATIONS = (
    Operation(
        "http_open_settings_page",
        "post",
        f"{USER}/settings-page",
        TAG,
        "Get a link to the page",
        (
            ok(
                shapes.PageLink,
                {
                    "url": f"{samples.APP}/settings/email#token=WyJhY21lIiwiZGFuYSIsImh0dHBzOi8vYXBw",
                    "expires_at": rfc3339(samples.NOW + LINK_LIFETIME),
                },
                status=201,
            ),
        ),
        description=(
            '"Email (2-way sync)" for this user, to put into a frame of yours when your user opens their profile. A sign-in'
            " that is begun there comes back to `return_url`, where your backend completes it."
        ),
        body=Body((models.SettingsPageRequest,), (Example("example", {"return_url": RETURN_URL}),)),
        problems=(*BAD_BODY, "return_url_not_allowed"),
    ),
    Operation(
        "http_settings_page",
        "get",
        "/settings/email",
        TAG,
        "The page",
        (html(200, "The page: the same for everybody, and empty without the token in the address's fragment."),),
        access="anybody",
        for_people=True,
        description="Only origins in `ALLOWED_RETURN_ORIGINS` can embed it.",
    ),
    Operation(
        "http_settings_view",
        "get",
        "/settings/email/connection",
        TAG,
        "What the page shows",
        (_VIEW,),
        access="page",
        description=_ITSELF,
    ),
    Operation(
        "http_settings_sign_in",
        "post",
        "/settings/email/sign-in",
        TAG,
        "Start a sign-in from the page",
        (SIGN_IN_LINK,),
        access="page",
        description=_ITSELF,
    ),
    Operation(
        "http_settings_default_sender",
        "put",
        "/settings/email/default-sender",
        TAG,
        "Choose the default email on the page",
        (_VIEW,),
        access="page",
        description=_ITSELF,
        body=CHOOSE_SENDER,
        problems=(*BAD_BODY, "not_found", "not_connected"),
    ),
    Operation(
        "http_settings_delete",
        "delete",
        "/settings/email/connection",
        TAG,
        "Delete the connection on the page",
        (_VIEW,),
        access="page",
        description=_ITSELF,
    ),
)
