"""
Plain classes in the place of the worker protocol's protobuf messages.

Microsoft's worker library (azure_functions_runtime) is given a `protos` module and makes its messages from the classes it
finds there. In Azure these are generated from FunctionRpc.proto (github.com/Azure/azure-functions-language-worker-protobuf);
here each is a bag of fields, which is all the library asks of them. A message that is not listed is an AttributeError.
"""

from typing import Any

#: The kinds of TypedData, and of ParameterBinding, in the order of the protocol.
DATA_KINDS = (
    "string", "json", "bytes", "stream", "http", "int", "double", "collection_bytes", "collection_string",
    "collection_double", "collection_sint64", "model_binding_data", "collection_model_binding_data",
)  # fmt: skip


class Message:
    """The fields it is made with, and `WhichOneof`."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def WhichOneof(self, group: str) -> str | None:
        """The field of a `oneof` group that is set."""
        names = ("data", "rpc_shared_memory") if group == "rpc_data" else DATA_KINDS
        return next((name for name in names if getattr(self, name, None) is not None), None)


class TypedData(Message):
    """A value with its kind."""


class ParameterBinding(Message):
    """A named value: an input of a function, or an output."""


class RpcHttp(Message):
    """An HTTP request or response."""


class SameSite:
    """The enumeration inside RpcHttpCookie."""

    Lax = "lax"
    Strict = "strict"
    ExplicitNone = "none"


setattr(SameSite, "None", None)


class RpcHttpCookie(Message):
    """One cookie of a response."""

    SameSite = SameSite


class NullableString(Message):
    """`value`."""


class NullableBool(Message):
    """`value`."""


class NullableDouble(Message):
    """`value`."""


class Timestamp(Message):
    """`seconds` since 1970."""


class NullableTimestamp(Message):
    """`value`, a Timestamp."""


class StatusResult(Message):
    """How a request ended."""

    Failure = 0
    Success = 1


class RpcException(Message):
    """`message` and `stack_trace`."""


class BindingInfo(Message):
    """A binding, with the enumerations of its direction and data type."""

    out = 1
    inout = 2
    undefined = 0
    string = 1
    binary = 2
    stream = 3


setattr(BindingInfo, "in", 0)


class RpcFunctionMetadata(Message):
    """One function of the app."""


class RpcRetryOptions(Message):
    """A retry policy."""


class WorkerMetadata(Message):
    """What the worker is."""


class WorkerInitResponse(Message):
    """Answer to the first request."""


class FunctionMetadataResponse(Message):
    """The functions of the app."""


class InvocationResponse(Message):
    """How an invocation ended, and its outputs."""
