// How every chart is drawn: an SVG as wide as its place, with axes, and stops that the pointer and the arrow keys reach.
const LINE = 16; // pixels: of text
const LONGEST = 250; // of the names below a chart; longer ones stand in full where the pointer is, and on the boxes
const pen = document.createElement("canvas").getContext("2d");

function widthOf(text, size = 12) {
  pen.font = `${size}px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif`;
  return pen.measureText(text).width * 1.04;
}

// The end of a name that is too long for so many pixels, which is what distinguishes layers.
function fitted(name, room, size = 12) {
  let text = name;
  while (text.length > 2 && widthOf(text, size) > room) text = `…${text.replace(/^…/, "").slice(1)}`;
  return text;
}

const text = (x, y, words, given = {}) => svg("text", { x, y, "dominant-baseline": "central", ...given }, words);
const line = (x1, y1, x2, y2, given = {}) => svg("line", { x1, y1, x2, y2, ...given });
const round = (value) => Math.round(value * 10) / 10;
const path = (points, given = {}) => svg("path", { d: points.map(([x, y], place) => `${place ? "L" : "M"}${round(x)} ${round(y)}`).join(""), ...given });

// The lines through what is defined: a gap where it is not.
function runs(points) {
  const found = [];
  points.forEach(([, y], place) => {
    if (y === null || y === undefined) return;
    if (!found.length || found.at(-1).last !== place - 1) found.push({ points: [] });
    found.at(-1).points.push(points[place]);
    found.at(-1).last = place;
  });
  return found.map((run) => run.points);
}

const widthAt = (id) => (state.printing ? PAPER - 30 : Math.max(240, el(id).clientWidth || el(id).parentNode.clientWidth || 600));

// Draws a chart into its place: what `content` gives, and where a pointer or the arrow keys stop: rows of
// `{ x, y, width, height, lines, act }`, `lines` being what is said there.
function draw(id, height, name, content, stops = []) {
  const home = el(id);
  const width = widthAt(id);
  const cursor = svg("rect", { class: "cursor", rx: 2, visibility: "hidden" });
  const drawing = svg("svg", { width: "100%", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name, "aria-hidden": "true" }, ...content, cursor);
  const acts = stops.flat().some((stop) => stop.act);
  const keys = acts ? "Arrow keys go through it, Enter chooses." : "Arrow keys go through it.";
  fill(home, made("div", { class: `stage ${acts ? "acts" : ""}`, tabindex: stops.length ? 0 : null, role: stops.length ? "application" : "img", "aria-roledescription": "chart", "aria-label": stops.length ? `${name} ${keys}` : name }, drawing));
  if (stops.length) listenAt(home.firstChild, drawing, cursor, stops.filter((row) => row.length), width);
}

function listenAt(stage, drawing, cursor, rows, width) {
  let at = null; // [row, column]
  const all = rows.flatMap((row, place) => row.map((stop, column) => ({ stop, at: [place, column] })));
  const scale = () => drawing.getBoundingClientRect().width / width;
  const go = (to, spoken) => {
    at = to;
    if (!at) { cursor.setAttribute("visibility", "hidden"); el("tip").hidden = true; return; }
    const stop = rows[at[0]][at[1]];
    for (const [name, value] of Object.entries({ x: stop.x, y: stop.y, width: stop.width, height: stop.height, visibility: "visible" })) cursor.setAttribute(name, value);
    const frame = drawing.getBoundingClientRect();
    tip(stop.lines, frame.left + (stop.x + stop.width / 2) * scale(), frame.top + stop.y * scale(), stop.height * scale());
    if (spoken) say(stop.lines.join(", "));
  };
  const under = (event) => {
    const frame = drawing.getBoundingClientRect();
    const [x, y] = [(event.clientX - frame.left) / scale(), (event.clientY - frame.top) / scale()];
    const away = (from, size, value) => Math.max(from - value, 0, value - from - size);
    let nearest = null;
    let least = 24; // pixels
    for (const one of all) {
      const distance = away(one.stop.x, one.stop.width, x) + away(one.stop.y, one.stop.height, y);
      if (distance < least) [nearest, least] = [one.at, distance];
    }
    return nearest;
  };
  stage.addEventListener("pointermove", (event) => go(under(event)));
  stage.addEventListener("pointerleave", () => go(null));
  stage.addEventListener("blur", () => go(null));
  stage.addEventListener("click", (event) => { const to = under(event); if (to) rows[to[0]][to[1]].act?.(); });
  stage.addEventListener("keydown", (event) => {
    const [row, column] = at ?? [0, -1];
    const last = rows[row].length - 1;
    const below = (to) => [to, Math.min(Math.max(column, 0), rows[to].length - 1)];
    const to = {
      ArrowRight: () => [row, Math.min(column + 1, last)], ArrowLeft: () => [row, Math.max(column - 1, 0)], Home: () => [row, 0], End: () => [row, last],
      ArrowDown: () => below(Math.min(row + 1, rows.length - 1)), ArrowUp: () => below(Math.max(row - 1, 0)), Escape: () => null,
    }[event.key];
    if (to) { go(to(), true); event.preventDefault(); }
    if ((event.key === "Enter" || event.key === " ") && at) {
      event.preventDefault();
      const [id, here] = [stage.parentNode.id, at];
      rows[at[0]][at[1]].act?.();
      if (document.activeElement === document.body) again(id, here);
    }
  });
  stage.stopAt = go;
}

// A choice may draw the chart anew; whoever came by the keyboard stays where they were.
function again(id, at) {
  const stage = el(id).firstChild;
  stage?.focus({ preventScroll: true });
  stage?.stopAt?.(at);
}

function tip(lines, x, y, height) {
  const home = el("tip");
  fill(home, ...lines.map((one, place) => made(place ? "span" : "b", {}, one)));
  home.hidden = false;
  const { width, height: own } = home.getBoundingClientRect();
  const left = Math.min(Math.max(8, x - width / 2), innerWidth - width - 8);
  const above = y - own - 8;
  home.style.left = `${left}px`;
  home.style.top = `${above > 4 ? above : Math.min(y + height + 8, innerHeight - own - 4)}px`;
}

// A scale of values from bottom to top: grid, numbers and what they are.
function valueAxis(frame, low, high, ticks, name) {
  const y = (value) => frame.bottom - ((value - low) / (high - low)) * (frame.bottom - frame.top);
  const digits = ticks.some((tick) => Math.abs(tick * 10 - Math.round(tick * 10)) > 1e-6) ? 2 : 1;
  const short = (tick) => (tick === 0 || tick === 1 ? String(tick) : number(tick, digits).replace(/^(−?)0\./, "$1."));
  const nodes = ticks.flatMap((tick) => [
    line(frame.left, y(tick), frame.right, y(tick), { class: tick === 0 ? "axis" : "grid" }), text(frame.left - 6, y(tick), short(tick), { class: "tick", "text-anchor": "end" }),
  ]);
  if (name) nodes.push(text(0, 0, name, { class: "name", "text-anchor": "middle", transform: `translate(11 ${(frame.top + frame.bottom) / 2}) rotate(-90)` }));
  return { y, nodes };
}

// From 0 to 1 at least; from where the lowest is, where all is high.
function scoreRange(values) {
  const drawn = values.filter((one) => one !== null && one !== undefined);
  const least = Math.min(1, ...drawn);
  if (drawn.length && least > 0.8) {
    const low = Math.floor(least * 50 - 0.25) / 50;
    const step = 1 - low > 0.1 ? 0.05 : 0.02;
    return { low, high: 1.003, starts: low, ticks: steps(Math.ceil(low / step - 1e-9) * step, 1, step) };
  }
  const low = Math.min(0, least);
  return { low: low - 0.02, high: Math.max(1, ...drawn) + 0.02, starts: null, ticks: steps(Math.ceil(low * 5 - 0.01) / 5, 1, 0.2) };
}
const steps = (from, to, step) => Array.from({ length: Math.round((to - from) / step) + 1 }, (_, place) => Math.round((from + place * step) * 1000) / 1000);
const aboutRange = (range) => (range.starts === null ? "" : ` The axis starts at ${number(range.starts, 2).replace(/^0/, "")}, not at 0.`);

const missing = (frame) => text((frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2, "not measured", { class: "name", "text-anchor": "middle" });
