"""A small HTTP server that answers as the test says, for servers that cannot run in every test."""

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

Query = Mapping[str, str]


class Reply(NamedTuple):
    """What is answered: a text as it is, anything else as JSON."""

    body: Any
    status: int = 200


class Answering:
    """Answers GET on 127.0.0.1 by path: a `Reply`, a body for status 200, or a function of the query that returns one.

    A path that ends in `/` stands for all below it; the query has what follows as `rest`. Others get 404. `asked` has
    the path and query of each request, `headers` its headers. A context manager.
    """

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.asked.append((parts.path, query))
        self.headers.append(dict(handler.headers))
        answer = self.answers.get(parts.path)
        if answer is None:
            folder, _, query["rest"] = parts.path.rpartition("/")
            answer = self.answers.get(f"{folder}/", Reply("404 page not found\n", 404))
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(query)
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        body = reply.body.encode() if isinstance(reply.body, str) else json.dumps(reply.body).encode()
        handler.send_response(reply.status)
        handler.send_header("Content-Type", "text/plain" if isinstance(reply.body, str) else "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
