// The hypernetwork's strips on one step axis. Draws payload of hyperprune_lab/views/hypernetwork.py.
const LEFT = 52;
const TERMS = [["reconstruction", "reconstruction", null], ["outlier", "outlier reward", "6 3"], ["continual", "not forgetting", "2 2"], ["total", "total", null]];

const RIGHT = 152;

const fmtFixed = (value) => (known(value) ? minus(value.toFixed(2)) : NONE);

// Colors of lines: terms of the loss, and what choices are held against.
function inkOf(v, name) {
  const { colors, theme } = v;
  return { reconstruction: colors.accent, outlier: colors.warning, continual: colors.good, total: colors.ink,
    agreement_wanda: methodStyle("wanda", theme).color, agreement_prior: methodStyle("prior", theme).color }[name] ?? colors.ink;
}

// Four strips: {title, height, domain, scale, ticks, form, lines: [[column, label, dash, width]]}.
function stripsOf(v) {
  const { payload } = v;
  const share = { domain: [0, 1], scale: "linear", ticks: [0, 0.5, 1], form: fmtTick };
  const entropy = payload.banded ? ["entropy_median", "median", null, 2] : ["entropy", "mean", null, 2];
  const agreement = [["agreement_wanda", "as Wanda", methodStyle("wanda", v.theme).dash.join(" "), 1.5]];
  if (payload.has_prior) agreement.push(["agreement_prior", "as the prior", methodStyle("prior", v.theme).dash.join(" "), 1.5]);
  const [low, high] = payload.domain;
  const lines = TERMS.map(([name, label, dash]) => [name, label, dash, name === "total" ? 2.5 : 1.5]);
  return [
    { name: "loss", title: "loss", height: 104, domain: payload.domain, scale: "linear", ticks: payload.fitted ? [low, 0, high] : [-0.1, 0, 0.25, 0.5].filter((tick) => tick >= low), form: (tick) => fmtTick(fmtError(tick)), lines },
    { name: "temperature", title: "temperature", height: 50, domain: payload.temperature_domain, scale: "log", ticks: [0.01, 0.1, 1, 10], form: (tick) => fmtTick(String(tick)), lines: [["temperature", "temperature", null, 1.5]] },
    { name: "entropy", title: "entropy", height: 72, ...share, form: String, lines: [entropy] },
    { name: "agreement", title: "same choice", height: 72, ...share, form: fmtShare, lines: agreement },
  ];
}

// Whether the scale of a column is that of the whole-model stage there.
const isModel = (v, x) => v.payload.stretches.some(([start, stop, , block]) => block === null && x >= start && x < stop);

function drawStrips(v) {
  const { payload, colors } = v;
  const { points, shown } = payload;
  const right = v.width - RIGHT;
  const x = scaleOf("linear", [shown[0], Math.max(shown[0] + 1, shown[1])], [LEFT, right]);
  const middle = (step) => x(step + 0.5);
  v.axis = { x, right };
  const strips = stripsOf(v);
  const gap = 14;
  const height = strips.reduce((sum, strip) => sum + strip.height + gap, 0) + 20;
  const svg = s("svg", { width: v.width, height, role: "img", class: "hp-strips", "aria-label": "Loss, temperature, entropy and agreement by step" });
  let top = 12;
  for (const strip of strips) {
    const bottom = top + strip.height;
    const g = s("g", { class: "hp-strip", "data-strip": strip.name });
    svg.append(g);
    const y = scaleOf(strip.scale, strip.domain, [bottom, top]);
    const yModel = scaleOf("linear", payload.divergence_domain, [y(0), top]);
    stretchesOn(v, g, top, bottom);
    for (const tick of strip.ticks) g.append(s("line", { x1: LEFT, x2: right, y1: y(tick), y2: y(tick), stroke: tick === 0 && strip.name === "loss" ? colors.line : colors.grid }), s("text", { x: LEFT - 5, y: y(tick) + 4, "text-anchor": "end", text: strip.form(tick) }));
    g.append(s("text", { x: LEFT, y: top - 3, class: "hp-strip-title", text: strip.title }));
    if (strip.name === "entropy") {
      if (payload.banded) g.append(band(v, middle, y));
      g.append(s("line", { x1: LEFT, x2: right, y1: y(payload.undecided), y2: y(payload.undecided), stroke: colors.line, "stroke-dasharray": "4 3" }));
    }
    const ends = [];
    for (const [name, label, dash, width] of strip.lines) {
      const values = points[name];
      if (!values) continue;
      const scaleAt = (n) => (strip.name === "loss" && isModel(v, points.x[n]) ? yModel : y);
      const parts = lineParts(v, values, (n, value) => [middle(points.x[n]), scaleAt(n)(value)]);
      for (const part of parts) g.append(s("polyline", { points: part.map((at) => at.map((one) => one.toFixed(1)).join(",")).join(" "), fill: "none", stroke: inkOf(v, name), "stroke-width": width, "stroke-dasharray": dash, "data-line": name }));
      values.forEach((value, n) => {
        const out = known(value) ? scaleAt(n).clamped(value) : 0;
        if (out) g.append(s("text", { x: middle(points.x[n]), y: out > 0 ? top + 8 : bottom, "text-anchor": "middle", style: { fill: inkOf(v, name) }, text: out > 0 ? "▴" : "▾" }));
      });
      const n = values.findLastIndex(known);
      const model = isModel(v, points.x[n]) && name === "total";
      ends.push({ y: scaleAt(n)(values[n]), color: inkOf(v, name), bold: name === "total", text: `${model ? "KL to dense" : label} ${strip.form === fmtShare ? fmtShare(values[n]) : strip.name === "entropy" ? fmtFixed(values[n]) : fmtError(values[n])}` });
    }
    if (strip.name === "loss" && payload.stretches.some(([, , , block]) => block === null)) {
      g.append(s("text", { x: right - 3, y: top + 11, "text-anchor": "end", text: `${fmtTick(fmtNumber(payload.divergence_domain[1]))} nats a token` }));
    }
    g.append(spread(ends, top, bottom, right + 8));
    top = bottom + gap;
  }
  stepNumbers(v, svg, top - gap + 14, middle);
  v.cursorLine = s("g", { class: "hp-cursor-line" });
  svg.append(v.cursorLine);
  v.depth = top - gap;
  return svg;
}

// Lines break where nothing was measured, and between blocks: each block starts anew.
function lineParts(v, values, place) {
  const { points, stretches } = v.payload;
  const starts = new Set(stretches.map(([start]) => start));
  const parts = [];
  let part = [];
  values.forEach((value, n) => {
    if (!known(value) || starts.has(points.x[n])) {
      if (part.length) parts.push(part);
      part = [];
    }
    if (known(value)) part.push(place(n, value));
  });
  if (part.length) parts.push(part);
  return parts.map((one) => (one.length > 1 ? one : [[one[0][0] - 1.5, one[0][1]], [one[0][0] + 1.5, one[0][1]]]));
}

function band(v, middle, y) {
  const { points } = v.payload;
  const low = lineParts(v, points.entropy_p10, (n, value) => [middle(points.x[n]), y(value)]);
  const high = lineParts(v, points.entropy_p90, (n, value) => [middle(points.x[n]), y(value)]);
  const words = (part) => part.map((at) => at.map((one) => one.toFixed(1)).join(","));
  return s("g", { class: "hp-band" }, high.map((part, n) => s("polygon", { points: [...words(part), ...words(low[n] ?? []).reverse()].join(" "), fill: v.colors.accent, "fill-opacity": 0.25 })));
}

// Blocks as stripes; the selected one stands out, those to come are bare.
function stretchesOn(v, g, top, bottom) {
  const { payload, colors } = v;
  const { x } = v.axis;
  const selected = selectedOf(v);
  payload.stretches.forEach(([start, stop, , block], n) => {
    const [a, b] = [x(Math.max(start, payload.shown[0])), x(Math.min(stop, payload.shown[1]))];
    if (b <= a) return;
    const chosen = known(block) && block === selected && !payload.zoomed;
    g.append(s("rect", { x: a, y: top, width: b - a, height: bottom - top, fill: chosen ? colors.neutral : n % 2 ? colors.panel : "none", "fill-opacity": chosen ? 0.6 : 1, class: "hp-stretch", "data-block": block ?? "" }));
    if (n) g.append(s("line", { x1: a, x2: a, y1: top, y2: bottom, stroke: colors.grid }));
  });
}

// Labels at the right end, moved apart.
function spread(ends, top, bottom, left) {
  ends.sort((one, other) => one.y - other.y);
  let low = top + 3;
  for (const one of ends) {
    one.at = Math.max(one.y, low);
    low = one.at + 13;
  }
  let high = bottom + 8;
  for (const one of ends.toReversed()) {
    one.at = Math.min(one.at, high - 8);
    high = one.at - 5;
  }
  return s("g", {}, ends.map((one) => s("text", { x: left, y: one.at + 4, style: { fill: one.color }, class: one.bold ? "hp-final" : "", text: one.text })));
}

function stepNumbers(v, svg, y) {
  const { payload } = v;
  const { x } = v.axis;
  if (payload.zoomed) {
    const [start, stop] = payload.shown;
    for (const tick of scaleOf("linear", [0, Math.max(1, stop - start)]).ticks(8)) if (Number.isInteger(tick) && tick < stop - start) svg.append(s("text", { x: x(start + tick + 0.5), y, "text-anchor": "middle", text: String(tick) }));
    svg.append(s("text", { x: LEFT - 14, y, "text-anchor": "end", text: "step" }));
    return;
  }
  let free = 0;
  for (const [start, stop, label, block] of payload.stretches) {
    const words = block === null ? label : String(block);
    const at = (x(start) + x(stop)) / 2;
    if (at - 3.5 * words.length < free) continue;
    svg.append(s("text", { x: at, y, "text-anchor": "middle", text: words }));
    free = at + 3.5 * words.length + 6;
  }
  svg.append(s("text", { x: LEFT - 5, y, "text-anchor": "end", text: "block" }));
}

// -- the step under the cursor

function selectedOf(v) {
  const at = v.payload.leads.indexOf(v.selection[0]);
  return at >= 0 ? at : v.payload.selected;
}

function drawCursor(v) {
  const { points, stretches } = v.payload;
  const n = v.at;
  const on = known(n) && n < points.x.length;
  v.moment.hidden = !on;
  if (!on) {
    clear(v.cursorLine);
    v.readout.textContent = points.x.length ? "Point at a step to read it; arrow keys move, click selects the block." : "No step was measured yet.";
    return;
  }
  const at = v.axis.x(points.x[n] + 0.5);
  clear(v.cursorLine, s("line", { x1: at, x2: at, y1: 12, y2: v.depth, stroke: v.colors.ink, "stroke-dasharray": "2 2" }));
  v.readout.textContent = wordsOf(v, n);
}

function wordsOf(v, n) {
  const { points, stretches, banded, has_prior: prior } = v.payload;
  const here = stretches.find(([start, stop]) => points.x[n] >= start && points.x[n] < stop);
  const value = (name) => points[name]?.[n];
  const told = [`${here?.[3] === null ? "whole model" : here?.[2]}, step ${points.step[n]}`];
  for (const [name, label] of [["total", "total"], ...TERMS.slice(0, 3)]) if (known(value(name))) told.push(`${label} ${fmtNumber(value(name))}`);
  told.push(`temperature ${fmtNumber(value("temperature"))}`);
  const entropy = value(banded ? "entropy_median" : "entropy");
  const spread = banded ? ` (${fmtFixed(value("entropy_p10"))} to ${fmtFixed(value("entropy_p90"))})` : "";
  if (known(entropy)) told.push(`entropy ${fmtFixed(entropy)}${spread}`);
  if (known(value("agreement_wanda"))) told.push(`as Wanda ${fmtShare(value("agreement_wanda"))}`);
  if (prior && known(value("agreement_prior"))) told.push(`as the prior ${fmtShare(value("agreement_prior"))}`);
  return told.join(" · ");
}

function under(v, event) {
  const { points } = v.payload;
  const step = v.axis.x.invert(event.clientX - v.holder.getBoundingClientRect().left) - 0.5;
  let best = null;
  points.x.forEach((at, n) => { if (best === null || Math.abs(at - step) < Math.abs(points.x[best] - step)) best = n; });
  return best;
}

function choose(v, block) {
  const module = v.payload.leads[block];
  if (module) v.select([module]);
}

function move(v, by) {
  const count = v.payload.points?.x.length ?? 0;
  if (!count) return;
  v.at = clamp((v.at ?? (by > 0 ? -1 : count)) + by, 0, count - 1);
  v.say(wordsOf(v, v.at));
  drawCursor(v);
}

const blockAt = (v, n) => v.payload.stretches.find(([start, stop]) => v.payload.points.x[n] >= start && v.payload.points.x[n] < stop)?.[3];

function neighbor(v, by) {
  const selected = selectedOf(v);
  if (v.payload.leads) choose(v, clamp((selected ?? -1) + by, 0, v.payload.leads.length - 1));
}

function pointing(v) {
  v.holder.addEventListener("pointermove", (event) => {
    v.at = under(v, event);
    drawCursor(v);
  });
  v.holder.addEventListener("click", (event) => {
    const step = v.axis.x.invert(event.clientX - v.holder.getBoundingClientRect().left);
    const block = v.payload.stretches.find(([start, stop]) => step >= start && step < stop)?.[3];
    if (known(block)) choose(v, block);
  });
}

function drawHead(v) {
  const { payload } = v;
  renew(v.facts, [payload.facts, payload.warnings, payload.finished], () => [h("span", { class: "hp-label", text: payload.facts.join(" · ") }),
    payload.warnings.map((warning) => h("span", { class: "hp-warning", role: "note", text: `⚠ ${warning}` })),
    payload.finished && !payload.warnings.length ? h("span", { class: "hp-fine", text: "✓ no warnings" }) : null].flat().filter(Boolean));
  v.fit.setAttribute("aria-pressed", String(Boolean(v.options.fit)));
  v.zoom.setAttribute("aria-pressed", String(Boolean(v.options.zoom)));
}

export default {
  render({ model, el }) {
    return frame({ model, el }, {
      setup(v) {
        v.at = null;
        v.message = h("p", { class: "hp-message" });
        v.facts = h("div", { class: "hp-facts" });
        v.holder = h("div", { class: "hp-holder" });
        v.readout = h("span", { class: "hp-readout" });
        v.moment = button("show all views as of this step", "Go back in the record to this step", () => v.send("moment", { seq: v.payload.points.seq[v.at] }), { hidden: true });
        v.foot = h("div", { class: "hp-foot" }, v.readout, v.moment);
        v.panels = h("div", { class: "hp-panels" });
        v.fit = button("fit to data", "Let the scale of the loss span what was measured; otherwise it means the same in every run", () => v.setOption("fit", !v.options.fit));
        v.zoom = button("selected block only", "Draw the steps of the selected block alone (z)", () => v.setOption("zoom", !v.options.zoom));
        v.tools.append(v.fit, v.zoom);
        v.body.append(v.message, v.facts, v.holder, v.foot, v.panels);
        pointing(v);
      },
      draw(v) {
        const { payload } = v;
        v.message.textContent = payload.message ?? "";
        v.message.hidden = !payload.message;
        for (const part of [v.facts, v.holder, v.foot, v.panels]) part.hidden = !payload.applies;
        v.tools.hidden = !payload.applies;
        if (!payload.applies) return;
        drawHead(v);
        clear(v.holder, drawStrips(v));
        drawCursor(v);
        renew(v.panels, [payload.histogram, payload.pinned, payload.maps, payload.no_maps, v.width, v.theme], () => panelsOf(v));
      },
      keys: {
        ArrowLeft: (v) => move(v, -1),
        ArrowRight: (v) => move(v, 1),
        "Shift+ArrowLeft": (v) => neighbor(v, -1),
        "Shift+ArrowRight": (v) => neighbor(v, 1),
        Home: (v) => move(v, -1e6),
        End: (v) => move(v, 1e6),
        " ": (v) => known(v.at) && known(blockAt(v, v.at)) && choose(v, blockAt(v, v.at)),
        z: (v) => v.setOption("zoom", !v.options.zoom),
      },
    });
  },
};
