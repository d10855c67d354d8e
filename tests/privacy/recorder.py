"""A receiver that keeps every byte it is sent, as it was sent, over gRPC and HTTP."""

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc


class Recorder(grpc.GenericRpcHandler):  # type: ignore[misc,type-arg,unused-ignore]
    """Answers every call with an empty response, which says that all was accepted."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.grpc_port = 0
        self.http_port = 0

    def service(self, handler_call_details: Any) -> Any:
        def answer(request: bytes, _context: Any) -> bytes:
            self.received.append((handler_call_details.method, request))
            return b""

        # Without functions for (de)serialisation the messages stay bytes.
        return grpc.unary_unary_rpc_method_handler(answer)

    def bytes(self) -> bytes:
        return b"\n".join(body for _, body in self.received)

    def signals(self) -> set[str]:
        """Return which signals have arrived."""
        words = {"trace": "traces", "metrics": "metrics", "logs": "logs"}
        return {
            words[word]
            for address, _ in self.received
            for word in words
            if f"/{word}" in address.lower() or f".{word}." in address.lower()
        }


@contextmanager
def recording() -> Iterator[Recorder]:
    """Yield a recorder that listens on two free ports."""
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            recorder.received.append(
                (self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            )
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    recorder.http_port = http.server_address[1]
    rpc = grpc.server(ThreadPoolExecutor(4), handlers=[recorder])
    recorder.grpc_port = rpc.add_insecure_port("127.0.0.1:0")
    rpc.start()
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield recorder
    finally:
        rpc.stop(0).wait()
        http.shutdown()
        thread.join()
        http.server_close()
