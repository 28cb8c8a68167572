"""An app that uses each thing the local Functions host gives, for test_functions_host.py."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import List  # noqa: UP035 - the worker library refuses func.Out[list[str]]

import azure.functions as func
from azure.functions.timer import TimerRequest  # with the schedule: func.TimerRequest tells past_due only

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

#: What queue and timer functions did, one line each: the tests read this file.
DIARY = Path(os.environ["DIARY"])


def note(**entry: object) -> None:
    """Add a line to the diary."""
    with DIARY.open("a") as diary:
        diary.write(json.dumps(entry) + "\n")


@app.route(route="echo/{name}/{n:int?}", methods=["GET", "POST"])
async def http_echo(req: func.HttpRequest) -> func.HttpResponse:
    """What arrived, as JSON."""
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route_params": dict(req.route_params),
        "body": req.get_body().hex(),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route(route="echo/literal", methods=["GET"])
def http_literal(req: func.HttpRequest) -> str:
    """A plain string is a response too."""
    return "literal"


@app.route(route="files/{*path}", auth_level=func.AuthLevel.ANONYMOUS)
def http_files(req: func.HttpRequest) -> func.HttpResponse:
    """Any method, binary body, from a plain function in a thread."""
    headers = {"X-Path": req.route_params.get("path", ""), "X-Method": req.method}
    return func.HttpResponse(
        req.get_body()[::-1], headers=headers, mimetype="application/octet-stream", status_code=201
    )


@app.route(route="cookies", auth_level=func.AuthLevel.ANONYMOUS)
async def http_cookies(req: func.HttpRequest) -> func.HttpResponse:
    """Two cookies and a redirect."""
    response = func.HttpResponse(status_code=302, headers={"Location": "/elsewhere"})
    response.headers.add("Set-Cookie", "one=a=b; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=600")
    response.headers.add("Set-Cookie", "two=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
    return response


@app.route(route="admin-only", auth_level=func.AuthLevel.ADMIN)
async def http_admin_only(req: func.HttpRequest) -> func.HttpResponse:
    """Needs the master key."""
    return func.HttpResponse("ok")


@app.route(route="fail")
async def http_fail(req: func.HttpRequest) -> func.HttpResponse:
    """Always fails."""
    raise RuntimeError("this is what went wrong")


@app.route(route="slow/{seconds}")
async def http_slow(req: func.HttpRequest) -> func.HttpResponse:
    """Takes its time."""
    note(event="slow")
    await asyncio.sleep(float(req.route_params["seconds"]))
    return func.HttpResponse("done")


@app.route(route="together/{n}")
async def http_together(req: func.HttpRequest) -> func.HttpResponse:
    """Answers once so many calls of this and the next function run."""
    note(event="together")
    while not _run_together(req):  # noqa: ASYNC110 - the others may run in threads
        await asyncio.sleep(0.02)
    return func.HttpResponse("done")


@app.route(route="together-thread/{n}")
def http_together_thread(req: func.HttpRequest) -> func.HttpResponse:
    """The same in a thread."""
    note(event="together")
    while not _run_together(req):
        time.sleep(0.02)
    return func.HttpResponse("done")


def _run_together(req: func.HttpRequest) -> bool:
    """Whether so many have begun; none of them ends before."""
    return DIARY.read_text().count('"together"') >= int(req.route_params["n"])


@app.route(route="environment")
async def http_environment(req: func.HttpRequest) -> func.HttpResponse:
    """What the app sees of the world."""
    return func.HttpResponse(json.dumps({"environ": dict(os.environ), "cwd": str(Path.cwd()), "pid": os.getpid()}))


@app.route(route="enqueue", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
async def http_enqueue(req: func.HttpRequest, out: func.Out[List[str]]) -> func.HttpResponse:
    """Queue the items of the body, a JSON list."""
    out.set(req.get_json())
    return func.HttpResponse(status_code=202)


@app.queue_trigger(arg_name="msg", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="$return", queue_name="done", connection="AzureWebJobsStorage")
async def queue_work(msg: func.QueueMessage) -> str:
    """Do what the message says, and pass it on."""
    text = msg.get_body().decode()
    note(event="work", text=text, dequeue_count=msg.dequeue_count, id=msg.id, inserted=str(msg.insertion_time))
    verb, _, rest = text.partition(" ")
    if verb == "fail":
        raise RuntimeError("cannot do " + rest)
    if verb == "sleep":
        await asyncio.sleep(float(rest))
    if verb == "sleep-once" and msg.dequeue_count == 1:
        await asyncio.sleep(float(rest))
    note(event="worked", text=text)
    return text.upper()


@app.queue_trigger(arg_name="msg", queue_name="done", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="out", queue_name="archive", connection="AzureWebJobsStorage")
def queue_done(msg: func.QueueMessage, out: func.Out[bytes]) -> None:
    """The end of the chain, in a thread; a copy goes to a queue that has no trigger."""
    note(event="done", text=msg.get_body().decode())
    out.set(b"copy of " + msg.get_body())


@app.timer_trigger(arg_name="timer", schedule="%TICK%", run_on_startup=False)
async def timer_tick(timer: TimerRequest) -> None:
    """Tick."""
    note(event="tick", past_due=timer.past_due, last=timer.schedule_status["Last"])
