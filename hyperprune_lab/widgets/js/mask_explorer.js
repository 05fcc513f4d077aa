// The mask explorer: a window into one linear's mask. Draws what hyperprune_lab/views/mask_page.py and its tiles hold.
const schedule = (v) => {
  v.frame ??= requestAnimationFrame(() => {
    v.frame = null;
    show(v);
  });
};

// Paint, and say where we are.
function show(v) {
  if (v.p.status !== "decided") return;
  settle(v);
  paint(v);
  const [top, left, bottom, right] = inView(v);
  v.crumb.textContent = `› rows ${top}–${bottom - 1} › groups ${floor(left / v.p.width)}–${floor((right - 1) / v.p.width)}`;
  drawLegend(v);
}

// The kernel hears of the window when it rests: the text and the static picture follow it.
function moved(v) {
  schedule(v);
  clearTimeout(v.resting);
  v.resting = setTimeout(() => {
    v.told = inView(v);
    if (v.kernel.live && String(v.told) !== String(v.options.window)) v.setOption("window", v.told);
  }, 250);
}

function lookAt(v, [top, left, bottom, right]) {
  v.s = min(v.w / (right - left), v.g / (bottom - top));
  v.x = (left + right - v.w / v.s) / 2;
  v.y = (top + bottom - v.g / v.s) / 2;
  settle(v);
}

function zoom(v, factor, px = v.w / 2, py = v.g / 2) {
  const [x, y] = [v.x + px / v.s, v.y + py / v.s];
  v.s *= factor;
  settle(v);
  v.x = x - px / v.s;
  v.y = y - py / v.s;
  moved(v);
}

// Bring the focused group into view, in the middle where it was out of sight.
function reveal(v, scale) {
  const { row, group } = v.focus;
  const column = (group + 0.5) * v.p.width;
  const out = row < v.y || row + 1 > v.y + v.g / v.s || group * v.p.width < v.x || (group + 1) * v.p.width > v.x + v.w / v.s;
  if (scale) v.s = scale;
  settle(v);
  if (out || scale) [v.x, v.y] = [column - v.w / v.s / 2, row + 0.5 - v.g / v.s / 2];
  moved(v);
}

function focusOn(v, row, group, scale) {
  v.focus = { row: clamp(row, 0, v.rows - 1), group: clamp(group, 0, v.columns / v.p.width - 1) };
  // A key that is held down asks for a few explanations a second.
  v.telling ??= setTimeout(() => {
    v.telling = null;
    v.send("group", { module: v.p.module, ...v.focus });
  }, 60);
  reveal(v, scale);
  drawCard(v);
  v.say(`row ${v.focus.row}, group ${v.focus.group}`);
}

const step = (rows, groups) => (v) => focusOn(v, v.focus.row + rows, v.focus.group + groups);
const screen = (y, x) => (v) => {
  const [down, across] = [max(1, floor(v.g / v.s) - 1), max(1, floor(v.w / v.s / v.p.width) - 1)];
  v.x += x * across * v.p.width;
  v.y += y * down;
  step(y * down, x * across)(v);
};
// The kernel knows where to go from here, and which groups are pinned.
const tell = (kind) => (v) => v.send(kind, v.focus);
const flip = (side) => (v) => v.p.other && v.setOption("side", v.side === side ? "ours" : side);
const whole = (v) => zoom(v, 1e-9);
const close = (v) => reveal(v, 28);

function go(v) {
  const [row, input] = v.place.value.split(/\D+/).map(Number);
  if (v.place.value.trim()) focusOn(v, row || 0, floor((input || 0) / v.p.width), max(v.s, 24));
  v.place.value = "";
  v.root.focus();
}

function drawBar(v) {
  const { p, side } = v;
  const choose = (label, options, value, call) => {
    const node = h("select", { "aria-label": label, on: { change: () => call(node.value) } }, options.map(([name, text]) => h("option", { value: name, text })));
    node.value = value ?? "";
    return node;
  };
  const to = (name) => v.select([name]);
  renew(v.where, [p.module, p.same, p.siblings], () => [choose("Block", p.same, p.module, to), choose("Module", p.siblings, p.module, to)]);
  renew(v.sides, [p.sides, p.against, side], () => [
    p.other ? p.sides.map(([name, label]) => button(label, label, () => v.setOption("side", name), { "aria-pressed": String(side === name) })) : null,
    choose("Compare with", p.choices, p.against, (name) => v.setOption("against", name))]);
  renew(v.notes, [p.problem, p.weights_reason], () => [
    p.problem ? h("p", { text: p.problem }) : null,
    p.weights_reason ? [h("p", {}, h("b", { text: "Masks only. " }), p.weights_reason), v.folder, button("Locate folder", "Read the weights there", () => v.setOption("folder", v.folder.value))] : null]);
}

function drawLegend(v) {
  const { p, side, level } = v;
  const far = typeof level === "number";
  const note = !v.kernel.live && v.tiles.missing > 0;
  renew(v.legend, [p.legend, side, level, v.theme, note], () => {
    const { label, signed, reach, chips, levels } = p.legend[side];
    const codes = codeColors(v);
    const chip = ([color, words]) => h("span", { class: "hp-swatch" }, h("i", { style: { background: codes[color] ?? v[color] ?? color } }), words);
    const color = signed ? (t) => deviation(t, v.theme) : cividis;
    const scale = scaleOf("linear", [signed ? -reach : 0, reach]);
    return [
      far ? [colorbar({ scale, label, color, below: signed, above: signed, format: signed ? (value) => (value ? fmtSigned(value) : "0") : fmtShare }), h("span", { text: levels[level] })]
        : level === "weights" ? colorbar({ scale: scaleOf("log", p.score_domain), label: "|w| · activation RMS", color: cividis, format: fmtError }) : null,
      far ? null : chips.map(chip), h("span", { text: p.legend.rulers }),
      note ? h("b", { text: "Finer tiles need a running kernel." }) : null];
  });
}

// Why one group kept what it kept: its weights, every pattern, a sentence.
function drawCard(v) {
  const { why, focus } = v;
  const table = (rows) => h("table", {}, rows.map((cells, n) => h("tr", { class: cells.at(-1).startsWith("kept") ? "hp-chosen" : null }, cells.map((text) => h(n ? "td" : "th", { text })))));
  const name = (text) => h("div", { class: "hp-name", text });
  v.cardNode.classList.toggle("hp-old", why.row !== focus.row || why.group !== focus.group);
  renew(v.cardNode, [why, v.pinned], () => [
    name(why.title), why.tables.map(table), h("p", { text: why.sentence }), h("p", { class: "hp-label", text: why.note }),
    v.pinned.filter((card) => card.title !== why.title).map((card) => [name(card.title), h("p", { text: card.sentence })])]);
  // Of many patterns the one that was kept is in sight.
  for (const list of v.cardNode.querySelectorAll("table")) list.scrollTop = (list.querySelector(".hp-chosen")?.offsetTop ?? 0) - 40;
}

function pointing(v) {
  const { node } = v.canvas;
  const on = (name, call, where = node) => where.addEventListener(name, call);
  const at = (event) => [event.offsetX - LEFT, event.offsetY - TOP];
  let last = null;
  let dragged = 0;
  on("pointerdown", (event) => {
    if (event.button) return;
    [last, dragged] = [at(event), 0];
    v.root.focus({ preventScroll: true });
    node.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  on("pointermove", (event) => {
    const [x, y] = at(event);
    if (last) {
      dragged += abs(x - last[0]) + abs(y - last[1]);
      v.panning = dragged > 4;
      v.x -= (x - last[0]) / v.s;
      v.y -= (y - last[1]) / v.s;
      last = [x, y];
      return moved(v);
    }
    const [column, row] = [floor(v.x + x / v.s), floor(v.y + y / v.s)];
    const rate = v.rulers?.keep[column];
    if (known(rate)) v.readout.textContent = `input ${column} (group ${floor(column / v.p.width)}), kept in ${fmtShare(rate)} of the rows · row ${row}, error ${fmtError(v.rulers.errors[row])}`;
  });
  on("pointerup", () => {
    if (last && dragged <= 4) focusOn(v, floor(v.y + last[1] / v.s), floor((v.x + last[0] / v.s) / v.p.width));
    last = v.panning = null;
    moved(v);
  });
  on("dblclick", (event) => zoom(v, event.shiftKey ? 0.25 : 4, ...at(event)));
  on("pointerleave", () => { v.readout.textContent = ""; });
  v.onWheel(node, (event) => zoom(v, 2 ** (-clamp(event.deltaY, -120, 120) / 160), ...at(event)));
  const jump = (event) => {
    if (!event.buttons) return;
    v.x = event.offsetX / v.map.scale[0] - v.w / v.s / 2;
    v.y = event.offsetY / v.map.scale[1] - v.g / v.s / 2;
    moved(v);
  };
  on("pointerdown", jump, v.map.node);
  on("pointermove", jump, v.map.node);
}

async function fetchRulers(v) {
  const { version, rulers } = v.p;
  v.version = version;
  const answer = rulers ? { buffers: rulers.map(bytesOf) } : await v.ask({ name: "rulers", version }, "rulers");
  if (!answer?.buffers || version !== v.p.version) return;
  const [keep, theirs, errors] = answer.buffers.map((part) => new Float32Array(part.buffer.slice(part.byteOffset, part.byteOffset + part.byteLength)));
  v.rulers = { keep, theirs, errors };
  schedule(v);
}

export default {
  render({ model, el }) {
    return frame({ model, el }, {
      setup(v) {
        const node = (name, tag = "div") => (v[name] = h(tag, { class: `hp-${name}` }));
        const left = node("left");
        const map = h("div", {});
        v.place = h("input", { placeholder: "g: row, input", "aria-label": "Go to row, input", size: 10, on: { keydown: (event) => event.key === "Enter" && go(v) } });
        v.folder = h("input", { placeholder: "folder of the model", "aria-label": "Folder" });
        v.canvas = sharpCanvas(left, { label: "The mask: inputs across, outputs down" });
        v.map = sharpCanvas(map, { label: "Overview" });
        left.append(h("div", { class: "hp-under" }, node("readout"), button("−", "Zoom out (−)", () => zoom(v, 0.5)), button("+", "Zoom in (+)", () => zoom(v, 2)), button("all", "The whole mask (0)", () => whole(v)), button("group", "The focused group (z)", () => close(v))), node("legend"));
        v.body.append(h("div", { class: "hp-bar" }, node("where", "span"), node("crumb", "span"), v.place, node("sides", "span")), node("reason"),
          v.main = h("div", { class: "hp-main" }, left, h("aside", { class: "hp-panel" }, map, node("cardNode"), node("notes"))));
        v.tiles = tileStore(v, () => show(v));
        pointing(v);
      },
      draw(v) {
        const p = v.p = v.payload;
        [v.rows, v.columns] = p.shape;
        [v.below, , , , v.above] = DIVERGING[v.theme];
        v.side = p.other ? v.options.side : "ours";
        const moduleChanged = v.module !== p.module;
        const decided = p.status === "decided";
        v.reason.textContent = p.reason;
        v.main.hidden = !decided;
        drawBar(v);
        if (!decided) return;
        // In a low pane there is room on the right for the card.
        const beside = v.width >= (v.options.height < 300 ? 540 : 760);
        v.root.classList.toggle("hp-beside", beside);
        const before = [v.w, v.g];
        const wasWhole = v.s > 0 && v.s <= 1.01 * min(v.w / v.columns, v.g / v.rows);
        v.w = v.width - LEFT - (beside ? 296 : 0);
        v.g = clamp((v.w * v.rows) / v.columns, 0.8 * v.options.height, v.options.height);
        v.left.style.width = `${v.w + LEFT}px`;
        v.why = model.get("group");
        v.pinned = model.get("pinned") ?? [];
        v.tiles.begin();
        const known = v.focus;
        if (moduleChanged || (!v.telling && !v.kernel.behind())) v.focus = { row: v.why.row, group: v.why.group };
        if (moduleChanged) {
          v.module = p.module;
          [v.s, v.rulers, v.told] = [0, null, null];
        }
        if (v.version !== p.version) fetchRulers(v);
        const asked = v.options.window ?? [];
        if (String(asked) !== String(v.told ?? "none") && !v.panning) {
          v.told = asked;
          lookAt(v, asked.length && !(moduleChanged && known) ? asked : [0, 0, ...p.shape]);
          if (moduleChanged && known) moved(v);
        } else if (wasWhole && (before[0] !== v.w || before[1] !== v.g)) lookAt(v, [0, 0, ...p.shape]);
        else if (known && (known.row !== v.focus.row || known.group !== v.focus.group)) reveal(v);
        show(v);
        drawCard(v);
      },
      message: (v, content) => content.kind === "ready" && v.tiles?.retry(),
      keys: {
        ArrowLeft: step(0, -1), ArrowRight: step(0, 1), ArrowUp: step(-1, 0), ArrowDown: step(1, 0),
        "Shift+ArrowLeft": screen(0, -1), "Shift+ArrowRight": screen(0, 1), "Shift+ArrowUp": screen(-1, 0), "Shift+ArrowDown": screen(1, 0),
        Home: step(0, -1e9), End: step(0, 1e9), "+": (v) => zoom(v, 2), "-": (v) => zoom(v, 0.5), 0: whole,
        z: close, g: (v) => v.place.focus(), Enter: tell("pin"), "\\": flip("theirs"), d: flip("difference"), n: tell("next"), N: tell("previous"), p: tell("recorded"),
        c: (v) => v.where.querySelector("select").focus(),
      },
    });
  },
};
