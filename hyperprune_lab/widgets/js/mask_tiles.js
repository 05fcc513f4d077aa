// Tiles of a mask: asked for several at a time, cached, timed. Where one is missing, its nearest parent stands in.
const { floor, ceil, round, min, max, abs, log } = Math;
const SIDE = 256;
const PIECE = [32, 64];
const MOST_TILES = 420;

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const pixel = (hex) => parts(hex).reduce((whole, part, n) => whole | (part << (8 * n)), 255 << 24) >>> 0;

// Colors of the codes of the mask: 1 kept by this run, 2 by the other, 3 by both.
function codeColors({ side, above, below, colors: { background, soft, line } }) {
  if (side === "difference") return [background, above, below, line];
  return side === "ours" ? [background, soft, background, soft] : [background, background, soft, soft];
}

// The color of a group by its pattern, or by whether both masks agree where there are too many patterns.
function groupColor({ side, p, colors, above }) {
  const bit = side === "theirs" ? 2 : 1;
  return (codes, from) => {
    const group = [...codes.subarray(from, from + p.width)];
    const names = p.patterns[group.map((code) => (code & bit ? 1 : 0)).join("")];
    return names ?? (p.other && group.some((code) => code % 3) ? above : colors.soft);
  };
}

function tileStore(v, arrived) {
  const held = new Map();
  const slots = [null, null, null];
  const tables = {};
  const store = { times: [], blank: 0, want, get, look, begin, retry, base, missing: 0, over: () => `${v.p.shown[v.side]}:${v.side}` };
  let wanted = [];

  function tile(place) {
    const key = [v.p.version, ...place].join();
    const one = held.get(key) ?? { place, looks: {}, since: 0 };
    held.delete(key);
    held.set(key, one);
    return one;
  }

  function get(...place) {
    const one = held.get([v.p.version, ...place].join());
    return one?.values ? one : null;
  }

  // The whole side, as coarse as it comes.
  function base() {
    const told = v.p.tiles.find(([name]) => name.endsWith(`:${v.side}`));
    return get(...told.slice(0, 4));
  }

  function fill(one, height, width, told, bytes) {
    Object.assign(one, { height, width, told, values: bytes });
    const size = height * width;
    if (told === "weights") {
      // Weights, and behind them their scores.
      one.values = new Float32Array(bytes.slice().buffer);
    } else if (told === "bits") {
      const stride = ceil(width / 8);
      const bit = (at, column) => (bytes[at] >> (column & 7)) & 1;
      one.values = new Uint8Array(size);
      for (let n = 0; n < size; n += 1) {
        const column = n % width;
        const at = ((n / width) | 0) * stride + (column >> 3);
        one.values[n] = bit(at, column) + 2 * bit(height * stride + at, column);
      }
    }
  }

  // A tile as pixels, in the colors of this theme and side.
  function look(one) {
    const { told, values } = one;
    const flat = told === "bits";
    const pattern = flat && v.side !== "difference" && v.p.measure === "pattern";
    const key = v.theme + (flat ? v.side : "") + pattern;
    if (!one.looks[key]) {
      const image = new ImageData(one.width, one.height);
      const out = new Uint32Array(image.data.buffer);
      const color = told === "deviation" || told === "shifted" ? (t) => deviation(t, v.theme) : cividis;
      const pixels = (tables[told + key] ??= (flat ? codeColors(v) : Array.from({ length: 256 }, (_, n) => (n ? color((n - 1) / 254) : v.colors.neutral))).map(pixel));
      const group = pattern && groupColor(v);
      for (let n = 0; n < out.length; n += 1) out[n] = pixels[values[n]];
      if (group) for (let n = 0; n < out.length; n += v.p.width) out.fill(pixel(group(values, n)), n, n + v.p.width);
      one.looks[key] = new OffscreenCanvas(one.width, one.height);
      one.looks[key].getContext("2d").putImageData(image, 0, 0);
    }
    return one.looks[key];
  }

  function next() {
    for (const n of slots.keys()) {
      const open = wanted.filter((one) => !one.values && !one.slot && !one.later);
      // What is in sight goes first; what lies around it one message at a time, when nothing else is under way.
      if (slots[n] || !open.length || !v.kernel.live || (!open[0].since && slots.some(Boolean))) continue;
      // Messages of 64 to 128 KiB: tiles of the mask itself and of weights are small.
      const most = (one) => (one.place[0].includes(":") ? 2 : 8);
      ask(n, open.filter((one) => most(one) === most(open[0])).slice(0, most(open[0])));
    }
  }

  async function ask(n, tiles) {
    const slot = { tiles };
    slots[n] = slot;
    for (const one of tiles) one.slot = slot;
    const { version, measure } = v.p;
    const places = tiles.map(({ place }) => place);
    // Of asks with one key only the newest is answered: what has scrolled away is never made.
    const answer = await v.ask({ name: "tiles", version, measure, side: v.side, places }, `tiles-${n}`);
    for (const one of tiles) if (one.slot === slot) one.slot = null;
    if (slots[n] === slot) slots[n] = null;
    answer?.content?.map?.(([height, width, told], at) => {
      const part = answer.buffers[at];
      if (told === "later") tiles[at].later = true;
      else fill(tiles[at], height, width, told, new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    });
    if (answer?.problem && version === v.p.version) {
      for (const one of tiles) one.later = true;
      v.note(answer.problem);
    }
    if (answer) arrived();
    setTimeout(next, answer ? 0 : 500);
  }

  // The coarsest tiles come with the payload, and the rest of what a page without a kernel holds.
  function begin() {
    for (const [...told] of v.p.tiles) {
      const one = tile(told.slice(0, 4));
      if (!one.values) fill(one, ...told.slice(4, 7), bytesOf(told[7]));
    }
  }

  // These are in view, the most important first; what was asked for and is no longer in sight may be dropped.
  function want(places, ahead) {
    const now = performance.now();
    const shown = places.map(tile);
    for (const one of wanted) if (!shown.includes(one)) one.since = 0;
    wanted = [...shown, ...ahead.map(tile)];
    const seen = new Set(wanted);
    for (const one of shown) {
      if (!one.values) one.since ||= now;
      else if (one.since) {
        // Drawn just now for the first time.
        store.times.push(now - one.since);
        one.since = 0;
      }
    }
    store.missing = shown.filter((one) => !one.values).length;
    slots.forEach((slot, n) => {
      if (!slot || slot.tiles.some((one) => seen.has(one))) return;
      for (const one of slot.tiles) one.slot = null;
      slots[n] = null;
    });
    for (const [key, one] of held) if (held.size > MOST_TILES && !seen.has(one) && one.place[1] < v.p.levels - 1) held.delete(key);
    next();
  }

  function retry() {
    for (const one of held.values()) one.later = false;
    next();
  }

  return store;
}
