"""Real input: an ssh session that goes on working after a switch, until its drain; and git."""

from __future__ import annotations

import getpass
import hashlib
import os
import random
import select
import subprocess
import time
from pathlib import Path

import harness
from harness import Case, Program, Task, free_port, wait_until


class SSH(Case):
    def setUp(self) -> None:
        super().setUp()
        harness.need("sshd", "ssh", "ssh-keygen")
        if harness.is_root():
            # Where sshd locks its network half up; a service that never ran has not made it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.place = self.folder()
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{self.place}/{key}"], check=True)

    def sshd(self, name: str) -> Program:
        port = free_port()
        conf = self.place / f"{name}.conf"
        conf.write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {self.place}/host\nAuthorizedKeysFile {self.place}/user.pub\n"
            f"PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
            f"SetEnv COLOR={name}\n")
        return self.enter(Program(self.place, name, [harness.find_program("sshd"), "-D", "-e", "-f", str(conf)],
                                  f"127.0.0.1:{port}"))

    def ssh(self, address: str, command: str) -> subprocess.Popen[bytes]:
        host, port = address.rsplit(":", 1)
        process = subprocess.Popen(
            ["ssh", "-F", "none", "-i", f"{self.place}/user", "-p", port, "-o", "StrictHostKeyChecking=no", "-o",
             "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={self.place}/known", "-o",
             "LogLevel=ERROR", f"{getpass.getuser()}@{host}", command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self._stack.callback(self.end, process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()

    def line(self, process: subprocess.Popen[bytes]) -> str:
        self.assertTrue(select.select([process.stdout], [], [], harness.PATIENCE)[0], "an answer comes")
        text = process.stdout.readline().decode().strip()
        if not text and process.poll() is not None:
            self.fail(process.stderr.read().decode())
        return text

    def test_an_ssh_session_works_on_after_a_switch_until_its_drain(self) -> None:
        blue, green = self.sshd("blue"), self.sshd("green")
        door = self.front_door(blue.address, green.address, drain={"timeout": "8s", "spread": "2s"})
        address = door.address()
        session = self.ssh(address, 'echo "$COLOR"; exec cat')
        self.assertEqual(self.line(session), "blue")
        switched = time.monotonic()
        door.switch("green")
        number = 0
        while number <= 10 or time.monotonic() - switched < 2:
            number += 1
            session.stdin.write(b"line %d\n" % number)
            self.assertEqual(self.line(session), f"line {number}")
        other = self.ssh(address, 'echo "$COLOR"')
        self.assertEqual(self.line(other), "green")
        # Then it is quiet, and the spread ends it.
        session.wait(harness.PATIENCE)
        self.assertGreater(time.monotonic() - switched, 6.0 - 0.2, "not before the spread")
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["spread"] + receipt["cut"]), (1, 1))

    def test_an_ssh_transfer_across_switches_has_the_right_hash(self) -> None:
        size = 48 * harness.MIB
        blue, green = self.sshd("blue"), self.sshd("green")
        door = self.front_door(blue.address, green.address, drain={"timeout": "5m", "spread": "0s"})
        data = random.Random(2).randbytes(size)
        session = self.ssh(door.address(), "cat")

        def send() -> None:
            view = memoryview(data)
            while view:
                view = view[session.stdin.write(view[:1 << 20]):]
            session.stdin.close()

        sender = Task(send)
        digest, count, turn = hashlib.sha256(), 0, 0
        while block := session.stdout.read(1 << 18):
            digest.update(block)
            count += len(block)
            if count * 10 // size > turn:
                door.switch(("green", "blue")[turn % 2])
                turn += 1
        sender.result()
        self.assertEqual((count, digest.hexdigest()), (size, hashlib.sha256(data).hexdigest()))
        self.assertGreaterEqual(turn, 5)


class Git(Case):
    def setUp(self) -> None:
        super().setUp()
        harness.need("git")
        folder = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
        if not os.access(f"{folder}/git-daemon", os.X_OK):
            self.skipTest("git-daemon is not installed")
        self.place = self.folder()
        self.environment = os.environ | {
            "HOME": str(self.place), "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@invalid", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@invalid"}

    def git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.place, env=self.environment, capture_output=True, text=True,
                              check=True, timeout=100).stdout

    def daemon(self, name: str) -> Program:
        port = free_port()
        command = ["git", "daemon", "--reuseaddr", "--export-all", f"--base-path={self.place}", "--listen=127.0.0.1",
                   f"--port={port}", str(self.place)]
        return self.enter(Program(self.place, name, command, f"127.0.0.1:{port}", env=self.environment))

    def test_a_clone_across_switches_has_the_right_hashes(self) -> None:
        # What is random is not worth a search for what is alike in it, which takes longer than all the rest.
        for key, value in (("core.bigFileThreshold", "1m"), ("core.compression", "0")):
            self.git("config", "--global", key, value)
        self.git("init", "-q", "-b", "main", "origin")
        randomness = random.Random(3)
        for number in range(30):
            (self.place / "origin" / f"file-{number}").write_bytes(randomness.randbytes(2 * harness.MIB))
        self.git("-C", "origin", "add", ".")
        self.git("-C", "origin", "commit", "-q", "-m", "random")
        # The pack comes to a stop in its midst, until the switches have begun.
        hook, go_on = self.place / "hook", self.place / "go-on"
        hook.write_text(f'#!/bin/bash\n"$@" | {{ head -c 1000000; until [ -e {go_on} ]; do sleep 0.05; done; cat; }}\n')
        hook.chmod(0o755)
        self.git("config", "--global", "uploadpack.packObjectsHook", str(hook))
        blue, green = self.daemon("blue"), self.daemon("green")
        door = self.front_door(blue.address, green.address, drain={"timeout": "5m", "spread": "0s"})
        clone = subprocess.Popen(["git", "clone", "-q", f"git://{door.address()}/origin", "copy"], cwd=self.place,
                                 env=self.environment, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: door.status()["colors"]["blue"]["bytesOut"] > 100_000 or clone.poll() is not None,
                       "the clone runs", 60)
            turn = 0
            while clone.poll() is None and turn < 200:
                door.switch(("green", "blue")[turn % 2])
                turn += 1
                if turn == 5:
                    self.assertEqual(door.sessions(), 1)
                    go_on.touch()
            _, errors = clone.communicate(timeout=100)
            self.assertEqual(clone.returncode, 0, errors)
        finally:
            go_on.touch()
            clone.kill()
            clone.wait()
        self.assertGreaterEqual(turn, 5, "the switches were in its midst")
        self.assertEqual(self.git("-C", "copy", "rev-parse", "HEAD"), self.git("-C", "origin", "rev-parse", "HEAD"))
        self.git("-C", "copy", "fsck", "--strict")
        for number in range(30):
            self.assertEqual((self.place / "copy" / f"file-{number}").read_bytes(),
                             (self.place / "origin" / f"file-{number}").read_bytes())
