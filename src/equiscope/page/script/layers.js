// The figures of the whole network along its layers: shares of the variance, scores, transformations; and the boxes.
const VECTORS = ["pool", "final"]; // no line or area leads from one to the other, nor from a feature map to them
const GAP = 26; // pixels between panels, for the title of the next

// Where each layer stands between left and right, its edges, and the runs of layers of one part, each with room for its name.
function along(left, right) {
  const found = [];
  result().layers.forEach((layer, place) => {
    if (found.at(-1)?.part !== layer.part) found.push({ part: layer.part, first: place, count: 0 });
    found.at(-1).count += 1;
  });
  const room = right - left;
  const least = Object.fromEntries(found.map((run) => [run.first, Math.min(widthOf(run.part) + 10, room / found.length)]));
  let wide = [];
  for (let again = true; again;) { // parts whose layers alone would leave no room for the name get what it needs
    const rest = room - wide.reduce((sum, run) => sum + least[run.first], 0);
    const layers = found.filter((run) => !wide.includes(run)).reduce((sum, run) => sum + run.count, 0);
    const more = found.filter((run) => !wide.includes(run) && (run.count * rest) / layers < least[run.first]);
    again = more.length > 0;
    wide = [...wide, ...more];
    for (const run of found) run.width = wide.includes(run) ? least[run.first] : (run.count * rest) / layers;
  }
  const edges = [left];
  for (const run of found) for (let place = 0; place < run.count; place++) edges.push(edges.at(-1) + run.width / run.count);
  return { left, right, edges, runs: found, x: edges.slice(1).map((edge, place) => (edge + edges[place]) / 2) };
}

// The names of layers below a chart: side by side where they fit, else upright; as many as have room.
function namesBelow(at) {
  const names = result().layers.map((layer) => layer.layer);
  const size = isNarrow() ? 10 : 11;
  const widths = names.map((name) => widthOf(name, size));
  if (names.every((_, place) => widths[place] + 8 < at.edges[place + 1] - at.edges[place])) {
    return { height: LINE + 6, nodes: (y) => names.map((name, place) => text(at.x[place], y + 12, name, { class: "tick", "text-anchor": "middle" })), left: 0 };
  }
  const room = Math.min(isNarrow() ? 110 : LONGEST, Math.max(...widths) + 4);
  const named = [];
  at.x.forEach((x, place) => { if (!named.length || x - at.x[named.at(-1)] >= size + 1) named.push(place); });
  const nodes = (y) => named.map((place) => text(0, 0, fitted(names[place], room, size), { class: "tick", style: `font-size:${size}px`, "text-anchor": "end", transform: `translate(${round(at.x[place])} ${y + 6}) rotate(-90)` }));
  return { height: room + 10, nodes, left: names.length - named.length };
}

const aboutNames = (below) => (below.left ? ` Of ${counted(result().layers.length, "layer")}, ${result().layers.length - below.left} are named below; the boxes name them all.` : "");
const partNames = (at, y) => at.runs.map((run) => text((at.edges[run.first] + at.edges[run.first + run.count]) / 2, y, run.part, { class: "name", "text-anchor": "middle" }));
const bands = (at, top, bottom) => at.runs.filter((_, place) => place % 2 === 0).map((run) => svg("rect", { class: "band", x: at.edges[run.first], y: top, width: at.edges[run.first + run.count] - at.edges[run.first], height: bottom - top }));
const partEdges = (at, top, bottom) => at.runs.slice(1).map((run) => line(at.edges[run.first], top, at.edges[run.first], bottom, { class: "edge" }));
const chosenLayer = (at, top, bottom) => svg("rect", { class: "chosen", x: at.edges[state.layer], y: top, width: at.edges[state.layer + 1] - at.edges[state.layer], height: bottom - top });
const stopsAlong = (at, top, bottom, lines) => result().layers.map((_, place) => ({ x: at.edges[place], y: top, width: at.edges[place + 1] - at.edges[place], height: bottom - top, lines: lines(place), act: () => goToLayer(place) }));
// The points of layers that a line may join: those of feature maps, and each vector's by itself.
function joinable(layers, points) {
  const found = [];
  layers.forEach(({ part }, place) => {
    if (!place || VECTORS.includes(part) || VECTORS.includes(layers[place - 1].part)) found.push([]);
    found.at(-1).push(points[place]);
  });
  return found;
}
const leftMargin = () => (isNarrow() ? 44 : 52);

// --- the shares of the variance

// The upper borders of what stays, swaps and mixes, by layer, and the names of the areas; as in the figures.
function bordersOf(transformation, of_layers = result().by_layer) {
  const there = of_layers.all.array?.dataset ?? {};
  const measured = LADDER.filter((measure) => there[measure]?.[transformation]);
  if (!measured.includes("invariance") || !measured.includes("equivariance")) return null;
  const of = measured.map((measure) => there[measure][transformation]);
  const whole = result().layers.map((_, place) => of.every((one) => one.explained[place] !== null));
  const levels = [result().layers.map((_, place) => (whole[place] ? 0 : null))];
  for (const one of of) levels.push(one.explained.map((value, place) => (whole[place] ? Math.max(value, levels.at(-1)[place]) : null)));
  levels.push(levels[0].map((value) => (value === null ? null : 1)));
  return { of, levels, areas: [...["stays", "swaps", "mixes"].slice(0, measured.length), measured.includes("linear") ? "lost" : "rest"] };
}

// A panel for each family or for the transformation chosen, and below it the same of the baseline, if there is one.
function sharePanels() {
  const { families, baseline } = result();
  return (state.pictured ? [state.pictured] : Object.keys(families)).flatMap((family) => [
    [family, bordersOf(family)], ...(baseline ? [[`${family}, randomly initialised`, bordersOf(family, baseline)]] : []),
  ]).filter(([, found]) => found);
}

// The first and last place of each run of defined layers; a vector is a run of its own.
function definedRuns(levels) {
  const found = [];
  const vector = (place) => VECTORS.includes(result().layers[place].part);
  levels[0].forEach((value, place) => {
    if (value === null) return;
    const joins = found.length && found.at(-1)[1] === place - 1 && !vector(place) && !vector(place - 1);
    if (joins) found.at(-1)[1] = place;
    else found.push([place, place]);
  });
  return found;
}

// What interpolation leaves of what is explained, where it costs something.
const ceilingOf = (found) => (costs(found.of[0].explained_ceiling) ? found.of[0].explained_ceiling : null);

function drawShares() {
  const panels = sharePanels();
  el("shares").hidden = !panels.length && !state.pictured;
  if (!panels.length) { fill(el("shares-chart"), made("p", {}, "Not measured.")); return; }
  const width = widthAt("shares-chart");
  const at = along(leftMargin(), width - 8);
  const below = namesBelow(at);
  const high = panels.length > 1 ? (isNarrow() ? 110 : 150) : 240;
  const top = LINE + GAP;
  const content = partNames(at, LINE / 2);
  const stops = panels.map(([family, found], panel) => {
    const frame = { left: at.left, right: at.right, top: top + panel * (high + GAP), bottom: top + panel * (high + GAP) + high };
    const { y, nodes } = valueAxis(frame, 0, 1, [0, 0.5, 1], "share of variance");
    content.push(text(at.left, frame.top - 10, fitted(family, at.right - at.left), { class: "title" }));
    content.push(...nodes, ...areas(at, y, found), ...partEdges(at, frame.top, frame.bottom), ...borderMarks(at, y, found));
    const ceiling = ceilingOf(found);
    if (ceiling) content.push(...joinable(result().layers, ceiling.map((value, place) => [at.x[place], value === null ? null : y(value)])).flatMap(ceilingLine));
    content.push(chosenLayer(at, frame.top, frame.bottom));
    const shares = (place) => [
      ...found.areas.map((area, share) => `${area === "rest" ? data.words.shares.rest : area} ${found.levels[0][place] === null ? "undefined" : percent(found.levels[share + 1][place] - found.levels[share][place])}`),
      ...(ceiling && ceiling[place] !== null ? [`ceiling ${percent(ceiling[place])}`] : []),
    ];
    return stopsAlong(at, frame.top, frame.bottom, (place) => [result().layers[place].layer, `under ${family}`, ...shares(place)]);
  });
  const bottom = top + panels.length * (high + GAP) - GAP;
  content.push(...below.nodes(bottom));
  const shown = Object.keys(data.words.shares).filter((name) => panels.some(([, found]) => found.areas.includes(name)));
  keys("shares-keys", [...shown.map((area) => ({ area, name: data.words.shares[area] })), ...(panels.some(([, found]) => ceilingOf(found)) ? [{ ceiling: true, name: "ceiling" }] : [])]);
  draw("shares-chart", bottom + below.height, `Shares of the variance of ${counted(result().layers.length, "layer")}, ${joined(shown)}, under ${joined(panels.map(([family]) => family))}; the numbers are in the columns explained of the tables.`, content, stops);
  el("shares-caption").textContent = `Layers in order of execution; the share of the variance of their features, on held-out images. Bars: 95 % confidence intervals of the borders. Gaps: undefined. Framed: the layer whose channels are shown below; choose another.${aboutNames(below)}`;
}

function areas(at, y, found) {
  return definedRuns(found.levels).flatMap(([first, last]) => {
    const x = [at.edges[first], ...at.x.slice(first, last + 1), at.edges[last + 1]];
    const level = (values) => { const own = values.slice(first, last + 1); return [own[0], ...own, own.at(-1)].map((value, place) => [x[place], y(value)]); };
    const filled = found.areas.map((area, share) => path([...level(found.levels[share]), ...level(found.levels[share + 1]).reverse()], { class: area }));
    return [...filled, ...found.levels.slice(1, -1).map((values) => path(level(values), { class: "border" }))];
  });
}

// A mark on each border, and its interval; borders of one layer stand a little aside of each other.
function borderMarks(at, y, found) {
  const size = Math.min(4, Math.max(1.2, 140 / at.x.length));
  return found.of.flatMap((of, border) => at.x.flatMap((x, place) => {
    const [value, low, high] = [found.levels[border + 1][place], of.explained_low[place], of.explained_high[place]];
    if (value === null) return [];
    const aside = x + (border - (found.of.length - 1) / 2) * size;
    const interval = low === null || high === null ? [] : [line(aside, y(low), aside, y(high), { class: "interval", "stroke-width": 0.6 * size })];
    return [...interval, svg("circle", { class: "mark", cx: round(aside), cy: round(y(value)), r: 0.45 * size })];
  }));
}

// --- scores by layer

function drawLayers() {
  const names = result().layers.map((layer) => layer.layer);
  const width = widthAt("layers-chart");
  const at = along(leftMargin(), width - 8);
  const below = namesBelow(at);
  const frame = { left: at.left, right: at.right, top: LINE + 8, bottom: LINE + 8 + (state.printing || isNarrow() ? 260 : 330) };
  const all = measures().map((measure) => [measure, series(result(), "by_layer", measure, state.transformation)]);
  const shown = all.filter(([, of]) => of && defined(of[state.estimate]));
  const chances = state.estimate === "score" ? shown.filter(([, of]) => defined(of.chance)) : [];
  const ceiling = shown.map(([, of]) => of[ceilingKey()]).find(costs);
  const range = scoreRange([...shown.flatMap(([, of]) => [...of[state.estimate], ...(estimate().low ? of[estimate().low] : [])]), ...(ceiling ?? []), ...chances.flatMap(([, of]) => of.chance)]);
  const { y, nodes } = valueAxis(frame, range.low, range.high, range.ticks, estimate().name);
  const size = Math.min(10, Math.max(4.5, (0.9 * (at.right - at.left)) / names.length));
  const point = (values) => values.map((value, place) => [at.x[place], value === null ? null : y(value)]);
  const lines = (values, drawn) => joinable(result().layers, point(values)).flatMap(drawn);
  const content = [...bands(at, frame.top, frame.bottom), ...nodes, ...partNames(at, LINE / 2), chosenLayer(at, frame.top, frame.bottom)];
  for (const [measure, of] of chances) content.push(...lines(of.chance, (points) => chanceLine(lookOf(measure), points)));
  if (ceiling) content.push(...lines(ceiling, ceilingLine));
  for (const [measure, of] of shown) content.push(...intervalLines(of, lookOf(measure), (place) => at.x[place], y, 0.5 * size));
  for (const [measure, of] of shown) {
    const look = lookOf(measure);
    content.push(...lines(of[state.estimate], (points) => curve(look, points)), ...point(of[state.estimate]).filter(([, value]) => value !== null).map(([x, value]) => mark(look, x, value, size)));
  }
  if (!shown.length) content.push(missing(frame));
  keys("layers-keys", [...shown.map(([measure]) => ({ look: lookOf(measure), name: inWords(measure) })), ...(chances.length ? [{ chance: true, name: "chance level" }] : []), ...(ceiling ? [{ ceiling: true, name: "ceiling: what interpolation leaves" }] : [])]);
  const said = (place) => [names[place], ...shown.flatMap(([measure, of]) => described("", measure, of, place).slice(1, 3)), ...chances.map(([measure, of]) => `chance level of ${inWords(measure)} ${number(of.chance[place])}`)];
  const title = `${measuresInWords()} of ${counted(names.length, "layer")}, ${scopeInWords()}, ${estimate().name}, under ${state.transformation}; the numbers are in the table of scores by layer.`;
  draw("layers-chart", frame.bottom + below.height, title, [...content, ...below.nodes(frame.bottom)], [stopsAlong(at, frame.top, frame.bottom, said)]);
  const without = all.filter((one) => !shown.includes(one)).map(([measure]) => inWords(measure));
  el("layers-caption").innerHTML = `${formulas(shown.map(([measure]) => measure))}<br>${aboutEstimate()} ${aboutGaps()}`;
  el("layers-caption").append(`${aboutRange(range)}${aboutNames(below)}${without.length ? ` No ${estimate().name} of ${joined(without)} under ${state.transformation}.` : ""}`);
  el("layers-about").textContent = `${data.words.scopes[state.scope].title}. ${data.words.scopes[state.scope].meaning}`;
}

function formulas(shown) {
  const literal = state.estimate === "in_sample" ? { equivariance: data.words.formulas.in_sample } : {};
  return shown.map((measure) => `<span class="formula">${inWords(measure)}: ${literal[measure] ?? data.words.formulas[measure]}</span>`).join("");
}

const aboutEstimate = () => ({
  score: "Scores on held-out images. Bars: 95 % confidence intervals. Dashed: chance level (mismatched image pairs).",
  explained: "The share of a channel’s variance that is explained, on images that no map was fitted on. Bars: 95 % confidence intervals.",
  in_sample: "The literal definition: partners are chosen on the same images that they are scored on, so equivariance is biased upward, the more so the more channels and the fewer images there are.",
})[state.estimate];

const aboutGaps = () => (state.shifts === "whole" ? "Gaps: undefined, or not a whole number of positions." : "Gaps: undefined.");

// --- by transformation

// A panel for each measure, from top to bottom, of the transformations that it was measured under.
function drawHeat() {
  const members = membersOf(result());
  const shown = measures()
    .map((measure) => [measure, members.map((member) => [member, series(result(), "by_layer", measure, member)]).filter(([, of]) => of && defined(of[state.estimate]))])
    .filter(([, rows]) => rows.length);
  const width = widthAt("heat-chart");
  const row = 20;
  const names = shown.flatMap(([, rows]) => rows.map(([member]) => widthOf(member, 11)));
  const room = Math.min(width / 4, Math.max(30, ...names)) + 10;
  const at = along(room, width - 66);
  const below = namesBelow(at);
  const content = partNames(at, LINE / 2);
  const stops = [];
  let top = LINE + 4;
  for (const [measure, rows] of shown) {
    content.push(text(room, top + LINE / 2, inWords(measure), { class: "name" }));
    top += LINE + 2;
    for (const [member, of] of rows) {
      content.push(text(room - 6, top + row / 2, fitted(member, room - 8, 11), { class: "tick", "text-anchor": "end" }));
      of[state.estimate].forEach((value, place) => {
        if (value !== null) content.push(svg("rect", { x: round(at.edges[place]), y: top, width: round(at.edges[place + 1] - at.edges[place]), height: row, fill: `rgb(${heatAt(value)})`, class: "cell" }));
      });
      const to = top;
      stops.push(stopsAlong(at, to, to + row, (place) => [...described(result().layers[place].layer, measure, of, place), `under ${member}`]).map((stop, place) => ({ ...stop, act: () => { state.member = member; goToLayer(place); } })));
      top += row;
    }
    top += 8;
  }
  if (!shown.length) { top = 100; content.push(missing({ left: room, right: at.right, top: 30, bottom: 90 })); }
  content.push(...below.nodes(top - 8), ...colourScale(width - 52, LINE + 22, Math.max(60, top - LINE - 30)));
  draw("heat-chart", top - 8 + below.height, `Heat map of ${joined(shown.map(([measure]) => inWords(measure)))} of every layer under ${counted(members.length, "transformation")}, ${scopeInWords()}, ${estimate().name}; the numbers are in the tables, one transformation at a time.`, content, stops);
}

function colourScale(x, top, height) {
  const colours = data.heat.map((rgb, place) => svg("stop", { offset: place / (data.heat.length - 1), "stop-color": `rgb(${rgb})` }));
  return [
    svg("defs", {}, svg("linearGradient", { id: "heat-scale", x1: 0, y1: 1, x2: 0, y2: 0 }, ...colours)), svg("rect", { x, y: top, width: 10, height, fill: "url(#heat-scale)" }),
    ...[0, 0.5, 1].map((value) => text(x + 14, top + height * (1 - value), value === 0.5 ? ".5" : String(value), { class: "tick" })),
    text(0, 0, estimate().name, { class: "name", "text-anchor": "middle", transform: `translate(${x + 42} ${top + height / 2}) rotate(-90)` }),
  ];
}

// --- the boxes of layers

function drawStrip() {
  const of = series(result(), "by_layer", main(), state.transformation);
  const found = bordersOf(state.transformation);
  const groups = [];
  result().layers.forEach((layer, place) => {
    if (groups.at(-1)?.part !== layer.part) groups.push({ part: layer.part, boxes: [] });
    const score = of?.[state.estimate][place] ?? null;
    groups.at(-1).boxes.push(made("button", {
      type: "button", "data-layer": place, "aria-pressed": String(place === state.layer), tabindex: place === state.layer ? 0 : -1,
      "aria-label": `${layer.layer}, ${inWords(main())} ${score === null ? "undefined" : number(score)}`, onclick: () => chooseLayer(place),
    }, made("span", { class: "layer-name" }, ...broken(layer.layer)), made("b", {}, number(score, 2).replace(/^(−?)0\./, "$1.")), smallBar(found, place)));
  });
  fill(el("strip"), ...groups.map((group) => made("div", { role: "group", "aria-label": group.part }, made("h4", {}, group.part), made("div", { class: "boxes" }, ...group.boxes))));
  const pieces = result().layers.flatMap((layer) => layer.layer.split(/(?<=[._/])/));
  el("strip").style.setProperty("--wish", `${Math.min(220, Math.ceil(Math.max(...pieces.map((piece) => widthOf(piece, 13)))) + 56)}px`);
  el("strip-measure").textContent = `${inWords(main())} (${estimate().name}) under ${state.transformation}`;
}

function smallBar(found, place) {
  const bar = svg("svg", { width: "100%", height: 6, "aria-hidden": "true" });
  if (found && found.levels[0][place] !== null) {
    found.areas.forEach((area, share) => {
      const [from, to] = [found.levels[share][place], found.levels[share + 1][place]];
      bar.append(svg("rect", { class: area, x: `${(100 * from).toFixed(2)}%`, width: `${(100 * (to - from)).toFixed(2)}%`, height: "100%" }));
    });
  }
  return bar;
}

function walkStrip(event) {
  const boxes = [...el("strip").querySelectorAll("button")];
  const here = boxes.indexOf(document.activeElement);
  const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: boxes.length - 1 }[event.key];
  if (here < 0 || to === undefined || !boxes[to]) return;
  event.preventDefault();
  boxes[to].focus();
}
