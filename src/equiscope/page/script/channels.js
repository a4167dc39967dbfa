// One layer: its channels as sorted curves and as a table, the orbits of its channels, and the group law.
let current = { channels: null, matched: null, small: null, large: null, rotated: null };
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
    const [channels, matched, small, large, rotated] = await Promise.all([
      channelsOf(state.layer, state.scope, state.alignment, state.member), channelsOf(state.layer, "dataset", "array", state.member),
      smallMaps(state.layer), largePairs(state.layer), smallMaps(state.layer, "rot90"),
    ]);
    found = { channels, matched, small, large, rotated };
  } catch (error) {
    found = { channels: null, matched: null, small: null, large: null, rotated: null, error: `This browser cannot unpack the data (${error.message}).` };
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
const columnOf = (measure) => (state.estimate === "explained" && LADDER.includes(measure.replace("alone_", "")) ? `explained_${measure}` : measure);
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
  el("channels-figure").hidden = !channels;
  if (!channels) {
    fill(home, made("p", { class: "soft" }, current.error ?? "The scores of this layer’s channels are in channels.parquet, not in this page."));
    return;
  }
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
    title: `Channels under ${state.member}${state.estimate === "explained" ? ": shares explained" : ""}`, file: fileName("channels", result().layers[state.layer].layer, state.member, state.scope),
    sort: { column: first, down: true }, chosen: (row) => row.channel === state.channel,
    columns: [
      { key: "channel", name: "channel", first: true, act: (row) => chooseChannel(row.channel) }, ...(first ? [column(first)] : []),
      { key: "partner", name: "partner", act: (row) => chooseChannel(row.partner) }, ...others, ...(state.estimate !== "explained" && channels[`chance_${first}`] ? [chance] : []),
    ],
    rows,
  });
  drawChannelChart();
}

// A curve for each measure, its channels from the highest to the lowest: the place along the axis is a rank, not a channel.
function drawChannelChart() {
  const first = channelMain();
  const shown = ofChannels().map((measure) => [measure, ranked(measure)]).filter(([, rows]) => rows.length);
  const chance = state.estimate === "explained" ? [] : (current.channels[`chance_${first}`] ?? []).filter((value) => value !== null).sort((one, other) => other - one);
  const width = widthAt("channels-chart");
  const frame = { left: leftMargin(), right: width - 10, top: 10, bottom: 290 };
  const range = scoreRange([...shown.flatMap(([, rows]) => rows.map((row) => row.value)), ...chance]);
  const { y, nodes } = valueAxis(frame, range.low, range.high, range.ticks, state.estimate === "explained" ? "share explained" : "score");
  const count = current.channels.partner.length;
  const x = (rank) => frame.left + ((rank + 0.5) / count) * (frame.right - frame.left);
  const content = [...nodes];
  const level = lookOf(first ?? "equivariance");
  if (chance.length) content.push(...chanceLine(level, chance.map((value, rank) => [x(rank), y(value)])));
  for (const [measure, rows] of shown) content.push(...channelCurve(lookOf(measure), rows.map((row, rank) => [x(rank), y(row.value)]), count));
  for (const [measure, rows] of shown) {
    const rank = rows.findIndex((row) => row.channel === state.channel);
    if (rank >= 0) content.push(svg("circle", { class: "ring", cx: x(rank), cy: y(rows[rank].value), r: 6, "data-measure": measure }));
  }
  for (const rank of rankTicks(count)) content.push(text(x(rank - 1), frame.bottom + 14, rank.toLocaleString("en"), { class: "tick", "text-anchor": "middle" }));
  content.push(text((frame.left + frame.right) / 2, frame.bottom + 32, `rank, of ${counted(count, "channel")}`, { class: "name", "text-anchor": "middle" }));
  if (!shown.length) content.push(missing(frame));
  keys("channels-keys", [...shown.map(([measure]) => ({ look: lookOf(measure), name: inWords(measure) })), ...(chance.length ? [{ chance: true, name: `chance level of ${inWords(first)}` }] : [])]);
  const half = (frame.right - frame.left) / count / 2;
  const stops = shown.map(([measure, rows]) => rows.map(({ channel, value }, rank) => ({
    x: x(rank) - Math.max(3, half), y: y(value) - 5, width: Math.max(6, 2 * half), height: 10, act: () => chooseChannel(channel),
    lines: [`rank ${rank + 1}: ${inWords(measure)} ${number(value)}`, `channel ${channel}, partner ${current.channels.partner[channel] ?? "none"}`],
  })));
  draw("channels-chart", frame.bottom + 42, `${joined(shown.map(([measure]) => inWords(measure)))} of ${counted(count, "channel")}, sorted; the numbers are in the table beside it.`, content, stops);
}

const ranked = (measure) => current.channels.partner.map((_, channel) => ({ channel, value: channelValue(measure, channel) })).filter((row) => row.value !== null).sort((one, other) => other.value - one.value);

// Marks where there is room for them; else a line alone.
function channelCurve(look, points, count) {
  const drawn = curve(look, points);
  return count > 40 ? drawn : [...drawn, ...points.map(([x, y]) => mark(look, x, y, 8))];
}

function rankTicks(count) {
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((one) => count / one <= 6) ?? 10000;
  return [...new Set([1, ...Array.from({ length: Math.floor(count / step) }, (_, place) => (place + 1) * step)])].filter((rank) => rank === 1 || rank >= 0.6 * step);
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
    title: "Group law: shares of the variance explained", file: fileName("laws", layer), tall: true,
    columns: [
      { key: "first", name: "first", first: true }, { key: "second", name: "second", text: true }, { key: "product", name: "product", text: true },
      { key: "composed", name: "composed", digits: 3 }, { key: "direct", name: "direct", digits: 3 },
    ],
    rows: laws.first.map((first, place) => ({ first, second: laws.second[place], product: laws.product[place], composed: laws.composed[place], direct: laws.direct[place] })),
  });
}
