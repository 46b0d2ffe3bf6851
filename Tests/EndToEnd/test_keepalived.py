"""Two front doors behind one address: config/keepalived with real keepalived."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path

import harness
from harness import Backend, Case, FrontDoor, color_of, find_program, tagged, wait_until
from networks import Network
from test_switch_both import SWITCH_BOTH, run, with_programs

SHIPPED = harness.ROOT / "config" / "keepalived"
CHECK = SHIPPED / "check-front-door"
VIP = "10.0.0.10"
DOOR = f"{VIP}:80"


class CheckFrontDoor(Case):
    def setUp(self) -> None:
        super().setUp()
        harness.need("bash")

    def check(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run(str(CHECK), *arguments, env=with_programs() | environment)

    def wait_serving(self, *arguments: str) -> None:
        """It gives the front door two seconds to answer, which on a busy machine may once be too few."""
        wait_until(lambda: self.check(*arguments).returncode == 0, "the check finds that the front door serves")

    def test_it_fails_where_the_front_door_is_stopping_frozen_or_gone(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "10m"})
        ask = ("--socket", door.admin_path)
        self.wait_serving(*ask)
        door.signal(signal.SIGSTOP)
        try:
            self.assertEqual(self.check(*ask).returncode, 1)
        finally:
            door.signal(signal.SIGCONT)
        client = self.open_session(door.address(), "blue")
        door.signal(signal.SIGTERM)
        door.wait_line(lambda line: harness.event_of(line) == "stop")

        def is_told() -> bool:
            result = self.check(*ask)
            self.assertEqual(result.returncode, 1, result.stderr)
            return "is stopping" in result.stderr

        wait_until(is_told, "the check says that it stops")
        client.close()
        door.wait_exit()
        self.assertEqual(self.check(*ask).returncode, 1)

    def test_it_does_not_ask_the_application(self) -> None:
        door = self.front_door(*(f"127.0.0.1:{harness.free_port()}" for _ in range(2)), health={})
        self.wait_serving("--socket", door.admin_path)

    def test_wrong_usage_and_a_missing_tool_are_named(self) -> None:
        self.assertEqual(self.check("--sockets", "/nowhere").returncode, 2)
        result = self.check(BGPROXYCTL="/nowhere/bgproxyctl")
        self.assertEqual((result.returncode, "/nowhere/bgproxyctl is not installed" in result.stderr), (1, True))


# --- One address, in network namespaces ------------------------------------------------------------------------------


class Keepalived:
    """keepalived on one of the machines, with the shipped config."""

    def __init__(self, network: Network, config: Path, machine: str, folder: Path):
        self.log = folder / f"{machine}.log"
        self.pid_of_vrrp = folder / f"{machine}.vrrp_pid"
        pids = [f"--{kind}={folder}/{machine}.{kind}" for kind in ("pid", "vrrp_pid", "checkers_pid")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*network.prefix, find_program("keepalived"), "--dont-fork", "--log-console", "--log-detail", "--vrrp",
                 "--use-file", str(config), "--config-id", machine, *pids],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=with_programs("/usr/sbin:/usr/bin:/sbin:/bin"))

    def __enter__(self) -> Keepalived:
        return self

    def __exit__(self, *_: object) -> None:
        for stop in (self.process.terminate, self.process.kill):
            if self.process.poll() is None:
                stop()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(10)


class Machine:
    """A front door and its keepalived in a network of their own."""

    def __init__(self, name: str, network: Network, door: FrontDoor, start_keepalived: Callable[[], Keepalived]):
        self.name, self.network, self.door, self.start_keepalived = name, network, door, start_keepalived
        self.keepalived = start_keepalived()

    def says(self) -> str:
        return self.keepalived.log.read_text()

    def states(self) -> list[str]:
        """Which ones its keepalived has entered, one after the other: MASTER, BACKUP, FAULT."""
        return re.findall(r"Entering (\w+) STATE", self.says())

    def comes_back(self, since: int) -> bool:
        """Whether it is in order again, after so many states. As the standby: a machine that gets no processor may lose the
        address and win it at other times, and not at that one."""
        entered = next((state for state in self.states()[since:] if state != "FAULT"), "")
        if entered == "MASTER":
            raise AssertionError(f"{self.name} comes back and takes the address\n{self.says()}")
        return bool(entered)

    def recovers(self, since: int) -> bool:
        """The same, where a fault is to be noticed first."""
        states = self.states()[since:]
        return "FAULT" in states and self.comes_back(since + states.index("FAULT"))

    def has_address(self) -> bool:
        return f"inet {VIP}/" in self.network.ip("-4", "address", "show", "dev", "eth0")


class OneAddress(Case):
    def setUp(self) -> None:
        super().setUp()
        harness.need_root()
        harness.need("keepalived", "bash")

    def shipped_config(self, folder: Path, **sockets: str) -> Path:
        """The shipped file, with the check where this test has it: a root's folder, as keepalived demands."""
        check = Path(shutil.copy(CHECK, folder))
        check.chmod(0o755)
        text = (SHIPPED / "keepalived.conf").read_text()
        line = re.compile(r"^\$CHECK=.*$", re.MULTILINE)
        self.assertEqual(len(line.findall(text)), 1)
        lines = [f'@{machine} $CHECK="{check} --socket {socket}"' for machine, socket in sockets.items()]
        config = folder / "keepalived.conf"
        config.write_text(line.sub("\n".join(lines), text))
        return config

    def attach(self, switch: Network, name: str, *addresses: str) -> Network:
        network = self.enter(Network())
        switch.ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(network.holder.pid))
        switch.ip("link", "set", f"to-{name}", "master", "bridge", "up")
        for address in addresses:
            network.ip("address", "add", f"{address}/24", "dev", "eth0")
        network.ip("link", "set", "eth0", "up")
        return network

    def lab(self) -> None:
        """Two machines, a client and two backends at one bridge; the address is at the first machine."""
        self.switch = self.enter(Network())
        self.switch.ip("link", "add", "bridge", "type", "bridge")
        self.switch.ip("link", "set", "bridge", "up")
        self.outside = self.attach(self.switch, "client", "10.0.0.50")
        with self.attach(self.switch, "apps", "10.0.0.2", "10.0.0.3").inside():
            for color, address in (("blue", "10.0.0.2:80"), ("green", "10.0.0.3:80")):
                self.enter(Backend(tagged(color), address))
        folder = self.folder()
        networks = {name: self.attach(self.switch, name, address)
                    for name, address in (("first", "10.0.0.11"), ("second", "10.0.0.12"))}
        doors = {name: self.front_door("10.0.0.2:80", "10.0.0.3:80", bind="0.0.0.0:80", prefix=network.prefix)
                 for name, network in networks.items()}
        config = self.shipped_config(folder, **{name: door.admin_path for name, door in doors.items()})
        self.machines: list[Machine] = []
        for name, network in networks.items():
            machine = Machine(name, network, doors[name],
                              lambda name=name, network=network: self.enter(Keepalived(network, config, name, folder)))
            self.machines.append(machine)
            # The second one starts when the first has the address, and so does not have it at first.
            self.wait_for(lambda: "BACKUP" in machine.states() and self.serving(), f"{name} is ready")
        self.addCleanup(self.end_keepalived)

    def end_keepalived(self) -> None:
        """Tells both: each takes a second to end, and they take the same one."""
        for machine in self.machines:
            machine.keepalived.process.terminate()

    def serving(self) -> Machine | None:
        """The machine that has the address, where exactly one has it."""
        having = [machine for machine in self.machines if machine.has_address()]
        return having[0] if len(having) == 1 else None

    def other(self, machine: Machine) -> Machine:
        return next(each for each in self.machines if each is not machine)

    def roles(self) -> tuple[Machine, Machine]:
        """The one that has the address, and the other one. Asked anew for each fault: a keepalived that gets no processor
        for three seconds loses the address, as it should."""
        self.wait_for(lambda: self.serving() is not None, "one of the two has the address")
        one = self.serving() or self.machines[0]
        return one, self.other(one)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        try:
            wait_until(condition, what, 40)
        except AssertionError as error:
            logs = "".join(f"--- {machine.name}\n{machine.says()}" for machine in self.machines)
            raise AssertionError(f"{error}\n{logs}") from None

    def greeting(self) -> str | None:
        """The color that a new client at the address meets, or nothing."""
        with self.outside.inside(), contextlib.suppress(OSError):
            return color_of(DOOR, 0.5) or None
        return None

    def assertMoves(self, cause: str, source: Machine, color: str) -> None:
        """New connections go on at the other machine. How long that took is said, and no matter of this test."""
        target, since = self.other(source), time.monotonic()
        before = target.door.status()["colors"][color]["accepted"]

        def is_served() -> bool:
            tag = self.greeting()
            self.assertIn(tag, (None, color), "no client meets the wrong color")
            return tag is not None and target.door.status()["colors"][color]["accepted"] > before

        self.wait_for(is_served, f"after {cause} new connections go on")
        print(f"{cause}: new connections after {time.monotonic() - since:.1f} s", file=sys.stderr)
        self.wait_for(target.has_address, "which has the address")

    def test_the_shipped_config_is_valid_on_both_machines(self) -> None:
        folder = self.folder()
        config = self.shipped_config(folder, first="/run/1.sock", second="/run/2.sock")
        for machine in ("first", "second"):
            result = run(find_program("keepalived"), f"--config-test={folder}/report", "--config-id", machine,
                         "--use-file", str(config))
            report = folder / "report"
            self.assertEqual(result.returncode, 0, result.stderr + (report.read_text() if report.exists() else ""))

    def assertGreets(self, color: str) -> None:
        """A new client meets this color, as soon as it meets one."""
        greeted = wait_until(self.greeting, "a new client is served", 40)
        self.assertEqual(greeted, color)

    def test_the_address_moves_with_each_fault_and_only_then_and_the_color_stays(self) -> None:
        # In one lab, one after the other: what takes time is VRRP, and to set a lab up takes as much as a fault.
        self.lab()
        self.assertGreets("blue")
        doors = [part for machine in reversed(self.roles()) for part in ("--socket", machine.door.admin_path)]
        result = run(SWITCH_BOTH, "green", *doors, env=with_programs())
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertGreets("green")

        self.check_machine_cut_off()
        self.check_keepalived_killed()
        self.check_front_door_killed()
        self.check_front_door_frozen()

    def check_machine_cut_off(self) -> None:
        """It loses the address and what was established, and does not take the address back."""
        # The one with the higher priority. To take the address would be its rule then, each time; on a busy machine it may
        # win it by chance, but hardly again and again.
        one, two = self.machines
        for _ in range(4):
            serving, _ = self.roles()
            self.cut_off(serving)
            if serving is one and self.keeps(two):
                return
        self.fail(f"it takes the address back\n{one.says()}")

    def cut_off(self, one: Machine) -> None:
        with self.outside.inside():
            client = self.open_session(DOOR, "green")
        self.assertTrue(harness.says_back(client))
        before = len(one.states())
        self.switch.ip("link", "set", f"to-{one.name}", "down")
        self.assertMoves("link down", one, "green")
        client.sendall(b"still here")
        self.assertEqual(harness.end_of(client), "reset", "the other machine does not know the connection")
        self.assertGreaterEqual(one.door.sessions(), 1, "and its own machine is not told")
        self.wait_for(lambda: not one.has_address(), "who is cut off has given the address up")
        self.wait_fault(one, before)
        self.switch.ip("link", "set", f"to-{one.name}", "up")
        self.wait_for(lambda: one.recovers(before), "the machine is back, as the standby")

    def wait_fault(self, one: Machine, since: int) -> None:
        """It may have lost the address before, for want of a processor; what is mended too soon it would never notice."""
        self.wait_for(lambda: "FAULT" in one.states()[since:], "its keepalived has noticed the fault")

    def keeps(self, machine: Machine) -> bool:
        """Whether it has the address for longer than the other one, of a higher priority, would need to take it: three
        advertisements."""
        before = len(self.other(machine).states())
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and len(self.other(machine).states()) == before:
            time.sleep(0.1)
        return "MASTER" not in self.other(machine).states()[before:]

    def check_keepalived_killed(self) -> None:
        """The address moves without it, and it comes back as the standby."""
        one, _ = self.roles()
        one.keepalived.process.kill()
        one.keepalived.process.wait(10)
        self.assertMoves("kill -9 of keepalived", one, "green")
        self.wait_for(lambda: not one.has_address(), "its remains have given the address up")
        self.wait_for(lambda: not one.keepalived.pid_of_vrrp.exists(), "and have ended")
        before = len(one.states())
        one.keepalived = one.start_keepalived()
        self.wait_for(lambda: one.comes_back(before), "keepalived is the standby")

    def check_front_door_killed(self) -> None:
        """Its color is the same when it comes back."""
        one, _ = self.roles()
        before = len(one.states())
        one.door.kill()
        self.assertMoves("kill -9 of bgproxy", one, "green")
        self.wait_for(lambda: not one.has_address(), "the machine without a front door has given it up")
        self.wait_fault(one, before)
        one.door.start()
        self.assertEqual(one.door.status()["active"], "green", "it comes back in the color that it had")
        self.wait_for(lambda: one.recovers(before), "keepalived has noticed that it is back, and is the standby")

    def check_front_door_frozen(self) -> None:
        """And where the other one dies then, nobody has the address."""
        one, two = self.roles()
        one.door.signal(signal.SIGSTOP)
        try:
            self.assertMoves("a frozen bgproxy", one, "green")
            two.door.kill()
            self.wait_for(lambda: not any(machine.has_address() for machine in self.machines),
                          "nobody has the address where neither serves")
        finally:
            one.door.signal(signal.SIGCONT)


if __name__ == "__main__":
    unittest.main()
