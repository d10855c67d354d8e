"""The profile `proxy`: a real nginx with the stack's file before the real service, which it finds by its name."""

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from socketserver import BaseRequestHandler, UDPServer
from threading import Thread
from time import monotonic
from typing import Any

import pytest

from tests.stack.compose import everything
from tests.support.ports import free_port
from tests.support.service import ROOT, Service, listens, wait_until

TEMPLATE = ROOT / "deploy" / "nginx" / "user-api.conf.template"
MAIN = """
daemon off; error_log {folder}/error.log; pid {folder}/nginx.pid; worker_processes 1; events {{}}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
include {folder}/server.conf; }}
"""


class Names(UDPServer):
    """A name server that knows one address, which `address` changes."""

    address = "127.0.0.1"

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer a question for an IPv4 address, all others with nothing."""
        query, server = request
        known = query[-4:] == b"\0\1\0\1"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(self.address) if known else b""
        counts = bytes([0, 1, 0, known, 0, 0, 0, 0])
        server.sendto(query[:2] + b"\x81\x80" + counts + query[12:] + record, client_address)


@pytest.fixture(scope="module")
def names() -> Iterator[Names]:
    with Names(("127.0.0.1", 0), BaseRequestHandler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def proxied(
    tmp_path_factory: pytest.TempPathFactory, names: Names, share_service: Callable[..., Service]
) -> Iterator[Service]:
    """The service as clients reach it through nginx, which gives slow ones a second instead of ten."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    service = share_service("--workers=1", TELEMETRY_MODE="direct", OTEL_TRACES_EXPORTER="none")
    folder = tmp_path_factory.mktemp("nginx")
    outside = Service(folder, "", {})
    text = TEMPLATE.read_text(encoding="utf-8").replace("${UPSTREAM}", f"user-api:{service.port}")
    text = text.replace("${NGINX_LOCAL_RESOLVERS} valid=5s", f"127.0.0.1:{names.server_address[1]} valid=1s")
    outside.port = free_port()
    text = text.replace("listen 8080", f"listen 127.0.0.1:{outside.port}").replace("_timeout 10s", "_timeout 1s")
    (folder / "server.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        wait_until(lambda: listens(outside.port), 60, "nginx")
        yield outside
    finally:
        process.terminate()
        process.wait(30)


def test_proxy_passes_on_what_it_should(proxied: Service) -> None:
    assert proxied.get("/users")[0] == 200
    assert proxied.request("POST", "/users", {"name": "Ann", "email": "ann@example.com"})[0] == 201
    assert proxied.get("/metrics")[0] == 404
    assert proxied.request("POST", "/users", {"name": "x" * 70_000, "email": "b@example.com"})[0] == 413
    _, headers, _ = proxied.get("/users/", Host=f"127.0.0.1:{proxied.port}")
    assert headers["location"].startswith("/users")


@pytest.mark.parametrize(
    "begun", [b"GET /users HT", b"POST /users HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{"]
)
def test_proxy_ends_clients_that_stop_sending(proxied: Service, begun: bytes) -> None:
    started = monotonic()
    with socket.create_connection(("127.0.0.1", proxied.port), timeout=30) as client:
        client.sendall(begun)
        answer = client.recv(1000)
    assert answer == b"" or b" 408 " in answer
    assert 0.5 < monotonic() - started < 20


def test_proxy_follows_the_service_to_another_address(proxied: Service, names: Names) -> None:
    assert proxied.get("/users")[0] == 200
    try:
        names.address = "127.0.0.2"  # nobody listens there
        wait_until(lambda: proxied.get("/users")[0] == 502, 30, "the other address")
    finally:
        names.address = "127.0.0.1"
    wait_until(lambda: proxied.get("/users")[0] == 200, 30, "the service at its address")


def test_proxy_is_given_what_its_file_names() -> None:
    """nginx's image sets NGINX_LOCAL_RESOLVERS itself where it is told to."""
    environment = everything()["proxy"]["environment"]
    assert environment["NGINX_ENTRYPOINT_LOCAL_RESOLVERS"]
    text = TEMPLATE.read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+)\}", text)) - {"NGINX_LOCAL_RESOLVERS"} <= set(environment)
