"""An app that is healthy and shows the settings it was given: what the tests of the launcher run."""

import json
import os

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def http_health(req: func.HttpRequest) -> func.HttpResponse:
    """200."""
    return func.HttpResponse("alive")


@app.route(route="settings", methods=["GET"])
def http_settings(req: func.HttpRequest) -> func.HttpResponse:
    """Every setting, as JSON."""
    return func.HttpResponse(json.dumps(dict(os.environ)), mimetype="application/json")
