"""JSON schemas as a person reads them: the type of a member in a few words, and members as a table."""

from collections.abc import Mapping
from typing import Any

from sync.api.reference.page_words import Html, code, line, text

Json = Mapping[str, Any]
PREFIX = "#/components/schemas/"
_FORMATS = {"date-time": "time", "idn-email": "email address"}


class Types:
    """The schemas of one document, by name."""

    def __init__(self, schemas: Json) -> None:
        self._schemas = schemas

    def of(self, schema: Json) -> Html:
        """The type in a few words; what is described elsewhere is a link to it."""
        if "$ref" in schema:
            return self._named(schema["$ref"].removeprefix(PREFIX))
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return " or ".join(dict.fromkeys(self.of(each) for each in schema[choice]))
        if "enum" in schema:
            return self._one_of(schema["enum"])
        if "const" in schema:
            return code(_written(schema["const"]))
        kinds = schema.get("type", "anything")
        return " or ".join(self._plain(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds))

    def table(self, name: str, caption: str) -> Html:
        """The members of a named object; empty where it has none."""
        schema = self._schemas[name]
        required = set(schema.get("required", ()))
        rows = "".join(
            f'<tr><th scope="row">{code(member)}{self._presence(schema, member, required)}</th>'
            f"<td>{self.of(about)}{limits(about)}</td><td>{line(about.get('description', ''))}</td></tr>"
            for member, about in schema.get("properties", {}).items()
        )
        return table(caption, ("Member", "Type", "Meaning"), rows) if rows else ""

    def is_object(self, name: str) -> bool:
        """Whether it has members; what has none is told where it is used."""
        return "properties" in self._schemas[name]

    def _named(self, name: str) -> Html:
        if self.is_object(name):
            return f'<a href="#schema-{text(name)}">{text(name)}</a>'
        return self.of(self._schemas[name])

    def _plain(self, kind: str, schema: Json) -> Html:
        if kind == "array":
            return f"list of {self.of(schema['items'])}" if schema.get("items") else "list"
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            return f"object of {self.of(schema['additionalProperties'])}"
        return text(_FORMATS.get(schema.get("format", ""), kind)) if kind == "string" else text(kind)

    @staticmethod
    def _one_of(values: list[object]) -> Html:
        shown = [code(_written(value)) for value in values]
        return shown[0] if len(shown) == 1 else f"one of {', '.join(shown)}"

    @staticmethod
    def _presence(schema: Json, member: str, required: set[str]) -> Html:
        """In what is sent, what must be there; in what is answered, what may not be."""
        if schema.get("additionalProperties") is False:
            return ' <span class="must">required</span>' if member in required else ""
        return "" if member in required else ' <span class="may">not always</span>'


def table(caption: str, heads: tuple[str, ...], rows: Html) -> Html:
    """A table that says what it is; one of statuses has a narrow first column."""
    kind = ' class="statuses"' if heads[0] == "Status" else ""
    shown = "".join(f'<th scope="col">{text(head)}</th>' for head in heads)
    return (
        f'<div class="wide"><table{kind}><caption>{text(caption)}</caption><thead><tr>{shown}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def limits(schema: Json) -> Html:
    """How long, how many, how large; and what counts where it is left out."""
    said = []
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        said.append(
            f"{low:,} to {high:,}"
            if None not in (low, high)
            else f"from {low:,}"
            if high is None
            else f"up to {high:,}"
        )
    if schema.get("minLength") or schema.get("maxLength"):
        shortest = f"{schema['minLength']:,} to " if schema.get("minLength") else "at most "
        said.append(f"{shortest}{schema['maxLength']:,} characters")
    if "maxItems" in schema:
        said.append(f"at most {schema['maxItems']:,}" if schema["maxItems"] else "always empty")
    shown = "".join(f'<span class="limit">{text(each)}</span>' for each in said)
    if "pattern" in schema:
        shown += f'<span class="limit">{code(schema["pattern"])}</span>'
    if schema.get("default") not in (None, [], {}):
        shown += f'<span class="limit">default {code(_written(schema["default"]))}</span>'
    return shown


def _written(value: object) -> object:
    return {True: "true", False: "false", None: "null"}.get(value, value) if value in (True, False, None) else value
