"""Reading the JSON body of a `/_lab` control strictly: a misspelt field is told, not ignored."""

import json

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError


class Control(BaseModel):
    """The body of one control. Fields it does not know are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


async def read_control[T: Control](request: web.Request, model: type[T]) -> T:
    """The body as `model`; raises a 400 that says in JSON which field is wrong and why."""
    try:
        return model.model_validate_json(await request.read() or b"{}")
    except ValidationError as problem:
        wrong = [{"field": ".".join(map(str, e["loc"])), "problem": e["msg"]} for e in problem.errors()]
        raise web.HTTPBadRequest(
            text=json.dumps({"error": f"{request.path} does not understand this body", "wrong": wrong}),
            content_type="application/json",
        ) from problem
