// The figures of the whole network: shares of the variance, scores by layer, by transformation, by part; the strip.

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

// --- the shares of the variance

// What stays, swaps, mixes and is lost, of each layer; what was not measured apart stays together.
function sharesOf(transformation) {
  let before = result().layers.map(() => 0);
  let names = [];
  const found = [];
  for (const [measure, name] of Object.entries(LADDER)) {
    names.push(name);
    const explained = series(result(), "by_layer", measure, transformation, "dataset")?.explained;
    if (!explained || !defined(explained)) continue;
    found.push({ name: names.join(" or "), tone: measure, whole: true, shares: explained.map((one, place) => (one === null ? null : Math.max(0, one - before[place]))) });
    before = before.map((one, place) => explained[place] ?? one);
    names = [];
  }
  if (!found.length) return [];
  const rest = before.map((one, place) => (found.every((of) => of.shares[place] === null) ? null : Math.max(0, 1 - one)));
  return [...found, { name: [...names, "lost"].join(" or "), tone: "lost", whole: !names.length, shares: rest }];
}

function drawShares() {
  const families = Object.keys(result().families);
  const asked = families.includes(state.transformation) ? families : [state.transformation];
  const panels = asked.map((family) => [family, sharesOf(family)]).filter(([, shares]) => shares.length);
  el("shares").hidden = !panels.length;
  if (!panels.length) return;
  const at = places();
  const names = result().layers.map((layer) => layer.layer);
  const last = panels.length > 1 ? panels.length : "";
  const its = { xaxis: { ...layerAxis(at), anchor: `y${last}` }, annotations: partNames(at), barmode: "stack", bargap: 0 };
  const traces = [];
  const legend = new Set();
  panels.forEach(([family, shares], panel) => {
    const name = panel ? `${panel + 1}` : "";
    const bottom = 1 - (panel + 1) / panels.length;
    its[`yaxis${name}`] = axis({
      domain: [bottom + (panel < panels.length - 1 ? 0.07 / panels.length ** 0.5 : 0), bottom + 1 / panels.length], range: [0, 1], tickvals: [0, 0.5, 1], ticktext: ["0", ".5", "1"], showgrid: false,
      fixedrange: true, title: { text: plain(shortened(family, 18)), standoff: 8 },
    });
    const text = names.map((name, place) => [`<b>${plain(name)}</b>, ${plain(family)}`, ...shares.map((of) => `${of.name} ${number(of.shares[place])}`)].join("<br>"));
    for (const of of shares) {
      const tone = colour(of.tone);
      traces.push({
        type: "bar", name: of.name, legendgroup: of.name, showlegend: !legend.has(of.name), x: at.centres, width: at.centres.map((_, place) => at.edges[place + 1] - at.edges[place]),
        y: of.shares, yaxis: `y${name}`, hovertext: text, hovertemplate: HOVER,
        opacity: of.tone === "lost" ? 1 : 0.85, marker: { color: tone, line: { width: names.length > 60 ? 0 : 1, color: colour("card") }, ...(of.whole ? {} : { pattern: { shape: "/", size: 6, solidity: 0.18, bgcolor: tone, fgcolor: colour("mixed") } }) },
      });
      legend.add(of.name);
    }
  });
  const [left, right] = [at.edges[state.layer], at.edges[state.layer + 1]];
  draw("shares-chart", traces, layout({
    ...its, height: 100 + panels.length * (isNarrow() ? 130 : panels.length > 1 ? 170 : 260), margin: { l: isNarrow() ? 38 : 52, r: 10, t: isNarrow() ? 60 : 52, b: 40 },
    legend: { orientation: "h", x: 0, y: 1 + 22 / (panels.length * 170), yanchor: "bottom", xanchor: "left", traceorder: "normal" },
    shapes: [{ type: "rect", xref: "x", yref: "paper", x0: left, x1: right, y0: 0, y1: 1, line: { color: colour("text"), width: 1.5 } }],
  }), (point) => chooseLayer(point.pointIndex));
  const apart = [...legend].filter((name) => name.includes(" or "));
  el("shares-caption").textContent = `Each column is a layer, in order of execution. ${aboutGaps()}${apart.length ? ` Hatched: not divided further, as not every measure was made.` : ""}`;
  label("shares-figure", `Chart: the shares of the variance of ${counted(names.length, "layer")} that are ${joined([...legend])}, under ${joined(panels.map(([family]) => family))}. The numbers are in the columns explained of the table of scores by layer.`);
}

// --- scores by layer

function drawLayers() {
  const names = result().layers.map((layer) => layer.layer);
  const at = places();
  const size = Math.min(9, Math.max(4, 420 / names.length));
  const traces = [];
  const [shown, without] = [[], []];
  for (const measure of measures()) {
    const of = series(result(), "by_layer", measure, state.transformation);
    if (!of || !defined(of[state.estimate])) {
      without.push(inWords(measure));
      continue;
    }
    shown.push(measure);
    const tone = colour(measure);
    traces.push({
      name: inWords(measure), x: at.centres, y: of[state.estimate], mode: "lines+markers", line: { color: tone, width: 2 }, marker: markOf(measure, tone, size),
      error_y: intervals(of, tone, 3), hovertext: names.map((name, place) => described(name, measure, of, place)), hovertemplate: HOVER,
    });
    if (state.estimate === "score" && defined(of.chance)) {
      traces.push({
        name: `chance level of ${inWords(measure)}`, x: at.centres, y: of.chance, mode: "lines", line: { color: tone, width: 1.3, dash: "dash" }, opacity: 0.8, hoverinfo: "skip",
        legendgroup: "chance", showlegend: false,
      });
    }
  }
  if (traces.some((trace) => trace.legendgroup)) {
    traces.push({ name: "chance level", legendgroup: "chance", x: [null], y: [null], mode: "lines", line: { color: colour("soft"), width: 1.3, dash: "dash" } });
  }
  const chosen = at.centres[state.layer];
  draw("layers-chart", traces, layout({
    height: isNarrow() ? 420 : 440, xaxis: layerAxis(at), yaxis: scoreAxis(traces), margin: { l: isNarrow() ? 38 : 52, r: 10, t: isNarrow() ? 90 : 52, b: 40 },
    legend: { orientation: "h", x: 0, y: 1.08, yanchor: "bottom", xanchor: "left" },
    shapes: [...bands(at), { type: "line", xref: "x", yref: "paper", x0: chosen, x1: chosen, y0: 0, y1: 1, layer: "below", line: { color: colour("soft"), width: 1, dash: "dot" } }],
    annotations: traces.length ? partNames(at) : [...partNames(at), missing()],
  }), (point) => chooseLayer(point.pointIndex));
  el("layers-caption").innerHTML = `${formulas(shown)}<br>${aboutEstimate()} ${aboutGaps()}${zooms() ? " Drag to zoom in, double-click to zoom out." : ""}`;
  if (without.length) el("layers-caption").append(` No ${estimate().name} of ${joined(without)} under ${state.transformation}.`);
  el("layers-about").textContent = `${data.words.scopes[state.scope].title}. ${data.words.scopes[state.scope].meaning}`;
  label("layers-figure", `Chart: ${measuresInWords()} of ${counted(names.length, "layer")}, ${scopeInWords()}, ${estimate().name}, under ${state.transformation}. The numbers are in the table of scores by layer.`);
}

function formulas(shown) {
  const literal = state.estimate === "in_sample" ? { equivariance: data.words.formulas.in_sample } : {};
  return shown.map((measure) => `<span class="formula">${inWords(measure)}: ${literal[measure] ?? data.words.formulas[measure]}</span>`).join("");
}

const aboutEstimate = () => ({
  score: "Bars: 95 % confidence intervals. Dashed: chance level (mismatched image pairs).",
  explained: "The share of a channel’s variance that is explained, on images that no map was fitted on. Bars: 95 % confidence intervals.",
  in_sample: "The literal definition: partners are chosen on the same images that they are scored on, so equivariance is biased upward, the more so the more channels and the fewer images there are.",
})[state.estimate];

const aboutGaps = () => (state.shifts === "whole" ? "Gaps: undefined, or not a whole number of positions." : "Gaps: undefined.");

// --- by transformation

// A panel for each measure, from top to bottom, of the transformations that it was measured under.
function drawHeat() {
  const at = places();
  const names = result().layers.map((layer) => layer.layer);
  const members = [...new Set(Object.values(result().families).flat())];
  const shown = measures()
    .map((measure) => [measure, members.map((member) => [member, series(result(), "by_layer", measure, member)]).filter(([, of]) => of && defined(of[state.estimate]))])
    .filter(([, rows]) => rows.length);
  const gap = 1; // rows between panels
  const all = shown.reduce((count, [, rows]) => count + rows.length + gap, -gap);
  const its = { xaxis: { ...layerAxis(at), anchor: `y${shown.length > 1 ? shown.length : ""}` }, annotations: shown.length ? partNames(at) : [missing()] };
  const traces = [];
  let top = 1;
  shown.forEach(([measure, rows], panel) => {
    const name = panel ? `${panel + 1}` : "";
    its[`yaxis${name}`] = axis({
      domain: [Math.max(0, top - rows.length / all), top], tickvals: rows.map((_, row) => row), ticktext: rows.map(([member]) => plain(shortened(member, isNarrow() ? 12 : 18))),
      autorange: "reversed", showgrid: false, title: { text: inWords(measure), standoff: 8 }, tickfont: { size: 11 },
    });
    top -= (rows.length + gap) / all;
    traces.push({
      type: "heatmap", name: inWords(measure), x: at.edges, y: rows.map((_, row) => row), z: rows.map(([, of]) => of[state.estimate]), yaxis: `y${name}`, zmin: 0, zmax: 1,
      colorscale: SCALE, xgap: 1, ygap: 1, showscale: panel === 0, hoverongaps: false,
      colorbar: { thickness: isNarrow() ? 7 : 10, outlinewidth: 0, title: { text: isNarrow() ? "" : estimate().name, side: "right" }, tickformat: ".1f", len: 1, y: 0.5 },
      hovertext: rows.map(([member, of]) => names.map((layer, column) => `${described(layer, measure, of, column)}<br>${plain(member)}`)), hovertemplate: HOVER,
    });
  });
  const height = 130 + Math.max(120, all * 26);
  draw("heat-chart", traces, layout({ ...its, height, showlegend: false }), (point) => {
    const [, rows] = shown[point.curveNumber];
    state.member = rows[point.pointIndex[0]][0];
    chooseLayer(point.pointIndex[1]);
  });
  label("heat-figure", `Heat map: ${joined(shown.map(([measure]) => inWords(measure)))} of every layer under ${counted(members.length, "transformation")}, ${scopeInWords()}, ${estimate().name}. The numbers are in the table of scores by layer, one transformation at a time.`);
}

// --- by part, and by depth

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
    if (!of || !defined(of[state.estimate])) return;
    const tone = several ? toneOf(place) : colour(measure);
    const its = data.results[place].parts;
    const aside = (turn - (shown.length - 1) / 2) * step;
    const x = its.map((part) => order.indexOf(part) + aside);
    const name = several ? `${data.results[place].name}: ${inWords(measure)}` : inWords(measure);
    traces.push({
      name: plain(name), x, y: of[state.estimate], mode: "markers", marker: markOf(measure, tone, 11), error_y: intervals(of, tone, 4),
      hovertext: its.map((part, row) => described(several ? `${data.results[place].name}, ${part}` : part, measure, of, row)), hovertemplate: HOVER,
    });
    if (state.estimate === "score" && defined(of.chance)) {
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
  el("parts-about").textContent = `A part's score is the mean over its layers.${estimate().low ? " Bars: 95 % confidence intervals." : ""}${state.estimate === "score" ? " Short lines: chance level (mismatched image pairs)." : ""}`;
  label("parts-figure", `Chart: ${measuresInWords()} by part of the network, ${scopeInWords()}, ${estimate().name}, under ${state.transformation}. The numbers are in the table of scores by part.`);
  if (several) drawDepth();
}

const DASHES = { invariance: "dot", equivariance: "solid", linear: "dash", strict_invariance: "longdashdot" };
function drawDepth() {
  const traces = [];
  for (const place of compared()) {
    const its = data.results[place];
    const last = Math.max(1, its.layers.length - 1);
    for (const measure of measures()) {
      const of = series(its, "by_layer", measure, state.transformation);
      if (!of || !defined(of[state.estimate])) continue;
      traces.push({
        name: plain(`${its.name}: ${inWords(measure)}`), x: its.layers.map((_, layer) => layer / last), y: of[state.estimate], mode: "lines+markers", marker: markOf(measure, toneOf(place), 6),
        line: { color: toneOf(place), width: 2, dash: state.measure === "all" ? DASHES[measure] : "solid" },
        hovertext: its.layers.map((layer, row) => described(`${its.name}, ${layer.layer}`, measure, of, row)), hovertemplate: HOVER,
      });
    }
  }
  draw("depth-chart", traces, layout({ height: 360 + 22 * compared().length, xaxis: axis({ title: { text: "relative depth" }, range: [-0.02, 1.02], showgrid: false }), yaxis: scoreAxis(traces), annotations: traces.length ? [] : [missing()] }));
  label("depth-figure", `Chart: ${measuresInWords()} of ${counted(compared().length, "result")} by relative depth. The numbers are in the tables.`);
}

// --- the strip of layers

function drawStrip() {
  const of = series(result(), "by_layer", main(), state.transformation);
  const groups = [];
  result().layers.forEach((layer, place) => {
    if (!groups.length || groups.at(-1).part !== layer.part) groups.push({ part: layer.part, boxes: [] });
    const score = of?.[state.estimate][place] ?? null;
    const ink = score === null ? null : mixed(score);
    const light = ink && 0.299 * ink[0] + 0.587 * ink[1] + 0.114 * ink[2] > 130;
    const box = made("button", {
      type: "button", "data-layer": place, "aria-pressed": String(place === state.layer), tabindex: place === state.layer ? 0 : -1,
      title: `${layer.layer}: ${number(score)}`, "aria-label": `${layer.layer}, ${inWords(main())} ${score === null ? "undefined" : number(score)}`, class: ink ? "" : "none",
      onclick: () => chooseLayer(place),
    }, score === null ? "–" : number(score, 2).replace(/^(−?)0\./, "$1."));
    if (ink) Object.assign(box.style, { background: `rgb(${ink})`, color: light ? "#111" : "#fff" });
    groups.at(-1).boxes.push(box);
  });
  fill(el("strip"), ...groups.map((group) => made("div", { role: "group", "aria-label": group.part }, made("h3", {}, group.part), made("div", { class: "boxes" }, ...group.boxes))));
  el("strip-measure").textContent = `${inWords(main())} (${estimate().name}) under ${state.transformation}`;
}

function walkStrip(event) {
  const boxes = [...el("strip").querySelectorAll("button")];
  const here = boxes.indexOf(document.activeElement);
  const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: boxes.length - 1 }[event.key];
  if (here < 0 || to === undefined || !boxes[to]) return;
  event.preventDefault();
  boxes[to].focus();
}
