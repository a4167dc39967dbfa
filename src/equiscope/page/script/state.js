// What is chosen, and the data of the page. Every number shown stands in the data.
const data = JSON.parse(document.getElementById("data").textContent);
const el = (id) => document.getElementById(id);
const root = document.documentElement;
const LADDER = { invariance: "stays", equivariance: "swaps", linear: "mixes" }; // what each explains more than the one before
const MEASURES = [...Object.keys(LADDER), "strict_invariance"].filter((measure) => data.results.some((one) => one.measures.includes(measure)));
const NARROW = 640; // pixels: a phone
const MOST_NAMES = 40; // along an axis
const FIRST_ROWS = 100; // of a table; a button shows the rest
const FIRST_ORBITS = 12;
const ESTIMATES = {
  score: { name: "score", low: "low", high: "high" },
  explained: { name: "share explained", low: "explained_low", high: "explained_high" },
  in_sample: { name: "in-sample score" },
};

const state = {
  result: 0, measure: "all", scope: "dataset", estimate: "score", transformation: null, alignment: "array", shifts: "all",
  layer: 0, member: null, channel: null, image: 0, compared: new Set(data.results.map((_, place) => place)),
};
const result = () => data.results[state.result];
const measures = () => (state.measure === "all" ? MEASURES : [state.measure]);
// The one measure that a box or a row is coloured or sorted by.
const main = () => (state.measure !== "all" ? state.measure : result().measures.includes("equivariance") ? "equivariance" : result().measures[0]);
const estimate = () => ESTIMATES[state.estimate];
const inWords = (measure) => measure.replace("_", " ");
const joined = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);
const measuresInWords = () => joined(measures().map(inWords));
const scopeInWords = () => data.words.scopes[state.scope].title.toLowerCase();

// The scores of a measure as columns, a value per layer or part; null where it was not measured.
function series(of, by, measure, transformation, scope = state.scope) {
  const whole = state.shifts === "whole" && of[by].interpolated.includes(transformation);
  return of[by][whole ? "whole" : "all"][state.alignment]?.[scope]?.[measure]?.[transformation] ?? null;
}
const defined = (values) => values.some((one) => one !== null);

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
const label = (id, text) => el(id).setAttribute("aria-label", text);
const say = (text) => { el("said").textContent = text; };
// Plotly takes some text for markup: <b>, <a href>, &amp;.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const shortened = (name, longest) => (name.length <= longest ? name : `…${name.slice(1 - longest)}`);
const number = (value, digits = 3) =>
  value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−");
const counted = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
const isDark = () => getComputedStyle(root).colorScheme === "dark";
const isNarrow = () => window.innerWidth < NARROW;
