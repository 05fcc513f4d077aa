// Reconstruction: errors over depth in small panels, and where those of the selection come from. Draws payload of
// hyperprune_lab/views/reconstruction.py.
const TALL = 120;
const AXIS = 38;
const LINE = 17;
const COMPENSATED = "compensated block";

const labelOf = (name) => name.replace(/^(self_attn|attention|attn|mlp)\./, "");
// -- errors over depth

function layoutOf(v) {
  const { panels, compensated } = v.payload;
  const count = panels.length + (compensated.length ? 1 : 0);
  const columns = clamp(Math.floor((v.width - AXIS) / 160), 1, Math.min(5, Math.max(1, count)));
  const even = Math.ceil(count / Math.ceil(count / columns));
  return { count, columns: even, wide: (v.width - AXIS - 4) / even, rows: Math.ceil(count / even) };
}

function drawPanels(v) {
  const { payload, colors } = v;
  const { columns, wide, rows } = (v.layout = layoutOf(v));
  const svg = s("svg", { width: v.width, height: rows * TALL + 4, class: "hp-panels", role: "img", "aria-label": "Relative error of each kind of linear over depth" });
  v.cells = [];
  const all = [...payload.panels, ...(payload.compensated.length ? [null] : [])];
  all.forEach((panel, n) => {
    const left = AXIS + (n % columns) * wide;
    const top = Math.floor(n / columns) * TALL;
    const box = { left: left + 4, right: left + wide - 14, top: top + 20, bottom: top + TALL - 20 };
    const x = scaleOf("linear", [0, Math.max(1, payload.blocks - 1)], [box.left + 6, box.right - 6]);
    const y = scaleOf("log", payload.domain, [box.bottom, box.top]);
    v.cells.push({ panel, box, x, y, n });
    svg.append(drawAxes(v, panel, box, x, y, n % columns === 0));
    svg.append(panel ? drawCurves(v, panel, x, y) : drawCompensated(v, x, y, box));
  });
  v.over = s("g", {});
  svg.append(v.over);
  return svg;
}

function drawAxes(v, panel, box, x, y, first) {
  const { payload, colors } = v;
  const name = panel ? panel.name : COMPENSATED;
  const worst = panel?.ours.reduce((most, point) => (point[2] > (most?.[2] ?? -1) ? point : most), null);
  const parts = y.ticks().flatMap((tick) => [
    lineOf(box.left, y(tick), box.right, y(tick), { stroke: colors.grid }),
    first ? wordsAt(box.left - 6, y(tick) + 4, fmtTick(fmtError(tick)), { "text-anchor": "end" }) : null]);
  const step = [1, 2, 5, 10, 20, 50].find((size) => ((box.right - box.left) * size) / payload.blocks >= 22) ?? 100;
  for (let block = 0; block < payload.blocks; block += step) parts.push(wordsAt(x(block), box.bottom + 13, String(block), { "text-anchor": "middle" }));
  const wide = box.right - box.left;
  const said = worst ? `${wide > 175 ? "worst " : ""}${fmtError(worst[2])} at ${worst[0]}` : "";
  const room = Math.floor((wide - 6.2 * said.length) / 7.4);
  parts.push(s("text", { x: round(box.left), y: box.top - 7, class: "hp-title", text: shortName(panel ? labelOf(name) : name, Math.max(8, room)) + (panel?.experts > 1 ? ` ×${panel.experts}` : "") }, s("title", { text: name })));
  if (worst) parts.push(wordsAt(box.right, box.top - 7, said, { "text-anchor": "end" }));
  else if (panel) parts.push(wordsAt((box.left + box.right) / 2, (box.top + box.bottom) / 2, NOT_YET, { "text-anchor": "middle" }));
  return s("g", {}, parts.filter(Boolean));
}

const pathOf = (points, x, y) => "M" + points.map(([block, value]) => `${round(x(block))},${round(y(value))}`).join("L");

// Values beyond the axis, marked at its end.
const beyond = (points, x, y, color) => points.filter(([, value]) => y.clamped(value)).map(([block, value]) => markOf(y.clamped(value) > 0 ? "^" : "v", x(block), y(value), 4, { fill: color, class: "hp-clamped" }));

function drawCurves(v, panel, x, y) {
  const { payload, colors } = v;
  const lines = payload.references.filter((name) => panel[name].length).map((name) => {
    const style = methodStyle(name, v.theme);
    const last = panel[name].at(-1);
    return s("g", { class: "hp-curve", "data-method": name },
      s("path", { d: pathOf(panel[name], x, y), fill: "none", stroke: style.color, "stroke-width": 1.4, "stroke-dasharray": style.dash.join(" ") }),
      markOf(style.marker, x(last[0]), y(last[1]), 3, { fill: colors.background, stroke: style.color, "stroke-width": 1.5 }), beyond(panel[name], x, y, style.color));
  });
  const ours = methodStyle(payload.method, v.theme);
  const points = panel.ours;
  const fill = payload.provisional ? colors.background : ours.color;
  return s("g", {}, lines, s("g", { class: "hp-curve", "data-method": "this run" },
    panel.experts > 1 ? points.map(([block, value, worst]) => lineOf(x(block), y(value), x(block), y(worst), { stroke: ours.color, "stroke-width": 1.2 })) : null,
    points.length ? s("path", { d: pathOf(points, x, y), fill: "none", stroke: ours.color, "stroke-width": 2.8, "stroke-linejoin": "round" }) : null,
    points.map(([block, value, , module]) => s("circle", { cx: round(x(block)), cy: round(y(value)), r: payload.blocks > 24 ? 2 : 3, fill, stroke: ours.color, "stroke-width": 1.4, "data-module": module, "data-value": value })),
    beyond(points, x, y, ours.color)));
}

// Compensated weights are only measured by what a whole block puts out.
function drawCompensated(v, x, y, box) {
  const ours = methodStyle(v.payload.method, v.theme);
  return s("g", {}, v.payload.compensated.map((one, n, all) => {
    const last = n === all.length - 1;
    const color = last ? ours.color : v.colors.soft;
    return s("g", { class: "hp-curve", "data-stage": one.stage },
      [[one.least_squares, 1.2, "2 3"], [one.refit, last ? 2.2 : 1.2, "6 4"]].filter(([points]) => points.length).map(([points, width, dash]) => [
        s("path", { d: pathOf(points, x, y), fill: "none", stroke: color, "stroke-width": width, "stroke-dasharray": dash }, s("title", { text: one.stage })), beyond(points, x, y, color)]));
  }));
}

// The block of a linear that stands for its kind there; null of any other.
const blockOf = (v, module) => v.payload.panels.flatMap((panel) => panel.ours).find((point) => point[3] === module)?.[0] ?? null;

// What moves without new numbers: the selected linears, the block at work, the pointer.
function drawOver(v) {
  const { colors } = v;
  const marks = [];
  const running = v.desk.running?.block;
  const chosen = blockOf(v, v.selection[0]);
  const at = chosen ?? v.payload.focus_block ?? null;
  for (const { panel, box, x, y, n } of v.cells) {
    if (known(running)) marks.push(s("rect", { x: x(running) - 6, y: box.top, width: 12, height: box.bottom - box.top, fill: colors.accent, opacity: 0.18, class: "hp-running", "data-block": running }));
    if (at !== null) marks.push(lineOf(x(at), box.top, x(at), box.bottom, { stroke: colors.line, "stroke-dasharray": "2 3" }));
    const marked = (block) => v.payload.marked.some((place) => place[0] === n && place[1] === block);
    for (const [block, value, , module] of panel?.ours ?? []) if (v.selection.includes(module) || (chosen === null && marked(block))) marks.push(s("circle", { cx: x(block), cy: y(value), r: 6.5, fill: "none", stroke: colors.ink, "stroke-width": 2, class: "hp-ring", "data-module": module }));
  }
  const there = v.pointed && v.cells[v.pointed.cell];
  if (there) marks.push(lineOf(there.x(v.pointed.block), there.box.top, there.x(v.pointed.block), there.box.bottom, { stroke: colors.accent, "stroke-width": 1.5 }));
  clear(v.over, marks);
}

function under(v, event) {
  const box = v.panels.firstChild.getBoundingClientRect();
  const [px, py] = [event.clientX - box.left, event.clientY - box.top];
  const cell = v.cells.findIndex(({ box: b }) => px >= b.left - 4 && px <= b.right + 4 && py >= b.top - 20 && py <= b.bottom + 16);
  if (cell < 0) return null;
  const { x } = v.cells[cell];
  return { cell, block: clamp(Math.round(x.invert(px)), 0, v.payload.blocks - 1) };
}

function factsAt(v, { cell, block }) {
  const { panel } = v.cells[cell];
  const at = (points) => points?.find((point) => point[0] === block)?.[1];
  if (!panel) return [`block ${block}, whole output`, ...v.payload.compensated.flatMap((one) => [[`${one.stage}, least squares`, fmtError(at(one.least_squares))], [`${one.stage}, refit`, fmtError(at(one.refit))]])];
  const point = panel.ours.find((one) => one[0] === block);
  if (!point) return [`block ${block} ${panel.name}`, ["this run", NOT_YET]];
  return [panel.experts > 1 ? `block ${block} ${panel.name}, ${panel.experts} experts` : point[3],
    ["this run", fmtError(point[1])], panel.experts > 1 ? [`worst: ${shortName(point[3], 24)}`, fmtError(point[2])] : null,
    ...v.payload.references.map((name) => [methodStyle(name, v.theme).label, fmtError(at(panel[name]))])].filter(Boolean);
}

function pointing(v) {
  v.panels.addEventListener("pointermove", (event) => {
    v.pointed = under(v, event);
    drawOver(v);
    const body = v.body.getBoundingClientRect();
    if (v.pointed) v.card.show(event.clientX - body.left, event.clientY - body.top, factsAt(v, v.pointed));
    else v.card.hide();
  });
  v.panels.addEventListener("pointerleave", () => {
    v.pointed = null;
    v.card.hide();
    drawOver(v);
  });
  v.panels.addEventListener("click", (event) => {
    const here = under(v, event);
    const point = here && v.cells[here.cell].panel?.ours.find((one) => one[0] === here.block);
    v.root.focus({ preventScroll: true });
    if (!point) return;
    if (event.shiftKey || event.ctrlKey || event.metaKey) v.toggle(point[3]);
    else v.select([point[3]]);
  });
}

function move(v, panels, blocks) {
  const cells = v.cells.filter((cell) => cell.panel?.ours.length);
  if (!cells.length) return;
  const found = cells.findIndex(({ panel }) => panel.ours.some((point) => point[3] === v.selection[0]));
  const cell = cells[clamp(Math.max(0, found) + panels, 0, cells.length - 1)];
  const block = found < 0 ? 0 : blockOf(v, v.selection[0]) + blocks;
  const point = cell.panel.ours.reduce((best, one) => (Math.abs(one[0] - block) < Math.abs(best[0] - block) ? one : best));
  v.select([point[3]]);
  v.say(`${point[3]}: ${fmtError(point[1])}`);
}

// -- the selection

const heading = (text, about) => h("div", { class: "hp-head-of" }, h("b", { text }), about ? h("span", { class: "hp-label", text: about }) : null);

function drawParts(v, width) {
  const { payload, colors } = v;
  const ours = methodStyle(payload.method, v.theme);
  const title = heading("Inside the pruned model", payload.parts.length ? "held-out text" : null);
  if (!payload.parts.length) return [title, h("p", { class: "hp-label", text: payload.about_parts })];
  const x = scaleOf("linear", payload.parts_domain, [58, width - 52]);
  const hatch = `${v.id}-inherited`;
  const fills = { local: ours.color, inherited: `url(#${hatch})`, total: colors.neutral };
  const bars = payload.parts.map((parts) => {
    const rows = ["local", "inherited", "cross", "total"].map((name, n) => {
      const y = 3 + n * LINE;
      const value = parts[name];
      const label = wordsAt(52, y + 10, name, { "text-anchor": "end", class: "hp-name" });
      if (name === "cross") return s("g", { class: "hp-part", "data-part": name, "data-value": value }, label, wordsAt(x(0) + 5, y + 10, (value > 0 ? "+" : "") + fmtNumber(value), { class: "hp-name" }));
      return s("g", { class: "hp-part", "data-part": name, "data-value": value }, label,
        s("rect", { x: x(0), y, width: Math.max(1, x(value) - x(0)), height: LINE - 5, fill: fills[name], stroke: name === "local" ? "none" : colors.ink }),
        wordsAt(x(value) + 5, y + 10, (x.clamped(value) > 0 ? "▸ " : "") + fmtNumber(value), { class: "hp-name hp-halo" }));
    });
    const axis = x.ticks(3).map((tick) => [lineOf(x(tick), 0, x(tick), 4 * LINE + 2, { stroke: colors.grid }), wordsAt(x(tick), 4 * LINE + 13, fmtTick(fmtNumber(tick)), { "text-anchor": "middle" })]);
    return [payload.parts.length > 1 ? h("div", { class: "hp-label", text: parts.place }) : null,
      s("svg", { width, height: 4 * LINE + 17, role: "img", "aria-label": `${parts.module}: ${parts.sum}` }, s("defs", {}, hatchPattern(hatch, colors.ink)), axis, rows)];
  });
  return [title, bars, payload.more ? h("p", { class: "hp-label", text: `and ${payload.more} more selected` }) : null];
}

// A list of bars that can be chosen: label, value, words.
function barList(v, width, entries, { pick, signed, label }) {
  const { colors } = v;
  const left = signed ? 48 : 56;
  const values = entries.map(({ value }) => value);
  const [low, high] = [Math.min(0, ...values), Math.max(1e-12, ...values)];
  const room = signed ? 50 : 118;
  const x = scaleOf("linear", [low, high], [left + (low < 0 ? 46 : 0), width - room]);
  const rows = entries.map(({ name, value, words, key }, n) => {
    const y = 2 + n * LINE;
    const fill = value < 0 ? colors.accent : methodStyle(v.payload.method, v.theme).color;
    const node = s("g", { class: "hp-row-of", "data-key": key, "data-value": value },
      s("rect", { x: 0, y: y - 1, width, height: LINE, rx: 3, class: "hp-band" }),
      wordsAt(left - 6, y + 11, name, { "text-anchor": "end", class: "hp-name" }),
      s("rect", { x: Math.min(x(0), x(value)), y: y + 2, width: Math.max(1, Math.abs(x(value) - x(0))), height: LINE - 6, fill, "fill-opacity": value < 0 ? 0.35 : 1, stroke: fill }),
      wordsAt(value < 0 ? x(value) - 4 : x(value) + 5, y + 11, words, { "text-anchor": value < 0 ? "end" : "start" }));
    node.addEventListener("click", () => pick(key));
    return node;
  });
  return s("svg", { width, height: entries.length * LINE + 4, role: "img", "aria-label": label }, lineOf(x(0), 0, x(0), entries.length * LINE + 2, { stroke: colors.line }), rows);
}

function drawRows(v, width) {
  const { rows, focus } = v.payload;
  const title = heading("Worst output rows", "share of the error");
  if (!rows.length) return [title, h("p", { class: "hp-label", text: focus ? NOT_YET : "Select a linear." })];
  const words = (row) => [fmtShare(row.share), known(row.of_own) ? `own ${fmtError(row.of_own)}` : `${fmtDigits(row.times_mean, 2)}× mean`].join(" · ");
  return [title, barList(v, width, rows.map((row) => ({ name: `row ${row.row}`, value: row.share, words: words(row), key: row.row })), { pick: (row) => v.send("row", { module: focus, row }), label: "Worst output rows" })];
}

function drawShares(v, width) {
  const { shares, focus } = v.payload;
  const title = heading("Input channels", "signed share of the error");
  if (!shares) return [title, h("p", { class: "hp-label", text: focus ? NOT_YET : "Select a linear." })];
  const entries = shares.channels.map(([channel, value]) => ({ name: `in ${channel}`, value, words: (value > 0 ? "+" : "") + fmtShare(value), key: channel }));
  return [title, barList(v, width, entries, { signed: true, pick: (channel) => v.send("channel", { module: focus, channel }), label: "Signed shares of input channels" }), h("p", { class: "hp-label", text: shares.about })];
}

function drawPairs(v, width) {
  const { payload, colors } = v;
  const { pairs } = payload;
  const title = heading("Calibration ● and held-out ○", null);
  const about = h("p", { class: "hp-label", text: payload.about_pairs });
  if (!pairs.length) return [title, about];
  const ours = methodStyle(payload.method, v.theme);
  const x = scaleOf("log", payload.domain, [88, width - 50]);
  const bottom = pairs.length * LINE + 4;
  const rows = pairs.map((pair, n) => {
    const y = 2 + n * LINE + LINE / 2;
    const node = s("g", { class: `hp-row-of${v.selection.includes(pair.module) ? " hp-on" : ""}`, "data-module": pair.module, "data-value": pair.ratio },
      s("rect", { x: 0.5, y: y - LINE / 2 + 0.5, width: width - 1, height: LINE - 1, rx: 3, class: "hp-band" }),
      wordsAt(4, y + 4, pair.place, { class: "hp-name" }),
      lineOf(x(pair.calibration), y, x(pair.held_out), y, { stroke: ours.color, "stroke-width": 2 }),
      s("circle", { cx: x(pair.calibration), cy: y, r: 3.6, fill: ours.color }), s("circle", { cx: x(pair.held_out), cy: y, r: 3.6, fill: colors.background, stroke: ours.color, "stroke-width": 1.8 }),
      wordsAt(width - 4, y + 4, fmtRatio(pair.ratio), { "text-anchor": "end", class: "hp-name" }));
    node.addEventListener("click", () => v.select([pair.module]));
    return node;
  });
  const axis = x.ticks().map((tick) => [lineOf(x(tick), 0, x(tick), bottom, { stroke: colors.grid }), wordsAt(x(tick), bottom + 12, fmtTick(fmtError(tick)), { "text-anchor": "middle" })]);
  return [title, s("svg", { width, height: bottom + 16, role: "img", "aria-label": "Error on calibration and on held-out text" }, axis, rows), about];
}

function drawLegend(v) {
  const { payload, colors } = v;
  const ours = methodStyle(payload.method, v.theme);
  const swatch = (label, ...marks) => h("span", { class: "hp-swatch" }, s("svg", { width: 30, height: 14 }, marks), label);
  const stroke = (color, width, dash) => lineOf(1, 7, 29, 7, { stroke: color, "stroke-width": width, "stroke-dasharray": dash });
  clear(v.legend,
    swatch(`this run (${ours.label})${payload.provisional ? ", provisional" : ""}`, stroke(ours.color, 2.8), s("circle", { cx: 15, cy: 7, r: 3, fill: payload.provisional ? colors.background : ours.color, stroke: ours.color })),
    payload.references.map((name) => methodStyle(name, v.theme)).map((style) => swatch(style.label, stroke(style.color, 1.4, style.dash.join(" ")), markOf(style.marker, 15, 7, 3, { fill: colors.background, stroke: style.color, "stroke-width": 1.5 }))),
    payload.compensated.length ? [swatch("compensated: least squares", stroke(ours.color, 1.2, "2 3")), swatch("refit", stroke(ours.color, 2.2, "6 4"))] : null,
    payload.compensated.length > 1 ? swatch(payload.compensated.slice(0, -1).map((one) => one.stage).join(", "), stroke(colors.soft, 1.2, "6 4")) : null,
    button("fit to data", "Let the axes span what was measured; otherwise they mean the same in every run", () => v.setOption("fit", !payload.fitted), { "aria-pressed": String(Boolean(payload.fitted)) }));
}

function drawDetails(v) {
  const { focus, focus_errors: errors, references, formula, no_sum: noSum } = v.payload;
  const beside = references.filter((name) => known(errors[name])).map((name) => `${methodStyle(name, v.theme).label} ${fmtError(errors[name])}`).join(", ");
  const own = known(errors["this run"]) ? `error ${fmtError(errors["this run"])}` : NOT_YET;
  clear(v.named, focus ? [h("b", { text: focus }), h("span", { class: "hp-label", text: beside ? `${own} (${beside})` : own })]
    : h("span", { class: "hp-label", text: "Click a point, or use the arrow keys, to see where its error comes from." }));
  const columns = v.width >= 900 ? 4 : v.width >= 520 ? 2 : 1;
  const room = v.width - 22 * (columns - 1);
  const shares = columns === 4 ? [0.24, 0.26, 0.2, 0.3] : Array(4).fill(1 / columns);
  const draws = [drawParts, drawRows, drawShares, drawPairs];
  clear(v.details, draws.map((drawOne, n) => {
    const width = Math.floor(room * shares[n]);
    return h("div", { class: "hp-detail", style: { width: `${width}px` } }, drawOne(v, width));
  }));
  clear(v.formula, h("i", { text: formula }), h("span", { text: noSum }));
}

export default {
  render({ model, el }) {
    return frame({ model, el }, {
      setup(v) {
        v.id = `hp-${Math.random().toString(36).slice(2)}`;
        v.pointed = null;
        v.headline = h("p", { class: "hp-headline" });
        v.legend = h("div", { class: "hp-keys" });
        v.panels = h("div", { class: "hp-holder" });
        v.named = h("div", { class: "hp-named" });
        v.stuck = h("div", { class: "hp-label" });
        v.details = h("div", { class: "hp-details" });
        v.formula = h("div", { class: "hp-formula" });
        v.note_ = h("div", { class: "hp-note" });
        v.body.append(v.headline, v.legend, v.panels, v.note_, v.named, v.stuck, v.details, v.formula);
        pointing(v);
      },
      draw(v) {
        const key = [v.payload, v.width, v.theme];
        if (!v.key || key.some((part, n) => part !== v.key[n])) {
          v.key = key;
          v.headline.textContent = v.payload.headline;
          clear(v.panels, drawPanels(v));
          v.note_.textContent = v.payload.compensated.length ? "relative error (log) by block; the last panel is another quantity: what the whole block puts out, earlier errors included" : "relative error (log) by block";
          drawLegend(v);
          drawDetails(v);
        }
        const stuck = !v.kernel.live && v.payload.focus && v.selection[0] !== v.payload.focus;
        v.stuck.textContent = stuck ? `Below are the causes of ${v.payload.focus}: another linear's need a running kernel.` : "";
        drawOver(v);
      },
      keys: {
        ArrowLeft: (v) => move(v, 0, -1),
        ArrowRight: (v) => move(v, 0, 1),
        ArrowUp: (v) => move(v, -1, 0),
        ArrowDown: (v) => move(v, 1, 0),
        Home: (v) => move(v, 0, -1e6),
        End: (v) => move(v, 0, 1e6),
      },
    });
  },
};
