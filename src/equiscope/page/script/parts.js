// Scores by part of the network, and of several results side by side by relative depth.
const compared = () => (data.results.length > 1 ? [...state.compared].sort((one, other) => one - other) : [0]);
const several = () => data.results.length > 1;

// Each measure of each result that is compared: its look, its name and its columns.
function sideBySide(by) {
  return compared().flatMap((place) => measures().flatMap((measure) => {
    const of = series(data.results[place], by, measure, state.transformation);
    if (!of || !defined(of[state.estimate])) return [];
    const name = several() ? `${data.results[place].name}: ${inWords(measure)}` : inWords(measure);
    return [{ place, measure, of, name, look: lookOf(measure, several() ? place : null) }];
  }));
}

const valuesOf = (shown) => shown.flatMap(({ of }) => [...of[state.estimate], ...(estimate().low ? of[estimate().low] : []), ...(state.estimate === "score" ? of.chance : [])]);

function drawParts() {
  const shown = sideBySide("by_part");
  const there = new Set(compared().flatMap((place) => data.results[place].parts));
  const order = ["early", "middle", "late", "pool", "final"].filter((part) => there.has(part));
  const width = widthAt("parts-chart");
  const frame = { left: leftMargin(), right: width - 8, top: 8, bottom: 268 };
  const range = scoreRange(valuesOf(shown));
  const { y, nodes } = valueAxis(frame, range.low, range.high, range.ticks, estimate().name);
  const column = (frame.right - frame.left) / Math.max(1, order.length);
  const middle = (part) => frame.left + (order.indexOf(part) + 0.5) * column;
  const step = Math.min(26, (0.85 * column) / Math.max(1, shown.length));
  const content = [...order.filter((_, place) => place % 2 === 0).map((part) => svg("rect", { class: "band", x: middle(part) - column / 2, y: frame.top, width: column, height: frame.bottom - frame.top })), ...nodes];
  const stops = order.map(() => []);
  shown.forEach(({ place, measure, of, name, look }, turn) => {
    const its = data.results[place].parts;
    const x = (row) => middle(its[row]) + (turn - (shown.length - 1) / 2) * step;
    content.push(...intervalLines(of, look, x, y, 6));
    its.forEach((part, row) => {
      const value = of[state.estimate][row];
      if (value === null) return;
      if (state.estimate === "score" && of.chance[row] !== null) content.push(line(x(row) - 8, y(of.chance[row]), x(row) + 8, y(of.chance[row]), { stroke: look.colour, "stroke-width": 1.2, "stroke-dasharray": "5 2.5" }));
      content.push(mark(look, x(row), y(value), 11));
      stops[order.indexOf(part)].push({ x: x(row) - 9, y: y(value) - 9, width: 18, height: 18, lines: described(`${part}, ${name}`, measure, of, row) });
    });
  });
  if (!shown.length) content.push(missing(frame));
  const layers = (part) => result().layers.filter((layer) => layer.part === part).length;
  order.forEach((part) => {
    content.push(text(middle(part), frame.bottom + 14, part, { class: "name", "text-anchor": "middle" }));
    if (!several()) content.push(text(middle(part), frame.bottom + 30, counted(layers(part), "layer"), { class: "tick", "text-anchor": "middle" }));
  });
  keys("parts-keys", [...shown.map(({ look, name }) => ({ look, name })), ...(state.estimate === "score" && shown.length ? [{ chance: true, name: "chance level" }] : [])]);
  draw("parts-chart", frame.bottom + 42, `${measuresInWords()} by part of the network, ${scopeInWords()}, ${estimate().name}, under ${state.transformation}; the numbers are in the table of scores by part.`, content, stops);
  el("parts-about").textContent = `A part’s score is the mean over its layers.${estimate().low ? " Bars: 95 % confidence intervals." : ""}${aboutRange(range)}`;
  if (several()) drawDepth();
}

// Where a network's layers stand by relative depth, as in the figure: feature maps from 0 to 1, the vectors after them.
const AFTER = { pool: 1.12, final: 1.25 };
const DEPTHS = { first: 0, half: 0.5, last: 1, ...AFTER };
function depths(layers) {
  const maps = layers.filter(({ part }) => !VECTORS.includes(part)).length;
  return layers.map(({ part }, row) => AFTER[part] ?? (maps > 1 ? row / (maps - 1) : 0.5));
}

function drawDepth() {
  const shown = sideBySide("by_layer");
  const width = widthAt("depth-chart");
  const frame = { left: leftMargin(), right: width - 16, top: 8, bottom: 298 };
  const range = scoreRange(valuesOf(shown));
  const { y, nodes } = valueAxis(frame, range.low, range.high, range.ticks, estimate().name);
  const content = [...nodes];
  const x = (depth) => frame.left + 8 + (depth / 1.3) * (frame.right - frame.left - 8);
  const stops = shown.map(({ place, measure, of, name, look }) => {
    const { layers } = data.results[place];
    const at = depths(layers);
    const points = layers.map((_, row) => [x(at[row]), of[state.estimate][row] === null ? null : y(of[state.estimate][row])]);
    content.push(...joinable(layers, points).flatMap((some) => curve(look, some)), ...points.filter(([, value]) => value !== null).map(([left, value]) => mark(look, left, value, 7)));
    return points.flatMap(([left, value], row) => (value === null ? [] : [{ x: left - 6, y: value - 6, width: 12, height: 12, lines: described(`${layers[row].layer}, ${name}`, measure, of, row) }]));
  });
  if (!shown.length) content.push(missing(frame));
  for (const [name, depth] of Object.entries(DEPTHS)) content.push(text(x(depth), frame.bottom + 14, name, { class: "tick", "text-anchor": "middle" }));
  content.push(text((frame.left + frame.right) / 2, frame.bottom + 32, "layer, by its relative depth", { class: "name", "text-anchor": "middle" }));
  keys("depth-keys", shown.map(({ look, name }) => ({ look, name })));
  draw("depth-chart", frame.bottom + 42, `${measuresInWords()} of ${counted(compared().length, "result")} by relative depth; the numbers are in the tables.`, content, stops);
}
