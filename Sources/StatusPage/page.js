// The status page of bgproxy: asks the address that it came from, and shows what it is told. It sends nothing but GET.
// Text from outside (names, reasons, results) becomes text nodes and attribute values, never markup.
"use strict";

const COLORS = ["blue", "green"];
const POLL = 2000;
const LONGEST_PAUSE = 15000;
const PATIENCE = 5000; // for one answer
const SILENCE = 7000; // after which an answer is no longer news
const WINDOW = 600; // seconds that the chart can show
const MINUTE = 60;
const RECEIPTS_SHOWN = 30;
const EVENTS_SHOWN = 15;

// MARK: What is known

const known = {
  status: null,
  samples: new Map(), // by their `at`, the oldest first; at most WINDOW seconds
  receipts: [], // the oldest first
  answeredAt: null, // of this machine's clock, as are the next two
  failedSince: null,
  nextTryAt: null,
  failure: "",
  clockBounds: [], // see `present`
};

const page = { measure: null, pointedAt: null, said: null, labelledFor: null, labelledAt: 0 };

/// The front door's clock in milliseconds. The Date of an answer is never later than that clock was when it came, so the
/// largest difference seen lately is the best one.
function present(here = Date.now()) {
  return here + (known.clockBounds.length ? Math.max(...known.clockBounds) : 0);
}

/// The moment that the page is about: nothing counts down while nobody answers.
function now() {
  return present(isLost() ? (known.answeredAt ?? Date.now()) : Date.now());
}

function isLost() {
  return known.failedSince !== null || (known.answeredAt !== null && Date.now() - known.answeredAt > SILENCE);
}

function take(status, date) {
  if (!Number.isNaN(date)) {
    known.clockBounds.push(date - Date.now());
    if (known.clockBounds.length > 30) known.clockBounds.shift();
  }
  known.status = status;
  for (const sample of status.recent.samples) known.samples.set(sample.at, sample);
  const ordered = [...known.samples].sort((a, b) => time(a[0]) - time(b[0]));
  const oldest = ordered.length ? time(ordered.at(-1)[0]) - WINDOW * 1000 : 0;
  known.samples = new Map(ordered.filter(([at]) => time(at) >= oldest));
  const last = status.lastSwitch;
  if (last && known.receipts.at(-1)?.generation === last.generation) known.receipts[known.receipts.length - 1] = last;
  known.answeredAt = Date.now();
  known.failedSince = known.nextTryAt = null;
}

function samples(seconds) {
  const since = now() - seconds * 1000;
  return [...known.samples.values()].filter((sample) => time(sample.at) > since);
}

/// Of a figure that counts what came in each step.
function total(color, figure, seconds) {
  return samples(seconds).reduce((sum, sample) => sum + sample.colors[color][figure], 0);
}

/// The same, a second, over the last ten seconds.
function rate(color, figure) {
  const some = samples(12).slice(-5);
  const seconds = some.reduce((sum, sample) => sum + sample.seconds, 0);
  return seconds > 0 ? some.reduce((sum, { colors }) => sum + colors[color][figure], 0) / seconds : null;
}

function speaksHTTP(status) {
  return status.listeners.some((listener) => listener.protocol === "http");
}

const other = (color) => (color === "blue" ? "green" : "blue");
const onTrial = (status) => status.bake?.color ?? status.ramp?.to ?? null;
/// Clients are sent there.
const serves = (status, color) => color === status.active || color === onTrial(status);
/// A release that is watched drains nothing, so that its clients could go back.
const isKept = (status, color) => status.bake !== null && color === other(status.bake.color);

// MARK: Numbers and times in words

const time = (text) => Date.parse(text);
const TO_THE_MINUTE = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const clockOfMinutes = new Intl.DateTimeFormat("en", TO_THE_MINUTE);
const clock = new Intl.DateTimeFormat("en", { ...TO_THE_MINUTE, second: "2-digit" });
const day = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });
const dayOfYear = new Intl.DateTimeFormat("en", { year: "numeric", month: "short", day: "numeric" });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

const plural = (count, one, many = `${one}s`) => `${whole.format(count)} ${count === 1 ? one : many}`;

/// One decimal below 100 where it says something, none above.
function short(value) {
  if (value > 0 && value < 0.05) return "<0.1";
  if (value >= 99.95 || Math.abs(value - Math.round(value)) < 0.05) return whole.format(Math.round(value));
  return value.toFixed(1);
}

function bytes(value) {
  const names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let step = 0;
  for (; value >= 1023.95 && step < names.length - 1; step += 1) value /= 1024;
  return `${step ? short(value) : whole.format(value)} ${names[step]}`;
}

function microseconds(value) {
  if (value < 1000) return `${whole.format(value)} µs`;
  return value < 999_950 ? `${short(value / 1000)} ms` : `${short(value / 1e6)} s`;
}

function percent(share) {
  const hundredths = Math.round(share * 10_000);
  return share > 0 && hundredths === 0 ? "<0.01 %" : `${hundredths / 100} %`;
}

/// `0 s`, `45 s`, `2 min 5 s`, `3 h 12 min`, `2 d 4 h`.
function duration(milliseconds, round = Math.floor) {
  const seconds = Math.max(0, round(milliseconds / 1000));
  const steps = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = Math.max(0, steps.findIndex(([, length]) => seconds >= length));
  if (seconds < 60) return `${seconds} s`;
  const [[name, length], [nextName, nextLength]] = steps.slice(first);
  const rest = Math.floor((seconds % length) / nextLength);
  return `${Math.floor(seconds / length)} ${name}${rest ? ` ${rest} ${nextName}` : ""}`;
}

const ago = (text) => duration(now() - time(text));
const left = (until) => duration(time(until) - now(), Math.ceil);

/// The time of day; with the day where that is another one.
function when(milliseconds) {
  const date = new Date(milliseconds);
  if (dayOfYear.format(date) === dayOfYear.format(now())) return clock.format(date);
  const days = date.getFullYear() === new Date(now()).getFullYear() ? day : dayOfYear;
  return `${days.format(date)}, ${clock.format(date)}`;
}

const SIGNALS = {
  health: "listeners down", connectFailures: "connect failures", resets: "early resets", serverErrors: "5xx answers",
  firstByte: "late first bytes",
};
const signalName = (name) => (Object.hasOwn(SIGNALS, name) ? SIGNALS[name] : name);
const signalValue = (name, value) => (name === "health" ? whole.format(value) : percent(value));

function causeText({ signal, value, limit }) {
  return `${signalName(signal)} ${signalValue(signal, value)} (limit ${signalValue(signal, limit)})`;
}

// MARK: The document

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== false && child !== ""));
  return element;
}

const make = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const draw = (name, attributes = {}, ...children) => fill(document.createElementNS(SVG, name), attributes, children);
const part = (id) => document.getElementById(id);
const called = (color) => make("span", { class: `name ${color}` }, color);
const moment = (text) => make("time", { datetime: text, title: text }, when(time(text)));

/// Makes the children of an element equal to these and touches only what differs, so that a selection, the focus and
/// the reader of a screen stay where they are.
function show(parent, ...fresh) {
  fresh = fresh.flat();
  fresh.forEach((next, index) => {
    const old = parent.childNodes[index];
    if (typeof next === "string") next = document.createTextNode(next);
    if (!old) parent.append(next);
    else if (old.nodeName !== next.nodeName) old.replaceWith(next);
    else if (next.nodeType === Node.TEXT_NODE) {
      if (old.data !== next.data) old.data = next.data;
    } else {
      for (const { name } of [...old.attributes]) {
        if (!next.hasAttribute(name)) old.removeAttribute(name);
      }
      for (const { name, value } of next.attributes) {
        if (old.getAttribute(name) !== value) old.setAttribute(name, value);
      }
      show(old, ...next.childNodes);
    }
  });
  while (parent.childNodes.length > fresh.length) parent.lastChild.remove();
}

/// With roles, since a layout other than a table's takes them away.
function table(caption, heads, rows, attributes = {}) {
  const column = ({ name, kind }) => make("th", { scope: "col", role: "columnheader", class: kind ?? null }, name);
  const cell = (content, index) => (index === 0 ? make("th", { scope: "row", role: "rowheader" }, content)
    : make("td", { role: "cell", class: heads[index].kind ?? null }, content));
  const row = ({ kind, cells }) => make("tr", { role: "row", class: kind ?? null }, cells.map(cell));
  return make("table", { role: "table", ...attributes },
    make("caption", { class: "unseen" }, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, heads.map(column))),
    make("tbody", { role: "rowgroup" }, rows.map(row)));
}

/// A color's mark: blue a filled square and a solid line, green a ring and a dashed one.
function mark(color) {
  return draw("svg", { class: `mark ${color}`, viewBox: "0 0 12 12", "aria-hidden": "true" },
    color === "blue" ? draw("rect", { x: 1, y: 1, width: 10, height: 10 }) : draw("circle", { cx: 6, cy: 6, r: 4 }));
}

// MARK: What is wrong

/// Each with a key that stays the same while the finding does. What is bad makes clients suffer, or soon would; the rest
/// is worth watching.
function findings(status) {
  const found = [];
  const add = (isBad, key, ...text) => found.push({ isBad, key, text: text.join("") });
  for (const color of COLORS) {
    addHealth(status, color, add);
    addFailures(status, color, add);
  }
  addHold(status, add);
  for (const signal of (status.bake ?? status.ramp)?.signals ?? []) {
    const what = `${onTrial(status)} fails its ${status.bake ? "bake" : "ramp"}`;
    if (signal.value > signal.limit) add(true, `signal ${signal.signal}`, `${what}: ${causeText(signal)}`);
  }
  addDrain(status, add);
  const last = status.lastSwitch;
  if (last && !last.persisted) {
    add(true, "persisted", `The switch to ${last.to} is not on disk: after a crash ${last.from} would be live again`);
  }
  if (last?.automatic && last.cause) {
    add(false, `taken back ${last.generation}`, `${last.from} was taken back automatically at ${when(time(last.at))}: `,
      causeText(last.cause));
  }
  if (status.phase === "stopping") add(true, "stopping", "The front door is stopping: it takes no new sessions");
  addNews(status, add);
  return found.sort((a, b) => b.isBad - a.isBad);
}

function addHealth(status, color, add) {
  const targets = status.listeners.flatMap((listener) => listener.targets[color].map((target) =>
    ({ ...target, name: `${status.listeners.length > 1 ? `${listener.name} ` : ""}${target.address}` })));
  const bad = targets.filter(({ healthy }) => healthy === false);
  const details = bad.slice(0, 4).map(({ name, result }) => `${name}: ${result ?? "no result"}`).join("; ")
    + (bad.length > 4 ? `; and ${bad.length - 4} more` : "");
  if (status.colors[color].healthy === false) {
    const role = color === status.active ? ", which is live," : color === onTrial(status) ? ", which is on trial,"
      : status.colors[color].draining ? " (draining)" : " (idle)";
    add(role.startsWith(","), `health ${color}`, `${color}${role} is unhealthy: `, details);
  } else if (bad.length) {
    const count = `${bad.length} of ${plural(targets.length, "target")} ${bad.length === 1 ? "is" : "are"}`;
    add(false, `target ${color} ${bad.length}`, `${color}: ${count} unhealthy: `, details);
  }
}

/// Listener by listener, each by its own traffic: that of a busy one would hide that another is broken. A client that was
/// turned away is bad; else more than one in a hundred is, where the color is still in use.
function addFailures(status, color, add) {
  const isInUse = serves(status, color) || status.colors[color].sessions > 0;
  for (const { name, colors: { [color]: figures } } of status.recent.lastMinute) {
    const where = status.listeners.length > 1 ? `${color}, listener ${name}` : color;
    const isHTTP = status.listeners.find((listener) => listener.name === name)?.protocol === "http";
    const sessions = [figures.sessions, "new session"];
    const requests = [figures.requests, "request"];
    const count = (figure, one, many, [all, unit]) => {
      const failed = figures[figure];
      if (!failed) return;
      const turnsAway = figure === "connectFailures" && serves(status, color);
      const share = all ? ` (${percent(Math.min(1, failed / all))} of ${plural(all, unit)})` : "";
      add(turnsAway || (isInUse && failed > all / 100), `${figure} ${color} ${name}`,
        `${where}: ${plural(failed, one, many)} in the last minute${share}`);
    };
    count("connectFailures", "client found no target", "clients found no target", isHTTP ? requests : sessions);
    const early = isHTTP ? "request" : "session";
    count("earlyResets", `${early} broken off before an answer`, `${early}s broken off before an answer`,
      isHTTP ? requests : sessions);
    // Those that were early are told already.
    if (figures.resets > figures.earlyResets) {
      count("resets", "session reset by its target", "sessions reset by their target", sessions);
    }
    count("serverErrors", "5xx answer", "5xx answers", requests);
  }
}

function addHold({ hold, held }, add) {
  if (!hold) {
    if (held) add(false, "held", `${plural(held, "session")} held, waiting to go on`);
    return;
  }
  const what = hold.handover ? `A handover to ${hold.handover} holds the traffic` : "Traffic is paused";
  const who = held ? plural(held, "client waits", "clients wait") : "nobody waits yet";
  add(held > 0, `hold ${hold.since} ${held > 0}`, `${what}: ${who}, it goes on by itself in ${left(hold.until)}`);
}

/// What only events tell of.
function addNews({ recent, lastSwitch }, add) {
  const lastOf = (...names) => recent.events.findLast(({ event }) => names.includes(event));
  const isWithin = ({ at }, seconds) => now() - time(at) < seconds * 1000;
  const told = new Set();
  for (const event of recent.events) {
    const isNews = ["limit", "no-way-back", "trial-waits"].includes(event.event) && isWithin(event, MINUTE);
    if (isNews && !told.has(event.message)) {
      told.add(event.message);
      add(true, `event ${event.message}`, event.message);
    }
  }
  const state = lastOf("state-not-written", "state-written");
  // A switch that is not on disk is told already.
  if (state?.event === "state-not-written" && lastSwitch?.persisted !== false) {
    add(true, "state", `The state is not on disk: ${state.message}`);
  }
  const reload = lastOf("reload", "reload-refused");
  if (reload?.event === "reload-refused" && isWithin(reload, WINDOW)) {
    add(false, `reload ${reload.at}`, `The reload at ${when(time(reload.at))} was refused: ${reload.message}`);
  }
}

/// What would be left at the deadline if the drain went on as it has gone so far.
function addDrain({ drain, lastSwitch, phase }, add) {
  if (!drain?.remaining || !lastSwitch) return;
  const toCome = time(drain.deadline) - now();
  const gone = phase === "stopping" ? 0 : now() - time(lastSwitch.at);
  const pace = gone > 0 ? (drain.initial - drain.remaining) / gone : 0;
  if (toCome < Math.max(15_000, gone) && drain.remaining - pace * toCome >= 1) {
    add(false, "drain", `${plural(drain.remaining, "session")} still to drain: `,
      `those open in ${left(drain.deadline)} are closed`);
  }
}

// MARK: The parts of the page

function showHeadline(status) {
  const lost = isLost();
  document.body.classList.toggle("lost", lost);
  if (lost) {
    const since = when(known.answeredAt ?? known.failedSince);
    const wait = known.nextTryAt ? Math.max(0, Math.ceil((known.nextTryAt - Date.now()) / 1000)) : 0;
    show(part("headline"), known.answeredAt ? `No answer since ${since}` : "No answer from the front door");
    const again = wait ? `Asking again in ${wait} s.` : "Asking again.";
    show(part("standing"), `${known.failure || "It is silent"}. ${again}`
      + (status ? ` What follows is from ${since}: ${status.active} was live then.` : ""));
    return;
  }
  const { active, switchedAt, ramp, version, pid, startedAt, generation } = status;
  const but = restriction(status);
  show(part("headline"), make("span", { class: `name ${active}` }, mark(active), active), " is live",
    but ? make("span", { class: "watch" }, `, ${but}`) : []);
  const since = switchedAt ? ["since ", moment(switchedAt), ` (${ago(switchedAt)})`] : ["no switch yet"];
  show(part("standing"), since, " · ", make("b", {}, phaseText(status)),
    ramp ? ` · ${ramp.to} gets ${status.share[ramp.to]} % of new ${speaksHTTP(status) ? "clients" : "sessions"}` : "");
  show(part("about"), `bgproxy ${version} · pid ${pid} · up ${ago(startedAt)} · generation ${generation}`);
}

/// What those must know who read nothing but which color is live.
function restriction({ phase, hold }) {
  return phase === "stopping" ? "the front door stops" : hold ? "traffic is held" : "";
}

function phaseText({ phase, active, drain, hold }) {
  switch (phase) {
    case "draining": return `${other(active)} drains${drain ? `, ${plural(drain.remaining, "session")} left` : ""}`;
    case "baking": return `${active} is watched (bake)`;
    case "ramping": return `${other(active)} is tried out (ramp)`;
    case "holding": return hold?.handover ? `handover to ${hold.handover} under way` : "holding";
    default: return phase;
  }
}

function showFindings(found) {
  const bad = found.filter((finding) => finding.isBad).length;
  const watch = found.length - bad;
  const lost = isLost();
  part("state").className = bad ? "bad" : watch ? "watch" : "good";
  const count = bad ? plural(bad, lost ? "thing was" : "thing is", lost ? "things were" : "things are")
    : lost ? "Nothing was" : watch ? "Nothing is" : "✓ Nothing is";
  show(part("state-title"), `${count} wrong${watch ? `, ${bad ? watch : plural(watch, "thing")} to watch` : ""}`);
  show(part("findings"), found.map(({ isBad, text }) => make("li", { class: isBad ? "bad" : "watch" },
    make("b", {}, isBad ? "wrong" : "watch"), " ", make("span", {}, text))));
}

function badges(status, color) {
  const report = status.colors[color];
  const list = [];
  const share = status.ramp ? ` ${status.share[color]} %` : "";
  if (color === status.active) list.push(["live", (isLost() ? "was live" : "LIVE") + share]);
  if (color === onTrial(status)) list.push(["trial", `on trial${color === status.active ? "" : share}`]);
  if (report.draining) list.push(["draining", "draining"]);
  if (isKept(status, color)) list.push(["kept", "kept for the way back"]);
  if (!list.length) list.push(["idle", "idle"]);
  return list.map(([kind, text]) => make("span", { class: `badge ${kind}` }, text));
}

function health(isHealthy) {
  if (isHealthy === null) return make("span", { class: "dim" }, "health unknown");
  return make("span", { class: isHealthy ? "good" : "bad" }, isHealthy ? "✓ healthy" : "✕ unhealthy");
}

function showColor(status, color) {
  const report = status.colors[color];
  const last = samples(12).at(-1)?.colors[color];
  const perSecond = (figure, format) => {
    const value = isLost() ? null : rate(color, figure);
    return value === null ? "–" : format(value);
  };
  const quantile = (value) => (isLost() || value == null ? "–" : microseconds(value));
  const failed = [["connectFailures", "connect"], ["resets", "reset"], ["serverErrors", "5xx"]]
    .map(([figure, name]) => [total(color, figure, MINUTE), name]).filter(([count]) => count);
  const figures = [
    ["Sessions", report.draining && report.draining < report.sessions
      ? `${whole.format(report.sessions)}, ${report.draining} draining` : whole.format(report.sessions)],
    speaksHTTP(status) && ["Requests/s", perSecond("requests", short)],
    ["New sessions/s", perSecond("accepted", short)],
    ["From clients", perSecond("bytesIn", (value) => `${bytes(value)}/s`)],
    ["To clients", perSecond("bytesOut", (value) => `${bytes(value)}/s`)],
    ["First byte p50", quantile(last?.p50Microseconds)],
    ["First byte p99", quantile(last?.p99Microseconds)],
    ["Failed, 1 min", failed.length ? failed.map(([count, name]) => `${whole.format(count)} ${name}`).join(", ") : "0",
      failed.length > 0],
  ].filter(Boolean);
  const figure = ([name, value, isBad]) =>
    make("div", {}, make("dt", {}, name), make("dd", { class: isBad ? "bad" : null }, value));
  part(color).className = `card ${color}${color === status.active ? " live" : ""}`;
  show(part(color),
    make("header", {}, make("h3", { id: `${color}-name`, class: `name ${color}` }, mark(color), color),
      badges(status, color), make("span", { class: "health" }, health(report.healthy))),
    make("dl", {}, figures.map(figure)),
    make("div", { class: "scroll" }, targetsTable(status, color)));
}

function targetsTable(status, color) {
  const heads = [{ name: "Listener" }, { name: "Target" }, { name: "Health" }, { name: "Sessions", kind: "number" }];
  const rows = status.listeners.flatMap((listener) => listener.targets[color].map((target) => ({ cells: [
    [listener.name, make("small", {}, ` ${listener.protocol}`)], target.address,
    [health(target.healthy), target.healthy === false && target.result ? `: ${target.result}` : ""],
    whole.format(target.sessions)] })));
  return table(`Targets of ${color}`, heads, rows, { class: "targets" });
}

function showProgress(status) {
  const { drain, bake, ramp, hold, active } = status;
  const doings = [];
  const doing = (title, color, value, max, ...text) => doings.push(make("div", { class: "doing" },
    make("h3", {}, title), make("progress", { class: color, value, max, "aria-label": title }), make("p", {}, text)));
  const elapsed = (since, until) => {
    const length = Math.max(1, time(until) - time(since));
    return [Math.min(length, Math.max(0, Math.round(now() - time(since)))), length];
  };
  if (drain) {
    const color = status.phase === "stopping" ? "both colors" : other(active);
    doing(`Drain of ${color}`, color, drain.remaining, Math.max(1, drain.initial),
      `${whole.format(drain.remaining)} of ${plural(drain.initial, "session")} left · `,
      time(drain.deadline) > now() ? `the rest is closed in ${left(drain.deadline)}` : "the time is up");
  }
  if (hold) {
    const [value, max] = elapsed(hold.since, hold.until);
    doing(hold.handover ? `Handover to ${hold.handover}` : "Pause", hold.handover ?? "hold", value, max,
      `${plural(status.held, "session")} held · ${hold.inFlight} in flight · goes on by itself in ${left(hold.until)}`);
  }
  const trial = bake ?? ramp;
  if (trial) {
    const [value, max] = elapsed(trial.since, trial.until);
    const end = time(trial.until) > now() ? `${left(trial.until)} left` : "at its end";
    const step = ramp?.steps[ramp.step - 1];
    doing(bake ? `Bake of ${bake.color}` : `Ramp to ${ramp.to}`, onTrial(status), value, max,
      step ? `step ${ramp.step} of ${ramp.steps.length}: ${step.percent} % for ${step.time} · ` : "", end);
    doings.at(-1).append(trial.signals.length ? signalsTable(trial.signals)
      : make("p", { class: "dim" }, "nothing has been looked at yet"));
  }
  part("progress").hidden = doings.length === 0;
  show(part("doings"), doings);
}

function signalsTable(signals) {
  const heads = [{ name: "Signal" }, { name: "Value", kind: "number" }, { name: "Limit", kind: "number" },
    { name: "Seen", kind: "number" }, { name: "Clients", kind: "number" }];
  const rows = signals.map(({ signal, value, limit, samples, clients }) => ({
    kind: value > limit ? "beyond" : null,
    cells: [`${value > limit ? "✕ beyond:" : "✓"} ${signalName(signal)}`, signalValue(signal, value),
      signalValue(signal, limit), signal === "health" ? "" : whole.format(samples),
      clients === null ? "" : whole.format(clients)] }));
  return make("div", { class: "scroll" }, table("Signals that are watched", heads, rows));
}

function outcomes(receipt) {
  if (!receipt.open) return "no session was open";
  const parts = [[receipt.ended, "ended"], [receipt.moved, "moved"], [receipt.returned, "returned"],
    [receipt.spread, "closed in the spread"], [receipt.cut, "cut"], [receipt.remaining, "left"]];
  const counts = parts.filter(([count]) => count).map(([count, name]) => `${whole.format(count)} ${name}`).join(", ");
  const failures = receipt.connectFailures;
  return `${receipt.open} open: ${counts}${failures ? `; ${failures} of the ended never reached a target` : ""}`;
}

function reasons({ kind, cause, reason, forced, persisted }) {
  return [kind === "rollback" && make("b", {}, "rollback"), cause && make("span", { class: "bad" }, causeText(cause)), reason, forced && make("b", {}, "forced"),
    !persisted && make("b", { class: "bad" }, "not persisted")].filter(Boolean)
    .flatMap((text, index) => (index ? [" · ", text] : [text]));
}

function showHistory() {
  const heads = [{ name: "When" }, { name: "Switch" }, { name: "Who" }, { name: "Why", kind: "text" },
    { name: "Sessions", kind: "text" }, { name: "Flip", kind: "number" }];
  const row = (receipt) => ({ kind: receipt.automatic ? "automatic" : null, cells: [
    moment(receipt.at), [called(receipt.from), " → ", called(receipt.to)],
    receipt.automatic ? make("b", { class: "bad" }, "automatic") : `uid ${receipt.by.uid}, pid ${receipt.by.pid}`,
    reasons(receipt), outcomes(receipt), microseconds(receipt.flipMicroseconds)] });
  const shown = known.receipts.slice(-RECEIPTS_SHOWN).reverse();
  const more = known.receipts.length - shown.length;
  show(part("history").querySelector(".scroll"),
    shown.length ? table("Switches, the newest first", heads, shown.map(row), { class: "history" })
      : make("p", { class: "dim" }, "No switch yet."),
    more > 0 ? make("p", { class: "dim" }, `${more} older: bgproxyctl history`) : []);
}

function showEvents({ recent }) {
  // A trouble that lasts is one line, however often it was told.
  const repeats = ({ count, since }) => (count ? ` (${whole.format(count)} times since ${when(time(since))})` : "");
  const line = (each) => make("li", {}, moment(each.at), " ", make("b", {}, each.event), " ",
    make("span", {}, each.message, repeats(each)));
  const shown = recent.events.slice(-EVENTS_SHOWN).reverse();
  show(part("events").querySelector("ol"), shown.length ? shown.map(line) : make("li", { class: "dim" }, "None yet."));
}

// MARK: Telling those who do not look

/// Says what has changed that matters: what is live, what has begun to be wrong, what no longer is.
function announce(status, found) {
  const fresh = new Map(found.filter(({ isBad }) => isBad).map(({ key, text }) => [key, text]));
  if (isLost()) fresh.set("lost", "The front door does not answer");
  const old = page.said;
  page.said = { active: status?.active, found: isLost() ? new Map([...(old?.found ?? []), ...fresh]) : fresh };
  if (!old) return;
  const news = [];
  if (status && old.active && status.active !== old.active) news.push(`${status.active} is live now`);
  for (const [key, text] of page.said.found) if (!old.found.has(key)) news.push(text);
  for (const [key, text] of old.found) if (!page.said.found.has(key)) news.push(`No longer: ${text}`);
  if (news.length) part("announcer").textContent = news.join(". ");
}

function showOutside(status, found) {
  const bad = found.filter(({ isBad }) => isBad).length;
  const title = isLost() ? "✕ no answer · bgproxy"
    : [`${status.active === "blue" ? "■" : "●"} ${status.active} is live`, restriction(status), bad && `${bad} wrong`,
      "bgproxy"].filter(Boolean).join(" · ");
  if (document.title !== title) document.title = title;
  const [shape, color] = status?.active === "blue" ? ['<rect x="2" y="2" width="12" height="12" rx="2"', "#2563c9"]
    : ['<circle cx="8" cy="8" r="7"', "#2f9e5b"];
  const image = `<svg xmlns="${SVG}" viewBox="0 0 16 16">${shape} fill="${isLost() ? "#888" : color}"/></svg>`;
  const icon = `data:image/svg+xml,${encodeURIComponent(image)}`;
  const link = document.querySelector("link[rel=icon]");
  if (link.getAttribute("href") !== icon) link.setAttribute("href", icon);
}

// MARK: Asking and showing

function showAll() {
  if (known.answeredAt === null && known.failedSince === null) return;
  const status = known.status;
  const found = status ? findings(status) : [];
  showHeadline(status);
  showOutside(status, found);
  if (!status) return;
  for (const name of ["state", "colors", "traffic", "history", "events"]) part(name).hidden = false;
  showFindings(found);
  show(part("colors-title"), isLost() ? `The two colors, as of ${when(known.answeredAt)}` : "The two colors");
  for (const color of COLORS) showColor(status, color);
  showProgress(status);
  showMeasures(status);
  showChart();
  showHistory();
  showEvents(status);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  show(part("foot"), "Only looks: nothing here changes anything. ",
    `Asks every ${POLL / 1000} s while it is visible. Times are local (${zone}).`);
}

const polling = { timer: null, asking: null, failures: 0 };

async function ask(path, signal) {
  const response = await fetch(path, { signal, cache: "no-store", credentials: "omit" });
  if (!response.ok) throw new Error(`It answers ${response.status} to ${path}`);
  return [await response.json(), Date.parse(response.headers.get("Date"))];
}

async function poll() {
  clearTimeout(polling.timer);
  polling.asking?.abort();
  const asking = (polling.asking = new AbortController());
  const limit = setTimeout(() => asking.abort(), PATIENCE);
  try {
    const isBehind = known.answeredAt === null || Date.now() - known.answeredAt > 15_000;
    const [status, date] = await ask(`/v1/status?recent=${isBehind ? "10m" : "20s"}`, asking.signal);
    const edition = ({ pid, generation, lastSwitch: last }) => `${pid} ${generation} ${last?.generation} ${last?.settled}`;
    const isSame = known.status && edition(known.status) === edition(status);
    const receipts = isSame ? known.receipts : (await ask("/v1/history", asking.signal))[0].history;
    if (polling.asking !== asking) return;
    known.receipts = receipts;
    take(status, date);
    showAll();
    announce(status, findings(status));
    polling.failures = 0;
  } catch (error) {
    if (polling.asking !== asking) return;
    polling.failures += 1;
    known.failedSince ??= Date.now();
    known.failure = asking.signal.aborted ? `No answer within ${PATIENCE / 1000} s`
      : error.name === "TypeError" ? "The front door cannot be reached" : error.message;
  } finally {
    clearTimeout(limit);
  }
  if (polling.asking !== asking) return;
  polling.asking = null;
  const pause = polling.failures ? Math.min(POLL * 2 ** (polling.failures - 1), LONGEST_PAUSE) : POLL;
  if (polling.failures) {
    known.nextTryAt = Date.now() + pause;
    showAll();
    announce(known.status, known.status ? findings(known.status) : []);
  }
  if (!document.hidden) polling.timer = setTimeout(poll, pause);
}

function beginOrStop() {
  if (!document.hidden) return void poll();
  clearTimeout(polling.timer);
  polling.asking?.abort();
  polling.asking = null;
}

document.addEventListener("visibilitychange", beginOrStop);
setInterval(() => document.hidden || showAll(), 1000);
part("measures").addEventListener("change", (event) => {
  page.measure = event.target.value;
  showAll();
});
for (const name of ["pointermove", "pointerleave"]) {
  part("chart").addEventListener(name, (event) => {
    page.pointedAt = name === "pointermove" ? event.clientX - part("chart").getBoundingClientRect().left : null;
    showAll();
  });
}
addEventListener("resize", showAll);
beginOrStop();
