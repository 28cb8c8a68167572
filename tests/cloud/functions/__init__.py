"""
Azure Functions on one machine: a small host that runs an app on Microsoft's own Python worker library.

    host = FunctionsHost(app_folder, {"AzureWebJobsStorage": azurite.connection_string, ...})
    await host.start()                  # the app is indexed and its routes answer
    host.url, host.function_key         # as after `func start`

The host is this process, the app runs in a child process, as in Azure. Who does what:

    host.py          life and death of it all, invocations, what tests ask and control
    front.py         HTTP: routes, keys, /admin, requests and responses
    queues.py        queue triggers and queue outputs on Azure Storage
    timers.py        timer triggers;                 ncrontab.py   their schedules
    bindings.py      what the app's decorators say;  routes.py     route templates
    host_json.py     host.json and its overriding app settings
    supervisor.py    keeps a worker process alive;   worker_link.py   one such process, as the host sees it
    worker.py        that process itself;            protos.py     the message classes the library wants
    wire.py          what goes between the two

Not imitated, and refused when an app uses it: triggers and bindings other than HTTP, queue and timer, retry policies,
identity-based connections. Not imitated, silently: scale-out, several worker processes, the singleton lock and the
stored status of timers, HTTP concurrency limits, CORS, keys per function, and the host's own telemetry (each invocation
has its `traceparent` all the same). `func start` runs the same app.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.cloud.functions.host import FunctionsHost as FunctionsHost
    from tests.cloud.functions.worker_link import AppLoadError as AppLoadError

__all__ = ["AppLoadError", "FunctionsHost"]


def __getattr__(name: str) -> Any:
    """Import on first use: the child process passes through here too, and must load nothing an app could lean on."""
    if name == "FunctionsHost":
        from tests.cloud.functions.host import FunctionsHost

        return FunctionsHost
    if name == "AppLoadError":
        from tests.cloud.functions.worker_link import AppLoadError

        return AppLoadError
    raise AttributeError(name)
