"""google.rpc.Status, the body of OTLP's errors, and the codes in it."""

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]

#: The gRPC code of a refusal, by HTTP status. OTLP's clients retry UNAVAILABLE, and RESOURCE_EXHAUSTED with RetryInfo.
_CODES: dict[int, int] = {
    400: code_pb2.INVALID_ARGUMENT,
    401: code_pb2.UNAUTHENTICATED,
    403: code_pb2.PERMISSION_DENIED,
    404: code_pb2.UNIMPLEMENTED,
    405: code_pb2.UNIMPLEMENTED,
    413: code_pb2.RESOURCE_EXHAUSTED,
    415: code_pb2.INVALID_ARGUMENT,
    429: code_pb2.RESOURCE_EXHAUSTED,
    500: code_pb2.INTERNAL,
    502: code_pb2.UNAVAILABLE,
    503: code_pb2.UNAVAILABLE,
    504: code_pb2.UNAVAILABLE,
}


def rpc_code(http_status: int) -> int:
    """The number in google.rpc.Code that goes with an HTTP status."""
    code: int = _CODES.get(http_status, code_pb2.UNKNOWN)
    return code


def rpc_status(http_status: int, message: str, retry: Message | None = None) -> Message:
    """A google.rpc.Status, with a RetryInfo as its detail if there is one."""
    status: Message = status_pb2.Status(code=rpc_code(http_status), message=message, details=_packed(retry))
    return status


def retry_info(seconds: float) -> Message:
    """A google.rpc.RetryInfo."""
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(round(seconds * 1e9))
    info: Message = error_details_pb2.RetryInfo(retry_delay=delay)
    return info


def _packed(detail: Message | None) -> list[any_pb2.Any]:
    if detail is None:
        return []
    packed = any_pb2.Any()
    packed.Pack(detail)
    return [packed]
