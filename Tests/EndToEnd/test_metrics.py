"""Metrics: valid for Prometheus, equal to the tester's own counts, read-only, and no burden when nobody reads on."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from pathlib import Path

import harness
from harness import Backend, Case, Program, connect, echo, free_port, tagged, wait_until

SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
RULES = harness.ROOT / "config" / "prometheus" / "bgproxy.rules.yml"


class Metrics:
    """One reading, parsed."""

    def __init__(self, text: str):
        self.text = text
        self.samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        seen = set()
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            match = SAMPLE.match(line)
            assert match, f"no sample: {line!r}"
            name, labels, value = match[1], match[2] or "", float(match[3])
            assert (name, labels) not in seen, f"twice: {line}"
            seen.add((name, labels))
            self.samples[name].append((dict(LABEL.findall(labels)), value))

    def sum(self, name: str, **labels: str) -> float:
        assert name in self.samples, f"there is no {name}"
        return sum(value for given, value in self.samples[name]
                   if all(given.get(key) == wanted for key, wanted in labels.items()))


class WithMetrics(Case):
    def serving(self, *arguments, **settings) -> harness.FrontDoor:
        admin = {"metrics": "127.0.0.1:0"} | settings.pop("admin", {})
        return self.front_door(*arguments, admin=admin, **settings)

    def address(self, door: harness.FrontDoor) -> str:
        return door.status()["metrics"]

    def fetch(self, door: harness.FrontDoor, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
        host, port = self.address(door).rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=harness.PATIENCE)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read().decode()
        finally:
            connection.close()

    def metrics(self, door: harness.FrontDoor) -> Metrics:
        status, fields, text = self.fetch(door, "/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(fields["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        return Metrics(text)


def ask(sock: socket.socket, path: str = "/") -> tuple[int, int]:
    """One request on a connection that stays; the bytes that were sent and received."""
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    sock.sendall(request)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += harness.read_exactly(sock, 1)
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    return len(request), len(head) + len(harness.read_exactly(sock, length))


def web(body: bytes, status: str = "200 OK", delay: float = 0) -> harness.Handler:
    """Answers every request on a connection."""

    def handle(sock: socket.socket) -> None:
        buffer = b""
        while data := sock.recv(65536):
            buffer += data
            while b"\r\n\r\n" in buffer:
                buffer = buffer.split(b"\r\n\r\n", 1)[1]
                time.sleep(delay)
                sock.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return handle


class FormatTest(WithMetrics):
    def test_the_admin_socket_has_the_same_metrics(self) -> None:
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address)
        with connect(f"unix:{door.admin_path}") as sock:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = harness.read_all(sock).decode()
        names = {name for name in Metrics(answer.split("\r\n\r\n", 1)[1]).samples}
        self.assertEqual(names, set(self.metrics(door).samples))

    def test_names_of_listeners_and_targets_cannot_break_the_format(self) -> None:
        path = self.folder() / 'so"cket\\'
        backend = self.enter(Backend(echo, address=f"unix:{path}"))
        door = self.serving(backend.address, backend.address)
        with connect(door.address()) as sock:
            self.assertTrue(harness.says_back(sock))
        metrics = self.metrics(door)
        targets = {labels["target"] for labels, _ in metrics.samples["bgproxy_target_sessions"]}
        self.assertEqual(targets, {f"unix:{path}".replace("\\", "\\\\").replace('"', '\\"')})


class CountTest(WithMetrics):
    def test_counts_equal_the_testers_own_across_a_switch_a_drain_and_a_reload(self) -> None:
        answers = {"blue": web(b"v1\n"), "green": web(b"version 2\n", "500 Sorry")}
        servers = {color: self.enter(Backend(handler)) for color, handler in answers.items()}
        echoes = {color: self.enter(Backend(echo)) for color in ("blue", "green")}
        more = self.enter(Backend(web(b"one more\n")))
        listeners = [
            {"name": "web", "bind": "127.0.0.1:0", "protocol": "http", "preview": "127.0.0.1:0",
             "blue": [servers["blue"].address], "green": [servers["green"].address]},
            {"name": "raw", "bind": "127.0.0.1:0", "protocol": "tcp",
             "blue": [echoes["blue"].address], "green": [echoes["green"].address]},
        ]
        door = self.serving(listeners=listeners, workers=2)
        asked, sent, received = defaultdict(int), defaultdict(int), defaultdict(int)
        connections, talked = defaultdict(int), defaultdict(int)

        def request(sock: socket.socket, color: str, traffic: str = "production") -> None:
            out, back = ask(sock)
            asked[color, traffic] += 1
            sent[color, traffic] += out
            received[color, traffic] += back

        def talk(sock: socket.socket, color: str, size: int) -> None:
            self.assertTrue(harness.says_back(sock, b"x" * size))
            talked[color] += size

        def compare() -> None:
            # The last byte may be with its reader before the worker's tick has ended; the reading comes after that.
            metrics = self.metrics(door)
            for (color, traffic), count in asked.items():
                labels = {"listener": "web", "color": color, "traffic": traffic}
                self.assertEqual(metrics.sum("bgproxy_requests_total", **labels), count, labels)
                self.assertEqual(metrics.sum("bgproxy_responses_total", **labels), count, labels)
                self.assertEqual(metrics.sum("bgproxy_received_bytes_total", **labels), sent[color, traffic], labels)
                self.assertEqual(metrics.sum("bgproxy_sent_bytes_total", **labels), received[color, traffic], labels)
                self.assertEqual(metrics.sum("bgproxy_server_errors_total", **labels), count if color == "green" else 0)
            for color, size in talked.items():
                labels = {"listener": "raw", "color": color}
                self.assertEqual(metrics.sum("bgproxy_received_bytes_total", **labels), size, labels)
                self.assertEqual(metrics.sum("bgproxy_sent_bytes_total", **labels), size, labels)
            for (listener, traffic), count in connections.items():
                self.assertEqual(
                    metrics.sum("bgproxy_connections_total", listener=listener, traffic=traffic), count, listener)
            colors = door.status()["colors"]
            for color in colors:
                self.assertEqual(metrics.sum("bgproxy_requests_total", color=color, traffic="production"),
                                 colors[color]["requests"])
                self.assertEqual(metrics.sum("bgproxy_sent_bytes_total", color=color, traffic="production"),
                                 colors[color]["bytesOut"])
                self.assertEqual(metrics.sum("bgproxy_sessions_total", color=color), colors[color]["accepted"])

        stays = [self.enter(connect(door.address("web"))) for _ in range(3)]
        raw = [self.enter(connect(door.address("raw"))) for _ in range(2)]
        connections["web", "production"], connections["raw", "production"] = 3, 2
        for _ in range(5):
            for sock in stays:
                request(sock, "blue")
        for sock in raw:
            talk(sock, "blue", 5000)
        with connect(door.preview("web")) as sock:
            connections["web", "preview"] += 1
            request(sock, "green", "preview")
        compare()

        door.switch("green", drain="1m")
        for sock in stays:
            request(sock, "green")
        talk(raw[0], "blue", 700)
        with connect(door.address("raw")) as sock:
            connections["raw", "production"] += 1
            talk(sock, "green", 1234)
        compare()
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum("bgproxy_active", color="green"), 1)
        self.assertEqual(metrics.sum("bgproxy_active"), 1)
        self.assertEqual(metrics.sum("bgproxy_generation"), 1)
        self.assertEqual(metrics.sum("bgproxy_draining_sessions", color="blue"), 2)
        self.assertEqual(metrics.sum("bgproxy_phase", phase="draining"), 1)
        self.assertEqual(metrics.sum("bgproxy_switches_total", color="green", kind="switch"), 1)

        for sock in raw:
            sock.close()
        door.settled()
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum("bgproxy_switch_sessions_total", outcome="ended"), 2)
        self.assertEqual(metrics.sum("bgproxy_switch_sessions_total", outcome="moved"), 3)
        self.assertEqual(metrics.sum("bgproxy_drain_duration_seconds_count"), 1)
        self.assertEqual(metrics.sum("bgproxy_switch_duration_seconds_count", step="flip"), 1)

        door.settings["listeners"][0]["green"].append(more.address)
        door.settings["listeners"][1]["name"] = "renamed"
        door.write_config()
        door.post("/v1/reload")
        self.assertEqual(self.metrics(door).sum("bgproxy_reloads_total", result="done"), 1)
        self.assertEqual(
            self.metrics(door).sum("bgproxy_requests_total", listener="web", color="green", traffic="production",
                                   target=servers["green"].address), asked["green", "production"], "nothing begins anew")
        for _ in range(2):
            with connect(door.address("web")) as sock:
                request(sock, "green")
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum("bgproxy_requests_total", color="green", traffic="production"),
                         asked["green", "production"])
        self.assertEqual(metrics.sum("bgproxy_requests_total", target=more.address, traffic="production"), 2,
                         "the target with the fewest sessions has got both")

    def test_a_line_that_goes_to_another_target_begins_at_zero(self) -> None:
        first, second, third = (self.enter(Backend(echo)) for _ in range(3))
        door = self.serving(first.address, third.address)
        with connect(door.address()) as sock:
            self.assertTrue(harness.says_back(sock, b"x" * 999))
        wait_until(lambda: door.status()["colors"]["blue"]["sessions"] == 0, "the session has ended")
        # Twice: a line is given up one reload after its target has gone.
        for target in (second, second, first):
            door.settings["listeners"][0]["blue"] = [target.address]
            door.write_config()
            door.post("/v1/reload")
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum("bgproxy_sent_bytes_total", target=first.address), 0)
        with connect(door.address()) as sock:
            self.assertTrue(harness.says_back(sock, b"x" * 10))
        self.assertEqual(self.metrics(door).sum("bgproxy_sent_bytes_total", target=first.address), 10)

    def test_a_listener_that_comes_back_while_its_old_sessions_live_is_one_series(self) -> None:
        backend = self.enter(Backend(echo))
        other = {"name": "other", "bind": "127.0.0.1:0", "blue": [backend.address], "green": [backend.address]}
        web = {"name": "web", "bind": "127.0.0.1:0", "blue": [backend.address], "green": [backend.address]}
        door = self.serving(listeners=[other, web])
        with connect(door.address("web")) as old:
            self.assertTrue(harness.says_back(old, b"x" * 100))
            for listeners in ([other], [other, web]):
                door.settings["listeners"] = listeners
                door.write_config()
                door.post("/v1/reload")
            with connect(door.address("web")) as new:
                self.assertTrue(harness.says_back(new, b"x" * 11))
                metrics = self.metrics(door)
                self.assertEqual(metrics.sum("bgproxy_sent_bytes_total", listener="web"), 111)
                self.assertEqual(metrics.sum("bgproxy_open_connections", listener="web"), 2)
                old.close()
                wait_until(lambda: self.metrics(door).sum("bgproxy_open_connections", listener="web") == 1, "the old one ends")
                # The first finds the departed listener without sessions, the next gives up its targets' lines.
                for _ in range(3):
                    door.post("/v1/reload")
                    metrics = self.metrics(door)
                    self.assertEqual(metrics.sum("bgproxy_sent_bytes_total", listener="web"), 111, "it never falls")
                    self.assertEqual(metrics.sum("bgproxy_connections_total", listener="web"), 2)

    def test_failures_are_counted_where_they_happen(self) -> None:
        dead = f"127.0.0.1:{free_port()}"
        alive = self.enter(Backend(web(b"fine\n")))
        door = self.serving(listeners=[{"name": "web", "bind": "127.0.0.1:0", "protocol": "http",
                                        "blue": [dead], "green": [alive.address]}])
        for _ in range(4):
            with connect(door.address("web")) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b"502", harness.read_line(sock))
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum("bgproxy_connect_failures_total", listener="web", color="blue"), 4)
        self.assertEqual(metrics.sum("bgproxy_target_connect_failures_total", target=dead), 4)
        self.assertEqual(metrics.sum("bgproxy_refused_total", listener="web", reason="unreachable"), 4)
        self.assertEqual(metrics.sum("bgproxy_refused_total"), 4)
        self.assertEqual(metrics.sum("bgproxy_target_connects_total"), 0)

    def test_held_sessions_and_the_time_of_a_hold(self) -> None:
        backend = self.enter(Backend(web(b"fine\n")))
        door = self.serving(listeners=[{"name": "web", "bind": "127.0.0.1:0", "protocol": "http",
                                        "blue": [backend.address], "green": [backend.address]}])
        door.post("/v1/pause")
        waiting = [harness.Task(self.one_request, door.address("web")) for _ in range(3)]
        wait_until(lambda: self.metrics(door).sum("bgproxy_held_sessions", listener="web") == 3, "three are held")
        door.post("/v1/resume")
        for task in waiting:
            task.result()
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum("bgproxy_held_sessions"), 0)
        self.assertEqual(metrics.sum("bgproxy_held_total"), 3)

    def one_request(self, address: str) -> None:
        with connect(address) as sock:
            ask(sock)

    def test_histograms_count_each_session_and_answer_once(self) -> None:
        backend = self.enter(Backend(web(b"fine\n", delay=0.02)))
        raw = self.enter(Backend(tagged("hello")))
        door = self.serving(listeners=[
            {"name": "web", "bind": "127.0.0.1:0", "protocol": "http", "blue": [backend.address],
             "green": [backend.address]},
            {"name": "raw", "bind": "127.0.0.1:0", "blue": [raw.address], "green": [raw.address]}])
        for _ in range(3):
            with connect(door.address("web")) as sock:
                ask(sock)
                ask(sock)
        for _ in range(2):
            self.assertEqual(harness.color_of(door.address("raw")), "hello")
        connect(door.address("web")).close()
        door.switch("green")
        wait_until(lambda: self.metrics(door).sum("bgproxy_session_duration_seconds_count") == 6, "all have ended")
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum("bgproxy_first_byte_duration_seconds_count", protocol="http", color="blue"), 6)
        self.assertEqual(metrics.sum("bgproxy_first_byte_duration_seconds_count", protocol="tcp", color="blue"), 2)
        self.assertEqual(metrics.sum("bgproxy_connect_duration_seconds_count", color="blue"), 5)
        self.assertEqual(metrics.sum("bgproxy_session_duration_seconds_count", color="none"), 1)
        # Six answers that each took 20 ms at the backend.
        self.assertGreaterEqual(metrics.sum("bgproxy_first_byte_duration_seconds_sum", protocol="http"), 0.1)
        for name in ("first_byte", "connect", "session", "switch", "drain"):
            self.check_buckets(metrics, f"bgproxy_{name}_duration_seconds")

    def check_buckets(self, metrics: Metrics, name: str) -> None:
        series = defaultdict(list)
        for labels, value in metrics.samples[name + "_bucket"]:
            key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
            series[key].append((float(labels["le"].replace("+Inf", "inf")), value))
        for key, buckets in series.items():
            self.assertEqual(buckets, sorted(buckets), "bounds and counts grow")
            self.assertEqual(buckets[-1][0], float("inf"))
            self.assertEqual(buckets[-1][1], metrics.sum(name + "_count", **dict(key)))


class PrometheusTest(WithMetrics):
    def test_a_real_prometheus_scrapes_what_was_counted(self) -> None:
        harness.need("prometheus")
        backend = self.enter(Backend(web(b"fine\n")))
        door = self.serving(listeners=[{"name": "web", "bind": "127.0.0.1:0", "protocol": "http",
                                        "blue": [backend.address], "green": [backend.address]}])
        with connect(door.address("web")) as sock:
            for _ in range(7):
                ask(sock)
            folder, port = self.folder(), free_port()
            (folder / "prometheus.yml").write_text(json.dumps({
                # A scrape that takes longer than the pause has failed, and what it knew before is gone for so long.
                "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "500ms"},
                "rule_files": [str(RULES)],
                "scrape_configs": [{"job_name": "bgproxy", "static_configs": [{"targets": [self.address(door)]}]}],
            }))
            self.enter(Program(folder, "prometheus", [
                harness.find_program("prometheus"), f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"], f"127.0.0.1:{port}"))

            def query(text: str) -> list[dict]:
                url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": text})
                try:
                    with urllib.request.urlopen(url, timeout=20) as answer:
                        return json.load(answer)["data"]["result"]
                except urllib.error.HTTPError as error:
                    self.assertEqual(error.code, 503, "it is still starting")
                    return []

            def wait_query(text: str) -> None:
                wait_until(lambda: query(text), text, timeout=60)

            wait_query('sum(bgproxy_requests_total{color="blue"}) == 7')
            wait_query("up == 1")
            wait_query('bgproxy_active{color="blue"} == 1')
            door.switch("green")
            ask(sock)
            wait_query('bgproxy_active{color="green"} == 1')
            wait_query('sum(bgproxy_requests_total{color="green"}) == 1')
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules", timeout=20) as answer:
                groups = json.load(answer)["data"]["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            self.assertTrue(rules)
            wait_until(lambda: all(self.evaluated(port)), "every rule can be evaluated", timeout=60)

    def evaluated(self, port: int) -> list[bool]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules", timeout=20) as answer:
            groups = json.load(answer)["data"]["groups"]
        return [rule["health"] == "ok" for group in groups for rule in group["rules"]]

    def test_the_alert_rules_are_valid_and_fire_when_they_should(self) -> None:
        harness.need("promtool")
        promtool = harness.find_program("promtool")
        for command in (["check", "rules", str(RULES)],
                        ["test", "rules", str(Path(__file__).parent / "alerts.test.yml")]):
            result = subprocess.run([promtool, *command], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_the_rules_ask_for_metrics_that_exist(self) -> None:
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address, health={"probe": "auto", "interval": "100ms"})
        wait_until(lambda: door.status()["colors"]["green"]["healthy"], "green is healthy")
        text = self.metrics(door).text
        names = set(re.findall(r"\b(?:bgproxy|process)_[a-z_]+", RULES.read_text()))
        self.assertGreater(len(names), 15)
        for name in names:
            self.assertRegex(text, rf"(?m)^{name}(\{{| )", name)
