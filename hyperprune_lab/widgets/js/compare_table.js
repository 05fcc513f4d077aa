// The table of runs, and what can be done with one of them.
const MARKS = { best: " ★", tied: " ☆" };

// What a person chose; where no kernel answers, of what the page holds.
const opt = (v, name) => v.own[name] ?? v.options[name];

function sortBy(v, key) {
  const { sort } = v.payload;
  v.setOption("sort", sort === key ? `-${key}` : sort === `-${key}` ? "" : key);
}

function headOf(v, key, label, help, attrs) {
  const { sort } = v.payload;
  const way = sort === key ? "ascending" : sort === `-${key}` ? "descending" : "none";
  const arrow = { ascending: " ▲", descending: " ▼", none: "" }[way];
  return h("th", { "aria-sort": way, scope: "col", ...attrs }, h("button", { type: "button", tabindex: -1, title: `${help}. Click to sort.`, on: { click: () => sortBy(v, key) } }, label + arrow));
}

function drawTable(v) {
  const { payload } = v;
  const known = (column) => payload.rows.some((row) => row.cells[column.key][0] !== null || row.cells[column.key][1] === NOT_YET);
  const columns = payload.columns.filter((column) => column.from <= v.width && known(column));
  const spans = [];
  for (const { group } of columns) {
    if (spans.at(-1)?.group === group) spans.at(-1).count += 1;
    else spans.push({ group, count: 1 });
  }
  const first = new Set(columns.filter((column, n) => n === 0 || columns[n - 1].group !== column.group).map((column) => column.key));
  const edge = (column) => (first.has(column.key) ? "hp-edge" : "");
  const body = payload.groups.map((line, number) => h("tbody", {},
    h("tr", { class: "hp-protocol" }, h("td", { colspan: columns.length + 1, text: line })),
    payload.rows.filter((row) => row.group === number).map((row) => rowOf(v, row, columns, edge))));
  renew(v.table, [payload.rows, payload.groups, columns.map((one) => one.key), v.theme, payload.sort, payload.focus, payload.reference], () => h("table", { class: "hp-runs", "aria-label": "Runs" },
    h("thead", {},
      h("tr", {}, h("th"), spans.map(({ group, count }) => h("th", { colspan: count, class: "hp-span hp-edge", scope: "colgroup", text: group }))),
      h("tr", {}, headOf(v, "name", "run", "By name"), columns.map((column) => headOf(v, column.key, column.label, column.help, { class: edge(column) })))),
    body));
}

function rowOf(v, row, columns, edge) {
  const { payload } = v;
  const style = methodStyle(row.method, v.theme);
  const told = [`${row.label} ${row.pattern}`, row.state === "finished" ? "" : [row.state, row.stage].filter(Boolean).join(", "), row.note].filter(Boolean);
  const cells = columns.map((column) => {
    const [value, shown, mark] = row.cells[column.key];
    return h("td", { class: edge(column) + (mark ? ` hp-${mark}` : ""), "data-value": value, title: column.help, text: shown + (MARKS[mark] ?? "") });
  });
  return h("tr", { class: "hp-run", "data-run": row.key, "aria-selected": String(row.key === payload.focus), on: { click: () => look(v, row.key) } },
    h("td", {}, h("div", { class: "hp-who" }, s("svg", { width: 14, height: 14, "aria-hidden": "true" }, markOf(style.marker, 7, 7, 5, { fill: style.color })),
      h("span", {}, h("b", { text: row.name }), row.key === payload.reference ? h("span", { class: "hp-chip", text: "reference" }) : null,
        h("span", { class: "hp-label", text: told.join(" · ") })))),
    cells);
}

function look(v, key) {
  v.root.focus({ preventScroll: true });
  if (key === v.payload.focus) return;
  v.setOption("focus", key);
  v.say(`${key} is looked at`);
}

function moveRow(v, by) {
  const { rows } = v.payload;
  const at = rows.findIndex((row) => row.key === v.payload.focus);
  const next = rows[clamp(at + by, 0, rows.length - 1)];
  if (next) look(v, next.key);
}

async function save(v, name, type) {
  const answer = await v.ask({ name });
  if (!answer) return v.note(v.kernel.live ? NO_ANSWER : NEEDS_KERNEL);
  if (answer.problem) return v.note(answer.problem);
  return download(`runs.${name === "latex" ? "tex" : name}`, type, answer.buffers);
}

function drawActions(v) {
  const { payload } = v;
  const { focus, reference, removable, candidates } = payload;
  const row = payload.rows.find((one) => one.key === focus);
  renew(v.actions, [focus, reference, removable, candidates, v.kernel.live, row?.about], () => {
    const live = v.kernel.live;
    const act = (label, title, kind, run) => (live ? button(label, title, () => v.send(kind, { run })) : null);
    const add = h("select", { class: "hp-add", tabindex: -1, "aria-label": "Add a run", title: "Runs beside these", on: {
      pointerenter: () => v.send("shelf", {}), focus: () => v.send("shelf", {}),
      change: () => add.value && v.send("add", { run: add.value }),
    } }, h("option", { value: "", text: candidates.length ? "+ add a run" : "no other run here" }), candidates.map(([value, text]) => h("option", { value, text })));
    return [
      h("span", { class: "hp-label hp-about", text: `${focus}: ${row?.about ?? ""}` }),
      focus === reference ? act("Unpin", "Hold runs against their dense models", "pin", "") : act("Pin as reference", "Hold the others against this run", "pin", focus),
      removable.includes(focus) ? [act("Show in all views", "Show this run in all linked views", "open", focus), act("Take away", "Leave this run out", "remove", focus)] : null,
      live ? h("span", { class: "hp-right" }, add,
        button("LaTeX", "The table for a paper", () => save(v, "latex", "text/x-tex")), button("Parquet", "The table with all digits", () => save(v, "parquet", "application/octet-stream"))) : null,
    ];
  });
}
