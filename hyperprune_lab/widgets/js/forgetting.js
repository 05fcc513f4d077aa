// Forgetting: rows are moments, columns the blocks asked again. Draws payload of hyperprune_lab/views/forgetting.py.
const FORMATS = { share: fmtShare, error: fmtError, ratio: fmtRatio };
const TOP = 34;

const weightOf = (weight) => (known(weight) ? `, λ2 = ${fmtTick(fmtNumber(weight))}` : "");

// The block that is looked at: at once, before the kernel has heard of a click.
function selectedOf(v) {
  const at = v.payload.leads.indexOf(v.selection[0]);
  return at >= 0 ? at : v.payload.selected;
}

function looksOf(v) {
  const { measure, domain, fitted, values, reference } = v.payload;
  const scale = scaleOf(measure.scale, domain);
  const color = measure.colors === "cividis" ? cividis : (t) => deviation(t, v.theme);
  const form = FORMATS[measure.format];
  // In a cell there is no room for units.
  const small = (value) => (value < 0.005 ? "≈0" : value.toFixed(2).replace("0.", "."));
  const brief = (value) => (measure.format !== "error" ? form(value).replace(/( %|×)$/, "") : value === 0 ? "0" : value < 1 ? small(value) : value.toFixed(1));
  const far = fitted && reference?.difference ? Math.max(1e-9, ...reference.difference.flat().filter(known).map(Math.abs)) : measure.reach;
  const apart = scaleOf("linear", [-far, far]);
  const points = measure.name !== "divergence";
  const signed = (value) => (points ? `${fmtSigned(100 * value, 1)} points` : fmtSigned(value));
  return {
    own: { scale, color, form, brief, all: values.flat() },
    apart: { scale: apart, color: (t) => deviation(t, v.theme), form: signed, brief: (value) => (points ? fmtSigned(100 * value, 0) : fmtSigned(value, 1)).replace(/^[+−](0|0\.0)$/, "0"), all: (reference?.difference ?? []).flat() },
  };
}

// Which matrices stand side by side, and how large their cells are.
function layoutOf(v) {
  const { blocks, rows, reference } = v.payload;
  const three = Boolean(reference?.values);
  const labels = rows.some(([after]) => after < 0) && rows.length < 30 ? 72 : 40;
  const count = three ? 3 : 1;
  const wide = three || v.width < 640 ? v.width : Math.max(300, 0.46 * v.width);
  const gaps = (count - 1) * 22;
  const room = Math.floor((wide - labels - gaps - 4) / (count * Math.max(1, blocks)));
  const down = clamp(Math.min(room, Math.floor((three && rows.length < 20 ? 220 : 300) / Math.max(1, rows.length))), 4, 36);
  const across = clamp(room, 4, down < 18 ? down : 38);
  const lefts = Array.from({ length: count }, (_, n) => labels + n * (blocks * across + 22));
  return { three, labels, across, down, lefts, below: three || v.width < 640, width: lefts[count - 1] + blocks * across + 2, bottom: TOP + rows.length * down + (rows.at(-1)?.[0] < 0 ? 5 : 0) };
}

// The top of a row; the last one, after the final stage, stands apart.
const topOf = (v, row) => TOP + row * v.layout.down + (v.payload.rows[row][0] < 0 ? 5 : 0);
const everyOf = (count, size) => [1, 2, 4, 5, 8, 10, 16, 20, 50].find((step) => count / step <= size) ?? 100;
const belongs = (v, row, block) => v.payload.rows[row][0] < 0 || block <= v.payload.rows[row][0];

function drawMatrix(v, left, title, values, look, kind) {
  const { payload, layout, colors } = v;
  const { across, down } = layout;
  const gap = down < 8 ? 0 : 1;
  const node = s("g", { class: "hp-matrix", "data-matrix": kind });
  node.append(s("text", { x: left, y: 11, class: "hp-matrix-title", text: shortName(title, Math.max(14, Math.floor((payload.blocks * across + 16) / 6.2))) }));
  const every = everyOf(payload.blocks, (payload.blocks * across) / 20);
  for (let block = 0; block < payload.blocks; block += every) node.append(s("text", { x: left + (block + 0.5) * across, y: TOP - 5, "text-anchor": "middle", text: String(block) }));
  payload.rows.forEach(([after], row) => {
    const asked = payload.asked.includes(row);
    for (let block = 0; block < payload.blocks; block += 1) {
      if (!belongs(v, row, block)) continue;
      const value = values[row]?.[block];
      const spot = { x: left + block * across, y: topOf(v, row), width: across - gap, height: down - gap };
      const rect = s("rect", { ...spot, class: "hp-cell", "data-module": payload.leads[block], "data-value": value ?? "", "data-block": block, "data-after": after });
      node.append(rect);
      if (!known(value)) {
        fill(rect, { fill: asked ? `url(#${v.id})` : "none", stroke: asked ? colors.line : colors.grid }, []);
        continue;
      }
      const fillColor = look.color(look.scale(value));
      fill(rect, { fill: fillColor }, []);
      const arrow = { "-1": "▾", 0: "", 1: "▴" }[value === 0 ? 0 : look.scale.clamped(value)];
      const words = arrow + look.brief(value);
      if (words.length * 6.6 + 4 <= across && down >= 14) node.append(s("text", { x: spot.x + spot.width / 2, y: spot.y + down / 2 + 3.5, "text-anchor": "middle", class: "hp-number", style: { fill: inkOn(fillColor) }, text: words }));
      else if (arrow && down >= 10) node.append(s("text", { x: spot.x + spot.width / 2, y: spot.y + down / 2 + 4, "text-anchor": "middle", class: "hp-number", style: { fill: inkOn(fillColor) }, text: arrow }));
    }
  });
  return node;
}

function drawMatrices(v) {
  const { payload, layout, colors } = v;
  const { across, down, lefts, labels } = layout;
  const looks = looksOf(v);
  const held = payload.reference;
  const svg = s("svg", { width: layout.width, height: layout.bottom + 18, role: "img", "aria-label": `${payload.measure.label}: row is after a block, column the block asked again` },
    s("defs", {}, hatchPattern(v.id, colors.line)));
  const every = everyOf(payload.rows.length, (payload.rows.length * down) / 15);
  payload.rows.forEach(([after], row) => {
    if (after >= 0 && row % every) return;
    svg.append(s("text", { x: labels - 6, y: topOf(v, row) + down / 2 + 4, "text-anchor": "end", text: after < 0 ? (labels > 60 ? "final stage" : "end") : String(after) }));
  });
  svg.append(s("text", { x: labels - 6, y: TOP - 5, "text-anchor": "end", text: "after" }));
  const middle = lefts[0] + (payload.blocks * across) / 2;
  svg.append(s("text", { x: layout.three ? lefts[0] : middle, y: layout.bottom + 13, "text-anchor": layout.three ? "start" : "middle", text: "block asked again" }));
  if (layout.three) {
    const titles = [`this run${weightOf(payload.weight)}`, `${held.name}${weightOf(held.weight)}`, "this run − reference"];
    [payload.values, held.values, held.difference].forEach((values, n) =>
      svg.append(drawMatrix(v, lefts[n], titles[n], values, n < 2 ? looks.own : looks.apart, ["own", "reference", "difference"][n])));
  } else svg.append(drawMatrix(v, lefts[0], payload.measure.short + weightOf(payload.weight), payload.values, looks.own, "own"));
  v.overlay = s("g", { class: "hp-overlay" });
  svg.append(v.overlay);
  return svg;
}

// Selection, cursor and the row that the run is working on.
function drawOverlay(v) {
  const { payload, layout, colors } = v;
  const { across, down, lefts } = layout;
  const marks = [];
  const box = (x, y, width, height, attrs) => s("rect", { x: x - 1.5, y: y - 1.5, width: width + 2, height: height + 2, fill: "none", rx: 2, ...attrs });
  const selected = selectedOf(v);
  for (const left of lefts) {
    if (known(selected)) {
      const height = topOf(v, payload.rows.length - 1) + down - topOf(v, selected);
      const spot = [left + selected * across, topOf(v, selected), across, height];
      marks.push(box(...spot, { stroke: colors.background, "stroke-width": 4 }), box(...spot, { stroke: colors.ink, "stroke-width": 2, class: "hp-ring" }));
    }
  }
  const running = v.desk.running;
  const row = running && (running.stage === "layers" ? running.block : running.stage === "model" ? payload.rows.length - 1 : null);
  if (known(row) && payload.rows[row] && !payload.asked.includes(row)) {
    const wide = (payload.rows[row][0] < 0 ? payload.blocks : row + 1) * across;
    marks.push(box(lefts[0], topOf(v, row), wide, down, { stroke: colors.accent, "stroke-width": 2, class: "hp-running" }));
    if (running.steps) marks.push(s("rect", { x: lefts[0], y: topOf(v, row) + down - 4, width: Math.max(1, (wide - 1) * (running.step / running.steps)), height: 3, fill: colors.accent, class: "hp-steps" }));
  }
  if (v.cursor) marks.push(box(lefts[0] + v.cursor.block * across, topOf(v, v.cursor.row), across, down, { stroke: colors.accent, "stroke-width": 2, "stroke-dasharray": "3 2", class: "hp-cursor" }));
  clear(v.overlay, marks);
}

// -- curves

function curveOf(v, block, values) {
  return v.payload.rows.map(([after], row) => [row, belongs(v, row, block) && (after < 0 || row >= block) ? values[row]?.[block] : null]).filter(([, value]) => known(value));
}

function drawCurves(v, width, height) {
  const { payload, colors } = v;
  const { measure, rows, blocks } = payload;
  const look = looksOf(v).own;
  const [left, right, top, bottom] = [46, payload.reference?.values ? 118 : 96, 26, height - 34];
  const x = scaleOf("linear", [0, Math.max(1, rows.length - 1)], [left, width - right]);
  const y = scaleOf(measure.scale, payload.domain, [bottom, top]);
  const svg = s("svg", { width, height, role: "img", class: "hp-curves", "aria-label": `${measure.label}, one curve for each block` });
  svg.append(s("text", { x: 0, y: 11, class: "hp-matrix-title", text: measure.label.length * 7.4 < width ? measure.label : measure.short }));
  const ticks = measure.name === "error_rel" ? [payload.domain[0], 1, payload.domain[1]] : y.ticks(5);
  for (const tick of ticks) {
    const base = measure.name === "error_rel" && tick === 1;
    svg.append(s("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), stroke: base ? colors.line : colors.grid, "stroke-dasharray": base ? "4 3" : null }),
      s("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end", text: fmtTick(look.form(tick)) }));
  }
  const every = everyOf(rows.length, (width - left - right) / 30);
  rows.forEach(([after], row) => {
    if (after < 0 || row % every === 0) svg.append(s("text", { x: x(row), y: bottom + 15, "text-anchor": "middle", text: after < 0 ? "final" : String(after) }));
  });
  svg.append(s("text", { x: (left + width - right) / 2, y: bottom + 30, "text-anchor": "middle", text: "after training block" }));
  const selected = selectedOf(v);
  const held = payload.reference?.values;
  const line = (points, attrs) => {
    const at = points.map(([row, value]) => `${x(row).toFixed(1)},${y(value).toFixed(1)}`);
    return at.length > 1 ? s("polyline", { points: at.join(" "), fill: "none", ...attrs }) : s("circle", { cx: at[0].split(",")[0], cy: at[0].split(",")[1], r: 2.5, fill: attrs.stroke });
  };
  const labels = [];
  const told = (block) => block === selected || block === payload.worst;
  const order = [...Array(blocks).keys()].sort((one, other) => told(one) - told(other) || (one === selected) - (other === selected));
  for (const block of order) {
    const points = curveOf(v, block, payload.values);
    if (!points.length) continue;
    const color = block === selected ? colors.accent : block === payload.worst ? colors.error : colors.line;
    const g = s("g", { class: "hp-curve", "data-block": block });
    svg.append(g);
    g.append(line(points, { stroke: color, "stroke-width": told(block) ? 2.5 : 1, "stroke-opacity": !told(block) && blocks > 16 ? 0.45 : null, "stroke-dasharray": block === payload.worst && block !== selected ? "7 3" : null }));
    if (told(block)) {
      for (const [row, value] of points) g.append(s(block === selected ? "circle" : "rect", block === selected ? { cx: x(row), cy: y(value), r: 3, fill: color } : { x: x(row) - 2.5, y: y(value) - 2.5, width: 5, height: 5, fill: color }));
      const theirs = held ? curveOf(v, block, held) : [];
      if (theirs.length) {
        g.append(line(theirs, { stroke: color, "stroke-width": 1.5, "stroke-dasharray": "2 3" }));
        labels.push({ x: x(theirs.at(-1)[0]), y: y(theirs.at(-1)[1]), color, lines: [`reference: ${look.form(theirs.at(-1)[1])}`] });
      }
      const role = block === payload.worst ? (block === selected ? "worst, selected" : "worst") : "selected";
      labels.push({ x: x(points.at(-1)[0]), y: y(points.at(-1)[1]), color, lines: [`block ${block}: ${look.form(points.at(-1)[1])}`, role] });
    }
  }
  svg.append(placed(labels, top, bottom));
  return svg;
}

// Labels at the ends of curves, moved apart where they would overlap.
function placed(labels, top, bottom) {
  labels.sort((one, other) => one.y - other.y);
  let low = top - 6;
  for (const one of labels) {
    one.at = Math.max(one.y, low);
    low = one.at + 13 * one.lines.length + 2;
  }
  let high = bottom + 4;
  for (const one of labels.toReversed()) {
    one.at = Math.min(one.at, high - 13 * one.lines.length);
    high = one.at - 2;
  }
  return s("g", { class: "hp-ends" }, labels.map((one) => one.lines.map((words, n) => s("text", { x: one.x + 8, y: one.at + 4 + 13 * n, style: { fill: one.color }, class: n ? "" : "hp-end", text: words }))));
}

// -- words

function factOf(v, row, block) {
  const { payload } = v;
  const { own, apart } = looksOf(v);
  const value = payload.values[row]?.[block];
  const facts = [["asked", payload.rows[row][1]], [payload.measure.short, known(value) ? own.form(value) : payload.asked.includes(row) ? "not recorded" : NOT_YET]];
  if (payload.errors && known(payload.errors.now[row]?.[block])) facts.push(["error now", fmtNumber(payload.errors.now[row][block])], ["error when decided", fmtNumber(payload.errors.then[row][block])]);
  if (payload.reference?.values) facts.push(["reference", own.form(payload.reference.values[row]?.[block])], ["difference", apart.form(payload.reference.difference[row]?.[block])]);
  return facts;
}

const sentenceOf = (v, row, block) => [`block ${block}`, ...factOf(v, row, block).map((pair) => pair.join(" ").replace(" %", "\u00a0%"))].join(", ");

function drawTiles(v) {
  const { tiles, note, reference } = v.payload;
  clear(v.tiles, tiles.map(([label, value, words]) => h("div", { class: "hp-tile" }, h("div", { class: "hp-label", text: label }), h("div", { class: "hp-big", text: value }), h("div", { class: "hp-words", text: words.replace(/ %/g, "\u00a0%") }))));
  clear(v.note, h("span", { text: note }), reference ? h("b", { text: reference.sentence }) : null);
}

function drawLegend(v) {
  const { payload } = v;
  const looks = looksOf(v);
  const bar = (look, label, format, ticks) => {
    const outside = look.all.filter((value) => known(value) && value !== 0).map((value) => look.scale.clamped(value));
    const scale = ticks ? Object.assign((value) => look.scale(value), look.scale, { ticks: () => ticks }) : look.scale;
    return colorbar({ scale, color: look.color, label, format, below: outside.includes(-1), above: outside.includes(1), width: 180 });
  };
  const [low, high] = looks.own.scale.domain;
  const [down, up] = looks.apart.scale.domain;
  clear(v.bars,
    bar(looks.own, "color", looks.own.form, payload.measure.name === "error_rel" ? [low, 1, high] : null),
    v.layout.three ? bar(looks.apart, payload.measure.name === "divergence" ? "difference" : "difference, points", looks.apart.brief, [down, 0, up]) : null);
  v.fit.setAttribute("aria-pressed", String(Boolean(v.options.fit)));
}

function drawFact(v) {
  const { payload } = v;
  const selected = selectedOf(v);
  const at = v.cursor ?? (known(selected) && payload.asked.length ? { row: payload.asked.at(-1), block: selected } : null);
  v.fact.textContent = at && belongs(v, at.row, at.block) ? sentenceOf(v, at.row, at.block) : "Click a block, or move with the arrow keys.";
}

// -- hands

function under(v, event) {
  const box = v.holder.firstChild.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const { across, down, lefts } = v.layout;
  const { blocks, rows } = v.payload;
  const left = lefts.findLast((start) => x >= start) ?? Infinity;
  const block = Math.floor((x - left) / across);
  const row = rows.findIndex((_, n) => y >= topOf(v, n) && y < topOf(v, n) + down);
  return row >= 0 && block >= 0 && block < blocks && belongs(v, row, block) ? { row, block } : null;
}

function choose(v, block) {
  const module = v.payload.leads[block];
  if (module) v.select([module]);
}

function pointing(v) {
  v.holder.addEventListener("pointermove", (event) => {
    const here = under(v, event);
    const body = v.body.getBoundingClientRect();
    if (here) v.card.show(event.clientX - body.left, event.clientY - body.top, [`block ${here.block}`, ...factOf(v, here.row, here.block)]);
    else v.card.hide();
  });
  v.holder.addEventListener("pointerleave", () => v.card.hide());
  v.holder.addEventListener("click", (event) => {
    const here = under(v, event);
    if (!here) return;
    v.cursor = here;
    choose(v, here.block);
  });
  v.curves.addEventListener("click", (event) => {
    const block = event.target.closest?.("[data-block]")?.dataset.block;
    if (block !== undefined) choose(v, Number(block));
  });
}

function move(v, rows, blocks) {
  const { payload } = v;
  if (!payload.applies || !payload.rows.length) return;
  const selected = selectedOf(v) ?? 0;
  const from = v.cursor ?? { row: payload.asked.at(-1) ?? selected, block: selected };
  const row = clamp(from.row + rows, 0, payload.rows.length - 1);
  const most = payload.rows[row][0] < 0 ? payload.blocks - 1 : row;
  v.cursor = { row, block: clamp(from.block + blocks, 0, most) };
  v.say(sentenceOf(v, v.cursor.row, v.cursor.block));
  drawOverlay(v);
  drawFact(v);
}

export default {
  render({ model, el }) {
    return frame({ model, el }, {
      setup(v) {
        v.id = `hp-${Math.random().toString(36).slice(2)}`;
        v.message = h("p", { class: "hp-message" });
        v.tiles = h("div", { class: "hp-tiles" });
        v.note = h("p", { class: "hp-note" });
        v.holder = h("div", { class: "hp-holder" });
        v.fact = h("div", { class: "hp-fact" });
        v.bars = h("span", { class: "hp-bars" });
        v.fit = button("fit to data", "Let the scale span what was measured; otherwise it means the same in every run", () => v.setOption("fit", !v.options.fit));
        v.legend = h("div", { class: "hp-row" }, v.fact, v.bars, v.fit);
        v.curves = h("div", { class: "hp-right" });
        v.main = h("div", { class: "hp-main" }, v.holder, v.curves);
        v.body.append(v.message, v.tiles, v.note, v.main, v.legend);
        pointing(v);
      },
      draw(v) {
        const { payload } = v;
        v.message.textContent = payload.message ?? "";
        v.message.hidden = !payload.message;
        for (const part of [v.tiles, v.note, v.main, v.legend]) part.hidden = !payload.applies;
        if (!payload.applies) return;
        v.layout = layoutOf(v);
        if (v.cursor && (!payload.rows[v.cursor.row] || v.cursor.block >= payload.blocks)) v.cursor = null;
        drawTiles(v);
        clear(v.holder, drawMatrices(v));
        v.root.classList.toggle("hp-below", v.layout.below);
        const wide = v.layout.below ? v.width : v.width - v.layout.width - 28;
        clear(v.curves, drawCurves(v, wide, v.layout.below ? 190 : Math.max(240, v.layout.bottom + 18)));
        drawLegend(v);
        drawOverlay(v);
        drawFact(v);
      },
      keys: {
        ArrowLeft: (v) => move(v, 0, -1),
        ArrowRight: (v) => move(v, 0, 1),
        ArrowUp: (v) => move(v, -1, 0),
        ArrowDown: (v) => move(v, 1, 0),
        Home: (v) => move(v, 0, -1e6),
        End: (v) => move(v, 0, 1e6),
        " ": (v) => v.cursor && choose(v, v.cursor.block),
      },
    });
  },
};
