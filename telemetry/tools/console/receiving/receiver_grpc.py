"""OTLP over gRPC."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.rpc import error_details_pb2  # type: ignore[import-untyped]

from telemetry.tools.console.receiving.ingest import SIGNALS, Signal
from telemetry.tools.console.receiving.receiver import Receiver, Refusal

_THREADS = 8
_CALLS = 64
_STOP_SECONDS = 1.0
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class OtlpGrpcServer:
    """Serves the three Export methods; `port` is the real one after `start`."""

    def __init__(self, receiver: Receiver, address: str, message_bytes: int) -> None:
        self._receiver = receiver
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="otlp-grpc")
        self._server = grpc.server(
            self._threads,
            # Requests that wait for a thread are in memory already.
            maximum_concurrent_rpcs=_CALLS,
            options=[
                # By default two servers may share a port, and a busy one would go unnoticed.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", message_bytes),
            ],
        )
        self._server.add_generic_rpc_handlers(tuple(map(self._handler, SIGNALS.values())))
        self.port = self._server.add_insecure_port(address)

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """Finish running requests, for at most a second, and free the port."""
        self._server.stop(_STOP_SECONDS).wait(_STOP_SECONDS + 0.5)
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _handler(self, signal: Signal) -> "grpc.GenericRpcHandler[bytes, Any]":
        def export(request: bytes, context: grpc.ServicerContext) -> Any:
            try:
                return self._receiver.receive(signal, "grpc", lambda: request)
            except Refusal as refusal:
                status = refusal.rpc_status
                if refusal.retry_after is not None:
                    info = error_details_pb2.RetryInfo()
                    info.retry_delay.FromNanoseconds(round(refusal.retry_after * 1e9))
                    status.details.add().Pack(info)
                    metadata: Any = (
                        ("grpc-status-details-bin", status.SerializeToString()),
                        # OpenTelemetry's Python exporter reads this one.
                        ("google.rpc.retryinfo-bin", info.SerializeToString()),
                    )
                    context.set_trailing_metadata(metadata)
                return context.abort(_CODES[status.code], refusal.message)

        method = grpc.unary_unary_rpc_method_handler(
            export,
            request_deserializer=None,  # bytes: an undecodable request is to be answered by us, not by grpc
            response_serializer=lambda message: message.SerializeToString(),
        )
        return grpc.method_handlers_generic_handler(signal.grpc_service, {"Export": method})
