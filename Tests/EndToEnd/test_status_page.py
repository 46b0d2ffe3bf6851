"""The status page in a real browser: what people see, and that they can do nothing there."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
from pathlib import Path

import harness
from browser import Browser, Page
from harness import Backend, FrontDoor, connect, read_all, reset, tagged, wait_until
from scripted import Message, WebBackend
from test_disk import SmallDisk
from test_health import QUICK
from test_release import Load, ReleaseCase

HOSTILE = "</script><img src=x onerror=alert(1)> & \"quoted\" {{nonce}}"

CONTRASTS = """(wrong) => {
  // What goes wrong in a release all at once, since the next answer would take it away.
  if (wrong) {
    const status = known.status, last = known.receipts.at(-1);
    const at = new Date(now()).toISOString();
    const signal = (value) => ({signal: "serverErrors", value, limit: 0.05, samples: 10, clients: 3});
    status.bake = {color: "green", since: at, until: at, signals: [signal(0.5), signal(0)]};
    for (const [color, healthy] of [["blue", null], ["green", false]]) {
      Object.assign(status.colors[color], {healthy, draining: 1});
      Object.assign(status.listeners[0].targets[color][0], {healthy, result: "connection refused"});
    }
    status.recent.events.push({at, event: "limit", message: "a limit"}, {at, event: "reload-refused", message: "no"});
    known.receipts.push({...last, automatic: true, forced: true, persisted: false,
      cause: {signal: "health", value: 1, limit: 0}});
    showAll();
  }
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [red, green, blue] = color.map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (box) => {
    const [red, green, blue, opacity = 1] = parts(getComputedStyle(box).backgroundColor);
    return opacity ? [red, green, blue] : ground(box.parentElement);
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const box = texts.currentNode.parentElement, text = texts.currentNode.data.trim();
    if (!text || !box.checkVisibility() || box.closest("script, style, noscript, .unseen")) continue;
    const style = getComputedStyle(box);
    const [one, two] = [parts(box instanceof SVGElement ? style.fill : style.color), ground(box)].map(luminance);
    const kind = [box, box.parentElement, box.closest("tr")].map((each) => each?.getAttribute("class") ?? "").join(" ");
    found.push([text, kind, (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05)]);
  }
  return found;
}"""
"""The contrast of each text with what is behind it (WCAG 2.2), and the classes that make it so."""


class FailingBackend(WebBackend):
    """Answers with a 500 where the path says so."""

    def answer(self, sock: object, method: str, path: str, head: Message) -> bool:
        if path != "/500":
            return super().answer(sock, method, path, head)
        sock.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops")
        return True


class PageCase(ReleaseCase):
    def watched_door(self, blue: WebBackend, green: WebBackend, **settings: object) -> FrontDoor:
        """A front door with protocol http, and one address that is only looked at."""
        return self.door(blue, green, **{"admin": {"metrics": "127.0.0.1:0"}} | settings)

    def origin(self, door: FrontDoor) -> str:
        return f"http://{door.status()['metrics']}"

    def open_page(self, door: FrontDoor, hurry: bool = True, **options: object) -> Page:
        """With `hurry` it asks again at once, not after its pause."""
        page = self.enter(Browser()).open(self.origin(door) + "/", **options)
        page.wait_text("#headline", " is live")
        # On a busy machine the page may say more than a test asks for: that nobody answers, and that somebody does again.
        page.evaluate("""void (() => {
          window.said = [];
          const announcer = part("announcer");
          new MutationObserver(() => said.push(announcer.textContent)).observe(announcer, {childList: true});
        })()""")
        if hurry:
            page.evaluate("void setInterval(() => polling.asking || poll(), 100)")
        return page

    def shoot(self, page: Page, name: str) -> None:
        """For people to look at, where BGPROXY_TEST_SCREENSHOTS names a folder."""
        folder = Path(os.environ.get("BGPROXY_TEST_SCREENSHOTS") or self.folder())
        page.screenshot(folder / f"{name}.png")

    def check_peaceful(self, page: Page, door: FrontDoor) -> None:
        """It has asked nobody else, for nothing but to look, and has complained of nothing."""
        origin = self.origin(door)
        self.assertEqual(page.complaints(), [])
        asked = page.requests()
        self.assertIn(("GET", f"{origin}/v1/history"), asked)
        for method, url in asked:
            self.assertEqual(method, "GET")
            self.assertTrue(url.startswith(f"{origin}/") or url.startswith("data:image/svg+xml,"), url)

    def announced(self, page: Page) -> str:
        """What a reader of the screen has said by itself, since the page was opened."""
        return "\n".join(page.evaluate("said"))

    def check_fits(self, page: Page) -> None:
        width = page.evaluate("innerWidth")
        self.assertLessEqual(page.evaluate("document.scrollingElement.scrollWidth"), width, f"at {width} px")
        # What runs over the edge of its card is no reason to scroll, but is cut or covered by what is beside it.
        over = page.evaluate("""(() => {
          const over = [];
          for (const box of document.querySelectorAll('#state, .card, .card dl > div, .doing')) {
            const style = getComputedStyle(box);
            const edge = box.getBoundingClientRect().right - parseFloat(style.paddingRight) + 0.5;
            const texts = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
            while (texts.nextNode()) {
              if (texts.currentNode.parentElement.closest('.unseen, .targets thead')) continue;
              const range = document.createRange();
              range.selectNodeContents(texts.currentNode);
              if (range.getBoundingClientRect().right > edge) over.push(texts.currentNode.data);
            }
          }
          return over;
        })()""")
        self.assertEqual(over, [], f"at {width} px")


class Watching(PageCase):
    def test_the_page_says_which_color_is_live_and_follows_a_switch(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green)
        self.asks(door, 2)
        page = self.open_page(door, hurry=False)
        page.wait_text("#headline", "blue is live")
        page.wait_text("#state-title", "Nothing is wrong")
        page.wait_text("#blue header", "LIVE")
        page.wait_text("#green header", "idle")
        page.wait_text("#history", "No switch yet")
        self.assertEqual(page.evaluate("document.title"), "■ blue is live · bgproxy")
        page.evaluate("window.sameDocument = true")
        done = door.ctl("switch", "green", "--reason", f"v2 {HOSTILE}")
        self.assertEqual(done.returncode, 0, done.stderr)
        page.wait_text("#headline", "green is live")
        page.wait_text("#green header", "LIVE")
        self.assertNotIn("LIVE", page.text("#blue header"))
        page.wait_text("#standing", "since ")
        self.assertTrue(page.evaluate("window.sameDocument"), "the page was not loaded again")
        self.assertEqual(page.evaluate("document.title"), "● green is live · bgproxy")
        # A text that looks like markup stays text.
        row = page.wait_text("#history tbody tr", "blue → green", f"v2 {HOSTILE}", "uid ")
        self.assertIn("open", row)
        self.assertEqual(page.evaluate("document.images.length"), 0)
        # The switch is a line on the chart.
        wait_until(lambda: page.evaluate("document.querySelectorAll('#chart line.switch').length") == 1, "one line")
        self.assertEqual(page.evaluate("document.querySelector('#chart text.switch').textContent"), "→ green")
        page.wait_text("#events", "switch", "blue → green")
        # Those who do not look are told, once, and not in numbers.
        said = self.announced(page)
        self.assertEqual(said.count("green is live now"), 1, said)
        self.assertNotRegex(said, r"\d")
        door.rollback(reason="not yet")
        page.wait_text("#headline", "blue is live")
        wait_until(lambda: page.evaluate("document.querySelectorAll('#chart line.switch').length") == 2, "two lines")
        self.assertEqual(page.evaluate("document.querySelector('#history tbody td:nth-child(4)').innerText"),
                         "rollback · not yet")
        wait_until(lambda: page.evaluate("document.querySelectorAll('#chart path.line.green').length"), "both lines")
        self.check_peaceful(page, door)
        # And markup that came in after all would do nothing, and be complained of.
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.isForged = true\">')")
        wait_until(lambda: any("Content Security Policy" in each for each in page.complaints()), "the policy forbids it")
        self.assertIsNone(page.evaluate("window.isForged"))

    def test_what_is_wrong_is_said_first_with_its_reason(self) -> None:
        blue, green = (self.enter(FailingBackend(color)) for color in ("blue", "green"))
        door = self.watched_door(blue, green, health=QUICK, drain={"timeout": "10m"})
        self.known(door)
        page = self.open_page(door, width=1100)
        page.wait_text("#state-title", "Nothing is wrong")
        old = self.client(door)
        old.send("GET", "/gate")
        blue.wait_at_gate()
        # Promised for a drain: a bar with what is left, and until when.
        door.switch("green")
        page.wait_text("#progress", "Drain of blue", "1 of 1 session left", "the rest is closed in ")
        page.wait_text("#blue header", "draining")
        bar = "document.querySelector('progress')"
        self.assertEqual(page.evaluate(f"[{bar}.value, {bar}.max]"), [1, 1])
        new = self.client(door)
        for _ in range(3):
            self.assertEqual(new.ask("GET", "/500").status, 500)
        page.wait_text("#findings", "green: 3 5xx answers in the last minute")
        page.wait_text("#green dl", "3 5xx")
        blue.stop_listening()
        page.wait_text("#findings .watch", f"blue (draining) is unhealthy: {blue.address}: connection refused")
        green.stop_listening()
        page.wait_text("#findings .bad", f"green, which is live, is unhealthy: {green.address}: connection refused")
        page.wait_text("#state-title", "things are wrong")
        page.wait_text("#green table", green.address, "unhealthy: connection refused")
        page.wait_text("#green header", "✕ unhealthy")
        self.assertIn("wrong", page.evaluate("document.title"))
        self.assertIn("green, which is live, is unhealthy", self.announced(page))
        self.shoot(page, "trouble")
        self.enter(FailingBackend("green", address=green.address))
        page.wait_text("#green header", "✓ healthy")
        blue.gate.set()
        old.answer()
        wait_until(lambda: page.evaluate("document.getElementById('progress').hidden"), "nothing is under way")
        self.check_peaceful(page, door)

    def two_listeners(self, blue: str, **settings: object) -> FrontDoor:
        """`web` with protocol http, which works; `tls` with protocol tcp, whose blue is at that address."""
        web = self.enter(WebBackend("blue")).address
        green = self.enter(Backend(tagged("green"))).address
        return self.front_door(listeners=[
            {"name": "web", "bind": "127.0.0.1:0", "protocol": "http", "blue": [web], "green": [web]},
            {"name": "tls", "bind": "127.0.0.1:0", "protocol": "tcp", "blue": [blue], "green": [green]},
        ], admin={"metrics": "127.0.0.1:0"}, **settings)

    def try_in_vain(self, address: str) -> None:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError), connect(address) as sock:
            sock.sendall(b"x")
            self.assertEqual(read_all(sock), b"")

    def test_a_listener_that_turns_clients_away_is_wrong_however_busy_another_is(self) -> None:
        door = self.two_listeners(f"127.0.0.1:{harness.free_port()}")
        page = self.open_page(door)
        page.wait_text("#state-title", "Nothing is wrong")
        web = self.client(door.address("web"))
        for _ in range(300):
            web.ask("GET", "/")
        self.try_in_vain(door.address("tls"))
        page.wait_text("#findings .bad", "blue, listener tls: 1 client found no target in the last minute "
                       "(100 % of 1 new session)")
        page.wait_text("#state-title", "1 thing is wrong")
        self.assertIn("listener tls", self.announced(page))
        self.shoot(page, "one-listener-broken")
        # Nobody is sent to blue any more.
        door.switch("green")
        page.wait_text("#findings .watch", "blue, listener tls: 1 client found no target")
        page.wait_text("#state-title", "Nothing is wrong, ")
        self.check_peaceful(page, door)

    def test_sessions_that_are_broken_off_before_an_answer_are_wrong(self) -> None:
        def break_off(sock: socket.socket) -> None:
            if sock.recv(1):
                reset(sock)

        door = self.two_listeners(self.enter(Backend(break_off)).address)
        page = self.open_page(door)
        web = self.client(door.address("web"))
        for _ in range(300):
            web.ask("GET", "/")
        self.try_in_vain(door.address("tls"))
        page.wait_text("#findings .bad", "blue, listener tls: 1 session broken off before an answer in the last minute "
                       "(100 % of 1 new session)")
        self.assertNotIn("reset by", page.text("#findings"), "the same is told once")

    def test_a_way_back_that_is_not_on_disk_is_wrong(self) -> None:
        folder = self.folder()
        disk = self.enter(SmallDisk(folder / "state"))
        blue, green = self.colors()
        door = self.watched_door(blue, green, folder=folder)
        door.switch("green")
        page = self.open_page(door)
        page.wait_text("#state-title", "Nothing is wrong")
        disk.fill()
        door.rollback(reason="v2 is bad")
        page.wait_text("#findings .bad", "The switch to blue is not on disk: after a crash green would be live again")
        page.wait_text("#history tbody tr", "v2 is bad", "not persisted")
        self.assertIn("not on disk", self.announced(page))
        self.shoot(page, "not-on-disk")
        disk.empty()
        page.wait_text("#state-title", "✓ Nothing is wrong")
        self.assertNotIn("not persisted", page.text("#history"))

    def test_a_state_that_cannot_be_written_is_wrong_until_it_is(self) -> None:
        page = self.open_page(self.watched_door(*self.colors()))

        def found(*names: str) -> list[str]:
            events = [{"at": "2026-01-31T10:00:00.000Z", "event": name, "message": f"about {name}"} for name in names]
            status = f"{{...known.status, recent: {{...known.status.recent, events: {json.dumps(events)}}}}}"
            return page.evaluate(f"findings({status}).filter((each) => each.isBad).map((each) => each.text)")

        self.assertEqual(found("state-not-written", "settled"), ["The state is not on disk: about state-not-written"])
        self.assertEqual(found("state-not-written", "state-written"), [])
        self.assertEqual(found("limit", "no-way-back"), [], "what is older than a minute is no news")

    def test_a_limit_that_was_reached_is_wrong(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green, limits={"sessions": 1})
        page = self.open_page(door)
        for _ in range(2):
            self.enter(connect(door.address()))
        page.wait_text("#findings .bad", "the session limit is reached: 1")
        self.assertIn("the session limit is reached", self.announced(page))

    def test_a_reload_that_was_refused_is_watched_until_one_succeeds(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green)
        page = self.open_page(door)
        door.config_file.write_text("{ listeners: 5 }")
        self.assertEqual(door.admin("POST", "/v1/reload", {})[0], 409)
        page.wait_text("#findings .watch", "The reload at ", " was refused: ", "listeners")
        page.wait_text("#state-title", "Nothing is wrong, 1 thing to watch")
        door.write_config()
        door.post("/v1/reload")
        page.wait_text("#events", "reload", "reload-refused")
        page.wait_text("#state-title", "✓ Nothing is wrong")
        self.assertEqual(page.text("#findings"), "")

    def test_a_release_on_trial_shows_its_signals_and_why_it_was_taken_back(self) -> None:
        blue, green = (self.enter(FailingBackend(color)) for color in ("blue", "green"))
        door = self.watched_door(blue, green, health=QUICK, bake={"minimumClients": 1, "minimumSamples": 20})
        self.known(door)
        page = self.open_page(door, dark=True)
        door.switch("green", ramp=[{"percent": 50, "time": "10m"}], bake="10m", reason="v3")
        page.wait_text("#progress", "Ramp to green", "step 1 of 1: 50 %", " left")
        page.wait_text("#green header", "on trial 50 %")
        page.wait_text("#blue header", "LIVE 50 %")
        page.wait_text("#standing", "green gets 50 % of new clients")
        page.wait_text("#progress table", "connect failures", "early resets", "1 %", "5 %")
        self.check_fits(page)
        self.enter(Load(door.address(), 8, "/500"))
        wait_until(lambda: (door.status()["lastSwitch"] or {}).get("automatic"), "the release is taken back")
        page.wait_text("#history tbody tr", "automatic", "5xx answers 100 %", "v3")
        page.wait_text("#findings", "green was taken back automatically at ", "5xx answers 100 % (limit ")
        self.check_peaceful(page, door)

    def test_a_pause_tells_who_waits_and_for_how_long(self) -> None:
        blue, green = self.enter(Backend(tagged("blue"))), self.enter(Backend(tagged("green")))
        door = self.front_door(blue.address, green.address, admin={"metrics": "127.0.0.1:0"})
        page = self.open_page(door, width=360)
        # Without http nothing is said of requests.
        self.assertNotIn("Requests", page.text())
        self.assertEqual(page.evaluate("document.querySelector('#measures input:checked').value"), "accepted")
        door.post("/v1/pause", max="1ms")
        page.wait_text("#events", "resume")
        page.wait_text("#state-title", "✓ Nothing is wrong")
        door.post("/v1/pause", max="10m")
        page.wait_text("#headline", "blue is live, traffic is held")
        self.assertEqual(page.evaluate("document.title"), "■ blue is live · traffic is held · bgproxy")
        page.wait_text("#state-title", "Nothing is wrong, 1 thing to watch")
        page.wait_text("#findings", "Traffic is paused: nobody waits yet, it goes on by itself in ")
        self.client(door.address())
        page.wait_text("#findings", "Traffic is paused: 1 client waits, it goes on by itself in ")
        page.wait_text("#progress", "Pause", "1 session held", "0 in flight")
        self.check_fits(page)
        self.shoot(page, "paused")
        door.post("/v1/resume")
        page.wait_text("#state-title", "✓ Nothing is wrong")
        self.assertEqual(page.text("#headline").strip(), "blue is live")
        self.check_peaceful(page, door)

    def test_a_front_door_that_stops_says_so_beside_the_color(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green, drain={"timeout": "10m"})
        client = self.client(door)
        client.send("GET", "/gate")
        blue.wait_at_gate()
        page = self.open_page(door)
        door.post("/v1/stop")
        page.wait_text("#headline", "blue is live, the front door stops")
        page.wait_text("#findings .bad", "The front door is stopping: it takes no new sessions")
        blue.gate.set()
        client.answer()
        self.assertEqual(door.wait_exit(), 0)

    def test_the_color_that_a_bake_keeps_is_not_called_idle(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green)
        self.used(door)
        page = self.open_page(door)
        door.switch("green", bake="10m")
        page.wait_text("#blue header", "kept for the way back")
        self.assertNotIn("idle", page.text("#blue header"))

    def test_numbers_are_short_and_never_0_where_there_is_something(self) -> None:
        page = self.open_page(self.watched_door(*self.colors()))
        told = page.evaluate("[0, 0.01, 0.04, 0.05, 0.94, 0.97, 1.04, 12.34, 99.96, 1234.5].map(short)")
        self.assertEqual(told, ["0", "<0.1", "<0.1", "0.1", "0.9", "1", "1", "12.3", "100", "1,235"])

    def test_a_front_door_that_does_not_answer_is_never_shown_as_live(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green, admin={"metrics": f"127.0.0.1:{harness.free_port()}"})
        page = self.open_page(door, hurry=False)
        page.wait_text("#blue header", "LIVE")
        self.check_peaceful(page, door)
        door.kill()
        page.wait_text("#headline", "No answer since ")
        page.wait_text("#standing", "cannot be reached", "blue was live then")
        self.assertNotIn("LIVE", page.text())
        self.assertIn("was live", page.text("#blue header"))
        self.assertEqual(page.evaluate("document.title"), "✕ no answer · bgproxy")
        self.assertIn("does not answer", self.announced(page))
        page.wait_text("#standing", "Asking again in ")
        self.shoot(page, "no-answer")
        # It finds by itself the one that comes back at the same address.
        door.start()
        page.wait_text("#headline", "blue is live")
        page.wait_text("#blue header", "LIVE")
        self.assertIn("No longer: The front door does not answer", self.announced(page))

    def samples(self, door: FrontDoor) -> int:
        """One is taken every two seconds, which is as often as the page asks."""
        return len(door.get("/v1/status?recent=10m")["recent"]["samples"])

    def test_a_page_that_nobody_sees_asks_for_nothing(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green)
        page = self.open_page(door, hurry=False)
        see = ("Object.defineProperty(document, 'hidden', {{configurable: true, get: () => {}}});"
               "document.dispatchEvent(new Event('visibilitychange'))")
        page.evaluate(see.format("true"))
        # What it had asked for before is known by then.
        seen = self.samples(door)
        wait_until(lambda: self.samples(door) > seen, "a poll was due")
        asked = len(page.requests())
        seen = self.samples(door)
        wait_until(lambda: self.samples(door) >= seen + 2, "two more polls were due")
        self.assertEqual(len(page.requests()), asked)
        door.switch("green")
        page.evaluate(see.format("false"))
        page.wait_text("#headline", "green is live")

    def test_what_the_page_keeps_is_bounded_however_long_it_is_open(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green)
        page = self.open_page(door)
        wait_until(lambda: page.evaluate("known.samples.size"), "there is a sample")
        # As many as come in two hours, and receipts and events as many as there can be.
        kept = page.evaluate("""(() => {
          const [sample] = known.samples.values();
          const receipt = {...known.status, from: 'blue', to: 'green', at: sample.at, by: {uid: 0, pid: 1}, open: 0};
          known.receipts = Array(500).fill(receipt);
          const status = {...known.status, lastSwitch: null};
          for (let step = 0; step < 3600; step += 30) {
            const samples = Array.from({length: 30}, (_, index) =>
              ({...sample, at: new Date(Date.parse(sample.at) + (step + index) * 2000).toISOString()}));
            take({...status, recent: {...status.recent, samples}}, Date.now());
          }
          showAll();
          return [known.samples.size, known.clockBounds.length, document.querySelectorAll('#history tbody tr').length];
        })()""")
        self.assertEqual(kept, [301, 30, 30])
        self.assertIn("470 older", page.text("#history"))


class Looks(PageCase):
    def test_it_reads_well_in_light_and_dark_on_a_desk_and_on_a_phone(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green)
        self.asks(door, 2)
        for to in ("green", "blue"):
            door.switch(to, reason=f"to {to}, for reasons that-have-no-space-to-wrap-at-" + "x" * 60)
        page = self.open_page(door)
        page.wait_text("#history", "to green, for reasons")
        paper = {}
        for dark in (False, True):
            for width in (320, 360, 700, 1100):
                page.look(width, dark=dark)
                narrow = "document.querySelector('#chart svg').getAttribute('width') <= innerWidth"
                wait_until(lambda: page.evaluate(narrow), "the chart follows the window")
                self.check_fits(page)
                self.shoot(page, f"{'dark' if dark else 'light'}-{width}")
            paper[dark] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        self.assertNotEqual(paper[False], paper[True])
        page.look(1100, **{"prefers-reduced-motion": "reduce"})
        moving = ("[...document.querySelectorAll('*')].filter((each) => getComputedStyle(each).animationName !== 'none'"
                  " || parseFloat(getComputedStyle(each).transitionDuration)).length")
        self.assertEqual(page.evaluate(moving), 0)
        self.check_peaceful(page, door)

    def test_a_reader_of_the_screen_finds_landmarks_headings_names_and_tables(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green)
        door.switch("green", reason="v2")
        page = self.open_page(door)
        page.wait_text("#history", "v2")
        wait_until(lambda: ("region", "Events") in page.accessible(), "the page is whole")
        nodes = page.accessible()
        roles = [role for role, _ in nodes]
        for role in ("banner", "main", "contentinfo", "status"):
            self.assertEqual(roles.count(role), 1, role)
        for expected in (("heading", "green is live"), ("heading", "✓ Nothing is wrong"),
                         ("heading", "The two colors"), ("article", "blue"), ("article", "green"), ("heading", "Traffic"), ("heading", "Switches"),
                         ("region", "Table of switches"), ("table", "Switches, the newest first"),
                         ("table", "Targets of blue"), ("columnheader", "Why"), ("group", "What the chart shows"),
                         ("radio", "Requests"), ("heading", "Events")):
            self.assertIn(expected, nodes)
        chart = [name for role, name in nodes
                 if role in ("image", "img") and name.startswith("Chart of requests/s over ")]
        self.assertEqual(len(chart), 1)
        self.assertRegex(chart[0], r"blue \S.*; green .*1 switch: to green at \d\d:\d\d:\d\d\.")
        levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].filter((each) => each.checkVisibility())"
                               ".map((each) => +each.tagName[1])")
        self.assertEqual(levels[0], 1)
        self.assertEqual(levels.count(1), 1)
        self.assertTrue(all(after <= before + 1 for before, after in zip(levels, levels[1:])), levels)
        self.assertEqual(page.evaluate("document.documentElement.lang"), "en")
        # The keys reach what can be chosen and what can be scrolled.
        page.evaluate("document.querySelector('#measures input:checked').focus()")
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight",
                      windowsVirtualKeyCode=39)
        page.wait_text("#measures label:has(:checked)", "New sessions")
        unit = "document.querySelector('#chart text.unit').textContent"
        wait_until(lambda: page.evaluate(unit) == "new sessions/s", "the chart shows what was chosen")
        self.assertEqual(page.evaluate("document.querySelector('#history .scroll').tabIndex"), 0)

    def test_text_has_the_contrast_that_WCAG_AA_asks_for_in_both_themes(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green)
        self.asks(door, 2)
        door.switch("green", reason="v2")
        page = self.open_page(door)
        page.wait_text("#history", "v2")
        wait_until(lambda: page.evaluate("document.querySelectorAll('#chart text').length"), "there is a chart")
        for dark in (False, True):
            page.look(1100, dark=dark)
            page.wait_text("#state-title", "Nothing is wrong")
            for wrong in (False, True):
                texts = page.evaluate(f"(({CONTRASTS}))({json.dumps(wrong)})")
                for text, kind, ratio in texts:
                    self.assertGreaterEqual(ratio, 4.5, f"{'dark' if dark else 'light'}: {kind}: {text}")
                kinds = " ".join(kind for _, kind, _ in texts)
                expected = ("badge live", "badge trial", "bad", "watch", "beyond", "dim") if wrong else ("good", "number")
                for kind in expected:
                    self.assertIn(kind, kinds)

    def test_a_trouble_that_lasts_is_one_event_with_how_often_it_was_told(self) -> None:
        page = self.open_page(self.watched_door(*self.colors()))
        events = [{"at": "2026-01-31T10:00:00.000Z", "event": "switch", "message": "blue → green"},
                  {"at": "2026-01-31T10:05:00.000Z", "event": "limit", "message": "the session limit is reached",
                   "count": 1234, "since": "2026-01-31T10:01:00.000Z"}]
        told = page.evaluate(f"""(() => {{
          showEvents({{recent: {{events: {json.dumps(events)}}}}});
          return [...document.querySelectorAll('#events li span')].map((each) => each.textContent);
        }})()""")
        self.assertRegex(told[0], r"^the session limit is reached \(1,234 times since .*\d\d:01:00\)$")
        self.assertEqual(told[1:], ["blue → green"])

    def test_the_page_comes_whole_from_one_answer_and_can_be_asked_for_only(self) -> None:
        blue, green = self.colors()
        door = self.watched_door(blue, green)
        host = door.status()["metrics"]
        answers = []
        for method in ("GET", "GET", "HEAD", "POST", "PUT", "DELETE"):
            connection = http.client.HTTPConnection(host, timeout=harness.PATIENCE)
            connection.request(method, "/")
            response = connection.getresponse()
            answers.append((method, response.status, response.headers, response.read().decode()))
            connection.close()
        self.assertEqual([status for _, status, _, _ in answers], [200, 200, 200, 405, 405, 405])
        text = answers[0][3]
        elsewhere = set(re.findall(r"(?:https?:)?//[a-z0-9][\w.-]*\.[a-z]{2,}[^\s\"'`)]*", text))
        self.assertEqual(elsewhere, {"http://www.w3.org/2000/svg"}, "a name, which nobody asks for")
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=\"",
                          "@import", "localStorage", "POST"):
            self.assertNotIn(forbidden, text)
        self.assertIsNone(re.search(r"<[a-z][^>]*\son\w+=", text), "an inline handler")
        self.assertNotIn("{{", text)
        nonces = [re.search(r"script-src 'nonce-(\w+)'", headers["Content-Security-Policy"])[1]
                  for _, status, headers, _ in answers[:2]]
        self.assertNotEqual(*nonces)
        self.assertIn(f'<script nonce="{nonces[0]}">', text)

