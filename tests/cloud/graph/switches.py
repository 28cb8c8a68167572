"""
What is not known for certain about Exchange Online, as switches: an app must survive every setting.

Each field is one switch, its comment says where the doubt comes from; `POST /_lab/switches {name: value}` sets them and
`POST /_lab/reset` puts the defaults back. The defaults follow Microsoft's documentation wherever it says anything.
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass
class Switches:
    """The doubtful facts. Durations are in seconds, sizes in bytes."""

    #: From `/send` until the copy is in Sent Items. Documented as asynchronous, without a number.
    sent_copy_delay_s: float = 0.2
    #: Between `/send` and the copy in Sent Items the item answers 404 (documented as possible, concepts/outlook-immutable-id)
    #: instead of being readable as the draft it was.
    sent_copy_404_window: bool = False
    #: The immutable id changes when a draft is sent (reported: msgraph-sdk-dotnet#2947; documented: it does not).
    id_changes_on_send: bool = False
    #: Exchange gives the sent message another internetMessageId than the draft had (reported, rare).
    internet_message_id_changes_on_send: bool = False
    #: Messages per minute and mailbox that leave at once; more are carried over to the next minutes. Exchange Online
    #: documents 30. 0 sends everything at once.
    messages_per_minute: int = 0
    #: An alias as `from` is kept (tenant setting SendFromAliasEnabled); off, the primary address replaces it.
    send_from_alias_enabled: bool = True
    #: Addresses that bounce: the sender gets a non-delivery report.
    undeliverable: list[str] = field(default_factory=list)
    #: A non-delivery report is in the conversation of the message it reports.
    report_joins_conversation: bool = True
    #: A non-delivery report carries In-Reply-To with the id of the message it reports.
    report_has_in_reply_to: bool = True
    #: `createReply` on one's own sent item addresses oneself (reported); off, it addresses the original recipients.
    reply_to_own_mail_addresses_self: bool = True
    #: `createReply` and its kin mark the original as read (reported of createReplyAll).
    create_reply_marks_read: bool = False
    #: The recipients in `message` of createReply are added to those Graph chooses; off, each group given takes the place of
    #: Graph's. Documented is only that "message" holds "any writeable properties to update in the reply message".
    reply_recipients_are_added: bool = False
    #: The draft of createReply has the inline files of the original, also where `message` has another body (not documented).
    reply_carries_inline_files: bool = True
    #: `comment` of createReply is in the draft's body (a known issue of 2021 said it is not).
    comment_in_draft_body: bool = True
    #: A plain-text body is answered as HTML unless text is asked for (documented); off, as the text it is.
    text_bodies_as_html: bool = True
    #: Direct attachments must be smaller than this: "under 3 MB", read in the strict way.
    direct_attachment_limit_bytes: int = 3_000_000
    #: What an attachment's `size` counts beside its bytes. Documented is "the length in bytes"; MAPI's PidTagAttachSize counts
    #: some hundred bytes of properties too.
    attachment_overhead_bytes: int = 0
    #: Upload sessions for smaller files are refused. Documented for 3 MB and more, smaller ones are reported to work.
    upload_session_minimum_bytes: int = 0
    #: An upload URL refuses calls that carry an Authorization header (documented for OneDrive's: "may").
    upload_refuses_authorization: bool = True
    #: Rich notifications carry `internetMessageHeaders` where they are selected (refused is only the body; not documented).
    rich_headers: bool = True
    #: Every delta link is answered 410 `syncStateNotFound`.
    delta_link_gone: bool = False
    #: How many older delta links of a folder still work once a newer one was given. 0: all of them do.
    delta_generations_kept: int = 0
    #: In-Reply-To and References written as the properties 0x1042 and 0x1039 of a draft go out as headers (reported to work,
    #: not documented).
    threading_properties_are_sent: bool = False
    #: With immutable ids, an item that left a folder and came back is not reported again until it changes (docs-contrib#72).
    delta_misses_items_moved_back: bool = False

    def update(self, changes: dict[str, Any]) -> None:
        """Set several at once, or none: raises ValueError for an unknown name or a value of another type."""
        kinds = {f.name: type(getattr(self, f.name)) for f in fields(self)}
        for name, value in changes.items():
            if name not in kinds:
                raise ValueError(f"no switch is named {name!r}; there are: {', '.join(kinds)}")
            number_as_float = kinds[name] is float and isinstance(value, int) and not isinstance(value, bool)
            if type(value) is not kinds[name] and not number_as_float:
                raise ValueError(f"the switch {name!r} is a {kinds[name].__name__}, not {value!r}")
        for name, value in changes.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Put every default back."""
        for name, value in asdict(Switches()).items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """All switches and their values."""
        return asdict(self)
