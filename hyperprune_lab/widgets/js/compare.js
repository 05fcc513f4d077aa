// Runs side by side, their masks on the model grid, their words and continuations. Payload of hyperprune_lab/views/compare.py.
const PARTS = [["words", "Words"], ["masks", "Masks"], ["texts", "Continuations"]];
const ROOMY = 760;
const CELL_HEIGHT = 22;

const placeOf = (map, value) => (map.ratio ? (Math.log(clamp(value, 0.5, 2)) + Math.LN2) / (2 * Math.LN2) : clamp(value, 0, 1));
const shownOf = (map, value) => (map.ratio ? fmtRatio(value) : fmtShare(value));

function drawMap(v, width) {
  const { payload, colors } = v;
  const { map, focus, mask_other: other } = payload;
  const paint = (value) => (map.ratio ? deviation(placeOf(map, value), v.theme) : cividis(placeOf(map, value)));
  const named = map.rows.map(([name, experts]) => shortName(name, width < 480 ? 16 : 26) + (experts ? ` ×${experts}` : ""));
  const left = 8 + 6.4 * Math.max(4, ...named.map((name) => name.length));
  const cell = Math.min(44, (width - left - 4) / Math.max(1, map.blocks));
  const height = 18 + CELL_HEIGHT * map.rows.length;
  const x = (block) => left + block * cell;
  const y = (row) => 18 + row * CELL_HEIGHT;
  const id = `hp-cmp-${v.id}`;
  const most = map.most.map(([index]) => index);
  const gap = cell > 8 ? 1 : 0;
  const every = [1, 2, 4, 5, 8, 10, 16, 20].find((step) => cell * step >= 20) ?? 40;
  const svg = s("svg", { width, height, class: "hp-map", role: "img", "aria-label": `${map.label}: ${focus} against ${other}` },
    s("defs", {}, hatchPattern(id, colors.line), hatchPattern(`${id}-x`, colors.line, { crossed: true })),
    Array.from({ length: map.blocks }, (_, block) => (block % every === 0 ? wordsAt(x(block) + cell / 2, 11, String(block), { "text-anchor": "middle" }) : null)),
    named.map((name, row) => wordsAt(0, y(row) + 15, name, {})));
  map.cells.forEach(([modules, row, block, status, value, reason], index) => {
    const has = known(value);
    const fillOf = has ? paint(value) : status === "excluded" ? `url(#${id}-x)` : status === "decided" ? `url(#${id})` : "none";
    svg.append(s("rect", { x: x(block) + gap / 2, y: y(row) + 1, width: Math.max(1, cell - gap), height: CELL_HEIGHT - 2, fill: fillOf, stroke: has ? "none" : colors.line, "stroke-width": 0.7, class: "hp-cell", "data-module": modules[0], "data-value": has ? value : null, "data-index": index },
      s("title", { text: `${modules.length > 1 ? modules.length + " experts, the most different: " : modules[0] + ": "}${has ? shownOf(map, value) : reason || NONE}` })));
    if (most.includes(index) && cell >= 30) svg.append(wordsAt(x(block) + cell / 2, y(row) + 15, shownOf(map, value).replace(" %", "").replace("×", ""), { "text-anchor": "middle", style: { fill: inkOn(paint(value)), pointerEvents: "none" } }));
  });
  v.rings = s("g", { style: { pointerEvents: "none" } });
  v.ringAt = ([, row, block]) => ({ x: x(block) + gap / 2, y: y(row) + 1, width: Math.max(2, cell - gap), height: CELL_HEIGHT - 2 });
  svg.append(v.rings);
  return svg;
}

function drawRings(v) {
  const { map } = v.payload;
  const chosen = map.cells.filter(([modules]) => modules.some((module) => v.selection.includes(module)));
  clear(v.rings, chosen.map((cell) => s("rect", { ...v.ringAt(cell), fill: "none", stroke: v.colors.ink, "stroke-width": 2 })));
  const first = chosen.find(([modules]) => modules.includes(v.selection[0]));
  v.mapAbout.textContent = map.problem || [
    map.overall === null ? "" : `${shownOf(map, map.overall)} overall.`,
    map.most.length ? `Most: ${map.most.map(([, name, shown]) => name + " " + shown).join(", ")}.` : "",
    first ? `Selected: ${v.selection[0]} ${known(first[4]) ? shownOf(map, first[4]) : first[5] || NOT_YET}.` : "",
    map.left ? `Still comparing ${map.left} modules.` : "",
  ].filter(Boolean).join(" ");
}

// Lower half: each name once, its number again where its column begins.
function drawMatrix(v, width) {
  const { matrix } = v.payload;
  const { names, values, chance } = matrix;
  const label = Math.min(190, width * 0.48);
  const cell = clamp((width - label) / Math.max(1, names.length), 24, 46);
  const high = 26;
  const svg = s("svg", { width, height: high * names.length, class: "hp-matrix", role: "img", "aria-label": "Share of groups kept alike, of every two runs" });
  names.forEach((name, row) => {
    const put = (column, text, ink) => svg.append(wordsAt(label + (column + 0.5) * cell, high * row + 17, text, { "text-anchor": "middle", style: { fill: ink } }));
    svg.append(wordsAt(0, high * row + 17, `${row + 1} ${shortName(name, Math.floor(label / 6.6) - 3)}`, {}));
    values[row].slice(0, row).forEach((value, column) => {
      const color = known(value) ? cividis(value) : null;
      svg.append(s("rect", { x: label + column * cell + 1, y: high * row + 1, width: cell - 2, height: high - 2, fill: color ?? `url(#hp-cmp-${v.id})`, stroke: color ? "none" : v.colors.line, "stroke-width": 0.7, "data-value": value, "data-pair": `${name} | ${names[column]}` }));
      if (color) put(column, String(Math.round(100 * value)), inkOn(color));
    });
    if (row < names.length - 1) put(row, String(row + 1), v.colors.soft);
  });
  v.matrixAbout.textContent = [chance === null ? "" : `By chance ${fmtShare(chance)}.`, matrix.left ? `Still comparing ${matrix.left} pairs.` : ""].filter(Boolean).join(" ");
  return svg;
}

function drawMasks(v) {
  const { payload } = v;
  const { map, matrix, focus, mask_other: other } = payload;
  const beside = v.width >= ROOMY && matrix.names.length > 1;
  const right = beside ? clamp(200 + 40 * matrix.names.length, 290, v.width * 0.45) : v.width;
  const left = beside ? v.width - right - 28 : v.width;
  const key = [map, matrix, left, right, v.theme];
  if (!v.masksKey || key.some((one, n) => one !== v.masksKey[n])) {
    v.masksKey = key;
    v.mapTitle.textContent = `${map.label[0].toUpperCase()}${map.label.slice(1)}: ${focus} against ${other}`;
    clear(v.map, drawMap(v, left));
    const scale = scaleOf(map.ratio ? "log" : "linear", map.ratio ? [0.5, 2] : [0, 1]);
    clear(v.mapScale, colorbar({ scale, color: (t) => (map.ratio ? deviation(t, v.theme) : cividis(t)), label: map.ratio ? "ratio" : "share", format: map.ratio ? fmtRatio : fmtShare, below: map.ratio, above: map.ratio }));
    v.matrixPane.hidden = matrix.names.length < 2;
    if (!v.matrixPane.hidden) clear(v.matrix, drawMatrix(v, right));
  }
  drawRings(v);
}

export default {
  render({ model, el }) {
    return frame({ model, el }, {
      setup(v) {
        Object.assign(v, { own: {}, id: Math.random().toString(36).slice(2), cursor: null, masksKey: null });
        const box = (cls, ...inside) => h("div", { class: cls }, ...inside);
        for (const name of ["table", "actions", "map", "mapScale", "matrix", "parts"]) v[name] = box(`hp-${name}`);
        for (const name of ["mapTitle", "mapAbout", "matrixAbout", "headline"]) v[name] = h("p", { class: `hp-${name}` });
        v.matrixPane = box("", h("p", { class: "hp-mapTitle", text: "Groups kept alike, in %" }), v.matrix, v.matrixAbout);
        v.masks = box("hp-masks", box("", v.mapTitle, v.map, box("hp-under", v.mapScale, v.mapAbout)), v.matrixPane);
        setupWords(v);
        v.body.append(v.headline, v.table, v.actions, v.parts, v.masks, v.bar, v.words, v.texts);
        v.map.addEventListener("click", (event) => {
          const index = event.target.closest?.(".hp-cell")?.dataset.index;
          v.root.focus({ preventScroll: true });
          if (index === undefined) return;
          const [modules] = v.payload.map.cells[index];
          if (event.shiftKey) v.toggle(modules[0]);
          else v.select(modules);
        });
      },
      draw(v) {
        if (v.base !== v.payload) {
          if (v.base && (v.base.focus !== v.payload.focus || v.base.against !== v.payload.against)) Object.assign(v.own, { domain: undefined, page: undefined });
          v.cursor = v.jump ?? null;
          v.jump = null;
          v.base = v.payload;
        }
        const roomy = v.width >= ROOMY;
        const part = opt(v, "part");
        v.root.classList.toggle("hp-roomy", roomy);
        v.headline.textContent = v.payload.headline;
        drawTable(v);
        drawActions(v);
        v.parts.hidden = roomy;
        renew(v.parts, [part], () => PARTS.map(([name, label]) => button(label, `Show ${label.toLowerCase()}`, () => { v.own.part = name; v.redraw(); }, { "aria-pressed": String(part === name) })));
        v.masks.hidden = !roomy && part !== "masks";
        v.bar.hidden = !roomy && part === "masks";
        v.words.hidden = !roomy && part !== "words";
        v.texts.hidden = !roomy && part !== "texts";
        if (!v.masks.hidden) drawMasks(v);
        drawBar(v);
        if (!v.words.hidden) drawWords(v);
        if (!v.texts.hidden) drawTexts(v);
      },
      keys: {
        ArrowUp: (v) => moveRow(v, -1),
        ArrowDown: (v) => moveRow(v, 1),
        ArrowLeft: (v) => moveToken(v, -1),
        ArrowRight: (v) => moveToken(v, 1),
        "[": (v) => turn(v, -1),
        "]": (v) => turn(v, 1),
      },
    });
  },
};
