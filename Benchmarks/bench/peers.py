"""Each proxy with its config. The settings are the same for all: no access log, no limit that is met here, the same
number of workers, timeouts that do not end a run, keep-alive on both sides where a proxy speaks HTTP; all else, the
sizes of buffers among it, is as each comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import tools
from .lab import Lab, Process, free_port

SESSIONS = 8192
"""What a proxy may hold; some allocate for as many at once, so that it is no more than is needed."""


def sessions_within(limit: int, sockets: float = 2) -> int:
    """How many sessions a proxy can hold with so many descriptors; HAProxy does not start where it could run out."""
    return min(SESSIONS, int((limit - 300) / sockets))


@dataclass(frozen=True)
class Peer:
    """One program in one mode. `start` returns what runs, or fails; `port` is where it is to listen."""

    name: str
    program: str
    protocol: str
    start: Callable[[Lab, Path, int, int], Process]
    is_for_bulk_only: bool = False
    worker_threads: str | None = None
    """How the names of its worker threads begin, where it has others too."""


@dataclass(frozen=True)
class Running:
    peer: Peer
    process: Process
    port: int


def launch(lab: Lab, peer: Peer, backend: int) -> Running:
    port = free_port()
    process = peer.start(lab, lab.subfolder(peer.name), port, backend)
    process.wait_until_answering(port)
    return Running(peer, process, port)


def _floor(lab: Lab, _folder: Path, port: int, backend: int) -> Process:
    return lab.start("floor", lab.proxy_cores, str(lab.programs / "floor"), "-t", str(lab.workers), str(port),
                     str(backend))


def start_bgproxy(lab: Lab, folder: Path, port: int, protocol: str, blue: int, green: int, workers: int,
                  splice: bool = False, metrics: int | None = None) -> Process:
    """`metrics`: the port of its public address."""
    (folder / "admin").mkdir()
    file = folder / "bgproxy.json5"
    file.write_text(json.dumps({
        "listeners": [{"name": "front", "bind": f"127.0.0.1:{port}", "protocol": protocol,
                       "blue": [f"127.0.0.1:{blue}"], "green": [f"127.0.0.1:{green}"]}],
        "workers": workers, "stateFile": str(folder / "state.json"),
        "admin": {"socket": str(folder / "admin" / "admin.sock")}
        | ({"metrics": f"127.0.0.1:{metrics}"} if metrics else {})} | ({"splice": "auto"} if splice else {})))
    return lab.start(
        f"bgproxy {protocol}", lab.proxy_cores, str(tools.BGPROXY), "--config", str(file))


def _bgproxy(protocol: str, workers: int | None = None,
             splice: bool = False) -> Callable[[Lab, Path, int, int], Process]:
    return lambda lab, folder, port, backend: start_bgproxy(
        lab, folder, port, protocol, backend, backend, workers or lab.workers, splice)


def _haproxy(mode: str, more: str = "") -> Callable[[Lab, Path, int, int], Process]:
    # To splice takes a pipe for every fourth session as well.
    sockets = 2.5 if "splice" in more else 2

    def start(lab: Lab, folder: Path, port: int, backend: int) -> Process:
        file = folder / "haproxy.cfg"
        file.write_text(f"""global
  maxconn {sessions_within(lab.descriptors, sockets)}
  nbthread {lab.workers}
defaults
  mode {mode}
  {more}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  server one 127.0.0.1:{backend}
""")
        return lab.start(f"haproxy {mode}", lab.proxy_cores, tools.need("haproxy"), "-db", "-f", str(file))
    return start


def _nginx(block: Callable[[Path, int, int], str], module: str) -> Callable[[Lab, Path, int, int], Process]:
    def start(lab: Lab, folder: Path, port: int, backend: int) -> Process:
        file = folder / "nginx.conf"
        file.write_text(f"""{module}
daemon off;
worker_processes {lab.workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections {2 * SESSIONS}; }}
{block(folder, port, backend)}
""")
        return lab.start("nginx", lab.proxy_cores, tools.need("nginx"), "-e", f"{folder}/error.log", "-c", str(file))
    return start


def _nginx_stream(_folder: Path, port: int, backend: int) -> str:
    return f"""stream {{
  server {{ listen 127.0.0.1:{port} backlog=4096; proxy_timeout 1h; proxy_pass 127.0.0.1:{backend}; }}
}}"""


def _nginx_http(folder: Path, port: int, backend: int) -> str:
    # Neither an answer nor a body goes through a file: it would be measured instead of the proxy.
    return f"""http {{
  access_log off;
  keepalive_requests 1000000000; keepalive_timeout 1h;
  client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream back {{
    server 127.0.0.1:{backend};
    keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 1h; keepalive_time 24h;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}"""


def _envoy(protocol: str) -> Callable[[Lab, Path, int, int], Process]:
    kind = "type.googleapis.com/envoy.extensions"
    if protocol == "tcp":
        filters = {"name": "envoy.filters.network.tcp_proxy", "typed_config": {
            "@type": f"{kind}.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "front", "cluster": "back"}}
    else:
        route = {"match": {"prefix": "/"}, "route": {"cluster": "back", "timeout": "0s"}}
        filters = {"name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": f"{kind}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "front", "codec_type": "HTTP1", "generate_request_id": False, "stream_idle_timeout": "0s",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                "@type": f"{kind}.filters.http.router.v3.Router"}}]}}

    def address(port: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    def start(lab: Lab, folder: Path, port: int, backend: int) -> Process:
        plenty = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
        config = {"static_resources": {
            "listeners": [{"name": "front", "address": address(port), "filter_chains": [{"filters": [filters]}]}],
            "clusters": [{
                "name": "back", "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": {"thresholds": [plenty]},
                "load_assignment": {"cluster_name": "back", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": address(backend)}}]}]}}]}}
        file = folder / "envoy.json"
        file.write_text(json.dumps(config))
        return lab.start(f"envoy {protocol}", lab.proxy_cores, str(tools.ENVOY), "-c", str(file), "--concurrency",
                         str(lab.workers), "--disable-hot-restart", "--log-level", "warning")
    return start


def choose(wanted: list[str], asks_bulk: bool, workers: int) -> tuple[list[Peer], dict[str, str]]:
    """The peers that can take part, of those that are wanted; and which are left out, and why. It says so as well."""
    def is_wanted(program: str) -> bool:
        return not wanted or any(each == program or each.startswith(program + " ") for each in wanted)

    tools.install_packages(is_wanted("haproxy"), is_wanted("nginx"))
    module = tools.nginx_stream()
    known = [
        Peer("floor", "floor", "tcp", _floor),
        Peer("bgproxy tcp", "bgproxy", "tcp", _bgproxy("tcp"), worker_threads="worker-"),
        Peer("bgproxy tcp splice", "bgproxy", "tcp", _bgproxy("tcp", splice=True), is_for_bulk_only=True),
        Peer("haproxy tcp", "haproxy", "tcp", _haproxy("tcp")),
        Peer("haproxy tcp splice", "haproxy", "tcp", _haproxy("tcp", "option splice-auto"), is_for_bulk_only=True),
        Peer("nginx stream", "nginx", "tcp", _nginx(_nginx_stream, module or "")),
        Peer("envoy tcp", "envoy", "tcp", _envoy("tcp"), worker_threads="wrk:"),
        Peer("bgproxy http", "bgproxy", "http", _bgproxy("http"), worker_threads="worker-"),
        Peer("haproxy http", "haproxy", "http", _haproxy("http")),
        Peer("nginx http", "nginx", "http", _nginx(_nginx_http, "")),
        Peer("envoy http", "envoy", "http", _envoy("http"), worker_threads="wrk:"),
    ]
    if workers > 1:
        # On the same processors: what the others add.
        known.append(Peer("bgproxy alone", "bgproxy", "tcp", _bgproxy("tcp", 1), worker_threads="worker-"))
    unknown = [each for each in wanted if each not in {peer.name for peer in known} | {peer.program for peer in known}]
    if unknown:
        raise SystemExit(f"no such peer: {', '.join(unknown)}; there are {', '.join(peer.name for peer in known)}, "
                         "and each first word alone")
    missing: dict[str, str] = {}
    if is_wanted("haproxy") and not tools.find("haproxy"):
        missing["haproxy"] = "is not installed"
    if is_wanted("nginx") and not tools.find("nginx"):
        missing["nginx"] = "is not installed"
    elif is_wanted("nginx") and module is None:
        missing["nginx stream"] = "nginx has no stream module"
    if is_wanted("envoy") and (why := tools.fetch_envoy()):
        missing["envoy"] = why
    for name, why in missing.items():
        tools.say(f"left out: {name} ({why})")
    chosen = [
        peer for peer in known
        if (not wanted or peer.name in wanted or peer.program in wanted)
        and peer.name not in missing and peer.program not in missing and (asks_bulk or not peer.is_for_bulk_only)]
    return chosen, missing
