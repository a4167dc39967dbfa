// The page's script: what is chosen, and all that is drawn of it. Every number shown stands in the data.
"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const el = (id) => document.getElementById(id);
const root = document.documentElement;
const MEASURES = ["invariance", "equivariance"];
const NARROW = 640; // pixels: a phone
const MOST_NAMES = 40; // along an axis
const FIRST_ROWS = 100; // of a table; a button shows the rest
const FIRST_ORBITS = 12;
const PALETTES = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07800", "#56b4e9", "#595959"],
  dark: ["#56b4e9", "#f38b4a", "#33c79a", "#e39cc4", "#f0c04a", "#9ad4f5", "#b5b5b5"],
};
const VIRIDIS = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50],
  [253, 231, 37],
];

const state = {
  result: 0, measure: "both", scope: "dataset", value: "score", transformation: null, alignment: "array",
  layer: 0, member: null, channel: null, image: 0, compared: new Set(data.results.map((_, place) => place)),
};
const result = () => data.results[state.result];

// --- small things

function made(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}
const fill = (node, ...children) => node.replaceChildren(...children);
// Plotly takes some text for markup: <b>, <a href>, &amp;.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const shortened = (name, longest) => (name.length <= longest ? name : `…${name.slice(1 - longest)}`);
const number = (value, digits = 3) =>
  value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−");
const counted = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
const isDark = () => getComputedStyle(root).colorScheme === "dark";
const isNarrow = () => window.innerWidth < NARROW;
const measures = () => (state.measure === "both" ? MEASURES : [state.measure]);
const main = () => (state.measure === "both" ? "equivariance" : state.measure);
const ends = () => (state.value === "corrected" ? ["corrected_low", "corrected_high"] : ["low", "high"]);
const scopeInWords = () => data.words.scopes[state.scope].title.toLowerCase();
const formulaOf = (measure) =>
  data.words.formulas[measure === "equivariance" ? measure : result().strict ? "strict" : "moved"];

function series(of, by, measure, transformation) {
  return of[by][state.alignment]?.[state.scope]?.[measure]?.[transformation] ?? null;
}

function mixed(share) {
  const place = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
  const below = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[below].map((value, part) => Math.round(value + (VIRIDIS[below + 1][part] - value) * (place - below)));
}
const INK = Array.from({ length: 256 }, (_, value) => mixed(value / 255));
const SCALE = VIRIDIS.map((rgb, place) => [place / (VIRIDIS.length - 1), `rgb(${rgb})`]);

// --- what lies packed in the page

const unpacked = new Map();
function unpack(chunk) {
  if (!unpacked.has(chunk)) {
    const packed = Uint8Array.from(atob(el(`chunk-${chunk}`).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    unpacked.set(chunk, new Response(stream).arrayBuffer());
  }
  return unpacked.get(chunk);
}

async function channelsOf(layer) {
  const chunk = result().channels[state.scope][layer];
  if (chunk === null) return null;
  const found = JSON.parse(new TextDecoder().decode(await unpack(chunk)));
  return found[state.alignment]?.[state.member] ?? null;
}

function mapsOf(layer, member = state.member) {
  return result().maps?.layers[result().layers[layer].layer]?.[member] ?? null;
}

async function smallMaps(layer, member = state.member) {
  const about = mapsOf(layer, member);
  const chunk = about?.small[state.image] ?? null;
  if (chunk === null) return null;
  const buffer = await unpack(chunk);
  const [height, width] = about.size;
  const cells = height * width;
  const channels = (buffer.byteLength - cells) / (8 + 2 * cells);
  const low = new Float32Array(buffer, 0, channels);
  const high = new Float32Array(buffer, 4 * channels, channels);
  const valid = new Uint8Array(buffer, 8 * channels, cells);
  const values = (first) => (channel) => {
    const bytes = new Uint8Array(buffer, 8 * channels + cells * (1 + first * channels + channel), cells);
    return Float32Array.from(bytes, (byte) => low[channel] + (byte / 255) * (high[channel] - low[channel]));
  };
  return { height, width, valid, channels, turned: values(0), expected: values(1) };
}

async function largePairs(layer) {
  const about = mapsOf(layer);
  const chunk = about?.large[state.image] ?? null;
  if (chunk === null) return null;
  const buffer = await unpack(chunk);
  const [height, width] = about.pair_size;
  const cells = height * width;
  const side = (first) => (pair) => new Uint8Array(buffer, cells * (1 + first * about.pairs.length + pair), cells);
  return { height, width, valid: new Uint8Array(buffer, 0, cells), turned: side(0), expected: side(1) };
}

function painted(values, maps, range, label) {
  const { height, width, valid } = maps;
  const canvas = made("canvas", { width, height, role: "img", "aria-label": label });
  const pixels = new ImageData(width, height);
  const span = range[1] - range[0] || 1;
  for (let cell = 0; cell < values.length; cell++) {
    const ink = INK[Math.min(255, Math.max(0, Math.round(((values[cell] - range[0]) / span) * 255)))];
    pixels.data.set(ink, 4 * cell);
    pixels.data[4 * cell + 3] = valid[cell] ? 255 : 0;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

// The least and the most of several maps at their valid cells: one scale for all of them.
function rangeOf(maps, ...sides) {
  let low = Infinity;
  let high = -Infinity;
  for (const values of sides) {
    for (let cell = 0; cell < values.length; cell++) {
      if (maps.valid[cell]) {
        low = Math.min(low, values[cell]);
        high = Math.max(high, values[cell]);
      }
    }
  }
  return [low, high];
}

// --- charts

const zooms = () => matchMedia("(hover: hover)").matches && !isNarrow();

function layout(more) {
  const font = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: isNarrow() ? 11 : 12.5, color: colour("text") };
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font, hovermode: "closest",
    dragmode: zooms() ? "zoom" : false,
    margin: { l: isNarrow() ? 38 : 52, r: 10, t: 30, b: 40 },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { ...font, size: 13 }, align: "left" },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", xanchor: "left" },
    showlegend: true,
    ...more,
  };
}
const CONFIG = { displaylogo: false, responsive: false, displayModeBar: false, doubleClick: "reset" };

function axis(more) {
  return {
    gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, tickcolor: colour("line"), automargin: true,
    fixedrange: isNarrow(), ...more,
  };
}

function scoreAxis(traces, more = {}) {
  const drawn = traces.flatMap((trace) => trace.y).filter((value) => value !== null && value !== undefined);
  const low = Math.min(0, ...drawn);
  return axis({ range: [low - 0.02, Math.max(1, ...drawn) + 0.03], tickformat: ".1f", dtick: 0.2, title: { text: scoreName(), standoff: 6 }, ...more });
}
const scoreName = () => (state.value === "corrected" ? "corrected score" : "score");

const clicks = new Map(); // what a click on each chart does, as it was last drawn
function draw(id, traces, its, onClick) {
  const chart = el(id);
  for (const trace of traces) if (trace.mode) trace.cliponaxis = false; // or a score of 1 is half a mark
  Plotly.react(chart, traces, { ...its, width: chart.clientWidth || undefined }, CONFIG);
  clicks.set(id, onClick);
  if (onClick && !chart.dataset.listens) {
    chart.dataset.listens = "yes";
    chart.on("plotly_click", (event) => clicks.get(id)(event.points[0]));
  }
}

// Where each layer stands along the axis, and each part's edges, with room for the part's name.
function places() {
  const layers = result().layers;
  const width = Math.max(200, el("layers-chart").clientWidth - 80);
  const runs = [];
  layers.forEach((layer, place) => {
    if (!runs.length || runs.at(-1).part !== layer.part) runs.push({ part: layer.part, layers: [] });
    runs.at(-1).layers.push(place);
  });
  const name = isNarrow() ? 32 : 46; // pixels
  const least = (name * layers.length) / Math.max(width - name * runs.length, width / 2);
  const edges = [0];
  const centres = [];
  for (const run of runs) {
    run.left = edges.at(-1);
    const step = Math.max(run.layers.length, least) / run.layers.length;
    for (const _ of run.layers) {
      centres.push(edges.at(-1) + step / 2);
      edges.push(edges.at(-1) + step);
    }
    run.right = edges.at(-1);
  }
  return { centres, edges, runs };
}

function layerAxis(at) {
  const layers = result().layers;
  const apart = (at.edges.at(-1) / (isNarrow() ? 14 : MOST_NAMES)) * 0.98;
  const named = [];
  at.centres.forEach((centre, place) => {
    if (!named.length || layers.length <= (isNarrow() ? 14 : MOST_NAMES) || centre - at.centres[named.at(-1)] >= apart) named.push(place);
  });
  return axis({
    range: [0, at.edges.at(-1)], showgrid: false, tickvals: named.map((place) => at.centres[place]),
    ticktext: named.map((place) => plain(shortened(layers[place].layer, isNarrow() ? 14 : 26))),
    tickangle: layers.length > 8 || isNarrow() ? -90 : 0, tickfont: { size: isNarrow() ? 9.5 : 11 },
  });
}

function bands(at) {
  return at.runs.map((run, place) => ({
    type: "rect", xref: "x", yref: "paper", x0: run.left, x1: run.right, y0: 0, y1: 1, line: { width: 0 }, layer: "below",
    fillcolor: place % 2 ? "rgba(0,0,0,0)" : colour("band"),
  }));
}

function partNames(at) {
  return at.runs.map((run) => ({
    x: (run.left + run.right) / 2, y: 1, xref: "x", yref: "paper", yanchor: "bottom", text: plain(run.part), showarrow: false,
    font: { size: 12, color: colour("soft") },
  }));
}

function told(layer, measure, of, place) {
  const [low, high] = ends();
  return (
    `<b>${plain(layer)}</b><br>${measure} <b>${number(of[state.value][place])}</b>` +
    (of[low][place] === null ? "" : `<br>95 %: ${number(of[low][place])} to ${number(of[high][place])}`) +
    (of.chance[place] === null ? "" : `<br>chance ${number(of.chance[place])}`)
  );
}

function bars(of, tone, thickness) {
  const [low, high] = ends();
  const to = (end, sign) => of[state.value].map((value, place) => (value === null || of[end][place] === null ? 0 : Math.max(0, sign * (of[end][place] - value))));
  return { type: "data", symmetric: false, array: to(high, 1), arrayminus: to(low, -1), color: `${tone}80`, thickness, width: 0 };
}

function markOf(measure, tone, size) {
  // Under a shift both measures are often equal: a disc inside an open square stays in sight.
  return measure === "invariance"
    ? { symbol: "circle", size: size * 0.75, color: tone }
    : { symbol: "square-open", size: size * 1.15, color: tone, line: { width: 1.5, color: tone } };
}

function drawLayers() {
  const names = result().layers.map((layer) => layer.layer);
  const at = places();
  const size = Math.min(9, Math.max(4, 420 / names.length));
  const traces = [];
  for (const measure of measures()) {
    const of = series(result(), "by_layer", measure, state.transformation);
    if (!of) continue;
    const tone = colour(measure);
    traces.push({
      name: measure, x: at.centres, y: of[state.value], mode: "lines+markers", line: { color: tone, width: 2 }, marker: markOf(measure, tone, size),
      error_y: bars(of, tone, 3), hovertext: names.map((name, place) => told(name, measure, of, place)), hovertemplate: "%{hovertext}<extra></extra>",
    });
    if (state.value === "score" && of.chance.some((value) => value !== null)) {
      traces.push({
        name: `chance of ${measure}`, x: at.centres, y: of.chance, mode: "lines", line: { color: tone, width: 1.3, dash: "dash" }, opacity: 0.8, hoverinfo: "skip",
      });
    }
  }
  const chosen = at.centres[state.layer];
  draw("layers-chart", traces, layout({
    height: isNarrow() ? 400 : 440, xaxis: layerAxis(at), yaxis: scoreAxis(traces), margin: { l: isNarrow() ? 38 : 52, r: 10, t: isNarrow() ? 74 : 52, b: 40 },
    legend: { orientation: "h", x: 0, y: 1.08, yanchor: "bottom", xanchor: "left" },
    shapes: [...bands(at), { type: "line", xref: "x", yref: "paper", x0: chosen, x1: chosen, y0: 0, y1: 1, layer: "below", line: { color: colour("soft"), width: 1, dash: "dot" } }],
    annotations: traces.length ? partNames(at) : [...partNames(at), missing()],
  }), (point) => chooseLayer(point.pointIndex));
  const formulas = measures().map((measure) => `<span class="formula">${measure}: ${formulaOf(measure)}</span>`);
  if (state.value === "corrected") formulas.push(`<span class="formula">corrected: ${data.words.formulas.corrected}</span>`);
  el("layers-formula").innerHTML = `${formulas.join("")}<br>Bars: 95 % intervals. ${state.value === "corrected" ? "0 is chance, 1 the most there is." : "Dashed: chance, the same score of images that do not belong together."} Gaps: undefined.${zooms() ? " Drag to zoom in, double-click to zoom out." : ""}`;
  el("layers-about").textContent = `${data.words.scopes[state.scope].title}. ${data.words.scopes[state.scope].meaning}`;
  label("layers-figure", `Chart: ${measures().join(" and ")} of ${counted(names.length, "layer")}, ${scopeInWords()}, ${scoreName()}, under ${state.transformation}. The numbers are in the table of scores by layer.`);
}
const missing = () => ({ x: 0.5, y: 0.5, xref: "paper", yref: "paper", showarrow: false, text: "not measured", font: { size: 14, color: colour("soft") } });
const label = (id, text) => el(id).setAttribute("aria-label", text);

function drawHeat() {
  const at = places();
  const names = result().layers.map((layer) => layer.layer);
  const members = [...new Set(Object.values(result().families).flat())];
  const shown = measures();
  const traces = [];
  const its = { xaxis: { ...layerAxis(at), anchor: `y${shown.length > 1 ? shown.length : ""}` }, annotations: partNames(at) };
  const share = 1 / shown.length;
  [...shown].reverse().forEach((measure, place) => {
    const of = members.map((member) => series(result(), "by_layer", measure, member));
    const name = place ? `${place + 1}` : "";
    const bottom = 1 - share * (place + 1);
    its[`yaxis${name}`] = axis({
      domain: [bottom + (place < shown.length - 1 ? 0.03 : 0), bottom + share - (place ? 0.03 : 0)], tickvals: members.map((_, row) => row),
      ticktext: members.map((member) => plain(shortened(member, isNarrow() ? 12 : 18))), autorange: "reversed", showgrid: false, title: { text: measure, standoff: 8 }, tickfont: { size: 11 },
    });
    traces.push({
      type: "heatmap", x: at.edges, y: members.map((_, row) => row), z: of.map((one) => one?.[state.value] ?? names.map(() => null)), yaxis: `y${name}`, zmin: 0, zmax: 1,
      colorscale: SCALE, xgap: 1, ygap: 1, showscale: place === 0, hoverongaps: false,
      colorbar: { thickness: isNarrow() ? 7 : 10, outlinewidth: 0, title: { text: isNarrow() ? "" : scoreName(), side: "right" }, tickformat: ".1f", len: 1, y: 0.5 },
      hovertext: of.map((one, row) => names.map((layer, column) => (one ? `${told(layer, measure, one, column)}<br>${plain(members[row])}` : ""))), hovertemplate: "%{hovertext}<extra></extra>",
    });
  });
  const height = 130 + shown.length * (members.length * 26 + 24);
  draw("heat-chart", traces, layout({ ...its, height, showlegend: false }), (point) => {
    state.member = members[point.pointIndex[0]];
    chooseLayer(point.pointIndex[1]);
  });
  label("heat-figure", `Heat map: ${shown.join(" and ")} of every layer under ${counted(members.length, "transformation")}, ${scopeInWords()}, ${scoreName()}. The numbers are in the table of scores by layer, one transformation at a time.`);
}

function toneOf(place) {
  const palette = PALETTES[isDark() ? "dark" : "light"];
  return palette[place % palette.length];
}
const compared = () => (data.results.length > 1 ? [...state.compared].sort((one, other) => one - other) : [0]);

function drawParts() {
  const several = data.results.length > 1;
  const parts = [...new Set(compared().flatMap((place) => data.results[place].parts))];
  const order = ["early", "middle", "late", "pool", "final"].filter((part) => parts.includes(part));
  const traces = [];
  const shown = compared().flatMap((place) => measures().map((measure) => [place, measure]));
  const step = Math.min(0.16, 0.8 / shown.length);
  shown.forEach(([place, measure], turn) => {
    const of = series(data.results[place], "by_part", measure, state.transformation);
    if (!of) return;
    const tone = several ? toneOf(place) : colour(measure);
    const its = data.results[place].parts;
    const aside = (turn - (shown.length - 1) / 2) * step;
    const x = its.map((part) => order.indexOf(part) + aside);
    const name = several ? `${data.results[place].name}: ${measure}` : measure;
    traces.push({
      name: plain(name), x, y: of[state.value], mode: "markers", marker: markOf(measure, tone, 11), error_y: bars(of, tone, 4),
      hovertext: its.map((part, row) => told(several ? `${data.results[place].name}, ${part}` : part, measure, of, row)), hovertemplate: "%{hovertext}<extra></extra>",
    });
    if (state.value === "score" && of.chance.some((value) => value !== null)) {
      traces.push({
        name: "chance", x, y: of.chance, mode: "markers", marker: { symbol: "line-ew-open", size: 14, color: tone, line: { width: 1.5, color: tone } }, hoverinfo: "skip", showlegend: false,
      });
    }
  });
  const counts = order.map((part) => (several ? plain(part) : `${plain(part)}<br>${counted(result().layers.filter((layer) => layer.part === part).length, "layer")}`));
  draw("parts-chart", traces, layout({
    height: 340 + (several ? 22 * compared().length : 0), xaxis: axis({ tickvals: order.map((_, place) => place), ticktext: counts, range: [-0.5, order.length - 0.5], showgrid: false, tickangle: 0 }), yaxis: scoreAxis(traces),
    annotations: traces.length ? [] : [missing()],
  }));
  el("parts-about").textContent = "A part's score is the mean over its layers. Bars: 95 % intervals." + (state.value === "score" ? " Short lines: chance." : "");
  label("parts-figure", `Chart: ${measures().join(" and ")} by part of the network, ${scopeInWords()}, ${scoreName()}, under ${state.transformation}. The numbers are in the table of scores by part.`);
  if (several) drawDepth();
}

function drawDepth() {
  const traces = [];
  for (const place of compared()) {
    const its = data.results[place];
    const last = Math.max(1, its.layers.length - 1);
    for (const measure of measures()) {
      const of = series(its, "by_layer", measure, state.transformation);
      if (!of) continue;
      traces.push({
        name: plain(`${its.name}: ${measure}`), x: its.layers.map((_, layer) => layer / last), y: of[state.value], mode: "lines+markers", marker: markOf(measure, toneOf(place), 6),
        line: { color: toneOf(place), width: 2, dash: measure === "invariance" && state.measure === "both" ? "dot" : "solid" },
        hovertext: its.layers.map((layer, row) => told(`${its.name}, ${layer.layer}`, measure, of, row)), hovertemplate: "%{hovertext}<extra></extra>",
      });
    }
  }
  draw("depth-chart", traces, layout({ height: 360 + 22 * compared().length, xaxis: axis({ title: { text: "relative depth" }, range: [-0.02, 1.02], showgrid: false }), yaxis: scoreAxis(traces), annotations: traces.length ? [] : [missing()] }));
  label("depth-figure", `Chart: ${measures().join(" and ")} of ${counted(compared().length, "result")} by relative depth. The numbers are in the tables.`);
}

// --- the strip of layers

function drawStrip() {
  const of = series(result(), "by_layer", main(), state.transformation);
  const groups = [];
  result().layers.forEach((layer, place) => {
    if (!groups.length || groups.at(-1).part !== layer.part) groups.push({ part: layer.part, boxes: [] });
    const value = of?.[state.value][place] ?? null;
    const ink = value === null ? null : mixed(value);
    const light = ink && 0.299 * ink[0] + 0.587 * ink[1] + 0.114 * ink[2] > 130;
    const box = made("button", {
      type: "button", "data-layer": place, "aria-pressed": String(place === state.layer), tabindex: place === state.layer ? 0 : -1,
      title: `${layer.layer}: ${number(value)}`, "aria-label": `${layer.layer}, ${main()} ${value === null ? "undefined" : number(value)}`, class: ink ? "" : "none",
      onclick: () => chooseLayer(place),
    }, value === null ? "–" : number(value, 2).replace(/^(−?)0\./, "$1."));
    if (ink) Object.assign(box.style, { background: `rgb(${ink})`, color: light ? "#111" : "#fff" });
    groups.at(-1).boxes.push(box);
  });
  fill(el("strip"), ...groups.map((group) => made("div", { role: "group", "aria-label": group.part }, made("h3", {}, group.part), made("div", { class: "boxes" }, ...group.boxes))));
  el("strip-measure").textContent = `${state.value === "corrected" ? "corrected " : ""}${main()} under ${state.transformation}`;
}

function walkStrip(event) {
  const boxes = [...el("strip").querySelectorAll("button")];
  const here = boxes.indexOf(document.activeElement);
  const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: boxes.length - 1 }[event.key];
  if (here < 0 || to === undefined || !boxes[to]) return;
  event.preventDefault();
  boxes[to].focus();
}

// --- tables

// Draws a table, and returns what marks its chosen row anew: order, focus and all that is shown stay.
function table(home, { title, file, columns, rows, sort, tall, chosen, sorted }) {
  let order = sort ?? { column: null, down: true };
  let all = false;
  let list = [];
  const mark = () => {
    sorted?.(list);
    home.querySelectorAll("tbody tr").forEach((line, place) => line.classList.toggle("chosen", Boolean(chosen?.(list[place]))));
  };
  const show = () => {
    const column = columns.find((one) => one.key === order.column);
    list = [...rows];
    if (column) {
      list.sort((one, other) => {
        const [a, b] = [one[column.key], other[column.key]];
        if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1; // undefined comes last
        if (b === null || b === undefined) return -1;
        const compared = typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
        return order.down ? -compared : compared;
      });
    }
    const shown = all ? list : list.slice(0, FIRST_ROWS);
    const head = columns.map((one) => made("th", {
      scope: "col", class: one.first || one.text ? "name" : null, "aria-sort": one.key === order.column ? (order.down ? "descending" : "ascending") : "none",
    }, made("button", {
      type: "button", onclick: (event) => {
        order = { column: one.key, down: order.column === one.key ? !order.down : !one.first && !one.text };
        const place = columns.indexOf(one);
        show();
        home.querySelectorAll("thead button")[place].focus();
        say(`${title}, sorted by ${one.name}, ${order.down ? "highest" : "lowest"} first.`);
      },
    }, one.name)));
    const body = shown.map((row) => made("tr", {}, ...columns.map((one, place) => {
      const text = row[one.key] === null || row[one.key] === undefined ? "–" : one.digits ? number(row[one.key], one.digits) : String(row[one.key]);
      const inside = one.act && row[one.key] !== null ? made("button", { type: "button", "aria-label": `${one.name} ${text}`, onclick: () => one.act(row) }, text) : text;
      return place === 0 ? made("th", { scope: "row" }, made("span", {}, inside)) : made("td", { class: one.text ? "name" : null }, inside);
    })));
    const scrolled = home.querySelector(".box")?.scrollTop ?? 0;
    fill(home,
      made("div", { class: "table-head" }, made("strong", {}, title), made("button", { type: "button", class: "csv", "aria-label": `Download as CSV: ${title}`, onclick: () => download(`${file}.csv`, csv(columns, list)) }, "CSV ↓")),
      made("div", { class: `box ${tall ? "tall" : ""}`, role: "region", tabindex: 0, "aria-label": title }, made("table", {}, made("thead", {}, made("tr", {}, ...head)), made("tbody", {}, ...body))),
    );
    if (shown.length < list.length) home.append(made("button", { type: "button", class: "more", onclick: () => { all = true; show(); } }, `Show all ${list.length.toLocaleString("en")}`));
    home.querySelector(".box").scrollTop = scrolled;
    mark();
  };
  show();
  return mark;
}

function csv(columns, rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  return [columns.map((one) => cell(one.csv ?? one.name)), ...rows.map((row) => columns.map((one) => cell(row[one.key])))].map((line) => line.join(",")).join("\r\n") + "\r\n";
}

function download(file, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  made("a", { href: address, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  say(`${file} downloaded.`);
}

const fileName = (...words) => [result().name, ...words].join("-").replace(/[^\w.-]+/g, "-").replace(/^[-.]+/, "");
const SHORT = { invariance: "inv.", equivariance: "equiv." };

function scoreColumns() {
  return measures().flatMap((measure) => [
    ["score", measure], ["low", "low"], ["high", "high"], ["chance", "chance"], ["corrected", "corrected"], ["undefined", "undefined"],
  ].map(([key, name]) => ({
    key: `${measure} ${key}`, name: key === "score" ? name : `${SHORT[measure]} ${name}`, csv: key === "score" ? measure : `${measure}_${key}`, digits: key === "undefined" ? 0 : 3,
  })));
}

function scoreRows(by, names) {
  return names.map((row, place) => {
    for (const measure of measures()) {
      const of = series(result(), by, measure, state.transformation);
      for (const key of ["score", "low", "high", "chance", "corrected", "undefined"]) row[`${measure} ${key}`] = of?.[key][place] ?? null;
    }
    return row;
  });
}

let markLayer = () => {};
function drawTables() {
  const shown = `${state.transformation}, ${scopeInWords()}`;
  markLayer = table(el("layers-table"), {
    title: `Scores by layer: ${shown}`, file: fileName("layers", state.transformation, state.scope), tall: true, chosen: (row) => row.place === state.layer,
    columns: [{ key: "layer", name: "layer", first: true, act: (row) => chooseLayer(row.place, true) }, { key: "part", name: "part", text: true }, { key: "channels", name: "channels" }, { key: "cells", name: "cells" }, ...scoreColumns()],
    rows: scoreRows("by_layer", result().layers.map((layer, place) => ({ place, layer: layer.layer, part: layer.part, channels: layer.channels, cells: layer.height * layer.width }))),
  });
  table(el("parts-table"), {
    title: `Scores by part: ${shown}`, file: fileName("parts", state.transformation, state.scope),
    columns: [{ key: "part", name: "part", first: true }, { key: "layers", name: "layers" }, ...scoreColumns()],
    rows: scoreRows("by_part", result().parts.map((part) => ({ part, layers: result().layers.filter((layer) => layer.part === part).length }))),
  });
}

// Tables that stand in the page get what the others have.
function enhance() {
  document.querySelectorAll("#about .box").forEach((box) => {
    const lines = [...box.querySelectorAll("tr")].map((line) => [...line.cells].map((cell) => cell.textContent));
    if (!lines.length) return;
    const home = made("div");
    box.replaceWith(home);
    const title = box.getAttribute("aria-label");
    table(home, {
      title: title[0].toUpperCase() + title.slice(1), file: title.replace(/\W+/g, "-"), tall: true, columns: lines[0].map((name, place) => ({ key: place, name, first: place === 0, text: true })), rows: lines.slice(1).map((line) => Object.fromEntries(line.entries())),
    });
  });
}

// --- one layer: its channels, their partners, its orbits

async function drawLayer() {
  const layer = result().layers[state.layer];
  const cells = layer.height * layer.width === 1 ? "no grid" : `${layer.height} × ${layer.width} cells`;
  const score = series(result(), "by_layer", main(), state.transformation)?.[state.value][state.layer] ?? null;
  el("layer-name").textContent = layer.layer;
  el("layer-about").textContent = [
    `${layer.part}, ${layer.type}`, counted(layer.channels, "channel"), cells, layer.stride_y === null ? null : layer.stride_y === 1 ? "a cell every pixel" : `a cell every ${layer.stride_y} pixels`,
    layer.dead ? `${layer.dead.toLocaleString("en")} constant everywhere` : null, `${scoreName()} of ${main()} under ${state.transformation} ${number(score)}`,
  ].filter(Boolean).join(" · ");
  el("layer-before").disabled = state.layer === 0;
  el("layer-after").disabled = state.layer === result().layers.length - 1;
  const about = mapsOf(state.layer);
  const there = (image) => [about.large, about.small].some((kind) => (kind[image] ?? null) !== null);
  if (about && !there(state.image)) state.image = Math.max(0, about.large.findIndex((_, image) => there(image)));
  const asked = [state.result, state.layer, state.member, state.scope, state.alignment, state.image].join();
  state.asked = asked;
  let found;
  try {
    const [channels, small, large, turned] = await Promise.all([channelsOf(state.layer), smallMaps(state.layer), largePairs(state.layer), smallMaps(state.layer, "rot90")]);
    found = { channels, small, large, turned };
  } catch (error) {
    found = { channels: null, small: null, large: null, turned: null, error: `This browser cannot unpack the data (${error.message}).` };
  }
  if (state.asked !== asked) return; // something else was chosen meanwhile
  current = found;
  drawChannels();
  drawPartners();
  drawOrbits();
  root.dataset.layer = String(state.layer);
}
let current = { channels: null };
let markChannel = () => {};

function drawChannels() {
  const { channels } = current;
  const home = el("channels-table");
  if (!channels) {
    Plotly.purge(el("channels-chart"));
    delete el("channels-chart").dataset.listens;
    el("channels-figure").hidden = true;
    fill(home, made("p", { class: "soft" }, current.error ?? "The scores of this layer's channels are in channels.parquet, not in this page."));
    return;
  }
  el("channels-figure").hidden = false;
  const rows = channels.partner.map((partner, channel) => ({
    channel, partner, equivariance: channels.equivariance[channel], invariance: channels.invariance[channel], chance: channels.chance_equivariance[channel],
  }));
  if (state.channel === null || state.channel >= rows.length) {
    const strongest = [...rows].sort((one, other) => (other.equivariance ?? -9) - (one.equivariance ?? -9));
    state.channel = (strongest.find((row) => row.partner !== null && row.partner !== row.channel) ?? strongest[0]).channel;
  }
  markChannel = table(home, {
    title: `Channels of ${shortened(result().layers[state.layer].layer, 24)} under ${state.member}`, file: fileName("channels", result().layers[state.layer].layer, state.member, state.scope),
    sort: { column: main(), down: true }, chosen: (row) => row.channel === state.channel, sorted: drawChannelChart,
    columns: [
      { key: "channel", name: "channel", first: true, act: (row) => chooseChannel(row.channel) }, { key: "equivariance", name: "equivariance", digits: 3 },
      { key: "partner", name: "partner", act: (row) => chooseChannel(row.partner) }, { key: "invariance", name: "invariance", digits: 3 },
      { key: "chance", name: "chance", csv: "chance_equivariance", digits: 3 },
    ],
    rows,
  });
}

function drawChannelChart(rows) {
  const rank = rows.map((_, place) => place + 1);
  const size = Math.min(8, Math.max(3.5, 300 / rows.length));
  const text = rows.map((row) => `<b>channel ${row.channel}</b><br>equivariance ${number(row.equivariance)}, partner ${row.partner ?? "–"}<br>invariance ${number(row.invariance)}<br>chance ${number(row.chance)}`);
  const trace = (name, key, more) => ({ name, x: rank, y: rows.map((row) => row[key]), customdata: rows.map((row) => row.channel), hovertext: text, hovertemplate: "%{hovertext}<extra></extra>", mode: "markers", ...more });
  const traces = [
    trace("invariance", "invariance", { marker: { ...markOf("invariance", colour("invariance"), size), opacity: 0.75 } }),
    trace("equivariance", "equivariance", { mode: "lines+markers", line: { color: colour("equivariance"), width: 1.2 }, marker: markOf("equivariance", colour("equivariance"), size) }),
  ];
  if (rows.some((row) => row.chance !== null)) traces.push(trace("chance of equivariance", "chance", { mode: "lines", line: { color: colour("equivariance"), width: 1, dash: "dot" }, opacity: 0.7, hoverinfo: "skip", hovertemplate: null }));
  const place = rows.findIndex((row) => row.channel === state.channel);
  const chosen = rows[place];
  if (chosen?.equivariance !== null && chosen) traces.push({ name: "chosen", x: [place + 1], y: [chosen.equivariance], mode: "markers", marker: { symbol: "circle-open", size: 15, color: colour("text"), line: { width: 2, color: colour("text") } }, hoverinfo: "skip", showlegend: false });
  draw("channels-chart", traces, layout({
    height: 350, xaxis: axis({ title: { text: "channels, in the table's order", standoff: 6 }, showgrid: false, range: [0.5 - 0.01 * rows.length, rows.length + 0.5 + 0.01 * rows.length] }), yaxis: scoreAxis(traces, { title: { text: "score of a channel", standoff: 6 } }),
  }), (point) => point.customdata !== undefined && chooseChannel(point.customdata));
  label("channels-figure", `Chart: invariance and equivariance of ${counted(rows.length, "channel")}, in the order of the table beside it.`);
}

function tile(canvas, ...caption) {
  return made("figure", { class: "tile" }, canvas, made("figcaption", {}, ...caption));
}
function math(html) {
  const span = made("span");
  span.innerHTML = html; // formulas of ours
  return span;
}
const TURNED = (channel) => `<var>f</var>(<var>T<sub>g</sub> X</var>)<sub>${channel}</sub>`;
const EXPECTED = (channel) => `<var>T′<sub>g</sub> f</var>(<var>X</var>)<sub>${channel}</sub>`;

function drawPartners() {
  const maps = result().maps;
  const about = mapsOf(state.layer);
  const layer = result().layers[state.layer];
  const kept = maps ? Object.values(maps.transformations) : [];
  const shows = Boolean(about && maps.images.length && (current.small || current.large) && current.channels);
  el("partners-shown").hidden = !shows;
  let text = "On the left what the layer makes of the transformed image, on the right what it made of the image, transformed: the nearer they are, the more equivariant the channel. One colour scale for both; hatched cells have no counterpart.";
  if (!maps) text = "No maps were kept of this result; measure with --maps 2 to see them.";
  else if (!about && layer.height * layer.width === 1) text = "This layer has no grid, and so no maps to show.";
  else if (!about && kept.includes(state.member)) text = `This layer has no maps under ${state.member}: a shift by part of a cell that was left out (subcell: exact), or one that leaves no cell valid.`;
  else if (!about) text = `Maps were kept under ${kept.join(" and ")}; choose one of these above.`;
  else if (!shows) text = "The maps of this layer are in maps.npz, not in this page.";
  if (shows && maps.images.length < maps.kept) text += ` Of ${maps.kept} images that were kept, ${maps.images.length} are in this page, and all in maps.npz.`;
  if (shows && !current.small) text += " Maps of all channels are in maps.npz, not in this page.";
  if (shows && state.alignment === "registered") text += " Here all maps are turned about the array's centre.";
  el("partners-about").textContent = text;
  if (!shows) return;
  const images = maps.images.map((_, place) => made("label", {}, made("input", { type: "radio", name: "image", value: place, checked: place === state.image, onchange: () => { state.image = place; drawLayer(); say(`Image ${place + 1}.`); } }), made("span", {}, String(place + 1))));
  if (el("image").childElementCount !== images.length) fill(el("image"), ...images);
  el("image").querySelectorAll("input").forEach((input) => { input.checked = Number(input.value) === state.image; });
  el("image").hidden = images.length < 2;
  const shown = maps.images[state.image];
  fill(el("pictures"),
    tile(made("img", { src: shown.still, alt: `Image ${state.image + 1}` }), math("<var>X</var>"), ", the image"),
    tile(made("img", { src: shown[state.member], alt: `Image ${state.image + 1} under ${state.member}` }), math("<var>T<sub>g</sub> X</var>"), `, under ${state.member}`),
  );
  drawPairs(about);
  drawChannel();
}

function drawPairs(about) {
  const { channels, large, small } = current;
  const pairs = about.pairs.map(([channel, partner], place) => {
    const maps = large ?? small;
    const sides = large ? [large.turned(place), large.expected(place)] : [small.turned(channel), small.expected(partner)];
    const range = large ? [0, 255] : rangeOf(small, ...sides);
    // The pairs are those of all images about the array's centre; so are their scores, where these are shown.
    const score = state.scope === "dataset" && state.alignment === "array" ? number(channels.equivariance[channel], 2) : "";
    return made("button", { type: "button", class: "pair", "data-channel": channel, "aria-pressed": String(channel === state.channel), onclick: () => chooseChannel(channel) },
      made("span", { class: "maps" }, painted(sides[0], maps, range, `Channel ${channel} of the transformed image`), painted(sides[1], maps, range, `Channel ${partner} of the image, transformed`)),
      made("span", { class: "legend" }, `${channel} → ${partner}${channel === partner ? " (itself)" : ""}`, made("b", {}, score)));
  });
  el("pairs-title").hidden = !pairs.length;
  el("pairs-title").textContent = pairs.length === 1 ? "The strongest pair: channel → partner, equivariance" : `The ${pairs.length} strongest pairs: channel → partner, equivariance`;
  fill(el("pairs"), ...pairs);
}

function drawChannel() {
  const { channels, small } = current;
  const channel = state.channel;
  el("channel").hidden = !small;
  if (!small) return;
  const partner = channels.partner[channel];
  el("channel-name").textContent = partner === null ? `Channel ${channel} has no partner: it is undefined` : partner === channel ? `Channel ${channel} is its own partner` : `Channel ${channel} becomes channel ${partner}`;
  el("channel-why").hidden = partner !== null;
  el("channel-why").textContent = `Undefined${state.scope === "image" ? " on every image" : ""}: its map is constant or has too few valid cells, or no channel's map of the image, transformed, is defined.`;
  el("channel-number").value = channel;
  el("channel-number").max = channels.partner.length - 1;
  el("channel-partner").disabled = partner === null || partner === channel;
  const sides = [small.turned(channel), small.expected(channel), ...(partner === null ? [] : [small.expected(partner)])];
  const range = rangeOf(small, ...sides);
  const tiles = [tile(painted(sides[0], small, range, `Channel ${channel} of the transformed image`), math(TURNED(channel)))];
  if (partner !== null) tiles.push(tile(painted(sides[2], small, range, `Its partner, channel ${partner}, of the image, transformed`), math(EXPECTED(partner)), ` the partner: equivariance `, made("strong", {}, number(channels.equivariance[channel]))));
  if (partner !== channel) tiles.push(tile(painted(sides[1], small, range, `Channel ${channel} of the image, transformed`), math(EXPECTED(channel)), result().strict ? ` the channel itself; its invariance is strict, of the map that is not turned: ` : ` the channel itself: invariance `, made("strong", {}, number(channels.invariance[channel]))));
  fill(el("channel-maps"), ...tiles);
  el("channel-maps").dataset.channel = channel;
  el("channel-maps").dataset.partner = partner ?? "";
}

function drawOrbits() {
  const layer = result().layers[state.layer];
  const measured = ["rot90", "rot180", "rot270"].every((turn) => series(result(), "by_layer", "equivariance", turn));
  el("orbits").hidden = !measured;
  if (!measured) return;
  const found = result().orbits[state.alignment]?.[layer.layer] ?? [];
  const sizes = [4, 2, 1].map((size) => found.filter((orbit) => orbit.length === size));
  el("orbits-about").textContent = found.length
    ? `Channels that map onto each other under 90, 180 and 270 degrees in turn: ${counted(sizes[0].length, "family").replace(/familys$/, "families")} of four, ${sizes[1].length} of two, and ${counted(sizes[2].length, "channel")} that ${sizes[2].length === 1 ? "stays itself" : "stay themselves"}, of ${counted(layer.channels, "channel")}; orbits.parquet lists them.`
    : "No channels of this layer map onto each other under 90, 180 and 270 degrees in turn.";
  const small = current.turned;
  const cards = [...sizes[0], ...sizes[1]].slice(0, FIRST_ORBITS).map((orbit) => {
    const canvases = small ? orbit.map((channel) => { const values = small.expected(channel); return painted(values, small, rangeOf(small, ...orbit.map(small.expected)), `Channel ${channel} of the image, turned`); }) : [];
    const buttons = orbit.map((channel) => made("button", { type: "button", "aria-label": `Channel ${channel}`, onclick: () => chooseChannel(channel) }, String(channel)));
    return made("div", { class: "orbit" }, made("p", {}, `${orbit.join(" → ")} → ${orbit[0]}`), made("div", { class: "round" }, ...canvases), made("div", { class: "round" }, ...buttons));
  });
  if (sizes[0].length + sizes[1].length > FIRST_ORBITS) cards.push(made("p", { class: "soft" }, `The first ${FIRST_ORBITS} are shown.`));
  fill(el("orbits-shown"), ...cards);
}

// --- choosing

function say(text) {
  el("said").textContent = text;
}

function chooseLayer(place, scrolls = false) {
  state.layer = Math.min(result().layers.length - 1, Math.max(0, place));
  state.channel = null;
  const focused = el("strip").contains(document.activeElement);
  drawStrip();
  if (focused) el("strip").querySelector("[aria-pressed=true]").focus();
  el("member").value = state.member;
  drawLayers();
  markLayer();
  if (scrolls) el("strip-title").scrollIntoView({ block: "start" });
  say(`Layer ${result().layers[state.layer].layer}, ${counted(result().layers[state.layer].channels, "channel")}.`);
  return drawLayer();
}

function chooseChannel(channel) {
  if (channel === null || !current.channels || !(channel >= 0 && channel < current.channels.partner.length)) return;
  state.channel = channel;
  markChannel();
  el("pairs").querySelectorAll("button").forEach((pair) => pair.setAttribute("aria-pressed", String(Number(pair.dataset.channel) === channel)));
  drawChannel();
  const partner = current.channels.partner[channel];
  say(`Channel ${channel}, equivariance ${number(current.channels.equivariance[channel])}, partner ${partner ?? "none"}.`);
}

function chooseMember() {
  const members = result().families[state.transformation] ?? [state.transformation];
  state.member = result().maps?.transformations[state.transformation] ?? members[0];
  el("member").value = state.member;
}

function options(select, names, groups) {
  const option = (name) => made("option", { value: name }, name);
  fill(select, ...(groups ? Object.entries(groups).map(([group, members]) => made("optgroup", { label: group }, option(group), ...members.filter((name) => name !== group).map(option))) : names.map(option)));
}

function chooseAlignment(alignment) {
  state.alignment = alignment;
  el("controls").querySelector(`[name=alignment][value=${alignment}]`).checked = true;
}

function chooseResult(place) {
  state.result = place;
  const its = result();
  options(el("transformation"), [], its.families);
  const members = [...new Set(Object.values(its.families).flat())];
  options(el("member"), members);
  if (![...Object.keys(its.families), ...members].includes(state.transformation)) state.transformation = Object.keys(its.families)[0];
  el("transformation").value = state.transformation;
  el("field-alignment").hidden = its.alignments.length < 2;
  if (its.alignments.length < 2) chooseAlignment("array");
  state.layer = 0;
  state.channel = null;
  state.image = 0;
  fill(el("image"));
  document.querySelectorAll(".result").forEach((node, other) => { node.hidden = other !== place; });
  chooseMember();
}

function drawAll() {
  drawStrip();
  drawLayers();
  drawHeat();
  drawParts();
  drawTables();
  return drawLayer();
}

function sayAll() {
  say(`Showing ${measures().join(" and ")}, ${scopeInWords()}, ${state.value === "corrected" ? "corrected for chance" : "raw"}, under ${state.transformation}.`);
}

function listen() {
  el("controls").addEventListener("submit", (event) => event.preventDefault());
  el("controls").addEventListener("change", (event) => {
    const { id, name, value } = event.target;
    if (id === "result") chooseResult(Number(value));
    else if (id === "transformation") { state.transformation = value; chooseMember(); }
    else state[name] = value;
    drawAll();
    sayAll();
  });
  el("member").addEventListener("change", (event) => { state.member = event.target.value; drawLayer(); say(`Channels under ${state.member}.`); });
  el("layer-before").addEventListener("click", () => chooseLayer(state.layer - 1));
  el("layer-after").addEventListener("click", () => chooseLayer(state.layer + 1));
  el("channel-number").addEventListener("change", (event) => chooseChannel(Math.round(Number(event.target.value))));
  el("channel-partner").addEventListener("click", () => chooseChannel(current.channels.partner[state.channel]));
  el("strip").addEventListener("keydown", walkStrip);
  el("theme").addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; themed(); say(`${isDark() ? "Dark" : "Light"} colours.`); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themed);
  let [width, waiting] = [innerWidth, 0];
  addEventListener("resize", () => {
    if (width === innerWidth) return; // a phone's bar comes and goes
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
}

function themed(event) {
  el("theme").textContent = isDark() ? "Light" : "Dark";
  el("theme").setAttribute("aria-pressed", String(isDark()));
  if (event !== null) drawAll();
}

function start() {
  root.classList.add("runs");
  const several = data.results.length > 1;
  el("field-result").hidden = !several;
  el("compared").hidden = !several;
  el("depth-figure").hidden = !several;
  fill(el("result"), ...data.results.map((one, place) => made("option", { value: place }, one.name)));
  fill(el("compared").querySelector(".checks"), ...data.results.map((one, place) => made("label", {}, made("input", {
    type: "checkbox", checked: true, value: place, onchange: (event) => {
      if (event.target.checked) state.compared.add(place);
      else state.compared.delete(place);
      drawParts();
      say(`${counted(state.compared.size, "result")} compared.`);
    },
  }), one.name)));
  chooseResult(0);
  themed(null);
  listen();
  enhance();
  drawStrip();
  drawLayers();
  // What lies further down is drawn once the top of the page can be seen.
  setTimeout(() => { drawHeat(); drawParts(); drawTables(); drawLayer().then(() => { root.dataset.ready = "yes"; }); });
}

start();
})();
