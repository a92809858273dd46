"""A server in front of an MLflow server: it passes calls on, or answers as a broken one does."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.parse
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

CUT = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
"""Headers that hold for one connection only."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Be silent about clients that have given up."""


class MlflowProxy:
    """A server on a port of this machine.

    `mode` may be changed at any time:

    - `pass`: passes calls on to the server behind it, if there is one;
    - `500`, `429`: answers every call with this status (429 asks to wait for an hour);
    - `silent`: accepts calls and never answers;
    - `drip`: answers with one byte a second;
    - `slow`: passes a call on after `delay` seconds;
    - `lost`: passes every second write on and loses its answer.

    A call whose path or body has `forbidden` in it is answered as MLflow's basic authentication
    does: 403, with a text that is no JSON.

    `close` makes it refuse connections, `open` brings it back on the same port.
    """

    def __init__(self, target: str = "", mode: str = "pass", delay: float = 5.0) -> None:
        self.target = target
        self.mode = mode
        self.delay = delay
        self.forbidden = b""
        self.answers: Counter[str] = Counter()  # mode -> calls
        self.port = 0
        self._writes = 0
        self._server: _Server | None = None
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Listen, on the same port as before."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                proxy.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, format: str, *arguments: object) -> None:
                """Log nothing."""

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Refuse connections, as a server that was killed."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one call as the mode says."""
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        if self._server is None:  # closed: connections that were open die too
            handler.close_connection = True
            return
        mode = self.mode
        if self.forbidden and self.forbidden in handler.path.encode() + body:
            mode = "403"
        self.answers[mode] += 1
        if mode == "403":
            handler.send_response(403)
            handler.send_header("Content-Length", "17")
            handler.end_headers()
            handler.wfile.write(b"Permission denied")
        elif mode in ("500", "429"):
            handler.send_response(int(mode))
            handler.send_header("Retry-After", "3600")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        elif mode == "silent":
            threading.Event().wait(300)
        elif mode == "drip":
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            for _ in range(1000):
                handler.wfile.write(b" ")
                time.sleep(1)
        else:
            if mode == "slow":
                time.sleep(self.delay)
            self._pass_on(handler, body, is_lossy=mode == "lost")

    def _pass_on(self, handler: BaseHTTPRequestHandler, body: bytes, *, is_lossy: bool) -> None:
        address = urllib.parse.urlsplit(self.target)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        headers = {key: value for key, value in handler.headers.items() if key.lower() != "host"}
        try:
            connection.request(handler.command, handler.path, body, headers)
            reply = connection.getresponse()
            content = reply.read()
        except OSError:
            handler.close_connection = True
            return
        finally:
            connection.close()
        if is_lossy and handler.command != "GET":
            self._writes += 1
            if self._writes % 2:
                handler.close_connection = True
                return
        handler.send_response(reply.status)
        for key, value in reply.getheaders():
            if key.lower() not in CUT:
                handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def __enter__(self) -> MlflowProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
