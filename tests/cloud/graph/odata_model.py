"""
The types of Graph's mail resources, as far as a query can name their parts: v1.0 metadata of 2026-08-20.

Imitated: which properties exist, which only an explicit `$select` brings, and what can be expanded.
Narrower than Graph: what may be filtered and sorted is what mail callers do; nothing else is let through unproven.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.cloud.graph.odata_filter import Filterable

EXTENDED_PROPERTIES = "singleValueExtendedProperties"


@dataclass(frozen=True)
class EntityModel:
    """
    What one type of entity lets a query name.

    `properties` may be selected, and so may `select_only`, which an answer never carries unasked. `navigation` may be
    expanded, each with the model of its items. `filterable` says what may be filtered and sorted. `casts` are the
    derived types whose properties may be selected by `{type}/{property}`.
    """

    properties: frozenset[str]
    navigation: Mapping[str, "EntityModel"] = field(default_factory=dict)
    select_only: frozenset[str] = frozenset()
    filterable: Filterable = field(default_factory=Filterable)
    casts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    type_name: str = "Message"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


EXTENDED_PROPERTY = EntityModel(
    properties=frozenset({"id", "value"}),
    filterable=Filterable({"id": "property-id", "value": "token"}, {}, "SingleValueLegacyExtendedProperty"),
    type_name="SingleValueLegacyExtendedProperty",
)

ATTACHMENT = EntityModel(
    properties=frozenset({"id", "name", "contentType", "size", "isInline", "lastModifiedDateTime"}),
    casts={
        "microsoft.graph.fileAttachment": frozenset({"contentId", "contentLocation", "contentBytes"}),
    },
    type_name="Attachment",
)

MESSAGE_FILTERABLE = Filterable(
    paths={
        "subject": "text",
        "importance": "text",
        "inferenceClassification": "text",
        "flag/flagStatus": "text",
        "from/emailAddress/address": "text",
        "from/emailAddress/name": "text",
        "sender/emailAddress/address": "text",
        "sender/emailAddress/name": "text",
        "internetMessageId": "token",
        "conversationId": "token",
        "parentFolderId": "token",
        "isRead": "boolean",
        "isDraft": "boolean",
        "hasAttachments": "boolean",
        "isDeliveryReceiptRequested": "boolean",
        "isReadReceiptRequested": "boolean",
        "receivedDateTime": "date",
        "sentDateTime": "date",
        "createdDateTime": "date",
        "lastModifiedDateTime": "date",
    },
    collections={
        "categories": {"": "text"},
        **{
            recipients: {"emailAddress/address": "text", "emailAddress/name": "text"}
            for recipients in ("toRecipients", "ccRecipients", "bccRecipients", "replyTo")
        },
        EXTENDED_PROPERTIES: EXTENDED_PROPERTY.filterable.paths,
    },
)

MESSAGE = EntityModel(
    properties=_names(
        """
        id categories changeKey createdDateTime lastModifiedDateTime bccRecipients body bodyPreview ccRecipients
        conversationId conversationIndex flag from hasAttachments importance inferenceClassification internetMessageId
        isDeliveryReceiptRequested isDraft isRead isReadReceiptRequested parentFolderId receivedDateTime replyTo sender
        sentDateTime subject toRecipients webLink
        """
    ),
    select_only=frozenset({"internetMessageHeaders", "uniqueBody"}),
    navigation={"attachments": ATTACHMENT, EXTENDED_PROPERTIES: EXTENDED_PROPERTY},
    filterable=MESSAGE_FILTERABLE,
)

MAIL_FOLDER = EntityModel(
    properties=_names(
        "id displayName parentFolderId childFolderCount unreadItemCount totalItemCount sizeInBytes isHidden"
    ),
    filterable=Filterable({"displayName": "text", "isHidden": "boolean"}, {}, "MailFolder"),
    type_name="MailFolder",
)

USER = EntityModel(
    properties=_names(
        """
        id displayName givenName surname mail userPrincipalName jobTitle officeLocation preferredLanguage mobilePhone
        businessPhones
        """
    ),
    select_only=frozenset({"proxyAddresses", "otherMails", "userType", "accountEnabled"}),
    type_name="User",
)
