"""What a post of OTLP costs in CPU and memory: our transports, beside requests, urllib3 and http.client by themselves.

    python -m tests.benchmarks.posts [bytes]

Each client runs in a process of its own; the server, which answers at once, is another's.
"""

import argparse
import http.client
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic, process_time
from typing import Any

POSTS = 2000
HEADERS = {"Content-Type": "application/x-protobuf", "authorization": "Bearer x"}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
Post = Callable[[bytes], object]


def serve(listener: socket.socket) -> None:
    """Answer all that one connection after another sends."""
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as file:
            while line := file.readline():
                length = 0
                while line != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                    line = file.readline()
                file.read(length)
                connection.sendall(ANSWER)


def with_requests(url: str) -> Post:
    import requests

    session = requests.Session()
    session.trust_env = False
    return lambda data: session.post(url, data=data, headers=HEADERS, timeout=10, allow_redirects=False).content


def with_urllib3(url: str) -> Post:
    import urllib3

    pool: Any = urllib3.connection_from_url(url, maxsize=1)
    return lambda data: pool.urlopen("POST", "/v1/traces", body=data, headers=HEADERS, retries=False, timeout=10).data


def with_http_client(url: str) -> Post:
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=10)

    def post(data: bytes) -> bytes:
        connection.request("POST", "/v1/traces", data, HEADERS)
        return connection.getresponse().read()

    return post


def with_ours(url: str) -> Post:
    from telemetry.config import TelemetryConfig
    from telemetry.exporting.transports import make_transport

    env = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer x"}
    config = TelemetryConfig.from_env({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", **env})
    transport = make_transport(config.traces, "traces")

    def post(data: bytes) -> None:
        answer = transport.send(data, monotonic() + 10)
        assert answer.reason is None, answer

    return post


CLIENTS = {"requests": with_requests, "urllib3": with_urllib3, "http.client": with_http_client, "ours": with_ours}


def measure(name: str, url: str, size: int) -> None:
    before = resident()
    post, data = CLIENTS[name](url), os.urandom(size)
    for _ in range(50):
        post(data)
    started = process_time()
    for _ in range(POSTS):
        post(data)
    micros = (process_time() - started) / POSTS * 1e6
    print(f"{name:12} {micros:4.0f} us of CPU a post of {size} bytes, {(resident() - before) / 1024:4.1f} MiB more")


def resident() -> int:
    """Return the memory of this process, in KiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bytes", nargs="?", type=int, default=20_000, help="of each post (%(default)s)")
    size = parser.parse_args().bytes
    context = multiprocessing.get_context("fork")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = context.Process(target=serve, args=(listener,), daemon=True)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces"
        for name in CLIENTS:
            client = context.Process(target=measure, args=(name, url, size))
            client.start()
            client.join()
        server.terminate()


if __name__ == "__main__":
    main()
