// The chart of the status page: what traffic of each color was in the last minutes, with the switches marked. The page puts it
// before page.js, whose values and functions it uses when it draws.
"use strict";

const perSecond = (...figures) => ({ seconds, colors }, color) =>
  figures.reduce((sum, figure) => sum + colors[color][figure], 0) / Math.max(0.001, seconds);

const MEASURES = {
  requests: { name: "Requests", unit: "requests/s", of: perSecond("requests"), format: short },
  accepted: { name: "New sessions", unit: "new sessions/s", of: perSecond("accepted"), format: short },
  sessions: { name: "Open sessions", unit: "open sessions", of: ({ colors }, color) => colors[color].sessions,
    format: short },
  bytes: { name: "Bytes", unit: "bytes/s, both ways", of: perSecond("bytesIn", "bytesOut"),
    format: (value) => `${bytes(value)}/s`, base: 1024 },
  firstByte: { name: "First byte", unit: "time to first byte, p99 of 10 s",
    of: ({ colors }, color) => colors[color].p99Microseconds, format: microseconds, least: 1000 },
};

function showMeasures(status) {
  const names = Object.keys(MEASURES).filter((name) => name !== "requests" || speaksHTTP(status));
  if (!names.includes(page.measure)) page.measure = names[0];
  const choices = names.map((name) => make("label", {},
    make("input", { type: "radio", name: "measure", value: name, checked: name === page.measure }),
    MEASURES[name].name));
  show(part("measures"), part("measures").firstElementChild.cloneNode(true), choices);
}

/// About four steps of 1, 2 or 5 times a power of ten, for bytes of a power of two.
function ticks(largest, base) {
  const rough = Math.max(largest, 1e-9) / 4;
  let step = 2 ** Math.ceil(Math.log2(rough));
  if (!base) {
    const power = 10 ** Math.floor(Math.log10(rough));
    step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  }
  return Array.from({ length: Math.ceil(largest / step - 1e-9) + 1 }, (_, index) => index * step);
}

function showChart() {
  const all = [...known.samples.values()];
  const measure = MEASURES[page.measure];
  const end = Math.max(present(), all.length ? time(all.at(-1).at) : 0);
  const age = all.length ? (end - time(all[0].at)) / 1000 : 0;
  const span = [60, 120, 300, WINDOW].find((seconds) => age <= seconds) ?? WINDOW;
  const width = Math.max(280, part("chart").clientWidth);
  const box = { left: 52, right: width - 52, top: 40, bottom: 206, height: 232 };
  const x = (at) => box.left + (1 - (end - at) / (span * 1000)) * (box.right - box.left);
  const shown = all.filter((sample) => x(time(sample.at)) >= box.left);
  const values = Object.fromEntries(COLORS.map((color) => [color, shown.map((sample) => measure.of(sample, color))]));
  const marks = ticks(Math.max(measure.least ?? 1, ...values.blue, ...values.green), measure.base);
  const y = (value) => box.bottom - (value / marks.at(-1)) * (box.bottom - box.top);
  const timeAt = (place) => end - ((box.right - place) / (box.right - box.left)) * span * 1000;
  const pointed = page.pointedAt === null ? null : nearest(shown, timeAt(page.pointedAt));
  show(part("chart"), draw("svg", { viewBox: `0 0 ${width} ${box.height}`, width, height: box.height, role: "img",
    "aria-label": chartLabel(shown, values, measure, span) },
    hatching(), draw("text", { class: "unit", x: 0, y: 12 }, measure.unit), valueTicks(marks, measure, y, box),
    timeTicks(end, span, x, box), COLORS.map((color) => lines(color, shown, values[color], x, y, box)),
    switchMarks(x, box), endLabels(values, y, box), pointed && upright("pointer", x(time(pointed.at)), box)));
  showLegend(pointed ?? shown.at(-1), pointed, measure);
}

const upright = (kind, x, box) => draw("line", { class: kind, x1: x, x2: x, y1: box.top - 2, y2: box.bottom });

function hatching() {
  const turned = { width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" };
  return draw("defs", {}, draw("pattern", { id: "hatch", ...turned },
    draw("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 6 })));
}

function valueTicks(marks, measure, y, box) {
  return marks.flatMap((value) => [
    draw("line", { class: value ? "grid" : "axis", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
    draw("text", { class: "tick", x: box.left - 6, y: y(value) + 4, "text-anchor": "end" },
      value ? measure.format(value).replace("/s", "") : "0")]);
}

function timeTicks(end, span, x, box) {
  const wide = box.right - box.left > 480;
  const step = { 60: 15, 120: 30, 300: 60, [WINDOW]: 120 }[span] * (wide ? 1 : 2) * 1000;
  const format = span < 300 ? clock : clockOfMinutes;
  const parts = [];
  for (let at = Math.ceil((end - span * 1000) / step) * step; at <= end; at += step) {
    parts.push(draw("line", { class: "grid", x1: x(at), x2: x(at), y1: box.bottom, y2: box.bottom + 4 }),
      draw("text", { class: "tick", x: x(at), y: box.bottom + 18, "text-anchor": "middle" }, format.format(at)));
  }
  return parts;
}

/// The line of a color, with a gap where nothing is known.
function lines(color, shown, values, x, y, box) {
  const runs = [];
  shown.forEach((sample, index) => {
    if (values[index] === null) return;
    const isFirst = index === 0 || values[index - 1] === null
      || time(sample.at) - time(shown[index - 1].at) > (sample.seconds + 3) * 1000;
    if (isFirst) runs.push([]);
    runs.at(-1).push([x(time(sample.at)), y(values[index])].map((value) => value.toFixed(1)));
  });
  return runs.flatMap((run) => {
    const path = run.map((point) => point.join(",")).join("L");
    const area = `M${run[0][0]},${box.bottom}L${path}L${run.at(-1)[0]},${box.bottom}Z`;
    return [draw("path", { class: `area ${color}`, d: area }),
      draw("path", { class: `line ${color}`, d: `M${path}h1` })];
  });
}

/// A vertical line at each switch, with where it led; labels that would meet go to a second row, or away.
function switchMarks(x, box) {
  const edge = box.right + 52;
  const ends = [-Infinity, -Infinity];
  return known.receipts.flatMap(({ at, to, automatic }) => {
    const place = x(time(at));
    if (place < box.left || place > box.right + 2) return [];
    const text = `→ ${to}${automatic ? ", automatic" : ""}`;
    const length = text.length * 7.5;
    const isLate = place + length > edge;
    const start = isLate ? edge - length : place;
    const row = ends.findIndex((end) => start > end + 4);
    const line = upright(`switch${automatic ? " automatic" : ""}`, place, box);
    if (row < 0) return [line];
    ends[row] = start + length;
    const anchor = isLate ? { x: edge, "text-anchor": "end" } : { x: start };
    return [line, draw("text", { class: `switch ${to}`, y: box.top - 6 - 12 * row, ...anchor }, text)];
  });
}

/// The colors' names behind their lines, apart from each other.
function endLabels(values, y, box) {
  const places = COLORS.filter((color) => values[color].some((value) => value !== null))
    .map((color) => ({ color, y: y(values[color].findLast((value) => value !== null)) })).sort((a, b) => a.y - b.y);
  if (places.length === 2 && places[1].y - places[0].y < 14) {
    const middle = Math.min((places[0].y + places[1].y) / 2, box.bottom - 7);
    [places[0].y, places[1].y] = [middle - 7, middle + 7];
  }
  return places.map(({ color, y: place }) =>
    draw("text", { class: `end ${color}`, x: box.right + 6, y: place + 4 }, color));
}

function nearest(shown, at) {
  const distance = (sample) => Math.abs(time(sample.at) - at);
  return shown.reduce((best, sample) => (!best || distance(sample) < distance(best) ? sample : best), null);
}

function showLegend(sample, isPointed, measure) {
  const key = (color) => draw("svg", { class: "key", viewBox: "0 0 28 10", "aria-hidden": "true" },
    draw("line", { class: `line ${color}`, x1: 0, y1: 5, x2: 28, y2: 5 }));
  const value = (color) => {
    const figure = sample && (isPointed || !isLost()) ? measure.of(sample, color) : null;
    return figure === null ? "–" : measure.format(figure);
  };
  const of = isPointed ? `at ${clock.format(time(sample.at))}` : isLost() ? "no answer"
    : `last ${short(known.status.recent.stepSeconds)} s`;
  show(part("legend"), COLORS.map((color) => make("span", {}, key(color), `${color} `, make("b", {}, value(color)))),
    make("span", { class: "dim" }, of));
}

/// Changes at most twice a minute, so that a reader of the screen is not told numbers all the time.
function chartLabel(shown, values, measure, span) {
  const old = part("chart").firstElementChild?.getAttribute("aria-label");
  const key = `${page.measure} ${known.receipts.length}`;
  if (old && page.labelledFor === key && Date.now() - page.labelledAt < 30_000) return old;
  [page.labelledFor, page.labelledAt] = [key, Date.now()];
  const colors = COLORS.map((color) => {
    const some = values[color].filter((value) => value !== null);
    return some.length ? `${color} ${measure.format(some.at(-1))}, at most ${measure.format(Math.max(...some))}`
      : `${color} nothing`;
  });
  const since = present() - span * 1000;
  const switches = known.receipts.filter(({ at }) => time(at) >= since)
    .map(({ at, to }) => `to ${to} at ${clock.format(time(at))}`);
  return `Chart of ${measure.unit} over ${span === 60 ? "the last minute" : `the last ${span / 60} minutes`}: `
    + `${colors.join("; ")}. `
    + (switches.length ? `${plural(switches.length, "switch", "switches")}: ${switches.join(", ")}.` : "No switch.");
}
