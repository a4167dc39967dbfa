// Marks, lines and intervals, as in the figures: the looks of measures and results come with the data.
const SHAPES = {
  o: (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  s: (r) => `M${-r} ${-r}H${r}V${r}H${-r}Z`,
  "^": (r) => `M0 ${-1.1 * r}L${1.1 * r} ${0.9 * r}H${-1.1 * r}Z`,
  v: (r) => `M0 ${1.1 * r}L${1.1 * r} ${-0.9 * r}H${-1.1 * r}Z`,
  "<": (r) => `M${-1.1 * r} 0L${0.9 * r} ${1.1 * r}V${-1.1 * r}Z`,
  ">": (r) => `M${1.1 * r} 0L${-0.9 * r} ${1.1 * r}V${-1.1 * r}Z`,
  D: (r) => `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z`,
  d: (r) => `M0 ${-1.3 * r}L${0.8 * r} 0L0 ${1.3 * r}L${-0.8 * r} 0Z`,
  P: (r) => plus(r),
  X: (r) => plus(r),
  p: (r) => `M0 ${-1.15 * r}L${1.1 * r} ${-0.36 * r}L${0.68 * r} ${0.93 * r}H${-0.68 * r}L${-1.1 * r} ${-0.36 * r}Z`,
};
const plus = (r) => `M${-r / 2.5} ${-r}h${r / 1.25}v${r / 1.67}h${r / 1.67}v${r / 1.25}h${-r / 1.67}v${r / 1.67}h${-r / 1.25}v${-r / 1.67}h${-r / 1.67}v${-r / 1.25}h${r / 1.67}Z`;

// How a measure looks; where several results are side by side, in the result's colour.
function lookOf(measure, place = null) {
  const look = data.looks.measures[measure];
  return place === null ? { ...look, colour: `var(--${measure})` } : { ...look, colour: `var(--${data.looks.results[place].colour})` };
}

function mark(look, x, y, size) {
  const given = look.filled ? { fill: look.colour } : { fill: "none", stroke: look.colour, "stroke-width": 1.6 };
  const turned = look.marker === "X" ? " rotate(45)" : "";
  return svg("path", { d: SHAPES[look.marker]((look.filled ? 0.42 : 0.52) * size), transform: `translate(${round(x)} ${round(y)})${turned}`, ...given });
}

const dashes = (look, width) => (look.dash.length ? look.dash.map((part) => part * width).join(" ") : null);
const curve = (look, points, width = 1.8, more = {}) => runs(points).map((run) => path(run, { fill: "none", stroke: look.colour, "stroke-width": width, "stroke-dasharray": dashes(look, width), ...more }));
const chanceLine = (look, points) => runs(points).map((run) => {
  const ends = run.length > 1 ? run : [[run[0][0] - 8, run[0][1]], [run[0][0] + 8, run[0][1]]];
  return path(ends, { fill: "none", stroke: look.colour, "stroke-width": 1.2, "stroke-dasharray": "5 2.5", opacity: 0.85 });
});

// What interpolation leaves of a score; nothing where it costs nothing.
const costs = (values) => values.some((value) => value !== null && value < 0.9995);
const ceilingKey = () => (state.estimate === "explained" ? "explained_ceiling" : "ceiling");
const ceilingLook = { fill: "none", stroke: "var(--soft)", "stroke-width": 1.2, "stroke-dasharray": "11 3" };
const ceilingLine = (points) => runs(points).map((run) => path(run.length > 1 ? run : [[run[0][0] - 8, run[0][1]], [run[0][0] + 8, run[0][1]]], ceilingLook));

// From the low to the high end of each interval that is defined, wide and pale behind the marks.
function intervalLines(of, look, x, y, width) {
  const { low, high } = estimate();
  if (!low) return [];
  return of[low].flatMap((from, place) => (from === null || of[high][place] === null ? [] : [line(x(place), y(from), x(place), y(of[high][place]), { stroke: look.colour, "stroke-width": width, opacity: 0.4 })]));
}

// What the marks and lines of a chart mean; each entry is a look or the class of an area, and its name.
function keys(id, entries) {
  fill(el(id), ...entries.map(({ look, area, chance, ceiling, name }) => {
    const sample = ceiling ? [line(0, 7, 26, 7, ceilingLook)] : chance ? [line(0, 7, 26, 7, { stroke: "var(--soft)", "stroke-width": 1.2, "stroke-dasharray": "5 2.5" })] : look ? [...curve(look, [[0, 7], [26, 7]]), mark(look, 13, 7, 9)] : [];
    return made("li", {}, area ? made("i", { class: `swatch ${area}` }) : svg("svg", { width: 26, height: 14, "aria-hidden": "true" }, ...sample), name);
  }));
}

// The colour of a share, from 0 to 1.
function heatAt(share) {
  const place = Math.min(1, Math.max(0, share)) * (data.heat.length - 1);
  const below = Math.min(Math.floor(place), data.heat.length - 2);
  return data.heat[below].map((value, part) => Math.round(value + (data.heat[below + 1][part] - value) * (place - below)));
}
let inks = null;
const ink = (byte) => { inks ??= Array.from({ length: 256 }, (_, value) => heatAt(value / 255)); return inks[byte]; };

// What is said of a layer's or a part's score where the pointer is.
function described(name, measure, of, place) {
  const { low, high } = estimate();
  const others = { score: "score", chance: "chance level", [ceilingKey()]: "ceiling", in_sample: "in sample", explained: "explained", held_out: "held out" };
  return [
    name, `${inWords(measure)}${state.estimate === "score" ? "" : `, ${estimate().name}`} ${number(of[state.estimate][place])}`,
    ...(low && of[low][place] !== null ? [`95 % confidence interval ${number(of[low][place])} to ${number(of[high][place])}`] : []),
    ...Object.entries(others).filter(([key]) => key !== state.estimate && of[key][place] !== null && (key !== ceilingKey() || costs([of[key][place]])) && (key !== "held_out" || of.held_out[place] !== of.explained[place])).map(([key, words]) => `${words} ${number(of[key][place])}`),
  ];
}
