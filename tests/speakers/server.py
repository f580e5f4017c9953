"""A small real server that speaks like OpenAI's over a socket, and fails in the ways that it is told to."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from xgen.speakers.config import Endpoint

STALL = 0.6
"""Seconds that a stalled reply takes: longer than the clients of these tests wait."""


@dataclass
class Server:
    """What the server saw and what it will do; `faults` are used up one a request, "" being none."""

    say: Callable[[dict[str, Any]], str]
    faults: list[str] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    retry_after: str = "0.02"
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""
    lock: Any = field(default_factory=threading.Lock)

    def endpoint(self, **changes: Any) -> Endpoint:
        """Say how to ask this server, without patience."""
        values = {"url": self.url, "model": "judge-1", "backoff": 0.001, "timeout": STALL / 2, "concurrency": 4}
        return Endpoint(**{**values, **changes})


def message(text: str, prompt: str = "") -> dict[str, Any]:
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split()), "total_tokens": 0}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "judge-1-0613", "choices": [choice]} | {
        "usage": usage
    }


def refusal(status: int, said: str, code: str = "") -> tuple[int, dict[str, Any]]:
    return status, {"error": {"message": said, "type": "error", "code": code}}


REFUSALS = {
    "rate limit": refusal(429, "slow down", "rate_limit_exceeded"),
    "no credit": refusal(429, "you exceeded your quota", "insufficient_quota"),
    "server fault": refusal(500, "it broke"),
    "wrong key": refusal(401, "no such key"),
    "no model": refusal(404, "no such model"),
    "too long": refusal(400, "too many tokens", "context_length_exceeded"),
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Server = self.server.script  # type: ignore[attr-defined]
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.seen.append(asked)
            server.times.append(time.monotonic())
            server.keys.append(self.headers.get("Authorization", ""))
            fault = server.faults.pop(0) if server.faults else ""
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            self._reply(server, asked, fault)
        finally:
            with server.lock:
                server.at_once -= 1

    def _reply(self, server: Server, asked: dict[str, Any], fault: str) -> None:
        status, body = REFUSALS.get(fault, (200, {}))
        if not body:
            prompt = "\n".join(each["content"] for each in asked["messages"])
            body = message("?!" if fault == "nonsense" else server.say(asked), prompt)
        if fault == "no message":
            body["choices"] = []
        if fault == "stall":
            time.sleep(STALL)
        data = json.dumps(body).encode()
        length = len(data)
        if fault == "half json":
            data = data[: length // 2]
            length = len(data)
        if fault == "cut":
            data = data[: length // 2]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        if fault == "rate limit":
            self.send_header("Retry-After", server.retry_after)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(data)
        self.close_connection = fault in ("cut", "stall")

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def serving(say: Callable[[dict[str, Any]], str], faults: list[str] | None = None) -> Iterator[Server]:
    """Serve on a free port of this machine while the block runs."""
    script = Server(say, list(faults or []))
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.script = script  # type: ignore[attr-defined]
    script.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
