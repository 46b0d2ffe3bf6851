"""`bgproxy --demo`: the first minutes of a new user. It has fixed ports, so it is skipped where they are taken."""

from __future__ import annotations

import os
import subprocess
import urllib.request

import harness
from harness import Case, wait_until


class Demo(Case):
    def get(self, port: int) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            return answer.read().decode()

    def test_demo_switch_and_rollback(self) -> None:
        for port in (8080, 8081):
            try:
                harness.listening(f"127.0.0.1:{port}").close()
            except OSError:
                self.skipTest(f"port {port} is in use")
        folder = self.folder()
        output = open(folder / "output", "w+")
        self.enter(output)
        process = subprocess.Popen(
            [harness.BGPROXY, "--demo", "--socket", f"{folder}/admin/demo.sock"], stdout=output,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=os.environ | {"TMPDIR": str(folder)})
        try:
            def is_up() -> bool:
                try:
                    return "App v1" in self.get(8080)
                except OSError:
                    self.assertIsNone(process.poll(), "the demo goes on")
                    return False

            wait_until(is_up, "the demo answers")
            self.assertIn("App v2", self.get(8081))
            for word in ("bgproxyctl switch green", "http://127.0.0.1:8080"):
                wait_until(lambda: word in (folder / "output").read_text(), f"it says {word}")
            self.assertEqual(harness.ctl("--socket", f"{folder}/admin/demo.sock", "switch", "green").returncode, 0)
            self.assertIn("App v2", self.get(8080))
            self.assertIn("App v1", self.get(8081))
            self.assertEqual(harness.ctl("--socket", f"{folder}/admin/demo.sock", "rollback").returncode, 0)
            self.assertIn("App v1", self.get(8080))
            process.terminate()
            # Its drain takes 30 seconds at most.
            self.assertEqual(process.wait(60), 0)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
