// The model map: blocks across, modules down. Draws payload of hyperprune_lab/views/model_map.py.
const PATTERNS = ["1:4", "2:4", "4:8", "8:16"];
const FORMATS = { error: fmtError, share: fmtShare, ratio: fmtRatio, seconds: fmtSeconds };
const STRIP = 14;
const PANEL = 270;

const membersOf = (cell) =>
  cell.fold ? Array.from({ length: cell.fold[2] }, (_, n) => `${cell.fold[0]}${n}${cell.fold[1]}`) : cell.members ?? [cell.module];

const localName = (cell) => cell.module.split(`.${cell.block}.`).slice(1).join(`.${cell.block}.`) || cell.module;

// What the drawing needs that follows from payload and width alone.
function layoutOf(v) {
  const { rows, blocks } = v.payload;
  const tails = rows.map((row) => (row.fold ? `expert ${row.name.match(/experts?\.(\d+)/)?.[1]}` : row.name.split(".").pop()));
  const labels = rows.map((row, n) => {
    const name = rows.some((other, k) => k !== n && !row.fold && tails[k] === tails[n]) ? row.name : tails[n];
    return row.experts ? `${row.expanded ? "▾" : "▸"} ${shortName(name, 18)} ×${row.experts}` : shortName(name, 22);
  });
  const left = 22 + clamp(7 * Math.max(...labels.map((label) => label.length)), 60, 165);
  const beside = v.width - left - 36 * blocks >= PANEL + 24 || v.width >= 1180;
  const room = v.width - left - 8 - (beside ? PANEL + 24 : 0);
  const across = clamp(Math.floor(room / Math.max(1, blocks)), 10, 36);
  const down = v.options.compact ? clamp(Math.floor(98 / rows.length), 10, 16) : clamp(across, rows.length > 20 ? 12 : 18, 26);
  const gap = (n) => (n > 0 && rows[n].group !== rows[n - 1].group ? 6 : 0);
  let y = STRIP + 12;
  const tops = rows.map((_, n) => {
    y += gap(n);
    const top = y;
    y += down;
    return top;
  });
  return { labels, left, beside, across, down, tops, bottom: y, wide: left + across * blocks };
}

function colorsOf(v) {
  const { measure, domain } = v.payload;
  const scale = scaleOf(measure.scale, domain);
  const color = (t) => (measure.colors === "cividis" ? cividis(t) : deviation(t, v.theme));
  return { scale, color, form: FORMATS[measure.format], of: (value) => color(scale(value)) };
}

function factsOf(v, cell) {
  const { measure, count, seconds } = v.payload;
  const { form } = colorsOf(v);
  const shape = (cell.shape ?? []).join(" × ");
  if (cell.status === "excluded") return [["shape", shape], ["not pruned", cell.reason ?? ""]];
  const scope = v.desk.scope?.[cell.module];
  return [
    ["shape", shape],
    ["pattern", cell.pattern ?? NONE],
    [measure.label, known(cell.value) ? form(cell.value) : NOT_YET],
    ["rank", cell.rank ? `${cell.rank} of ${count}, ${measure.extreme} first` : NONE],
    ["Wanda's error", cell.status === "decided" ? fmtError(cell.wanda) : NOT_YET],
    ["time on its block", fmtSeconds(seconds[cell.block])],
    cell.median !== undefined ? [`median of ${membersOf(cell).length} experts`, form(cell.median)] : null,
    cell.status === "failed" ? ["failed", cell.reason] : null,
    cell.notice ? ["notice", cell.notice] : null,
    scope ? ["scope", scope] : null,
  ].filter(Boolean);
}

const isSelected = (v, cell) => v.chosen.has(cell.module) || (cell.members || cell.fold ? membersOf(cell).some((name) => v.chosen.has(name)) : false);

function drawCell(v, cell, look, hatches) {
  const { across, down, left, tops } = v.layout;
  const { scope } = v.desk;
  const [w, g] = [across - 1, down - 1];
  const node = s("g", { class: "hp-cell", transform: `translate(${left + cell.block * across},${tops[cell.row]})`,
    "data-module": cell.module, "data-value": cell.value ?? "", "data-status": cell.status, "data-block": cell.block });
  const box = (attrs) => s("rect", { width: w, height: g, ...attrs });
  if (cell.status === "excluded") node.append(box({ fill: `url(#${hatches.crossed})`, stroke: v.colors.grid }));
  else if (!known(cell.value)) {
    const fill = cell.status === "decided" ? `url(#${hatches.plain})` : "none";
    node.append(s("rect", { x: 0.5, y: 0.5, width: w - 1, height: g - 1, fill, stroke: v.colors.line, "stroke-width": 1 }));
  } else {
    const fill = look.of(cell.value);
    node.append(box({ fill, stroke: v.colors.grid, "stroke-width": 0.5 }));
    if (known(cell.median)) node.append(s("polygon", { points: `0,${g} ${w},${g} ${w},0`, fill: look.of(cell.median) }));
    const place = v.payload.worst.indexOf(cell.index);
    const arrow = cell.clamped ? (cell.clamped > 0 ? "▴" : "▾") : "";
    const number = place < 0 ? "" : across >= 30 ? look.form(cell.value).replace(/( s|×| %)$/, "").replace(/^0\./, ".") : String(place + 1);
    if (arrow || number) node.append(s("text", { x: w / 2, y: g / 2 + 4, "text-anchor": "middle", class: "hp-number", style: { fill: inkOn(fill) }, text: across < 30 && number ? number : arrow + number }));
  }
  if (cell.status === "failed") node.append(s("path", { d: `M4,4 L${w - 4},${g - 4} M${w - 4},4 L4,${g - 4}`, stroke: v.colors.error, "stroke-width": 2.5 }));
  else if (cell.notice) node.append(s("circle", { cx: 6, cy: 6, r: 6, fill: v.colors.background }), s("text", { x: 6, y: 10, "text-anchor": "middle", class: "hp-number hp-notice-mark", text: "!" }));
  const change = membersOf(cell).map((name) => scope?.[name]).find(Boolean);
  if (change) {
    const corner = `${w - Math.min(9, w)},0 ${w},0 ${w},${Math.min(9, g)}`;
    const dense = change === "dense";
    node.append(s("polygon", { points: corner, fill: dense ? v.colors.ink : v.colors.background, stroke: dense ? v.colors.background : v.colors.ink }));
  }
  return node;
}

function drawGrid(v) {
  const { payload, layout, colors } = v;
  const { left, across, down, tops, bottom, wide, labels } = layout;
  const look = colorsOf(v);
  const hatches = { plain: `${v.id}-plain`, crossed: `${v.id}-crossed` };
  const height = bottom + 18;
  const svg = s("svg", { width: wide + 2, height, class: "hp-grid", role: "img", "aria-label": `${payload.measure.label}, ${payload.blocks} blocks` },
    s("defs", {}, hatchPattern(hatches.plain, colors.line), hatchPattern(hatches.crossed, colors.line, { crossed: true })));
  payload.rows.forEach((row, n) => {
    const label = s("text", { x: left - 6, y: tops[n] + down / 2 + 4, "text-anchor": "end", text: labels[n] }, s("title", { text: row.name }));
    if (row.experts) {
      label.classList.add("hp-expand");
      label.addEventListener("click", () => expand(v, row.name));
    }
    svg.append(label);
    const last = payload.rows.findLastIndex((other) => other.group === row.group);
    const deep = tops[last] + down - tops[n];
    if ((n === 0 || payload.rows[n - 1].group !== row.group) && deep > 6 * row.group.length + 4) {
      const middle = tops[n] + deep / 2;
      svg.append(s("text", { x: 8, y: middle, "text-anchor": "middle", transform: `rotate(-90 8 ${middle})`, class: "hp-group", text: row.group }),
        s("line", { x1: 15, x2: 15, y1: tops[n], y2: tops[n] + deep - 1, stroke: colors.line }));
    }
  });
  svg.append(s("text", { x: left - 6, y: STRIP - 1, "text-anchor": "end", class: "hp-strip-label", text: payload.margin.length ? payload.measure.extreme : "" }));
  for (const [block, index] of payload.margin) {
    const cell = payload.cells[index];
    const chip = s("rect", { x: left + block * across, y: 2, width: across - 1, height: STRIP - 2, fill: look.of(cell.value), class: "hp-strip", "data-block": block, stroke: colors.grid, "stroke-width": 0.5 },
      s("title", { text: `block ${block}: ${cell.module} ${look.form(cell.value)}` }));
    chip.addEventListener("click", (event) => pick(v, cell, event));
    svg.append(chip);
  }
  const every = [1, 2, 4, 5, 8, 10, 16, 20, 50].find((step) => across * step >= 22) ?? 100;
  for (let block = 0; block < payload.blocks; block += every) svg.append(s("text", { x: left + (block + 0.5) * across, y: bottom + 13, "text-anchor": "middle", text: String(block) }));
  for (const cell of payload.cells) svg.append(drawCell(v, cell, look, hatches));
  v.overlay = s("g", {});
  svg.append(v.overlay);
  return svg;
}

// Rings, cursor, matches and the running block: everything that moves without new numbers.
function drawOverlay(v) {
  const { left, across, down, tops, bottom } = v.layout;
  const marks = [];
  const ring = (cell, attrs) => s("rect", { x: left + cell.block * across - 1.5, y: tops[cell.row] - 1.5, width: across + 2, height: down + 2, fill: "none", rx: 2, ...attrs });
  const running = v.desk.running;
  if (running) {
    const whole = running.block === null;
    const [x, w] = whole ? [left, across * v.payload.blocks] : [left + running.block * across, across];
    if (!whole) marks.push(s("rect", { x: x - 1.5, y: STRIP + 7, width: w + 2, height: bottom - STRIP - 5, fill: "none", stroke: v.colors.accent, "stroke-width": 2, class: "hp-running", "data-block": running.block }));
    marks.push(s("rect", { x, y: STRIP + 2, width: w - 1, height: 4, fill: v.colors.neutral }),
      s("rect", { x, y: STRIP + 2, width: Math.max(1, (w - 1) * (running.steps ? running.step / running.steps : 0)), height: 4, fill: v.colors.accent, class: "hp-steps", "data-step": running.step }));
  }
  for (const cell of v.payload.cells) {
    if (v.matched && !membersOf(cell).some((name) => v.matched.has(name))) marks.push(s("rect", { x: left + cell.block * across, y: tops[cell.row], width: across - 1, height: down - 1, fill: v.colors.background, opacity: 0.75 }));
    if (isSelected(v, cell)) marks.push(ring(cell, { stroke: v.colors.background, "stroke-width": 4 }), ring(cell, { stroke: v.colors.ink, "stroke-width": 2, class: "hp-ring" }));
  }
  const at = v.cursor && cellAt(v, v.cursor);
  if (at) marks.push(ring(at, { stroke: v.colors.accent, "stroke-width": 2, "stroke-dasharray": "3 2", class: "hp-cursor" }));
  if (v.box) {
    const [x0, y0, x1, y1] = v.box;
    marks.push(s("rect", { x: Math.min(x0, x1), y: Math.min(y0, y1), width: Math.abs(x1 - x0), height: Math.abs(y1 - y0), fill: v.colors.accent, "fill-opacity": 0.15, stroke: v.colors.accent }));
  }
  clear(v.overlay, marks);
}

const cellAt = (v, { row, block }) => v.places.get(`${row},${block}`);

function under(v, event) {
  const box = v.svg.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const { left, across, down, tops } = v.layout;
  const block = Math.floor((x - left) / across);
  const row = tops.findIndex((top) => y >= top && y < top + down);
  return { x, y, cell: cellAt(v, { row, block }) };
}

function pick(v, cell, event) {
  v.cursor = { row: cell.row, block: cell.block };
  if (event?.shiftKey || event?.ctrlKey || event?.metaKey) v.toggle(cell.module);
  else v.select([cell.module]);
}

function expand(v, name) {
  const open = v.options.expanded ?? [];
  v.setOption("expanded", open.includes(name) ? open.filter((other) => other !== name) : [...open, name]);
}

function pointing(v) {
  let start = null;
  v.holder.addEventListener("pointerdown", (event) => {
    const here = under(v, event);
    if (event.button !== 0 || here.x < v.layout.left || here.y < v.layout.tops[0]) return;
    start = here;
    v.root.focus({ preventScroll: true });
    v.holder.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  v.holder.addEventListener("pointermove", (event) => {
    const here = under(v, event);
    if (start && Math.hypot(here.x - start.x, here.y - start.y) > 5) {
      v.box = [start.x, start.y, here.x, here.y];
      v.card.hide();
      drawOverlay(v);
    } else if (here.cell && !start) {
      const body = v.body.getBoundingClientRect();
      v.card.show(event.clientX - body.left, event.clientY - body.top, [here.cell.module, ...factsOf(v, here.cell)]);
    } else v.card.hide();
  });
  v.holder.addEventListener("pointerup", (event) => {
    const from = start;
    start = null;
    if (!from) return;
    if (v.box) {
      const chosen = boxed(v);
      v.box = null;
      v.select(event.shiftKey ? [...v.selection, ...chosen] : chosen);
    } else if (from.cell) pick(v, from.cell, event);
  });
  v.holder.addEventListener("pointerleave", () => v.card.hide());
}

function boxed(v) {
  const [x0, y0, x1, y1] = v.box;
  const { left, across, down, tops } = v.layout;
  const inside = (low, high, a, b) => high > Math.min(a, b) && low < Math.max(a, b);
  return v.payload.cells
    .filter((cell) => cell.status !== "excluded" && inside(left + cell.block * across, left + (cell.block + 1) * across, x0, x1) && inside(tops[cell.row], tops[cell.row] + down, y0, y1))
    .flatMap(membersOf);
}

// Live regular expression over module names.
function match(v) {
  const words = v.filter.value;
  v.matched = null;
  v.filter.removeAttribute("aria-invalid");
  if (words) {
    try {
      const expression = new RegExp(words);
      const all = v.payload.cells.filter((cell) => cell.status !== "excluded").flatMap(membersOf);
      v.matched = new Set(all.filter((name) => expression.test(name)));
      v.matches.textContent = `${v.matched.size} ${v.matched.size === 1 ? "module" : "modules"}, Enter selects`;
    } catch {
      v.filter.setAttribute("aria-invalid", "true");
      v.matches.textContent = "no regular expression yet";
    }
  } else v.matches.textContent = "";
  drawOverlay(v);
}

function move(v, rows, blocks, extend) {
  const cells = v.payload.cells;
  if (!cells.length) return;
  const first = cells.find((cell) => cell.module === v.selection[0]) ?? cells[0];
  const from = v.cursor ?? { row: first.row, block: first.block };
  let next = { row: clamp(from.row + rows, 0, v.payload.rows.length - 1), block: clamp(from.block + blocks, 0, v.payload.blocks - 1) };
  if (!cellAt(v, next)) next = from;
  v.cursor = next;
  const cell = cellAt(v, next);
  if (extend && cell) v.select([...v.selection, cell.module]);
  v.say(cell ? `${cell.module}: ${known(cell.value) ? colorsOf(v).form(cell.value) : cell.status}` : "");
  drawOverlay(v);
  drawPanel(v);
}

function drawPanel(v) {
  const { payload } = v;
  const at = v.cursor && cellAt(v, v.cursor);
  const focus = payload.cells.find((cell) => cell.module === v.selection[0]) ?? payload.cells.find((cell) => v.selection.length && membersOf(cell).includes(v.selection[0]));
  const cell = at ?? focus;
  const look = colorsOf(v);
  const facts = cell ? factsOf(v, cell) : [];
  const pairs = () => h("div", { class: "hp-pairs" }, facts.map(([label, value]) => h("div", { class: "hp-pair" }, h("span", { text: label }), h("b", { text: value }))));
  const setScope = (value) => v.send("scope", { modules: v.selection, value });
  const fits = (pattern) => (focus?.shape?.[1] ?? 0) % Number(pattern.split(":")[1]) === 0;
  const choice = () => h("select", { "aria-label": "Another pattern for the selection", on: { change: () => choice.value && setScope(choice.value) } },
    h("option", { value: "", text: "pattern…" }), PATTERNS.filter(fits).map((pattern) => h("option", { value: pattern, text: pattern })));
  const several = v.selection.length > 1 ? `${v.selection.length} modules selected` : at && at !== focus ? "under the cursor" : "selected";
  renew(v.panel, [cell?.module, cell === focus, v.selection.length, facts, payload.worst, payload.measure, v.options.compact], () => [h("div", { class: "hp-about" },
    cell ? [h("div", { class: "hp-label", text: cell === focus || !at ? several : "under the cursor" }), h("div", { class: "hp-name", text: cell.module }), pairs()]
      : h("div", { class: "hp-label", text: "Click a cell, drag over several, or press / to select by name." }),
    v.selection.length && !v.options.compact ? h("div", { class: "hp-row" }, h("span", { class: "hp-label", text: "next run:" }),
      button("Leave dense", "The next run shall not prune the selection", () => setScope("dense")), choice(),
      button("Reset", "The next run shall treat the selection like the rest", () => setScope(null))) : null),
    payload.worst.length && !v.options.compact ? h("div", { class: "hp-worst" }, h("div", { class: "hp-label", text: `${payload.measure.extreme} three` }),
      payload.worst.map((index, n) => {
        const worst = payload.cells[index];
        return button(h("span", { class: "hp-pair" }, h("span", { text: `${n + 1}. block ${worst.block} ${shortName(localName(worst), 24)}` }), h("b", { text: look.form(worst.value) })), worst.module, (event) => pick(v, worst, event), { class: "hp-button hp-plain" });
      })) : null]);
  if (v.options.compact) v.panel.append(v.legend);
}

function drawLegend(v) {
  const { payload, colors } = v;
  const look = colorsOf(v);
  const clamps = payload.cells.map((cell) => cell.clamped ?? 0);
  const swatch = (fill, label) => h("span", { class: "hp-swatch" }, s("svg", { width: 14, height: 14 }, fill), label);
  const has = (test) => payload.cells.some(test);
  const square = (attrs) => s("rect", { x: 0.5, y: 0.5, width: 13, height: 13, stroke: colors.line, ...attrs });
  const hatch = (name) => square({ fill: `url(#${v.id}-${name})` });
  clear(v.legend,
    colorbar({ scale: look.scale, color: look.color, label: payload.measure.label, format: look.form, below: clamps.includes(-1), above: clamps.includes(1) }),
    button("fit to data", "Let the colors span what was measured; otherwise they mean the same in every run", () => v.setOption("fit", !payload.fitted), { "aria-pressed": String(Boolean(payload.fitted)) }),
    has((cell) => cell.status === "waiting") ? swatch(square({ fill: "none" }), "to come") : null,
    has((cell) => cell.status === "decided" && !known(cell.value)) ? swatch(hatch("plain"), "not measured") : null,
    has((cell) => cell.status === "excluded") ? swatch(hatch("crossed"), "not pruned") : null,
    has((cell) => cell.median !== undefined) ? swatch([square({ fill: cividis(0.9) }), s("polygon", { points: "1,13 13,13 13,1", fill: cividis(0.4) })], "worst / median expert") : null,
    Object.keys(v.desk.scope ?? {}).length ? swatch([square({ fill: "none" }), s("polygon", { points: "5,1 13,1 13,9", fill: colors.ink })], "changed for the next run") : null);
}

function drawChips(v) {
  const sets = Object.entries(v.payload.sets);
  const on = sets.map(([, modules]) => modules.length === v.selection.length && modules.every((module) => v.chosen.has(module)));
  renew(v.chips, [v.payload.sets, on], () => sets.map(([name, modules], n) =>
    button([name, h("span", { class: "hp-count", text: String(modules.length) })], `Select: ${name}`, () => v.select(modules), { class: "hp-button hp-chip", "aria-pressed": String(on[n]) })));
}

export default {
  render({ model, el }) {
    return frame({ model, el }, {
      setup(v) {
        v.id = `hp-${Math.random().toString(36).slice(2)}`;
        v.chips = h("span", { class: "hp-row" });
        v.filter = h("input", { class: "hp-filter", placeholder: "/ regular expression", "aria-label": "Find modules by regular expression", spellcheck: "false", on: {
          input: () => match(v),
          keydown(event) {
            if (event.key === "Enter" && v.matched?.size) v.select([...v.matched]);
            if (event.key !== "Enter" && event.key !== "Escape") return;
            v.filter.value = "";
            match(v);
            v.root.focus();
            event.stopPropagation();
          },
        } });
        v.matches = h("span", { class: "hp-label", "aria-live": "polite" });
        v.holder = h("div", { class: "hp-holder" });
        v.panel = h("aside", { class: "hp-panel" });
        v.legend = h("div", { class: "hp-row hp-legend" });
        v.bar = h("div", { class: "hp-row hp-bar" }, v.chips, v.filter, v.matches);
        v.left = h("div", { class: "hp-left" }, v.holder, v.legend);
        v.body.append(v.bar, h("div", { class: "hp-main" }, v.left, v.panel));
        pointing(v);
      },
      draw(v) {
        v.chosen = new Set(v.selection);
        v.layout = layoutOf(v);
        const key = [v.payload, v.width, v.theme, JSON.stringify(v.desk.scope), v.options.compact];
        if (!v.key || key.some((part, n) => part !== v.key[n])) {
          v.key = key;
          v.payload.cells.forEach((cell, index) => { cell.index = index; });
          v.places = new Map(v.payload.cells.map((cell) => [`${cell.row},${cell.block}`, cell]));
          v.svg = drawGrid(v);
          v.left.style.width = v.layout.beside ? `${Math.max(v.layout.wide + 6, Math.min(420, v.width - PANEL - 24))}px` : "";
          clear(v.holder, v.svg);
          drawLegend(v);
        }
        v.bar.hidden = Boolean(v.options.compact);
        v.panel.hidden = v.options.compact && !v.layout.beside;
        v.legend.hidden = v.panel.hidden;
        if (!v.options.compact) v.left.append(v.legend);
        v.root.classList.toggle("hp-compact", Boolean(v.options.compact));
        v.root.classList.toggle("hp-beside", v.layout.beside);
        drawChips(v);
        drawPanel(v);
        if (v.filter.value) match(v);
        else drawOverlay(v);
      },
      keys: {
        ArrowLeft: (v) => move(v, 0, -1),
        ArrowRight: (v) => move(v, 0, 1),
        ArrowUp: (v) => move(v, -1, 0),
        ArrowDown: (v) => move(v, 1, 0),
        "Shift+ArrowLeft": (v) => move(v, 0, -1, true),
        "Shift+ArrowRight": (v) => move(v, 0, 1, true),
        "Shift+ArrowUp": (v) => move(v, -1, 0, true),
        "Shift+ArrowDown": (v) => move(v, 1, 0, true),
        Home: (v) => move(v, 0, -1e6),
        End: (v) => move(v, 0, 1e6),
        " ": (v) => v.cursor && v.toggle(cellAt(v, v.cursor).module),
        "/": (v) => v.filter.focus(),
        e: (v) => {
          const row = v.cursor && v.payload.rows[v.cursor.row];
          if (row?.experts || row?.fold) expand(v, row.fold ?? row.name);
        },
      },
    });
  },
};
