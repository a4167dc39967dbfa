// What lies packed in the page, channels and maps, and how maps are painted.
const VIRIDIS = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50],
  [253, 231, 37],
];
const SCALE = VIRIDIS.map((rgb, place) => [place / (VIRIDIS.length - 1), `rgb(${rgb})`]);

function mixed(share) {
  const place = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
  const below = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[below].map((value, part) => Math.round(value + (VIRIDIS[below + 1][part] - value) * (place - below)));
}
const INK = Array.from({ length: 256 }, (_, value) => mixed(value / 255));

const unpacked = new Map();
function unpack(chunk) {
  if (!unpacked.has(chunk)) {
    const packed = Uint8Array.from(atob(el(`chunk-${chunk}`).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    unpacked.set(chunk, new Response(stream).arrayBuffer());
  }
  return unpacked.get(chunk);
}

async function channelsOf(layer) {
  const chunk = result().channels[state.scope][layer];
  if (chunk === null) return null;
  const found = JSON.parse(new TextDecoder().decode(await unpack(chunk)));
  return found[state.alignment]?.[state.member] ?? null;
}

function mapsOf(layer, member = state.member) {
  return result().maps?.layers[result().layers[layer].layer]?.[member] ?? null;
}

async function smallMaps(layer, member = state.member) {
  const about = mapsOf(layer, member);
  const chunk = about?.small[state.image] ?? null;
  if (chunk === null) return null;
  const buffer = await unpack(chunk);
  const [height, width] = about.size;
  const positions = height * width;
  const channels = (buffer.byteLength - positions) / (8 + 2 * positions);
  const low = new Float32Array(buffer, 0, channels);
  const high = new Float32Array(buffer, 4 * channels, channels);
  const valid = new Uint8Array(buffer, 8 * channels, positions);
  const values = (first) => (channel) => {
    const bytes = new Uint8Array(buffer, 8 * channels + positions * (1 + first * channels + channel), positions);
    return Float32Array.from(bytes, (byte) => low[channel] + (byte / 255) * (high[channel] - low[channel]));
  };
  return { height, width, valid, channels, transformed: values(0), expected: values(1) };
}

async function largePairs(layer) {
  const about = mapsOf(layer);
  const chunk = about?.large[state.image] ?? null;
  if (chunk === null) return null;
  const buffer = await unpack(chunk);
  const [height, width] = about.pair_size;
  const positions = height * width;
  const side = (first) => (pair) => new Uint8Array(buffer, positions * (1 + first * about.pairs.length + pair), positions);
  return { height, width, valid: new Uint8Array(buffer, 0, positions), transformed: side(0), expected: side(1) };
}

function painted(values, maps, range, label) {
  const { height, width, valid } = maps;
  const canvas = made("canvas", { width, height, role: "img", "aria-label": label });
  const pixels = new ImageData(width, height);
  const span = range[1] - range[0] || 1;
  for (let position = 0; position < values.length; position++) {
    const ink = INK[Math.min(255, Math.max(0, Math.round(((values[position] - range[0]) / span) * 255)))];
    pixels.data.set(ink, 4 * position);
    pixels.data[4 * position + 3] = valid[position] ? 255 : 0;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

// The least and the most of several maps at their valid positions: one scale for all of them.
function rangeOf(maps, ...sides) {
  let low = Infinity;
  let high = -Infinity;
  for (const values of sides) {
    for (let position = 0; position < values.length; position++) {
      if (maps.valid[position]) {
        low = Math.min(low, values[position]);
        high = Math.max(high, values[position]);
      }
    }
  }
  return [low, high];
}
