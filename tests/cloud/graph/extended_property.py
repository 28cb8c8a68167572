"""
The id of a single-value extended property: how Graph names a MAPI property.

Imitated, from https://learn.microsoft.com/graph/api/resources/extended-properties-overview (the id grammar):

    {type} {guid} Name {name}     String {00020329-0000-0000-C000-000000000046} Name CrmSendId
    {type} {guid} Id {0x..}       Integer {00062008-0000-0000-C000-000000000046} Id 0x8502
    {type} {0xproptag}            String 0x1042

The braces around the GUID are written. Type, GUID and numbers compare without case and without leading zeros; the name
compares as written. Not imitated: whether the value fits the type, multi-value properties, the named-property quota.
"""

import re
import uuid

from tests.cloud.graph.errors import bad_request

IN_REPLY_TO_ID = "String 0x1042"
"""PidTagInReplyToId, [MS-OXOMSG] 2.2.1: the only place where a copy in Sent Items keeps In-Reply-To."""

REFERENCES_ID = "String 0x1039"
"""PidTagInternetReferences, likewise for References."""

_TYPE = "ApplicationTime|Binary|Boolean|CLSID|Currency|Double|Float|Integer|Long|Short|String|SystemTime"
_GRAMMAR = re.compile(
    rf"(?P<type>(?i:{_TYPE})) (?:"
    r"\{(?P<guid>[0-9A-Fa-f-]{36})\} (?:Name (?P<name>.+)|Id (?P<lid>0x[0-9A-Fa-f]{1,8}))"
    r"|(?P<tag>0x[0-9A-Fa-f]{1,4}))"
)


def property_key(property_id: str) -> tuple[str, str, str | int]:
    """
    What two spellings of one id have in common: (type, GUID or "", name or number). Raises 400 for a malformed id.

    Use it wherever an id is stored or compared, so that a property written twice is kept once.
    """
    match = _GRAMMAR.fullmatch(property_id)
    if match is None:
        raise bad_request(f"The property id '{property_id}' is not of a known form.", "ErrorInvalidProperty")
    kind = match["type"].lower()
    if match["tag"]:
        return kind, "", int(match["tag"], 16)
    try:
        guid = str(uuid.UUID(match["guid"]))
    except ValueError:
        raise bad_request(f"The property id '{property_id}' has no valid GUID.", "ErrorInvalidProperty") from None
    return kind, guid, match["name"] or int(match["lid"], 16)
