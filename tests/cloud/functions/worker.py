"""
The worker process: the app, on Microsoft's Python worker library, behind a socket to the host.

    python -m tests.cloud.functions.worker SOCKET_FD APP_FOLDER

The library (PyPI azure-functions-runtime, Python 3.13 and newer) is what runs in Azure: it imports function_app.py, reads
the decorators, converts the bindings, runs coroutine functions on this loop and plain ones in threads. In Azure a proxy
worker speaks gRPC with the host and hands the library each request; this module is in the place of that proxy.
Log records of level INFO and above go to standard error, which the host keeps in a file, with what failed.
"""

import asyncio
import json
import logging
import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from tests.cloud.functions import protos, wire


async def main(descriptor: int, app_folder: Path) -> None:
    """Index the app, then run invocations until the host closes the socket."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    library = _import_library()
    indexed = await _index(library, app_folder)
    await wire.send(writer, indexed)
    running: set[asyncio.Task[None]] = set()
    while True:
        try:
            invocation = await wire.receive(reader)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            _end()
        task = asyncio.create_task(_run(library, invocation, writer))
        running.add(task)
        task.add_done_callback(running.discard)


def _end() -> NoReturn:
    """The host is gone or has stopped us: end at once, whatever the app still runs."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def _import_library() -> Any:
    import azure_functions_runtime

    azure_functions_runtime.start_threadpool_executor()
    return azure_functions_runtime


async def _index(library: Any, app_folder: Path) -> wire.Indexed:
    if not (app_folder / "function_app.py").exists():
        return wire.Indexed(error=f"there is no function_app.py in {app_folder}")
    init = SimpleNamespace(capabilities={}, function_app_directory=str(app_folder))
    started = await library.worker_init_request(
        SimpleNamespace(
            request=SimpleNamespace(worker_init_request=init), properties={"host": "127.0.0.1", "protos": protos}
        )
    )
    if started.result.status != protos.StatusResult.Success:
        return wire.Indexed(error=_text(started.result.exception))
    listed = await library.functions_metadata_request(SimpleNamespace(request=None, properties={}))
    return wire.Indexed([_function(found) for found in listed.function_metadata_results or []])


def _function(found: Any) -> wire.Function:
    bindings = [json.loads(binding) for binding in found.raw_bindings]
    return wire.Function(found.name, found.function_id, bindings, found.retry_options is not None)


async def _run(library: Any, invocation: wire.Invocation, writer: asyncio.StreamWriter) -> None:
    request = SimpleNamespace(
        invocation_id=invocation.invocation_id,
        function_id=invocation.function_id,
        trigger_metadata={name: _typed_data(value) for name, value in invocation.metadata.items()},
        input_data=[
            protos.ParameterBinding(name=name, data=_typed_data(value)) for name, value in invocation.inputs.items()
        ],
        trace_context=SimpleNamespace(trace_parent=invocation.traceparent, trace_state="", attributes={}),
        retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
    )
    answer = await library.invocation_request(
        SimpleNamespace(request=SimpleNamespace(invocation_request=request), properties={})
    )
    if answer.result.status == protos.StatusResult.Success:
        outcome = wire.Outcome(
            invocation.invocation_id,
            return_value=_value(answer.return_value),
            outputs={output.name: value for output in answer.output_data if (value := _value(output.data))},
        )
    else:
        outcome = wire.Outcome(invocation.invocation_id, error=_text(answer.result.exception))
    await wire.send(writer, outcome)


def _text(exception: Any) -> str:
    return f"{exception.message}\n{exception.stack_trace}"


def _typed_data(value: wire.Value) -> protos.TypedData:
    kind, content = value
    if kind == "http":
        content = protos.RpcHttp(
            method=content.method,
            url=content.url,
            headers=content.headers,
            query=content.query,
            params=content.params,
            body=protos.TypedData(bytes=content.body),
        )
    return protos.TypedData(**{kind: content})


def _value(data: Any) -> wire.Value | None:
    """An output as the host takes it; None where the function set nothing."""
    kind = data.WhichOneof("data") if data is not None else None
    if kind is None:
        return None
    content = getattr(data, kind)
    if kind == "http":
        body = _value(content.body)
        content = wire.HttpResponse(
            status=int(content.status_code),
            headers=content.headers,
            cookies=[_cookie(cookie) for cookie in content.cookies or []],
            body=body[1] if body else b"",
        )
    return kind, content


def _cookie(cookie: Any) -> wire.Cookie:
    return wire.Cookie(
        name=cookie.name,
        value=cookie.value,
        domain=cookie.domain.value,
        path=cookie.path.value,
        expires=cookie.expires.value.seconds if cookie.expires else None,
        max_age=cookie.max_age.value if cookie.max_age else None,
        secure=cookie.secure.value,
        http_only=cookie.http_only.value,
        same_site=cookie.same_site,
    )


def _only_the_app_can_be_imported(app_folder: Path) -> None:
    """The checkout came in by PYTHONPATH, for this module's sake; the app sees its own folder first, and no other of ours."""
    checkout = os.environ.pop("PYTHONPATH", "")
    sys.path[:] = [str(app_folder), *(entry for entry in sys.path if entry not in ("", checkout, str(app_folder)))]


if __name__ == "__main__":
    app = Path(sys.argv[2])
    _only_the_app_can_be_imported(app)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("azure.functions").setLevel(logging.WARNING)  # one line for each invocation otherwise
    asyncio.run(main(int(sys.argv[1]), app))
