// Outlier channels: loudness across, what was kept upward. Draws payload of hyperprune_lab/views/outliers.py.
const [INPUT, CHANNEL, RATIO, KEPT] = [0, 1, 2, 3];
const REFERENCE = { wanda: 1, magnitude: 2 };
const PRICE = 6;
const ENERGY = 9;
const ROW = 17;
const TALL = 330;
const HEAD = 34;

const place = (v, point) => {
  const [block, input, short, modules] = v.payload.inputs[point[INPUT]];
  return { block, input, modules, name: `block ${block} ${short} ${point[CHANNEL]}` };
};
const samePoint = (v, one, other) => {
  if (!one || !other) return false;
  const [a, b] = [place(v, one), place(v, other)];
  return one[CHANNEL] === other[CHANNEL] && a.block === b.block && a.input === b.input;
};
const radius = (energy) => (known(energy) ? 1.5 + 5.5 * Math.sqrt(energy) : 4);

// The threshold that is shown: while it is dragged, before the kernel has heard of it, and as the kernel has it.
function stepNow(v) {
  const { steps, step } = v.payload;
  if (v.dragged !== null) return v.dragged;
  if (!v.kernel.live) return v.own ?? step;
  const wanted = Math.log(v.options.threshold ?? steps[step][0]);
  const far = (n) => Math.abs(Math.log(steps[n][0]) - wanted);
  return steps.reduce((best, _, n) => (far(n) < far(best) ? n : best), 0);
}

function setStep(v, step) {
  const at = clamp(step, 0, v.payload.steps.length - 1);
  v.own = at;
  if (v.kernel.live) v.setOption("threshold", v.payload.steps[at][0]);
  else v.redraw();
  v.say(v.payload.steps[at][1]);
}

function factsOf(v, point) {
  const { references, chance } = v.payload;
  const beside = (offset) => references
    .filter((name) => known(point[offset + REFERENCE[name]]))
    .map((name) => `${methodStyle(name, v.theme).label} ${fmtShare(point[offset + REFERENCE[name]])}`).join(", ");
  const told = (offset) => fmtShare(point[offset]) + (beside(offset) ? ` (${beside(offset)})` : "");
  return [
    ["loudness", `${fmtNumber(point[RATIO])} × median`],
    ["kept", told(KEPT)],
    ["neighbors keep", `${told(PRICE)}, chance ${chance}`],
    ["energy kept", known(point[ENERGY]) ? told(ENERGY) : "not recorded"],
  ];
}

// -- the scatter

function drawScatter(v) {
  const { payload, colors } = v;
  const width = v.sizes.scatter;
  const box = { left: 46, right: width - 12, top: 30, bottom: TALL - 36 };
  const x = scaleOf("log", payload.domain, [box.left, box.right]);
  const y = scaleOf("linear", [0, 1], [box.bottom, box.top]);
  Object.assign(v, { box, x, y });
  const svg = s("svg", { width, height: TALL, class: "hp-scatter", role: "img", "aria-label": "Keep-rate of each channel's weights against its loudness" });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) svg.append(
    lineOf(box.left, y(share), box.right, y(share), { stroke: colors.grid }),
    wordsAt(box.left - 6, y(share) + 4, `${100 * share} %`, { "text-anchor": "end" }));
  for (const tick of x.ticks(5)) svg.append(
    lineOf(x(tick), box.bottom, x(tick), box.bottom + 4, { stroke: colors.line }),
    wordsAt(x(tick), box.bottom + 15, fmtTick(fmtNumber(tick)), { "text-anchor": "middle" }));
  svg.append(wordsAt((box.left + box.right) / 2, TALL - 5, "channel RMS over the median of its input", { "text-anchor": "middle" }),
    wordsAt(box.left - 38, 12, "share of its weights that is kept", {}));
  svg.append(drawCrowd(v));
  for (const density of payload.densities) svg.append(
    lineOf(box.left, y(density), box.right, y(density), { stroke: colors.ink, "stroke-width": 1.2, "stroke-dasharray": "7 4", class: "hp-chance", "data-value": density }),
    wordsAt(box.left + 4, y(density) - 5, `n/m = ${fmtShare(density)}: chance`, { class: "hp-halo", style: { fill: colors.ink } }));
  const style = methodStyle(payload.method, v.theme);
  v.dots = payload.points.map((point, n) => {
    const clamped = x.clamped(point[RATIO]);
    const attrs = { class: "hp-dot", stroke: style.color, fill: style.color, "data-index": n, "data-ratio": point[RATIO], "data-value": point[KEPT] };
    if (!known(point[KEPT])) return s("g", {});
    if (clamped) return s("polygon", { points: clamped > 0 ? "0,-5 8,0 0,5" : "0,-5 -8,0 0,5", transform: `translate(${x(point[RATIO]) - 4 * clamped},${y(point[KEPT])})`, ...attrs });
    return s("circle", { cx: round(x(point[RATIO])), cy: round(y(point[KEPT])), r: round(radius(point[ENERGY])), "stroke-dasharray": known(point[ENERGY]) ? null : "2 2", ...attrs });
  });
  // Loud ones last, on top.
  svg.append(s("g", {}, [...v.dots].reverse()));
  v.over = s("g", {});
  v.slider = s("g", { class: "hp-threshold", role: "slider", tabindex: -1, "aria-label": "Threshold: how many times the median a channel must reach", "aria-valuemin": payload.steps[0][0], "aria-valuemax": payload.steps.at(-1)[0] });
  svg.append(v.over, v.slider);
  return svg;
}

// How many of the channels that are not shown one by one lie where.
function drawCrowd(v) {
  const { grid: [low, high, across, up], crowd } = v.payload;
  const most = Math.max(1, ...crowd.map((cell) => cell[2]));
  const step = Math.log10(high / low) / across;
  const edge = (n) => v.x(low * 10 ** (n * step));
  return s("g", { class: "hp-crowd", fill: v.colors.soft }, crowd.map(([column, row, count]) => {
    const [left, right] = [edge(column), edge(column + 1)];
    const [top, bottom] = [v.y((row + 1) / up), v.y(row / up)];
    return right - left < 0.5 ? null : s("rect", { x: round(left), y: round(top), width: round(right - left), height: round(bottom - top), opacity: round(100 * (0.1 + 0.55 * (Math.log1p(count) / Math.log1p(most)))) / 100 });
  }));
}

// The threshold and everything that follows it without new numbers.
function drawThreshold(v) {
  const { payload, colors, box } = v;
  const at = stepNow(v);
  const [threshold, rule, headline, price] = payload.steps[at];
  const here = v.x(threshold);
  const left = here + 24 + 7.4 * rule.length > box.right;
  Object.entries({ "aria-valuenow": threshold, "aria-valuetext": rule, "data-threshold": threshold }).forEach(([name, value]) => v.slider.setAttribute(name, value));
  clear(v.slider,
    s("rect", { x: here - 12, y: box.top - 8, width: 24, height: box.bottom - box.top + 8, fill: "transparent", class: "hp-grip" }),
    lineOf(here, box.top - 6, here, box.bottom, { stroke: colors.accent, "stroke-width": 2 }),
    s("path", { d: `M${here - 11},${box.top - 14}l-5,5l5,5M${here + 11},${box.top - 14}l5,5l-5,5`, stroke: colors.accent, "stroke-width": 2, fill: "none" }),
    s("circle", { cx: here, cy: box.top - 9, r: 6, fill: colors.accent }),
    wordsAt(left ? here - 22 : here + 22, box.top - 5, rule, { "text-anchor": left ? "end" : "start", class: "hp-rule hp-halo", style: { fill: colors.ink } }));
  payload.points.forEach((point, n) => v.dots[n].setAttribute("fill-opacity", point[RATIO] >= threshold ? 0.65 : 0));
  payload.points.slice(0, payload.top).forEach((point, n) => v.rows[n]?.classList.toggle("hp-quiet", point[RATIO] < threshold));
  v.head.textContent = headline;
  v.paid.textContent = price;
  v.ruled.textContent = `threshold ${threshold} ×`;
  v.less.disabled = at === 0;
  v.more.disabled = at === payload.steps.length - 1;
}

// Rings around what is pinned, under the cursor or the pointer, with the other masks' places.
function drawOver(v) {
  const { payload, colors } = v;
  const marks = [];
  const ring = (point, attrs) => {
    if (!known(point[KEPT])) return;
    const at = [v.x(point[RATIO]), v.y(point[KEPT])];
    if (attrs.ghosts) for (const name of payload.references) {
      const other = point[KEPT + REFERENCE[name]];
      const style = methodStyle(name, v.theme);
      if (known(other)) marks.push(lineOf(...at, at[0], v.y(other), { stroke: style.color, "stroke-dasharray": style.dash.join(" ") }), markOf(style.marker, at[0], v.y(other), 4.5, { fill: colors.background, stroke: style.color, "stroke-width": 1.8 }));
    }
    marks.push(s("circle", { cx: at[0], cy: at[1], r: radius(point[ENERGY]) + 3, fill: "none", "stroke-width": 2, stroke: colors.ink, ...attrs, ghosts: null }));
  };
  const pinned = v.pinned ?? payload.pinned;
  const cursor = v.cursor === null ? null : payload.points[v.cursor];
  if (pinned) ring(pinned, { ghosts: true, class: "hp-ring" });
  if (cursor) ring(cursor, { ghosts: true, stroke: colors.accent, "stroke-dasharray": "3 2", class: "hp-cursor" });
  if (v.pointed) ring(v.pointed, { ghosts: true, stroke: colors.accent });
  clear(v.over, marks);
  v.rows.forEach((row, n) => {
    row.classList.toggle("hp-on", samePoint(v, pinned, payload.points[n]));
    row.classList.toggle("hp-at", payload.points[n] === cursor || payload.points[n] === v.pointed);
  });
  const place_ = pinned && place(v, pinned);
  clear(v.about, pinned
    ? [h("b", { text: `Pinned: ${place_.name}` }), factsOf(v, pinned).map(([label, value]) => h("span", {}, h("span", { class: "hp-label", text: `${label} ` }), value)),
      h("span", {}, h("span", { class: "hp-label", text: "read by " }), place_.modules.join(", ")), button("Unpin", "Look at no channel", () => unpin(v))]
    : h("span", { class: "hp-label", text: "Click a channel, or choose one by ↑ ↓ and Space: the mask explorer goes to its column." }));
}

// -- the list

function drawList(v) {
  const { payload, colors } = v;
  const width = v.sizes.list;
  const wide = width > 330;
  const [left, right] = [wide ? 150 : 104, width - (wide ? 102 : 54)];
  const x = scaleOf("linear", [0, 1], [left, right]);
  const count = payload.top;
  const height = HEAD + ROW * count + 4;
  const ours = methodStyle(payload.method, v.theme);
  const svg = s("svg", { width, height, class: "hp-list", role: "img", "aria-label": `The ${count} loudest channels: what this mask, Wanda's and magnitude's kept of them` });
  const head = (at, text, anchor = "middle") => wordsAt(at, HEAD - 8, text, { "text-anchor": anchor, class: "hp-group" });
  svg.append(wordsAt(0, 12, count ? `The ${count} loudest channels` : "The loudest channels: none yet", { class: "hp-title" }), head(4, "block, input, channel", "start"), head(width - (wide ? 50 : 4), "kept", "end"));
  if (wide) svg.append(head(width - 4, "price", "end"));
  for (const share of [0, 0.5, 1]) svg.append(head(x(share), `${100 * share} %`), lineOf(x(share), HEAD - 3, x(share), height - 2, { stroke: colors.grid }));
  for (const density of payload.densities) svg.append(lineOf(x(density), HEAD - 3, x(density), height - 2, { stroke: colors.ink, "stroke-dasharray": "7 4" }));
  v.rows = payload.points.slice(0, count).map((point, n) => {
    const top = HEAD + ROW * n;
    const y = top + ROW / 2;
    const others = payload.references.map((name) => [methodStyle(name, v.theme), point[KEPT + REFERENCE[name]]]).filter(([, value]) => known(value));
    const all = [point[KEPT], ...others.map(([, value]) => value)].filter(known);
    const { block, name } = place(v, point);
    return s("g", { class: "hp-row-of", "data-index": n, "data-channel": point[CHANNEL], "data-block": block, "data-value": point[KEPT] },
      s("rect", { x: 0.5, y: top + 0.5, width: width - 1, height: ROW - 1, rx: 3, class: "hp-band" }),
      wordsAt(4, y + 4, shortName(name.replace("block ", ""), wide ? 17 : 15), { class: "hp-name" }),
      wide ? wordsAt(left - 10, y + 4, `${fmtDigits(point[RATIO], 2)}×`, { "text-anchor": "end" }) : null,
      all.length > 1 ? lineOf(x(Math.min(...all)), y, x(Math.max(...all)), y, { stroke: colors.line, "stroke-width": 1.5 }) : null,
      known(point[PRICE]) ? lineOf(x(point[PRICE]), y - 6, x(point[PRICE]), y + 6, { stroke: colors.ink, "stroke-width": 2.5 }) : null,
      others.map(([style, value]) => markOf(style.marker, x(value), y, 4, { fill: colors.background, stroke: style.color, "stroke-width": 1.8 })),
      known(point[KEPT]) ? markOf(ours.marker, x(point[KEPT]), y, 4.6, { fill: ours.color }) : null,
      wordsAt(width - (wide ? 50 : 4), y + 4, fmtShare(point[KEPT]), { "text-anchor": "end", class: "hp-name" }),
      wide ? wordsAt(width - 4, y + 4, fmtShare(point[PRICE]), { "text-anchor": "end" }) : null);
  });
  svg.append(...v.rows);
  return svg;
}

function drawLegend(v) {
  const { payload, colors } = v;
  const swatch = (label, ...marks) => h("span", { class: "hp-swatch" }, s("svg", { width: 18, height: 16 }, marks), label);
  const ours = methodStyle(payload.method, v.theme);
  const dot = (opacity, r = 5) => s("circle", { cx: 9, cy: 8, r, stroke: ours.color, fill: ours.color, "fill-opacity": opacity });
  clear(v.legend,
    swatch("outlier", dot(0.65)), swatch("below the threshold", dot(0)),
    h("span", { class: "hp-swatch" }, "size: energy kept", s("svg", { width: 62, height: 16 }, [0, 0.5, 1].map((energy, n) => s("circle", { cx: 6 + 20 * n, cy: 8, r: radius(energy), stroke: ours.color, fill: "none" }))), "0, 50, 100 %"),
    payload.crowd.length ? swatch("how many quieter channels", s("rect", { x: 2, y: 3, width: 7, height: 10, fill: colors.soft, opacity: 0.2 }), s("rect", { x: 9, y: 3, width: 7, height: 10, fill: colors.soft, opacity: 0.6 })) : null,
    button("fit to data", "Let the axis end where the loudest channel does; otherwise it means the same in every run", () => v.setOption("fit", !payload.fitted), { "aria-pressed": String(Boolean(payload.fitted)) }));
  clear(v.keyed, swatch(`this run (${ours.label})`, markOf(ours.marker, 9, 8, 5, { fill: ours.color })),
    payload.references.map((name) => methodStyle(name, v.theme)).map((style) => swatch(style.label, markOf(style.marker, 9, 8, 4, { fill: colors.background, stroke: style.color, "stroke-width": 1.8 }))),
    swatch("price: the group's other channels", lineOf(9, 2, 9, 14, { stroke: colors.ink, "stroke-width": 2.5 })));
}

// -- choosing

function drawChoosers(v) {
  const { kinds, blocks, chosen, block } = v.payload;
  const option = (value, text, on) => h("option", { value, text, selected: on });
  clear(v.kind, option("", "all inputs", chosen === ""), option("selection", "read by the selection", chosen === "selection"), kinds.map(([kind, shown]) => option(kind, shown, chosen === kind)));
  clear(v.block, option("-1", "all blocks", block === null), blocks.map((n) => option(String(n), `block ${n}`, block === n)));
  v.block.hidden = chosen === "selection";
}

const moduleOf = (v, point) => {
  const { modules } = place(v, point);
  return modules.includes(v.selection[0]) ? v.selection[0] : modules[0];
};

function pin(v, point) {
  v.pinned = point;
  v.send("channel", { module: moduleOf(v, point), channel: point[CHANNEL] });
  v.say(`${place(v, point).name} pinned`);
  drawOver(v);
}

function unpin(v) {
  v.pinned = null;
  v.send("hover", { module: "", channel: null });
}

function moveCursor(v, by) {
  const count = v.payload.top;
  if (!count) return;
  v.cursor = v.cursor === null ? (by > 0 ? 0 : count - 1) : clamp(v.cursor + by, 0, count - 1);
  const point = v.payload.points[v.cursor];
  v.say([place(v, point).name, ...factsOf(v, point).map((fact) => fact.join(" "))].join(", "));
  drawOver(v);
}

// The point nearest to the pointer: dots are small, the reach is not.
function nearest(v, event) {
  const box = v.svg.getBoundingClientRect();
  const [px, py] = [event.clientX - box.left, event.clientY - box.top];
  let best = null;
  let reach = 14;
  for (const point of v.payload.points) {
    if (!known(point[KEPT])) continue;
    const away = Math.hypot(v.x(point[RATIO]) - px, v.y(point[KEPT]) - py);
    if (away < reach) [best, reach] = [point, away];
  }
  return { px, py, point: best };
}

const rowUnder = (v, event) => {
  const row = event.target.closest?.(".hp-row-of");
  return row ? v.payload.points[Number(row.dataset.index)] : null;
};

function show(v, event, point) {
  if (point !== v.pointed) {
    v.pointed = point;
    drawOver(v);
  }
  const body = v.body.getBoundingClientRect();
  if (point) v.card.show(event.clientX - body.left, event.clientY - body.top, [place(v, point).name, ...factsOf(v, point), ["read by", place(v, point).modules.map((name) => name.split(".").pop()).join(", ")]]);
  else v.card.hide();
}

function pointing(v) {
  const gone = () => v.payload.points && show(v, null, null);
  v.plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const { px, py, point } = nearest(v, event);
    const away = Math.abs(px - v.x(v.payload.steps[stepNow(v)][0]));
    v.root.focus({ preventScroll: true });
    event.preventDefault();
    if (away < (point ? 5 : 12) && py > 4 && py < v.box.bottom) {
      v.dragged = stepNow(v);
      v.plot.setPointerCapture(event.pointerId);
    } else if (point) pin(v, point);
  });
  v.plot.addEventListener("pointermove", (event) => {
    const { px, point } = nearest(v, event);
    if (v.dragged === null) return show(v, event, point);
    const value = v.x.invert(clamp(px, v.box.left, v.box.right));
    const far = (step) => Math.abs(Math.log(step[0] / value));
    v.dragged = v.payload.steps.reduce((best, step, n, all) => (far(step) < far(all[best]) ? n : best), 0);
    drawThreshold(v);
  });
  const dropped = () => {
    if (v.dragged === null) return;
    const step = v.dragged;
    v.dragged = null;
    setStep(v, step);
  };
  v.plot.addEventListener("pointerup", dropped);
  v.plot.addEventListener("pointercancel", dropped);
  v.plot.addEventListener("pointerleave", gone);
  v.list.addEventListener("pointermove", (event) => show(v, event, rowUnder(v, event)));
  v.list.addEventListener("pointerleave", gone);
  v.list.addEventListener("click", (event) => {
    const point = rowUnder(v, event);
    v.root.focus({ preventScroll: true });
    if (point) pin(v, point);
  });
}

export default {
  render({ model, el }) {
    return frame({ model, el }, {
      setup(v) {
        Object.assign(v, { dragged: null, own: null, cursor: null, pointed: null, pinned: null });
        v.kind = h("select", { class: "hp-kind", "aria-label": "Inputs", on: { change: () => v.setOption("chosen", v.kind.value) } });
        v.block = h("select", { "aria-label": "Block", on: { change: () => v.setOption("block", Number(v.block.value)) } });
        v.tools.append(v.kind, v.block);
        v.head = h("p", { class: "hp-headline" });
        v.paid = h("p", { class: "hp-paid" });
        v.ruled = h("span", { class: "hp-ruled" });
        v.less = button("−", "Lower the threshold (←)", () => setStep(v, stepNow(v) - 1));
        v.more = button("+", "Raise the threshold (→)", () => setStep(v, stepNow(v) + 1));
        v.read = h("span", { class: "hp-label" });
        v.plot = h("div", { class: "hp-plot" });
        v.list = h("div", { class: "hp-plot" });
        v.legend = h("div", { class: "hp-keys" });
        v.keyed = h("div", { class: "hp-keys" });
        v.about = h("div", { class: "hp-about" });
        v.body.append(v.head, v.paid, h("div", { class: "hp-keys hp-rules" }, h("span", { class: "hp-swatch" }, v.less, v.ruled, v.more), v.read),
          h("div", { class: "hp-main" }, h("div", {}, v.plot, v.legend), h("div", {}, v.list, v.keyed)), v.about);
        pointing(v);
      },
      draw(v) {
        const beside = v.width >= 760;
        const scatter = beside ? Math.floor((v.width - 24) * (v.width > 1200 ? 0.62 : 0.56)) : v.width;
        const key = [v.payload, v.width, v.theme];
        if (!v.key || key.some((part, n) => part !== v.key[n])) {
          v.key = key;
          Object.assign(v, { pinned: null, pointed: null, sizes: { scatter, list: beside ? v.width - 24 - scatter : v.width } });
          if (v.cursor !== null && v.cursor >= v.payload.top) v.cursor = null;
          v.svg = drawScatter(v);
          clear(v.plot, v.svg);
          clear(v.list, drawList(v));
          drawLegend(v);
          drawChoosers(v);
          v.read.textContent = v.payload.reading;
        }
        v.root.classList.toggle("hp-beside", beside);
        drawThreshold(v);
        drawOver(v);
      },
      keys: {
        ArrowLeft: (v) => setStep(v, stepNow(v) - 1),
        ArrowRight: (v) => setStep(v, stepNow(v) + 1),
        ArrowUp: (v) => moveCursor(v, -1),
        ArrowDown: (v) => moveCursor(v, 1),
        Home: (v) => moveCursor(v, -1e6),
        End: (v) => moveCursor(v, 1e6),
        " ": (v) => v.cursor !== null && pin(v, v.payload.points[v.cursor]),
      },
    });
  },
};
