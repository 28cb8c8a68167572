"""What all shapes have in common, and what several parts of the API use."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def absent() -> Any:
    """A member that is left out where there is nothing to say."""
    return Field(default=None, json_schema_extra=_without_default)


class Shape(BaseModel):
    """Each member is described by the string below it. Clients pass over members that they don't know: more may come."""

    model_config = ConfigDict(use_attribute_docstrings=True, populate_by_name=True)


class MailAddress(Shape):
    """An address and the name it was written with."""

    address: str
    name: str | None
