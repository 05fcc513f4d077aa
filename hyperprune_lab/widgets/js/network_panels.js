// Below the strips: how often each pattern was chosen, what a few groups went through, where the embeddings lie.

// Bars against equal shares. With few patterns each has its name.
function drawPatterns(v, width, height) {
  const { bars } = v.payload.histogram;
  const { colors } = v;
  const svg = s("svg", { width, height, role: "img", "aria-label": "How often each pattern was chosen" });
  const pattern = bars[0][3];
  const own = bars.filter((bar) => bar[3] === pattern);
  const [left, bottom, top] = [36, height - 34, 8];
  const most = Math.max(...own.map((bar) => bar[2]), 1.5 / own.length);
  const high = [0.02, 0.04, 0.1, 0.2, 0.3, 0.4, 0.6, 1].find((limit) => limit >= most) ?? 1;
  const y = scaleOf("linear", [0, high], [bottom, top]);
  for (const tick of [0, high / 2, high]) svg.append(s("line", { x1: left, x2: width, y1: y(tick), y2: y(tick), stroke: colors.grid }), s("text", { x: left - 5, y: y(tick) + 4, "text-anchor": "end", text: fmtShare(tick) }));
  const across = (width - left) / own.length;
  own.forEach(([kept, count, share], n) => {
    const bar = s("rect", { x: left + n * across + (across > 8 ? 2 : 0), y: y(share), width: Math.max(1, across - (across > 8 ? 4 : 0.5)), height: bottom - y(share), fill: colors.accent, "data-pattern": kept, "data-value": share },
      s("title", { text: `${kept}: ${fmtShare(share)}, ${fmtCount(count)} groups` }));
    svg.append(bar);
    if (across >= 7 * kept.length) svg.append(s("text", { x: left + (n + 0.5) * across, y: bottom + 13, "text-anchor": "middle", text: kept }));
  });
  const even = y(1 / own.length);
  svg.append(s("line", { x1: left, x2: width, y1: even, y2: even, stroke: colors.ink, "stroke-dasharray": "4 3" }));
  const kinds = new Set(bars.map((bar) => bar[3])).size;
  const named = across >= 7 * own[0][0].length;
  const more = kinds > 1 ? ` (${kinds - 1} more n:m)` : "";
  svg.append(s("text", { x: 0, y: bottom + 28, text: `${own.length} patterns of ${pattern}${more}${named ? "; dashed: equal shares" : "; dashed: equal"}` }));
  return svg;
}

// One pinned group: ribbons of probability over steps, the final pattern in color at the bottom; or a line a position.
function drawRibbon(v, one, width, height) {
  const { colors } = v;
  const svg = s("svg", { width, height, role: "img", "aria-label": `${one.name}: final ${one.final}, chance ${fmtShare(one.certainty)}`, class: "hp-ribbon", "data-final": one.final });
  const [top, bottom] = [14, height - 16];
  const looks = one.steps.length;
  const x = scaleOf("linear", [0, Math.max(1, looks - 1)], [1, width - 1]);
  const y = scaleOf("linear", [0, 1], [bottom, top]);
  const at = (look, value) => `${x(look).toFixed(1)},${y(value).toFixed(1)}`;
  svg.append(s("text", { x: 0, y: 10, text: one.name }));
  if (one.by_position) {
    one.ribbons.forEach((ribbon, n) => {
      const kept = one.final[n] === "1";
      svg.append(s("polyline", { points: ribbon.map((value, look) => at(look, value)).join(" "), fill: "none", stroke: kept ? colors.accent : colors.line, "stroke-width": kept ? 1.5 : 1, "stroke-dasharray": kept ? null : "2 2" }, s("title", { text: `${one.names[n]}: ${fmtShare(ribbon.at(-1))}` })));
    });
  } else {
    const low = Array(looks).fill(0);
    one.ribbons.forEach((ribbon, n) => {
      const up = ribbon.map((value, look) => Math.min(1, low[look] + value));
      const points = looks > 1 ? [...up.map((value, look) => at(look, value)), ...low.map((value, look) => at(look, value)).reverse()]
        : [at(0, up[0]), `${width - 1},${y(up[0])}`, `${width - 1},${y(low[0])}`, at(0, low[0])];
      svg.append(s("polygon", { points: points.join(" "), fill: n ? colors.neutral : colors.accent, stroke: colors.background, "stroke-width": 1, "fill-opacity": n && n % 2 === 0 ? 0.55 : 1 }, s("title", { text: `${one.names[n]}: ${fmtShare(ribbon.at(-1))}` })));
      up.forEach((value, look) => { low[look] = value; });
    });
  }
  svg.append(s("line", { x1: 0, x2: width, y1: bottom, y2: bottom, stroke: colors.line }),
    s("text", { x: 0, y: height - 3, class: "hp-final", text: one.by_position ? "kept" : one.final }, s("title", { text: `final: ${one.final}` })),
    s("text", { x: width, y: height - 3, "text-anchor": "end", text: fmtShare(one.certainty) }));
  if (one.first_choice !== one.final) svg.append(s("text", { x: width, y: 10, "text-anchor": "end", style: { fill: colors.warning }, text: "≠" }, s("title", { text: `the network itself preferred ${one.first_choice}` })));
  return svg;
}

// Points of one kind of embedding, in a frame that does not move; layers joined by depth.
function drawMap(v, map, width, height) {
  const { colors } = v;
  const svg = s("svg", { width, height, role: "img", class: "hp-map-of", "data-kind": map.kind, "aria-label": `${map.kind} embeddings along two directions` });
  const [left, top, bottom] = [16, 4, height - 18];
  // One unit is as long across as up: distances can be compared.
  const half = Math.min(width - 4 - left, bottom - top) / 2;
  const x = scaleOf("linear", [-map.reach, map.reach], [(left + width - 4) / 2 - half, (left + width - 4) / 2 + half]);
  const y = scaleOf("linear", [-map.reach, map.reach], [(top + bottom) / 2 + half, (top + bottom) / 2 - half]);
  svg.append(s("rect", { x: left, y: top, width: width - 4 - left, height: bottom - top, fill: "none", stroke: colors.grid }),
    s("line", { x1: x(0), x2: x(0), y1: top, y2: bottom, stroke: colors.grid }), s("line", { x1: left, x2: width - 4, y1: y(0), y2: y(0), stroke: colors.grid }),
    s("text", { x: width - 4, y: height - 5, "text-anchor": "end", text: `direction 1: ${fmtShare(map.explained[0])}` }),
    s("text", { x: 10, y: top + 2, "text-anchor": "end", transform: `rotate(-90 10 ${top + 2})`, text: `direction 2: ${fmtShare(map.explained[1])}` }));
  const spots = map.points.map(([label, px, py]) => [label, x(px), y(py)]);
  const line = (points, attrs) => s("polyline", { points: points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" "), fill: "none", ...attrs });
  if (map.kind === "layer") svg.append(line(spots.map(([, px, py]) => [px, py]), { stroke: colors.line, "stroke-width": 1 }));
  if (map.trail.length > 1) svg.append(line(map.trail.map(([px, py]) => [x(px), y(py)]), { stroke: colors.accent, "stroke-width": 1.5, "stroke-dasharray": "2 2" }));
  const taken = [];
  const free = (box) => taken.every((other) => box.x + box.w < other.x || other.x + other.w < box.x || box.y + 12 < other.y || other.y + 12 < box.y);
  const dots = s("g", {});
  const words = s("g", {});
  svg.append(dots, words);
  const order = spots.map((spot, n) => [n, spot]).sort(([, one], [, other]) => (other[0] === map.selected) - (one[0] === map.selected));
  for (const [n, [label, px, py]] of order) {
    const chosen = label === map.selected;
    const early = map.kind === "layer" ? n / Math.max(1, spots.length - 1) : 0.35;
    dots.prepend(s("circle", { cx: px, cy: py, r: chosen ? 5 : 3.5, fill: map.kind === "layer" ? cividis((v.theme === "dark" ? 0.3 : 0) + 0.7 * early) : colors.soft, stroke: chosen ? colors.ink : colors.line, "stroke-width": chosen ? 2 : 1, "data-label": label }, s("title", { text: label })));
    const w = 6.2 * label.length + 2;
    const options = [[px + 6, py - 6], [px - w - 5, py - 6], [px - w / 2, py - 18], [px - w / 2, py + 6], [px - w, py - 18], [px - w, py + 6], [px, py - 18], [px, py + 6]].map(([bx, by]) => ({ x: bx, y: by, w }));
    const box = options.find((one) => one.x > left && one.x + w < width - 4 && one.y > top && one.y + 12 < bottom && free(one));
    if (!box && !chosen) continue;
    const put = box ?? { x: clamp(px + 6, left, width - 4 - w), y: clamp(py - 6, top, bottom - 12), w };
    taken.push(put);
    words.append(s("text", { x: put.x, y: put.y + 10, text: label, class: chosen ? "hp-final" : "" }));
  }
  return svg;
}

function panelsOf(v) {
  const { payload } = v;
  const narrow = v.width < 860;
  const widths = narrow ? [0.36, 0.6, 0.48, 0.48] : [0.225, 0.355, 0.185, 0.185];
  const wide = widths.map((share) => Math.floor(share * v.width));
  const height = 168;
  const { groups, note } = payload.pinned;
  const across = Math.floor((wide[1] - 24) / 3);
  const part = (n, title, words, ...children) => h("div", { class: "hp-part", style: { width: `${wide[n]}px` } }, h("div", { class: "hp-part-title", text: title }), words ? h("div", { class: "hp-label hp-part-words", text: words, title: words }) : null, children);
  return [
    part(0, "Patterns chosen", payload.histogram.note, payload.histogram.bars.length ? drawPatterns(v, wide[0], height - 24) : null),
    part(1, "Groups that were watched", note, groups.length ? h("div", { class: "hp-ribbons" }, groups.map((one) => drawRibbon(v, one, across, Math.floor((height - 24) / 2) - 4))) : null),
    payload.maps.length ? payload.maps.map((map, n) => part(2 + n, map.kind === "layer" ? "Layer embeddings" : "Component embeddings", map.collapsed ? "collapsed" : null, drawMap(v, map, wide[2 + n], height)))
      : part(2, "Embeddings", payload.no_maps),
  ];
}
