// What lies packed in the page: the data, channels and feature maps.
const unpacked = new Map();
function unpack(id) {
  if (!unpacked.has(id)) {
    const packed = Uint8Array.from(atob(el(id).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    unpacked.set(id, new Response(stream).arrayBuffer());
  }
  return unpacked.get(id);
}
const unpackedJson = async (id) => JSON.parse(new TextDecoder().decode(await unpack(id)));

async function channelsOf(layer, scope, alignment, member) {
  const chunk = result().channels[scope][layer];
  return chunk === null ? null : (await unpackedJson(`chunk-${chunk}`))[alignment]?.[member] ?? null;
}

function mapsOf(layer, member = state.member) {
  return result().maps?.layers[result().layers[layer].layer]?.[member] ?? null;
}

// All channels' small maps of the chosen image: three sides of each channel, and similarities on this image.
async function smallMaps(layer, member = state.member) {
  const about = mapsOf(layer, member);
  const chunk = about?.small[state.image] ?? null;
  if (chunk === null) return null;
  const buffer = await unpack(`chunk-${chunk}`);
  const [height, width] = about.size;
  const positions = height * width;
  const channels = (buffer.byteLength - positions) / (16 + 3 * positions);
  const numbers = (place) => new Float32Array(buffer, 4 * place * channels, channels);
  const [low, high, own, partner] = [0, 1, 2, 3].map(numbers);
  const start = 16 * channels;
  const side = (first) => (channel) => {
    const bytes = new Uint8Array(buffer, start + positions * (1 + first * channels + channel), positions);
    return Float32Array.from(bytes, (byte) => low[channel] + (byte / 255) * (high[channel] - low[channel]));
  };
  return {
    height, width, valid: new Uint8Array(buffer, start, positions), own: (channel) => known(own[channel]), partner: (channel) => known(partner[channel]),
    original: side(0), transformed: side(1), expected: side(2),
  };
}

// The strongest pairs' large maps of the chosen image.
async function largePairs(layer) {
  const about = mapsOf(layer);
  const chunk = about?.large[state.image] ?? null;
  if (chunk === null) return null;
  const buffer = await unpack(`chunk-${chunk}`);
  const [height, width] = about.pair_size;
  const [positions, pairs] = [height * width, about.pairs.length];
  const similarity = new Float32Array(buffer, 0, pairs);
  const start = 4 * pairs;
  const side = (first) => (pair) => new Uint8Array(buffer, start + positions * (1 + first * pairs + pair), positions);
  return {
    height, width, valid: new Uint8Array(buffer, start, positions), partner: (pair) => known(similarity[pair]), original: side(0), transformed: side(1), expected: side(2),
  };
}
const known = (value) => (Number.isNaN(value) ? null : value);
