"""Those who look at a front door: `watchers.py PORT`, the port of its public address. Ends with its standard input, and then
says how much it was told.

Prometheus, fifteen times as often as by default; a reader of the events; and five status pages, which ask every two seconds.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from collections import Counter

PAGES = 5

told: Counter[str] = Counter()
is_over = threading.Event()
subscribed = threading.Event()


def asks(port: int, path: str, pause: float) -> None:
    while not is_over.wait(pause):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        connection.close()
        told[path if response.status == 200 else f"{response.status} {path}"] += 1


def listens(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", "/v1/events")
    response = connection.getresponse()
    subscribed.set()
    while response.readline():
        told["/v1/events"] += 1


def main() -> None:
    port = int(sys.argv[1])
    work = [(asks, port, "/metrics", 1.0), (listens, port)] + [(asks, port, "/v1/status?recent=20s", 2.0)] * PAGES
    for function, *arguments in work:
        threading.Thread(target=function, args=arguments, daemon=True).start()
    if not subscribed.wait(10):
        raise SystemExit("nobody tells of events")
    print("ready", flush=True)
    sys.stdin.read()
    is_over.set()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
