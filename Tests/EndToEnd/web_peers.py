"""Web servers and clients that run in processes of their own, as peers.py does.

    web_peers.py serve COLOR FOLDER          Python's http.server; logs when each request began and ended
    web_peers.py requests ADDRESS COUNT      so many users of one pool of Python requests
    web_peers.py urllib3 ADDRESS COUNT       the same with a pool of urllib3
    web_peers.py websocket-serve COLOR       greets with its color, then echoes
    web_peers.py websocket ADDRESS           one session that speaks all the while
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import itertools
import json
import random
import sys
import threading
import time
import urllib.parse
from pathlib import Path

from peers import say, stopped


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; takes a body and answers with its length and hash; `?wait=` seconds before the answer, or
    `?until=` there is a file of this name beside the folder (a minute at most)."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    color = ""
    log: list[tuple[float, float, str, str]] = []

    def parse_request(self) -> bool:
        self.began = time.monotonic()
        return super().parse_request()

    def log_message(self, *_: object) -> None:
        pass

    def done(self) -> None:
        """Called before the last byte leaves: whoever has it may rely on this request having ended."""
        self.log.append((self.began, time.monotonic(), self.command, self.path))

    def work(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        if wait := query.get("wait"):
            time.sleep(float(wait[0]))
        if until := query.get("until"):
            file, deadline = Path(self.directory).parent / until[0], time.monotonic() + 60
            while not file.exists() and time.monotonic() < deadline:
                time.sleep(0.01)

    def do_GET(self) -> None:
        self.work()
        super().do_GET()

    def copyfile(self, source, outputfile) -> None:
        data = source.read()
        self.done()
        outputfile.write(data)

    def do_PUT(self) -> None:
        digest, length = hashlib.sha256(), 0
        for block in self.body():
            digest.update(block)
            length += len(block)
        self.work()
        answer = json.dumps({"color": self.color, "length": length, "sha256": digest.hexdigest()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.done()
        self.wfile.write(answer)

    do_POST = do_PUT

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            left = int(self.headers.get("Content-Length", "0"))
            while left:
                block = self.rfile.read(min(left, 1 << 16))
                if not block:
                    raise ConnectionError("the body ended early")
                left -= len(block)
                yield block
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            block = self.rfile.read(size)
            if len(block) < size:
                raise ConnectionError("the body ended early")
            yield block
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 4096

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def serve(color: str, folder: str) -> None:
    Handler.color = color
    # Small files: the threads should not all wait for each other's disk.
    server = Server(("127.0.0.1", 0), lambda *arguments: Handler(*arguments, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say({"address": f"127.0.0.1:{server.server_address[1]}"})
    stopped().wait()
    say({"requests": Handler.log})


def blocks(data: bytes):
    """As an upload whose length is not known before: chunked."""
    for start in range(0, len(data), 10000):
        yield data[start:start + 10000]


def load(count: int, call) -> list[tuple[float, float, str, str]]:
    """Users who ask without pause until the input ends; of each request: when it began and ended, the color that
    answered or the hash of the body, and what went wrong."""
    stop = stopped()
    results: list[tuple[float, float, str, str]] = []
    started = threading.Barrier(count + 1)

    def use(number: int) -> None:
        random_bytes = random.Random(number)
        started.wait()
        for turn in itertools.count():
            if stop.is_set():
                return
            body = None if turn % 3 == 0 else random_bytes.randbytes(random_bytes.choice((0, 1, 700, 30000, 200000)))
            began = time.monotonic()
            answer, error = "", ""
            try:
                status, content = call(body if body is None or turn % 3 == 1 or not body else blocks(body))
                if status != 200:
                    error = f"status {status}"
                elif body is None:
                    answer = hashlib.sha256(content).hexdigest()
                else:
                    told = json.loads(content)
                    answer = told["color"]
                    if (told["length"], told["sha256"]) != (len(body), hashlib.sha256(body).hexdigest()):
                        error = f"another body than the {len(body)} bytes that were sent"
            except Exception as problem:  # whatever the library makes of it is this test's subject
                error = f"{type(problem).__name__}: {problem}"
                stop.wait(0.01)
            results.append((began, time.monotonic(), answer, error))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    started.wait()
    say({"ready": True})
    for thread in threads:
        thread.join()
    return results


def use_requests(address: str, count: int) -> None:
    import requests
    import requests.adapters

    session = requests.Session()
    session.trust_env = False
    adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=count, pool_block=True, max_retries=0)
    session.mount("http://", adapter)

    def call(body):
        url = f"http://{address}/data"
        answer = session.get(url, timeout=30) if body is None else session.post(url, data=body, timeout=30)
        return answer.status_code, answer.content

    results = load(count, call)
    pools = adapter.poolmanager.pools
    say({"requests": results, "connections": sum(pools[key].num_connections for key in pools.keys())})


def use_urllib3(address: str, count: int) -> None:
    import urllib3

    host, port = address.rsplit(":", 1)
    pool = urllib3.HTTPConnectionPool(host, int(port), maxsize=count, block=True, retries=False, timeout=30)

    def call(body):
        if body is None:
            answer = pool.request("GET", "/data")
        else:
            answer = pool.request("PUT", "/data", body=body, chunked=not isinstance(body, bytes))
        return answer.status, answer.data

    results = load(count, call)
    say({"requests": results, "connections": pool.num_connections})


def websocket_serve(color: str) -> None:
    import asyncio

    import websockets

    async def handle(socket, *_: object) -> None:
        await socket.send(color)
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in socket:
                await socket.send(message)

    async def main() -> None:
        # No pings of the library's own: what keeps a session busy is the client's part.
        async with websockets.serve(handle, "127.0.0.1", 0, ping_interval=None, close_timeout=1) as server:
            say({"address": f"127.0.0.1:{server.sockets[0].getsockname()[1]}"})
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            say({"ended": True})

    asyncio.run(main())


def websocket(address: str) -> None:
    """Says each message, gets it back, and so on until the session ends or the input does."""
    import asyncio

    import websockets

    async def main() -> None:
        stop = stopped()
        async with websockets.connect(f"ws://{address}/", ping_interval=None, close_timeout=1) as socket:
            color = await socket.recv()
            say({"color": color})
            last, how = 0.0, "asked to"
            try:
                while not stop.is_set():
                    message = random.randbytes(random.choice((1, 125, 126, 40000)))
                    await socket.send(message)
                    if await asyncio.wait_for(socket.recv(), 20) != message:
                        raise AssertionError("another message than the one that was sent")
                    last = time.monotonic()
                    await asyncio.sleep(0.05)
            except websockets.ConnectionClosed as closed:
                how = f"{type(closed).__name__}"
            say({"last": last, "how": how, "at": time.monotonic()})

    asyncio.run(main())


def main(arguments: list[str]) -> None:
    verb, *rest = arguments
    if verb == "serve":
        serve(*rest)
    elif verb == "websocket-serve":
        websocket_serve(*rest)
    elif verb == "websocket":
        websocket(*rest)
    else:
        {"requests": use_requests, "urllib3": use_urllib3}[verb](rest[0], int(rest[1]))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1:])
