// How every chart is drawn: its layout, axes, marks, intervals and what is said of a point.
const PALETTES = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07800", "#56b4e9", "#595959"],
  dark: ["#56b4e9", "#f38b4a", "#33c79a", "#e39cc4", "#f0c04a", "#9ad4f5", "#b5b5b5"],
};
const CONFIG = { displaylogo: false, responsive: false, displayModeBar: false, doubleClick: "reset" };
const HOVER = "%{hovertext}<extra></extra>";
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

function axis(more) {
  return {
    gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, tickcolor: colour("line"), automargin: true,
    fixedrange: isNarrow(), ...more,
  };
}

function scoreAxis(traces, more = {}) {
  const drawn = traces.flatMap((trace) => trace.y).filter((one) => one !== null && one !== undefined);
  const low = Math.min(0, ...drawn);
  return axis({ range: [low - 0.02, Math.max(1, ...drawn) + 0.03], tickformat: ".1f", dtick: 0.2, title: { text: estimate().name, standoff: 6 }, ...more });
}

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

const missing = () => ({ x: 0.5, y: 0.5, xref: "paper", yref: "paper", showarrow: false, text: "not measured", font: { size: 14, color: colour("soft") } });

function toneOf(place) {
  const palette = PALETTES[isDark() ? "dark" : "light"];
  return palette[place % palette.length];
}

// Measures are often equal, under a shift above all: open marks of unlike sizes leave each other in sight.
function markOf(measure, tone, size) {
  const open = { color: tone, line: { width: 1.5, color: tone } };
  return {
    invariance: { symbol: "circle", size: size * 0.75, color: tone },
    equivariance: { symbol: "square-open", size: size * 1.15, ...open },
    linear: { symbol: "diamond-open", size: size * 1.4, ...open },
    strict_invariance: { symbol: "x-thin-open", size, ...open },
  }[measure];
}

function intervals(of, tone, thickness) {
  const { low, high } = estimate();
  if (!low) return { visible: false };
  const values = of[state.estimate];
  const to = (end, sign) => values.map((one, place) => (one === null || of[end][place] === null ? 0 : Math.max(0, sign * (of[end][place] - one))));
  return { type: "data", symmetric: false, array: to(high, 1), arrayminus: to(low, -1), color: `${tone}80`, thickness, width: 0 };
}

// What is said of a layer's or a part's score where the pointer is.
function described(name, measure, of, place) {
  const { low, high } = estimate();
  const more = [
    low && of[low][place] !== null ? `95 % interval ${number(of[low][place])} to ${number(of[high][place])}` : null,
    ...Object.entries({ score: "score", chance: "chance", in_sample: "in sample", explained: "explained", held_out: "held out" })
      .filter(([key]) => key !== state.estimate && of[key][place] !== null && (key !== "held_out" || of.held_out[place] !== of.explained[place]))
      .map(([key, words]) => `${words} ${number(of[key][place])}`),
  ];
  const of_estimate = state.estimate === "score" ? "" : `, ${estimate().name}`;
  return [`<b>${plain(name)}</b>`, `${inWords(measure)}${of_estimate} <b>${number(of[state.estimate][place])}</b>`, ...more.filter(Boolean)].join("<br>");
}
