// What is chosen, and small things that all else is made of. Every number shown stands in the data.
let data; // the results, words and looks, once they are unpacked
const el = (id) => document.getElementById(id);
const root = document.documentElement;
const LADDER = ["invariance", "equivariance", "linear"]; // each contains the one before
let MEASURES = [];
const NARROW = 640; // pixels: a phone
const PAPER = 700; // pixels: A4 and letter within their margins
const FIRST_ROWS = 100; // of a table; a button shows the rest
const FIRST_ORBITS = 12;
const ESTIMATES = {
  score: { name: "score", low: "low", high: "high" },
  explained: { name: "share explained", low: "explained_low", high: "explained_high" },
  in_sample: { name: "in-sample score" },
};

const state = {
  result: 0, measure: "all", scope: "dataset", estimate: "score", transformation: null, alignment: "array", shifts: "all",
  layer: 0, member: null, channel: null, image: 0, compared: new Set(), pictured: "", printing: false,
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
const membersOf = (its) => [...new Set(Object.values(its.families).flat())];

// The scores of a measure as columns, a value per layer or part; null where it was not measured.
function series(of, by, measure, transformation, scope = state.scope) {
  const whole = state.shifts === "whole" && of[by].interpolated.includes(transformation);
  return of[by][whole ? "whole" : "all"][state.alignment]?.[scope]?.[measure]?.[transformation] ?? null;
}
const defined = (values) => values.some((one) => one !== null);

// --- small things

function build(node, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}
const made = (tag, given = {}, ...children) => build(document.createElement(tag), given, children);
const svg = (tag, given = {}, ...children) => build(document.createElementNS("http://www.w3.org/2000/svg", tag), given, children);
const fill = (node, ...children) => node.replaceChildren(...children);
const label = (id, text) => el(id).setAttribute("aria-label", text);
const say = (text) => { el("said").textContent = text; };
// A name that may go on in the next line behind a dot or a line.
const broken = (name) => String(name).split(/(?<=[._/])/).flatMap((part, place) => (place ? [made("wbr"), part] : [part]));
const number = (value, digits = 3) =>
  value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−");
const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)} %`);
const counted = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
const isDark = () => getComputedStyle(root).colorScheme === "dark";
const isNarrow = () => !state.printing && window.innerWidth < NARROW;
