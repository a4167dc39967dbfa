// One layer: its channels, their partners and maps, the orbits of its channels, and the group law.
let current = { channels: null };
let markChannel = () => {};

async function drawLayer() {
  const layer = result().layers[state.layer];
  const positions = layer.height * layer.width === 1 ? "no grid" : `${layer.height} × ${layer.width} positions`;
  const score = series(result(), "by_layer", main(), state.transformation)?.[state.estimate][state.layer] ?? null;
  el("layer-name").textContent = layer.layer;
  el("layer-about").textContent = [
    `${layer.part}, ${layer.type}`, counted(layer.channels, "channel"), positions, layer.stride_y === null ? null : layer.stride_y === 1 ? "a position every pixel" : `a position every ${layer.stride_y} pixels`,
    layer.dimension === null ? null : `effective dimension ${number(layer.dimension, 1)}`, layer.dead ? `${counted(layer.dead, "constant channel")}` : null,
    `${estimate().name} of ${inWords(main())} under ${state.transformation} ${number(score)}`,
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
    const [channels, small, large, rotated] = await Promise.all([channelsOf(state.layer), smallMaps(state.layer), largePairs(state.layer), smallMaps(state.layer, "rot90")]);
    found = { channels, small, large, rotated };
  } catch (error) {
    found = { channels: null, small: null, large: null, rotated: null, error: `This browser cannot unpack the data (${error.message}).` };
  }
  if (state.asked !== asked) return; // something else was chosen meanwhile
  current = found;
  drawChannels();
  drawPartners();
  drawOrbits();
  drawLaws();
  root.dataset.layer = String(state.layer);
}

// --- its channels

// The measures of the channels shown, and the column that holds each: its scores, or the shares that it explains.
const ofChannels = () => MEASURES.filter((measure) => current.channels[columnOf(measure)]);
const columnOf = (measure) => (state.estimate === "explained" && measure in LADDER ? `explained_${measure}` : measure);
const channelMain = () => (ofChannels().includes(main()) ? main() : ofChannels().includes("equivariance") ? "equivariance" : ofChannels()[0]);
const channelValue = (measure, channel) => current.channels[columnOf(measure)]?.[channel] ?? null;

function channelRows() {
  const { channels } = current;
  return channels.partner.map((partner, channel) => {
    const row = { channel, partner, chance: channels[`chance_${channelMain()}`]?.[channel] ?? null };
    for (const measure of ofChannels()) row[measure] = channelValue(measure, channel);
    return row;
  });
}

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
  const rows = channelRows();
  const first = channelMain();
  if (state.channel === null || state.channel >= rows.length) {
    const strongest = [...rows].sort((one, other) => (other[first] ?? -9) - (one[first] ?? -9));
    state.channel = (strongest.find((row) => row.partner !== null && row.partner !== row.channel) ?? strongest[0]).channel;
  }
  const column = (measure) => ({ key: measure, name: inWords(measure), csv: columnOf(measure), digits: 3 });
  const others = ofChannels().filter((measure) => measure !== first).map(column);
  const chance = { key: "chance", name: "chance", csv: `chance_${first}`, digits: 3 };
  markChannel = table(home, {
    title: `Channels of ${shortened(result().layers[state.layer].layer, 24)} under ${state.member}${state.estimate === "explained" ? ": shares explained" : ""}`,
    file: fileName("channels", result().layers[state.layer].layer, state.member, state.scope),
    sort: { column: first, down: true }, chosen: (row) => row.channel === state.channel, sorted: drawChannelChart,
    columns: [
      { key: "channel", name: "channel", first: true, act: (row) => chooseChannel(row.channel) }, ...(first ? [column(first)] : []),
      { key: "partner", name: "partner", act: (row) => chooseChannel(row.partner) }, ...others, ...(state.estimate !== "explained" && channels[`chance_${first}`] ? [chance] : []),
    ],
    rows,
  });
}

function drawChannelChart(rows) {
  const shown = ofChannels();
  const first = channelMain();
  const rank = rows.map((_, place) => place + 1);
  const size = Math.min(8, Math.max(3.5, 300 / rows.length));
  const text = rows.map((row) => [`<b>channel ${row.channel}</b>, partner ${row.partner ?? "–"}`, ...shown.map((measure) => `${inWords(measure)} ${number(row[measure])}`), ...(row.chance === null ? [] : [`chance level ${number(row.chance)}`])].join("<br>"));
  const trace = (name, key, more) => ({ name, x: rank, y: rows.map((row) => row[key]), customdata: rows.map((row) => row.channel), hovertext: text, hovertemplate: HOVER, mode: "markers", ...more });
  const traces = shown.map((measure) => trace(inWords(measure), measure, {
    mode: measure === first ? "lines+markers" : "markers", line: { color: colour(measure), width: 1.2 }, marker: { ...markOf(measure, colour(measure), size), opacity: measure === first ? 1 : 0.75 },
  }));
  if (state.estimate !== "explained" && rows.some((row) => row.chance !== null)) traces.push(trace(`chance level of ${inWords(first)}`, "chance", { mode: "lines", line: { color: colour(first), width: 1, dash: "dot" }, opacity: 0.7, hoverinfo: "skip", hovertemplate: null }));
  const place = rows.findIndex((row) => row.channel === state.channel);
  const chosen = rows[place]?.[first] ?? null;
  if (chosen !== null) traces.push({ name: "chosen", x: [place + 1], y: [chosen], mode: "markers", marker: { symbol: "circle-open", size: 15, color: colour("text"), line: { width: 2, color: colour("text") } }, hoverinfo: "skip", showlegend: false });
  draw("channels-chart", traces, layout({
    height: 370, xaxis: axis({ title: { text: "channels, in the table's order", standoff: 6 }, showgrid: false, range: [0.5 - 0.01 * rows.length, rows.length + 0.5 + 0.01 * rows.length] }),
    yaxis: scoreAxis(traces, { title: { text: state.estimate === "explained" ? "share explained of a channel" : "score of a channel", standoff: 6 } }), annotations: shown.length ? [] : [{ ...missing(), text: "undefined" }],
  }), (point) => point.customdata !== undefined && chooseChannel(point.customdata));
  label("channels-figure", `Chart: ${joined(shown.map(inWords))} of ${counted(rows.length, "channel")}, in the order of the table beside it.`);
}

// --- their partners

function tile(canvas, ...caption) {
  return made("figure", { class: "tile" }, canvas, made("figcaption", {}, ...caption));
}
function math(html) {
  const span = made("span");
  span.innerHTML = html; // formulas of ours
  return span;
}
const TRANSFORMED = (channel) => `<var>f</var>(<var>T<sub>g</sub> X</var>)<sub>${channel}</sub>`;
const EXPECTED = (channel) => `<var>T′<sub>g</sub> f</var>(<var>X</var>)<sub>${channel}</sub>`;

// What is said of the maps of the chosen layer: what they show, or why there are none.
function aboutMaps(about, shows) {
  const maps = result().maps;
  const layer = result().layers[state.layer];
  const kept = maps ? Object.values(maps.transformations) : [];
  if (!maps) return "No maps were kept of this result; measure with --maps 2 to see them.";
  if (!about && layer.height * layer.width === 1) return "This layer has no grid, and so no maps to show.";
  if (!about && kept.includes(state.member)) return `This layer has no maps under ${state.member}: a shift that is not a whole number of positions and was left out (subpixel: exact), or one that leaves no position valid.`;
  if (!about) return `Maps were kept under ${joined(kept)}; choose one of these above.`;
  if (!shows) return "The maps of this layer are in maps.npz, not in this page.";
  return [
    "On the left the feature map of the transformed image, on the right the feature map of the image, transformed: the more alike they are, the more equivariant the channel. One colour scale for both; hatched positions have no counterpart.",
    maps.images.length < maps.kept ? `Of ${maps.kept} images that were kept, ${maps.images.length} are in this page, and all in maps.npz.` : "",
    current.small ? "" : "Maps of all channels are in maps.npz, not in this page.",
    state.alignment === "registered" ? "Here all maps are transformed about the array's centre." : "",
  ].filter(Boolean).join(" ");
}

function drawPartners() {
  const maps = result().maps;
  const about = mapsOf(state.layer);
  const shows = Boolean(about && maps.images.length && (current.small || current.large) && current.channels);
  el("partners-shown").hidden = !shows;
  el("partners-about").textContent = aboutMaps(about, shows);
  if (!shows) return;
  const images = maps.images.map((_, place) => made("label", {}, made("input", { type: "radio", name: "image", value: place, checked: place === state.image, onchange: () => { state.image = place; drawLayer(); say(`Image ${place + 1}.`); } }), made("span", {}, String(place + 1))));
  if (el("image").childElementCount !== images.length) fill(el("image"), ...images);
  el("image").querySelectorAll("input").forEach((input) => { input.checked = Number(input.value) === state.image; });
  el("image").hidden = images.length < 2;
  const shown = maps.images[state.image];
  fill(el("pictures"),
    tile(made("img", { src: shown.original, alt: `Image ${state.image + 1}` }), math("<var>X</var>"), ", the image"),
    tile(made("img", { src: shown.transformed[state.member], alt: `Image ${state.image + 1} under ${state.member}` }), math("<var>T<sub>g</sub> X</var>"), `, under ${state.member}`),
  );
  drawPairs(about);
  drawChannel();
}

function drawPairs(about) {
  const { channels, large, small } = current;
  const pairs = about.pairs.map(([channel, partner], place) => {
    const maps = large ?? small;
    const sides = large ? [large.transformed(place), large.expected(place)] : [small.transformed(channel), small.expected(partner)];
    const range = large ? [0, 255] : rangeOf(small, ...sides);
    // The pairs are those of all images about the array's centre; so are their scores, where these are shown.
    const score = state.scope === "dataset" && state.alignment === "array" && channels.equivariance ? number(channels.equivariance[channel], 2) : "";
    return made("button", { type: "button", class: "pair", "data-channel": channel, "aria-pressed": String(channel === state.channel), onclick: () => chooseChannel(channel) },
      made("span", { class: "maps" }, painted(sides[0], maps, range, `Channel ${channel} of the transformed image`), painted(sides[1], maps, range, `Channel ${partner} of the image, transformed`)),
      made("span", { class: "legend" }, `${channel} ↔ ${partner}${channel === partner ? " (itself)" : ""}`, made("b", {}, score)));
  });
  el("pairs-title").hidden = !pairs.length;
  el("pairs-title").textContent = `${pairs.length === 1 ? "The strongest pair" : `The ${pairs.length} strongest pairs`}: channel ↔ partner, equivariance`;
  fill(el("pairs"), ...pairs);
}

function drawChannel() {
  const { channels, small } = current;
  const channel = state.channel;
  el("channel").hidden = !small;
  if (!small) return;
  const partner = channels.partner[channel];
  const shown = (measure) => made("strong", {}, number(channels[measure]?.[channel] ?? null));
  el("channel-name").textContent = partner === null ? `Channel ${channel} is undefined and has no partner` : partner === channel ? `Channel ${channel} is its own partner` : `Channel ${channel} matches its partner, channel ${partner}`;
  el("channel-why").textContent = partner === null ? `Undefined${state.scope === "image" ? " on every image" : ""}: it is constant, of the transformed image or of the image, or has too few valid positions.` : channels.linear ? `Linear ${number(channels.linear[channel])}: a linear combination of channels, of which no single map can be shown.` : "";
  el("channel-why").hidden = !el("channel-why").textContent;
  el("channel-number").value = channel;
  el("channel-number").max = channels.partner.length - 1;
  el("channel-partner").disabled = partner === null || partner === channel;
  const sides = [small.transformed(channel), small.expected(channel), ...(partner === null ? [] : [small.expected(partner)])];
  const range = rangeOf(small, ...sides);
  const tiles = [tile(painted(sides[0], small, range, `Channel ${channel} of the transformed image`), math(TRANSFORMED(channel)))];
  if (partner !== null) tiles.push(tile(painted(sides[2], small, range, `Its partner, channel ${partner}, of the image, transformed`), math(EXPECTED(partner)), " the partner: equivariance ", shown("equivariance")));
  if (partner !== channel) tiles.push(tile(painted(sides[1], small, range, `Channel ${channel} of the image, transformed`), math(EXPECTED(channel)), " the channel itself: invariance ", shown("invariance")));
  fill(el("channel-maps"), ...tiles);
  el("channel-maps").dataset.channel = channel;
  el("channel-maps").dataset.partner = partner ?? "";
}

// --- the orbits of its channels, and the group law

function drawOrbits() {
  const layer = result().layers[state.layer];
  const measured = result().scopes.includes("dataset") && ["rot90", "rot180", "rot270"].every((turn) => series(result(), "by_layer", "equivariance", turn));
  el("orbits").hidden = !measured;
  if (!measured) return;
  const found = result().orbits[state.alignment]?.[layer.layer] ?? [];
  const [fours, twos, ones] = [4, 2, 1].map((size) => found.filter((orbit) => orbit.length === size));
  el("orbits-about").textContent = found.length
    ? `Channels that match one another under 90, 180 and 270 degrees in turn: ${counted(fours.length, "orbit")} of four, ${twos.length} of two, and ${counted(ones.length, "channel")} that ${ones.length === 1 ? "stays itself" : "stay themselves"}, of ${counted(layer.channels, "channel")}; orbits.parquet lists them.`
    : "No channels of this layer match one another under 90, 180 and 270 degrees in turn.";
  const small = current.rotated;
  const cards = [...fours, ...twos].slice(0, FIRST_ORBITS).map((orbit) => {
    const canvases = small ? orbit.map((channel) => painted(small.expected(channel), small, rangeOf(small, ...orbit.map(small.expected)), `Channel ${channel} of the image, rotated`)) : [];
    const buttons = orbit.map((channel) => made("button", { type: "button", "aria-label": `Channel ${channel}`, onclick: () => chooseChannel(channel) }, String(channel)));
    return made("div", { class: "orbit" }, made("p", {}, `${orbit.join(" → ")} → ${orbit[0]}`), made("div", { class: "round" }, ...canvases), made("div", { class: "round" }, ...buttons));
  });
  if (fours.length + twos.length > FIRST_ORBITS) cards.push(made("p", { class: "soft" }, `The first ${FIRST_ORBITS} are shown.`));
  fill(el("orbits-shown"), ...cards);
}

function drawLaws() {
  const layer = result().layers[state.layer].layer;
  const laws = result().laws[layer];
  el("laws").hidden = !laws;
  if (!laws) return;
  el("laws-about").innerHTML = data.words.law;
  table(el("laws-table"), {
    title: `Group law of ${shortened(layer, 24)}: shares of the variance explained`, file: fileName("laws", layer), tall: true,
    columns: [
      { key: "first", name: "first", first: true }, { key: "second", name: "second", text: true }, { key: "product", name: "product", text: true },
      { key: "composed", name: "composed", digits: 3 }, { key: "direct", name: "direct", digits: 3 },
    ],
    rows: laws.first.map((first, place) => ({ first, second: laws.second[place], product: laws.product[place], composed: laws.composed[place], direct: laws.direct[place] })),
  });
}
