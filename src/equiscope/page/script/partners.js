// Partners, to be looked at: f(X), f(T_g X) and T'_g f(X) side by side, each pair with its correlation on this image and over all.
const SIDES = {
  original: { formula: (channel) => `<var>f</var>(<var>X</var>)<sub>${channel}</sub>`, of: "of the image" },
  expected: { formula: (channel) => `<var>T′<sub>g</sub> f</var>(<var>X</var>)<sub>${channel}</sub>`, of: "of the image, transformed" },
  transformed: { formula: (channel) => `<var>f</var>(<var>T<sub>g</sub> X</var>)<sub>${channel}</sub>`, of: "of the transformed image" },
};

function math(html) {
  const span = made("span");
  span.innerHTML = html; // formulas of ours
  return span;
}
const tile = (picture, ...caption) => made("figure", { class: "tile" }, picture, made("figcaption", {}, ...caption));

// The values of one side as a picture; `valid` says where they are shown, everywhere if it is null.
function painted(values, { height, width, valid }, range, words) {
  const canvas = made("canvas", { width, height, role: "img", "aria-label": words });
  const pixels = new ImageData(width, height);
  const span = range[1] - range[0] || 1;
  for (let position = 0; position < values.length; position++) {
    pixels.data.set(ink(Math.min(255, Math.max(0, Math.round(((values[position] - range[0]) / span) * 255)))), 4 * position);
    pixels.data[4 * position + 3] = valid === null || valid[position] ? 255 : 0;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

// The least and the most of several sides at their valid positions: one scale for all of them.
function rangeOf({ valid }, ...sides) {
  let [low, high] = [Infinity, -Infinity];
  for (const values of sides) {
    for (let position = 0; position < values.length; position++) {
      if (!valid[position]) continue;
      low = Math.min(low, values[position]);
      high = Math.max(high, values[position]);
    }
  }
  return [low, high];
}

const everywhere = (maps) => ({ ...maps, valid: null });
const here = (value) => (value === null ? "undefined" : number(value, 2));

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
    "The partner’s feature map of the image, the same transformed, and the channel’s feature map of the transformed image. The more alike the last two, the more equivariant the channel. One colour scale for all; hatched positions have no counterpart. Correlations over all images are the scores on held-out images; those on this image are of its valid positions alone.",
    maps.images.length < maps.kept ? `Of ${maps.kept} images that were kept, ${maps.images.length} are in this page, and all in maps.npz.` : "",
    current.small ? "" : "Maps of all channels are in maps.npz, not in this page.",
    state.alignment === "registered" ? "Here all maps are transformed about the array’s centre." : "",
  ].filter(Boolean).join(" ");
}

function drawPartners() {
  const maps = result().maps;
  const about = mapsOf(state.layer);
  const shows = Boolean(about && maps.images.length && (current.small || current.large) && current.channels && current.matched);
  el("partners-shown").hidden = !shows;
  el("partners-about").textContent = aboutMaps(about, shows);
  if (!shows) return;
  const images = maps.images.map((_, place) => made("label", {}, made("input", { type: "radio", name: "image", value: place, checked: place === state.image, onchange: () => { state.image = place; drawLayer(); say(`Image ${place + 1}.`); } }), made("span", {}, String(place + 1))));
  if (el("image").childElementCount !== images.length) fill(el("image"), ...images);
  el("image").querySelectorAll("input").forEach((input) => { input.checked = Number(input.value) === state.image; });
  el("field-image").hidden = images.length < 2;
  drawPairs(about);
  drawChannel();
}

// The strongest pairs, over all images and about the array's centre.
function drawPairs(about) {
  const { matched, large, small } = current;
  const pairs = about.pairs.map(([channel, partner], place) => {
    const maps = large ?? small;
    const side = (name) => (large ? large[name](place) : small[name](name === "transformed" ? channel : partner));
    const sides = { original: side("original"), expected: side("expected"), transformed: side("transformed") };
    const range = large ? [0, 255] : rangeOf(small, ...Object.values(sides));
    const pictures = Object.entries(sides).map(([name, values]) => painted(values, name === "original" ? everywhere(maps) : maps, range, `Channel ${name === "transformed" ? channel : partner} ${SIDES[name].of}`));
    const own = large ? large.partner(place) : small.partner(channel);
    return made("button", { type: "button", class: "pair", "data-channel": channel, "aria-pressed": String(channel === state.channel), onclick: () => chooseChannel(channel) },
      made("span", { class: "maps" }, ...pictures),
      made("span", { class: "legend" }, made("b", {}, channel === partner ? `${channel}, its own partner` : `${channel} and partner ${partner}`), made("span", {}, `this image ${here(own)}, all ${number(matched.equivariance?.[channel] ?? null, 2)}`)));
  });
  el("pairs-title").hidden = !pairs.length;
  el("pairs-title").textContent = `${pairs.length === 1 ? "The strongest pair" : `The ${pairs.length} strongest pairs`}: f(X) and T′f(X) of the partner, f(TX) of the channel; correlation on this image and over all images`;
  fill(el("pairs"), ...pairs);
}

// The chosen channel's three or four maps: large where it is among the strongest pairs.
function drawChannel() {
  const { matched, small, large } = current;
  const channel = state.channel;
  const partner = matched.partner[channel];
  const place = mapsOf(state.layer).pairs.findIndex(([one]) => one === channel);
  const shown = result().maps.images[state.image];
  el("channel-number").value = channel;
  el("channel-number").max = matched.partner.length - 1;
  el("channel-partner").disabled = partner === null || partner === channel;
  el("channel-name").textContent = partner === null ? `Channel ${channel} is undefined and has no partner` : partner === channel ? `Channel ${channel} is its own partner` : `Channel ${channel} matches its partner, channel ${partner}`;
  const pictures = [
    tile(made("img", { src: shown.original, alt: `Image ${state.image + 1}` }), math("<var>X</var>"), ", the image"),
    tile(made("img", { src: shown.transformed[state.member], alt: `Image ${state.image + 1} under ${state.member}` }), math("<var>T<sub>g</sub> X</var>"), `, under ${state.member}`),
  ];
  const tiles = large && place >= 0 ? largeTiles(large, place, channel, partner) : small ? smallTiles(small, channel, partner) : [];
  fill(el("channel-pictures"), ...pictures);
  fill(el("channel-sides"), ...tiles);
  el("channel-maps").dataset.channel = channel;
  el("channel-maps").dataset.partner = partner ?? "";
  fill(el("channel-why"), ...correlations(channel, partner, place));
}

function largeTiles(large, place, channel, partner) {
  return ["original", "expected", "transformed"].map((side) => sideTile(side, large[side](place), large, [0, 255], side === "transformed" ? channel : partner, side === "transformed" ? "the channel" : "the partner"));
}

function smallTiles(small, channel, partner) {
  const of = [...(partner === null ? [] : [["original", partner, "the partner"], ["expected", partner, "the partner"]]), ["transformed", channel, "the channel"]];
  if (partner !== channel) of.push(["expected", channel, "the channel itself"]);
  const range = rangeOf(small, ...of.map(([side, which]) => small[side](which)));
  return of.map(([side, which, who]) => sideTile(side, small[side](which), small, range, which, who));
}

function sideTile(side, values, maps, range, which, who) {
  return tile(painted(values, side === "original" ? everywhere(maps) : maps, range, `Channel ${which} ${SIDES[side].of}`), math(SIDES[side].formula(which)), `, ${who}`);
}

// Each pair's correlation on this image, and over all.
function correlations(channel, partner, place) {
  const { matched, small, large } = current;
  if (partner === null) return ["It is constant, of the transformed image or of the image, or has too few valid positions."];
  const score = (measure) => number(matched[measure]?.[channel] ?? null, 2);
  const said = (left, right, words, own, over) => made("span", { class: "said" }, math(`${SIDES.transformed.formula(left)} and ${SIDES.expected.formula(right)}`), ` (${words}): correlation `, made("b", {}, here(own)), " on this image, ", made("b", {}, over), " over all images. ");
  const own = small ? small.partner(channel) : place >= 0 ? large.partner(place) : null;
  const lines = [said(channel, partner, partner === channel ? "itself" : "its partner, equivariance", own, score("equivariance"))];
  if (partner !== channel && small) lines.push(said(channel, channel, "itself, invariance", small.own(channel), score("invariance")));
  if (matched.linear) lines.push(made("span", { class: "said" }, "A linear combination of channels: ", made("b", {}, score("linear")), " over all images; no single map shows it."));
  return lines;
}
