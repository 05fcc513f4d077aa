// The mask on its canvas: tiles far out, cells close up, weights closer still; rulers beside it, a map of the whole.
const [LEFT, TOP] = [64, 62];
const [MASK, CELLS, WEIGHTS, LARGEST] = [3, 6, 20, 56];

const bar = (c, color, x, y, w, g) => {
  c.fillStyle = color;
  c.fillRect(x, y, w, g);
};
const shape = (c, color, ...at) => {
  c.fillStyle = color;
  c.beginPath();
  for (let n = 0; n < at.length; n += 2) c.lineTo(at[n], at[n + 1]);
  c.fill();
};
const dot = (c, color, x, y, radius) => {
  c.fillStyle = color;
  c.beginPath();
  c.arc(x, y, radius, 0, 7);
  c.fill();
};
const frameRect = (c, color, size, x, y, w, g) => {
  c.strokeStyle = color;
  c.lineWidth = size;
  c.strokeRect(x, y, w, g);
};
// A frame that stands out on anything.
const ringRect = (v, c, ...at) => {
  frameRect(c, v.colors.background, 4, ...at);
  frameRect(c, v.colors.ink, 2, ...at);
};
const write = (c, color, text, x, y, align = "left") => {
  c.fillStyle = color;
  c.textAlign = align;
  c.fillText(text, x, y);
};

// Rows and columns in view, whole numbers: [top, left, bottom, right], as in Python.
function inView({ x, y, s, w, g, rows, columns }) {
  return [max(0, floor(y)), max(0, floor(x)), min(rows, ceil(y + g / s - 1e-6)), min(columns, ceil(x + w / s - 1e-6))];
}

function settle(v) {
  const { rows, columns } = v;
  v.s = clamp(v.s, min(v.w / columns, v.g / rows, LARGEST), LARGEST);
  const within = (at, size, room) => (size <= room ? 0 : clamp(at, 0, size - room));
  v.x = within(v.x, columns, v.w / v.s);
  v.y = within(v.y, rows, v.g / v.s);
}

// Tiles of this size in view (and around it), the middle first.
function tilesIn(v, plane, level, [high, wide], around) {
  const [top, left, bottom, right] = inView(v);
  const places = [];
  for (let y = max(0, floor(top / high) - around); y * high < min(v.rows, bottom + around * high); y += 1)
    for (let x = max(0, floor(left / wide) - around); x * wide < min(v.columns, right + around * wide); x += 1) places.push([plane, level, y, x]);
  const far = ([, , y, x]) => Math.hypot((y + 0.5) * high - (top + bottom) / 2, (x + 0.5) * wide - (left + right) / 2);
  return places.sort((one, two) => far(one) - far(two));
}

function paint(v) {
  const { p, tiles, canvas, root, w, g } = v;
  const { context: c } = canvas;
  const ratio = window.devicePixelRatio || 1;
  // As fine as pixels allow, never finer than the mask.
  const level = clamp(ceil(-Math.log2(v.s * ratio) - 1e-6), 0, p.levels - 1);
  const plane = v.s < MASK ? tiles.over() : "bits";
  const close = v.s >= CELLS;
  v.level = v.s < MASK ? level : v.s >= WEIGHTS && p.weights ? "weights" : close ? "cells" : "mask";
  const places = (around) => [
    ...(v.level === "weights" ? tilesIn(v, "weights", 0, PIECE, around) : []),
    ...tilesIn(v, plane, level, [SIDE << level, SIDE << level], around)];
  canvas.size(LEFT + w, TOP + g);
  c.font = "11px system-ui, sans-serif";
  c.imageSmoothingEnabled = false;
  c.save();
  c.translate(LEFT, TOP);
  c.beginPath();
  c.rect(0, 0, w, g);
  c.clip();
  for (const place of places(0)) {
    const own = tiles.get(...place);
    if (place[0] === "weights") continue;
    if (close && own) paintCells(v, c, own);
    else paintTile(v, c, place, own, ratio);
  }
  paintMarks(v, c, close);
  c.restore();
  paintTop(v, c);
  paintLeft(v, c);
  paintMap(v);
  tiles.want(places(0), v.panning ? [] : places(1));
  // How long tiles took from being wanted to being drawn, and how often nothing was there to draw.
  root.parentElement.hpTiles = { times: tiles.times, blank: tiles.blank };
  const median = [...tiles.times].sort((one, two) => one - two)[tiles.times.length >> 1];
  Object.assign(root.dataset, { hpTileMs: round(median) || 0, hpMissing: tiles.missing, hpLevel: v.level, hpWindow: inView(v), hpFocus: [v.focus.row, v.focus.group] });
}

// The part of the matrix under a tile: the tile, or the finest parent there is.
function paintTile(v, c, [, level, y, x], own, ratio) {
  const { tiles, p } = v;
  const size = SIDE << level;
  let one = own;
  for (let up = 0; !one && level + up < p.levels; up += 1) one = tiles.get(tiles.over(), level + up, y >> up, x >> up);
  one ??= tiles.base();
  if (!one) {
    tiles.blank += 1;
    return;
  }
  const [, at, down, across] = one.place;
  const snap = (value) => round(value * v.s * ratio) / ratio;
  const [l, t, r, b] = [x * size, y * size, min(v.columns, (x + 1) * size), min(v.rows, (y + 1) * size)];
  const [left, top] = [snap(l - v.x), snap(t - v.y)];
  const unit = 2 ** at;
  c.drawImage(tiles.look(one), l / unit - across * SIDE, t / unit - down * SIDE, (r - l) / unit, (b - t) / unit, left, top, snap(r - v.x) - left, snap(b - v.y) - top);
}

// Close up: kept is solid, pruned an empty cell with a dot; closer still the fill is |w| times the activation's RMS.
function paintCells(v, c, { values, width, height, place: [, , down, across] }) {
  const { s, p, side, colors } = v;
  const [top, left, bottom, right] = inView(v);
  const [y0, x0] = [down * SIDE, across * SIDE];
  const codes = codeColors(v);
  const differs = side === "difference";
  const bit = differs ? 3 : side === "theirs" ? 2 : 1;
  const patterned = p.measure === "pattern" && !differs ? groupColor(v) : null;
  const gap = s < 10 ? 0.5 : 1;
  const far = min(bottom, y0 + height);
  const end = min(right, x0 + width);
  const from = max(left, x0);
  const first = max(top, y0);
  bar(c, colors.background, (from - v.x) * s, (first - v.y) * s, (end - from) * s, (far - first) * s);
  for (let row = first; row < far; row += 1) {
    const y = (row - v.y) * s;
    for (let column = from; column < end; column += 1) {
      const n = (row - y0) * width + column - x0;
      const code = values[n] & bit;
      const x = (column - v.x) * s;
      const weight = v.level === "weights" ? weightAt(v, row, column) : null;
      const alone = differs && code && code < 3;
      const color = (!alone && weight?.color) || (patterned && code ? patterned(values, n - (column % p.width)) : codes[code]);
      const edge = weight ? s * 0.28 : gap;
      const [up, low] = code === 2 ? [y + edge, y + s - edge] : [y + s - edge, y + edge];
      if (!code) dot(c, weight?.color ?? colors.soft, x + s / 2, y + s / 2, weight ? s * 0.18 : max(0.7, s * 0.07));
      else if (alone) shape(c, color, x + edge, up, x + s - edge, up, x + s / 2, low);
      else bar(c, color, x + gap, y + gap, s - 2 * gap, s - 2 * gap);
      if (!weight) continue;
      const ink = code && !alone ? inkOn(color) : colors.soft;
      write(c, ink, weight.value < 0 ? "−" : "+", x + 3, y + 11);
      if (s >= 44) write(c, ink, fmtError(abs(weight.value)), x + s / 2, y + s - 4, "center");
    }
  }
  if (s >= 12) for (let row = first; row <= far; row += 1) bar(c, colors.grid, (from - v.x) * s, round((row - v.y) * s) - 0.5, (end - from) * s, 1);
  for (let column = ceil(from / p.width) * p.width; column <= end; column += p.width) bar(c, colors.line, round((column - v.x) * s) - 0.5, (first - v.y) * s, 1, (far - first) * s);
}

function weightAt(v, row, column) {
  const [y, x] = [floor(row / PIECE[0]), floor(column / PIECE[1])];
  const one = v.tiles.get("weights", 0, y, x);
  if (!one) return null;
  const at = (row - y * PIECE[0]) * one.width + column - x * PIECE[1];
  const [low, high] = v.p.score_domain;
  return { value: one.values[at], color: cividis(log(max(one.values[at + one.width * one.height], low) / low) / log(high / low)) };
}

// The focused group, the pinned ones, and the column that another view points at.
function paintMarks(v, c, close) {
  const { p, s, colors, focus } = v;
  const boxOf = ({ row, group }) => [(group * p.width - v.x) * s, (row - v.y) * s, p.width * s, s];
  const hovered = v.desk.hovered;
  const column = hovered?.[0] === p.module ? (hovered[1] - v.x) * s : NaN;
  frameRect(c, colors.accent, 1, column - 0.5, -1, s + 1, v.g + 2);
  for (const pin of v.pinned) {
    const [x, y, w, g] = boxOf(pin);
    frameRect(c, colors.accent, 2, x, y, w, g);
    dot(c, colors.accent, x, y, 4);
  }
  const [x, y, w, g] = boxOf(focus);
  const ring = close ? [x - 1, y - 1, w + 2, g + 2] : [x + w / 2 - 8, y + g / 2 - 8, 16, 16];
  ringRect(v, c, ...ring);
}

// For every cell in view, or every pixel where cells are smaller: its place, its size, its first and last index.
function steps(from, s, room, count, call) {
  for (let n = 0; n * max(1, s) < room + s; n += 1) {
    const first = s < 1 ? floor(from + n / s) : max(0, floor(from)) + n;
    if (first < 0 || first >= count) continue;
    const last = s < 1 ? max(first + 1, floor(from + (n + 1) / s)) : first + 1;
    call(s < 1 ? n : (first - from) * s, s < 4 ? ceil(s) : s - 1, first, min(last, count));
  }
}

const indices = (from, s, room, count, apart) =>
  linearTicks([max(0, from), max(max(0, from) + 1, min(count - 1, from + room / s))], max(2, min(room, count * s) / apart)).filter((tick) => Number.isInteger(tick) && tick < count);

function within(c, x, y, w, g, call) {
  c.save();
  c.beginPath();
  c.rect(x, y, w, g);
  c.clip();
  call();
  c.restore();
}

// Keep-rate by column: from n/m to the extremes under each pixel; outlier inputs are marked.
function paintTop(v, c) {
  const { p, s, w, colors, rulers, columns } = v;
  const yOf = (rate) => 7 + (1 - rate) * (TOP - 24);
  const base = yOf(p.keep / p.width);
  write(c, colors.soft, "100 %", LEFT - 6, 12, "right");
  write(c, colors.soft, fmtShare(p.keep / p.width), LEFT - 6, base + 4, "right");
  write(c, colors.soft, "row error", LEFT - 4, TOP - 4, "right");
  within(c, LEFT, 0, w, TOP, () => {
    const rates = v.side === "theirs" ? rulers?.theirs : rulers?.keep;
    if (rates) steps(v.x, s, w, columns, (x, size, first, last) => {
      const some = rates.subarray(first, last);
      const [high, low] = [yOf(max(...some)), yOf(min(...some))];
      if (high < base) bar(c, v.above, LEFT + x, high, size, base - high);
      if (low > base) bar(c, v.below, LEFT + x, base, size, low - base);
      if (s >= 4 && rulers.theirs.length && v.side !== "theirs") bar(c, colors.ink, LEFT + x, yOf(rulers.theirs[first]) - 1, size, 2);
    });
    bar(c, colors.line, LEFT + max(0, -v.x * s), base, min(w, columns * s), 1);
    for (const column of p.outliers) {
      const x = LEFT + (column + 0.5 - v.x) * s;
      shape(c, colors.ink, x - 4, 0, x + 4, 0, x, 7);
    }
    for (const tick of indices(v.x, s, w, columns, 90)) write(c, colors.soft, tick, clamp(LEFT + (tick + 0.5 - v.x) * s, LEFT + 12, LEFT + w - 18), TOP - 4, "center");
  });
}

// Errors of the rows on a log scale; which share of its weights a row keeps is n/m everywhere.
function paintLeft(v, c) {
  const { s, g, colors, rulers, rows } = v;
  const scale = scaleOf("log", ERROR_DOMAIN, [0.5, 24]);
  within(c, 0, TOP, LEFT, g, () => {
    if (rulers?.errors.length) steps(v.y, s, g, rows, (y, size, first, last) => {
      const long = scale(max(...rulers.errors.subarray(first, last).filter(known)));
      bar(c, colors.line, LEFT - 3 - long, TOP + y, long, size);
    });
    for (const tick of indices(v.y, s, g, rows, 60)) write(c, colors.soft, tick, LEFT - 31, clamp(TOP + (tick + 0.5 - v.y) * s + 4, TOP + 9, TOP + g - 2), "right");
  });
}

// The whole matrix, and where on it the window is.
function paintMap(v) {
  const { rows, columns } = v;
  const { context: c, size } = v.map;
  const scale = min(280 / columns, 84 / rows);
  const [w, g] = [max(24, columns * scale), max(12, rows * scale)];
  size(w, g);
  v.map.scale = [w / columns, g / rows];
  c.drawImage(v.tiles.look(v.tiles.base()), 0, 0, w, g);
  const [top, left, bottom, right] = inView(v);
  const [x, y] = [clamp((left / columns) * w, 1, w - 5), clamp((top / rows) * g, 1, g - 5)];
  const edge = [x, y, clamp(((right - left) / columns) * w, 4, w - x - 1), clamp(((bottom - top) / rows) * g, 4, g - y - 1)];
  ringRect(v, c, ...edge);
}
