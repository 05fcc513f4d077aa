// The findings: the ranking on the left, on the right why the selected module failed, and what another setting changes.
// Draws payload of hyperprune_lab/views/findings.py.
const WORDS = { failure: "failing", warning: "doubtful", note: "good to know" };
const SIGNS = { failure: "✕", warning: "▲", note: "○" };
const WHAT_IF = "Decides its block once more with another setting, everything else as in this run, and runs the model to its end. Nothing of it enters the record.";

const focusOf = (v) => v.selection[0] ?? v.payload.focus;
const percent = (t) => `${Math.round(1000 * clamp(t, 0, 1)) / 10}%`;
const soft = (text) => h("span", { class: "hp-f-soft", text });
const pairsOf = (pairs) => pairs.map(([label, value]) => h("span", { class: "hp-f-pair" }, soft(`${label} `), h("b", { text: value })));

// -- the ranking

function damageBar(v, row) {
  if (!known(row.damage)) return h("div", { class: "hp-f-none", title: "not recorded" });
  const at = scaleOf("linear", v.payload.domains.damage);
  const ends = known(row.spread) ? [at(row.damage - row.spread), at(row.damage + row.spread)] : null;
  return s("svg", { class: "hp-f-mark", width: "100%", height: 10 },
    s("rect", { x: 0, y: 2, width: percent(at(row.damage)), height: 6, fill: v.colors.accent }),
    s("line", { x1: 0, x2: 0, y1: 0, y2: 10, stroke: v.colors.line }),
    ends ? s("line", { x1: percent(ends[0]), x2: percent(ends[1]), y1: 5, y2: 5, stroke: v.colors.ink, "stroke-width": 1.5 }) : null);
}

// An arrow at the end of a scale for what lies beyond it.
const beyond = (over, y, color) => s("svg", { x: over > 0 ? "100%" : "0%", y, class: "hp-f-end" }, s("polygon", { points: over > 0 ? "0,5 -8,0.5 -8,9.5" : "0,5 8,0.5 8,9.5", fill: color }));

function timesMark(v, row) {
  const scale = scaleOf("log", v.payload.domains.times);
  const svg = s("svg", { class: "hp-f-mark", width: "100%", height: 10 },
    s("line", { x1: 0, x2: "100%", y1: 5, y2: 5, stroke: v.colors.grid }),
    s("line", { x1: "50%", x2: "50%", y1: 1, y2: 9, stroke: v.colors.line }));
  if (!known(row.times)) return svg;
  const over = scale.clamped(row.times);
  const color = row.times > 1 ? v.colors.warning : v.colors.accent;
  svg.append(s("line", { x1: "50%", x2: percent(scale(row.times)), y1: 5, y2: 5, stroke: color, "stroke-width": 2 }));
  if (over) svg.append(beyond(over, 0, color));
  else svg.append(s("circle", { cx: percent(scale(row.times)), cy: 5, r: 3.5, fill: color }));
  return svg;
}

function drawRow(v, row) {
  const choose = () => {
    v.select([row.module]);
    v.root.focus({ preventScroll: true });
  };
  return h("div", { class: "hp-f-row", role: "option", id: `${v.id}-${row.place}`, "data-module": row.module, "data-cause": row.cause, "data-severity": row.severity ?? "none", "data-place": row.place, "data-value": row.damage ?? "", title: row.module, on: { click: choose } },
    h("span", { class: "hp-f-place", text: row.place }),
    h("span", { class: "hp-f-sign", "aria-hidden": "true", text: SIGNS[row.severity] ?? "" }),
    h("span", { class: "hp-f-name" }, h("b", { text: `block ${row.block} ` }), row.name),
    h("span", { class: "hp-f-cause", text: row.cause }),
    h("span", { class: "hp-f-value", text: row.damage_text }), h("span", { class: "hp-f-bar" }, damageBar(v, row)),
    h("span", { class: "hp-f-value hp-f-second", text: fmtRatio(row.times) }), h("span", { class: "hp-f-bar hp-f-second" }, timesMark(v, row)));
}

function drawList(v) {
  const { payload } = v;
  const { rows, count, order, domains } = payload;
  renew(v.heads, [order, domains, v.options.measure], () => {
    const head = (name, label, scale, kind) => h("button", { type: "button", class: `hp-f-head ${kind}`, tabindex: -1, "aria-pressed": String(order === name), title: `Sort: ${label}`, on: { click: () => v.setOption("measure", name) } },
      h("span", {}, label, order === name ? " ↓" : ""), scale ? soft(scale) : null);
    return [head("severity", "worst fault", "", "hp-f-first"), head("damage", "damage", `0 – ${fmtError(domains.damage[1])} nats`, ""), head("trend", "error / trend", "¼–1–4 ×", "hp-f-last")];
  });
  renew(v.list, [rows, v.theme, domains], () => rows.map((row) => drawRow(v, row)));
  const chosen = focusOf(v);
  v.list.removeAttribute("aria-activedescendant");
  for (const node of v.list.children) {
    const on = node.dataset.module === chosen;
    node.setAttribute("aria-selected", String(on));
    if (on) v.list.setAttribute("aria-activedescendant", node.id);
  }
  v.more.hidden = count <= 12;
  v.more.textContent = payload.all ? "Only the first" : `All ${fmtCount(count)} modules`;
}

// -- why

// Numbers held against each other, one below the other on one scale.
function drawGauge(v, gauge) {
  const scale = scaleOf(gauge.scale, gauge.domain);
  const rows = gauge.rows.map(([label, value, text, whose]) => {
    const at = scale(value);
    const color = whose ? methodStyle(whose, v.theme).color : v.colors.soft;
    const mark = gauge.scale === "log"
      ? [s("line", { x1: 0, x2: "100%", y1: 7, y2: 7, stroke: v.colors.grid }), scale.ticks().map((tick) => s("line", { x1: percent(scale(tick)), x2: percent(scale(tick)), y1: 4, y2: 10, stroke: v.colors.grid })), scale.clamped(value) ? beyond(scale.clamped(value), 2, color) : s("circle", { cx: percent(at), cy: 7, r: 5, fill: color })]
      : [s("rect", { x: 0, y: 1, width: "100%", height: 12, fill: v.colors.panel }), s("rect", { x: 0, y: 1, width: percent(at), height: 12, fill: color, "fill-opacity": whose === v.payload.method ? 1 : 0.55 })];
    return [soft(label), s("svg", { width: "100%", height: 14, class: "hp-f-mark" }, mark), h("b", { text })];
  });
  const [low, high] = gauge.domain;
  const ends = gauge.scale === "log" ? [fmtTick(fmtError(low)), fmtTick(fmtError(high))] : ["0 %", "100 %"];
  return h("div", { class: "hp-f-gauge", role: "img", "aria-label": `${gauge.title}: ${gauge.rows.map(([label, , text]) => label + " " + text).join(", ")}` },
    h("div", { class: "hp-f-title", text: gauge.title }), rows,
    h("span"), h("span", { class: "hp-f-ends" }, soft(ends[0]), soft(gauge.scale === "log" ? "log" : ""), soft(ends[1])), h("span"));
}

// A Lab brings the view before the eyes; without one, it may stand elsewhere on the page.
function openLink(v, view, measure, label) {
  const module = v.payload.focus;
  if (v.selection[0] !== module) v.select([module]);
  v.send("open", { module, view, measure });
  if (!v.root.dispatchEvent(new CustomEvent("hp-open", { bubbles: true, cancelable: true, detail: { view, measure } }))) return;
  const there = [...document.querySelectorAll("[data-hp-view]")].find((node) => node.dataset.hpView === view && node.offsetParent);
  if (!there) return v.note(`${module} is selected. “${label.split(":")[0]}” is not on this page: it is in the Lab, or make it for the same desk (view.desk).`);
  there.scrollIntoView({ block: "nearest" });
  there.focus({ preventScroll: true });
}

function drawFinding(v, finding) {
  const links = finding.links.map(([view, measure, label]) => button(`${label} ↗`, `Select this module and open ${label.split(":")[0]}`, () => openLink(v, view, measure, label), { "data-link": view }));
  if (finding.upstream) links.push(button(`Upstream: ${shortName(finding.upstream, 30)} ↑`, "Select the module that the error may come from", () => v.select([finding.upstream]), { "data-link": "upstream" }));
  return h("section", { class: "hp-f-finding", "data-cause": finding.cause, "data-severity": finding.severity },
    h("h4", {}, h("span", { class: "hp-f-sign", "aria-hidden": "true", text: SIGNS[finding.severity] }), ` ${finding.cause} `, soft(WORDS[finding.severity])),
    h("p", { text: finding.sentence }),
    h("div", { class: "hp-f-proof" }, finding.gauge ? drawGauge(v, finding.gauge) : null,
      finding.evidence.length ? h("div", { class: "hp-f-evidence" }, finding.evidence.map(([label, value]) => [soft(label), h("b", { text: value })])) : null),
    h("p", { class: "hp-f-remedy" }, h("b", { text: "What to do: " }), finding.remedy),
    links.length ? h("div", { class: "hp-f-links" }, links) : null);
}

function drawChecks(v) {
  const { checks } = v.payload;
  const of = (wanted) => checks.filter(([, state]) => state === wanted);
  const absent = of("no").map(([cause]) => cause);
  const untold = of("unknown");
  return [
    absent.length ? h("p", { class: "hp-f-soft" }, h("b", { text: "Looked for and not found: " }), absent.join(", ")) : null,
    ...untold.map(([cause, , why]) => h("p", { class: "hp-f-soft" }, h("b", { text: `Could not be looked for, ${cause}: ` }), why)),
  ];
}

function drawWhy(v) {
  const { payload } = v;
  renew(v.why, [payload.focus, payload.findings, payload.standing, payload.checks, payload.note, v.theme], () => [
    h("h3", { class: "hp-f-module" }, payload.focus_name ?? "", payload.about.length ? soft(`  ${payload.about.join(" · ")}`) : null),
    h("div", { class: "hp-f-pairs" }, pairsOf(payload.standing)),
    payload.note ? h("p", { class: "hp-f-sound" }, payload.note) : null,
    ...payload.findings.map((finding) => drawFinding(v, finding)),
    h("div", { class: "hp-f-checks" }, drawChecks(v)),
  ]);
}

// -- what if

function ask(v, form) {
  v.send("try", { module: v.payload.focus, ...form });
  v.say("Asked. The answer comes below.");
}

const suggestion = (v) => v.payload.findings.map((finding) => finding.try).find(Boolean);

function chooser(v, name, label, choices) {
  const node = h("select", { tabindex: -1, "data-choice": name, on: { change: () => {
    v.form[name] = name === "samples" ? Number(node.value) : name === "whole" ? node.value === "true" : node.value;
    dress(v);
  } } }, choices.map(([value, text]) => h("option", { value: String(value), text, selected: String(value) === String(v.form[name]) })));
  return h("label", { class: "hp-f-field" }, soft(label), node);
}

// What is dense has no pattern and no calibration.
function dress(v) {
  for (const node of v.fields.querySelectorAll("select")) if (["pattern", "samples"].includes(node.dataset.choice)) node.disabled = v.blocked || v.form.how === "dense";
}

function drawFields(v) {
  const { tries, focus } = v.payload;
  const block = v.payload.rows.find((row) => row.module === focus)?.block;
  return [
    chooser(v, "whole", "prune", [[false, "this module"], [true, `all of block ${block ?? ""}`]]),
    chooser(v, "how", "decided by", tries.how), chooser(v, "pattern", "pattern", tries.pattern), chooser(v, "samples", "calibrated on", tries.samples),
    button("Try it", "Ask what this setting changes", () => ask(v, v.form), { class: "hp-button hp-f-go" }),
  ];
}

function drawAsking(v) {
  const { payload } = v;
  const reason = v.kernel.live ? payload.cannot_try : "What-if needs a running kernel and the model: this page has neither.";
  const first = suggestion(v);
  v.blocked = Boolean(reason);
  v.whatIf.hidden = !payload.tries;
  if (!payload.tries) return;
  renew(v.asking, [payload.focus, payload.tries, first, reason], () => {
    v.form = { how: "", pattern: "", samples: 0, whole: false, ...(first ? { how: first.how, pattern: first.pattern, samples: first.samples, whole: first.whole } : {}) };
    v.fields = h("div", { class: "hp-f-fields", hidden: !v.unfolded });
    clear(v.fields, drawFields(v));
    const unfold = button("Another setting …", "Choose method, pattern and calibration", () => {
      v.unfolded = !v.unfolded;
      v.fields.hidden = !v.unfolded;
      unfold.setAttribute("aria-expanded", String(v.unfolded));
    }, { "aria-expanded": String(Boolean(v.unfolded)), "data-try": "other" });
    const remedy = first && first.how !== "dense" ? button(`Try the remedy: ${first.words}`, "Ask what the remedy changes, end to end (w)", () => ask(v, first), { class: "hp-button hp-f-go", "data-try": "remedy" }) : null;
    const dense = button("Leave it dense", "Ask what comes back when this module alone is dense: its damage", () => ask(v, { how: "dense" }), { class: remedy ? "hp-button" : "hp-button hp-f-go", "data-try": "dense" });
    const nodes = [h("div", { class: "hp-f-links" }, remedy, dense, unfold), v.fields, reason ? h("p", { class: "hp-f-blocked", text: reason }) : null];
    if (reason) for (const node of nodes) for (const control of node?.querySelectorAll("button, select") ?? []) control.disabled = true;
    return nodes;
  });
  dress(v);
}

// The change of the loss with its interval: left of zero is better.
function drawInterval(v, trial, reach) {
  const at = scaleOf("linear", [-reach, reach]);
  const [value, low, high] = trial.difference;
  const color = { better: v.colors.good, worse: v.colors.error, unclear: v.colors.soft }[trial.outcome];
  return s("svg", { width: "100%", height: 16, class: "hp-f-mark", role: "img", "aria-label": `Change of the loss with its 95 % interval: ${trial.verdict}` },
    s("line", { x1: 0, x2: "100%", y1: 8, y2: 8, stroke: v.colors.grid }), s("line", { x1: "50%", x2: "50%", y1: 0, y2: 16, stroke: v.colors.line }),
    s("line", { x1: percent(at(low)), x2: percent(at(high)), y1: 8, y2: 8, stroke: color, "stroke-width": 3 }),
    [low, high].map((end) => s("line", { x1: percent(at(end)), x2: percent(at(end)), y1: 3, y2: 13, stroke: color, "stroke-width": 1.5 })),
    s("circle", { cx: percent(at(value)), cy: 8, r: 4.5, fill: color }));
}

function drawTrial(v, trial, reach) {
  const close = button("×", "Take this off the list", () => v.send("forget", { number: trial.number }), { class: "hp-button hp-f-close", "aria-label": `Take off the list: ${trial.words}` });
  const head = (sign, verdict) => h("div", { class: "hp-f-trial-head" }, h("span", { class: "hp-f-verdict" }, sign ? `${sign} ` : "", h("b", { text: trial.words }), verdict ? `: ${verdict}` : ""), trial.state === "asking" ? button("Cancel", "Give this question up", () => v.send("cancel", { number: trial.number }), { "data-cancel": trial.number }) : close);
  const about = trial.module === v.payload.focus ? null : h("p", { class: "hp-f-soft", text: `asked about ${trial.module}` });
  const box = (...content) => h("div", { class: "hp-f-trial", "data-trial": trial.number, "data-state": trial.state, "data-outcome": trial.outcome ?? "" }, content);
  if (trial.state === "asking") {
    const share = known(trial.share) ? trial.share : 0;
    return box(head("", ""), about, h("div", { class: "hp-f-progress", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * share), "aria-label": trial.words }, h("div", { style: { width: percent(Math.max(share, 0.02)) } })),
      h("div", { class: "hp-f-pairs" }, soft(trial.progress), h("span", { class: "hp-f-soft hp-f-clock", "data-number": trial.number })));
  }
  if (trial.state === "failed") return box(head("✕", "no answer"), about, h("p", { class: "hp-f-bad", text: trial.error }));
  if (trial.state === "cancelled") return box(head("", "cancelled"), about);
  const wanted = trial.scope && v.desk.scope?.[trial.module] === trial.scope;
  const likewise = trial.scope ? button(wanted ? "✓ noted for the next run" : "Do so in the next run", "Put it into the scope that run control starts with; press again to take it back", () => v.send("scope", { modules: [trial.module], value: wanted ? null : trial.scope }), { "aria-pressed": String(Boolean(wanted)) }) : null;
  return box(head(trial.sign, trial.verdict), about,
    h("div", { class: "hp-f-interval" }, drawInterval(v, trial, reach), h("span", { class: "hp-f-ends" }, soft(`← better, ${fmtSigned(-reach, 2)}`), soft("loss unchanged"), soft(`${fmtSigned(reach, 2)}, worse →`))),
    h("div", { class: "hp-f-effect" }, trial.effect.map(([label, value]) => [soft(label), h("span", { text: value })])),
    h("div", { class: "hp-f-links" }, soft(trial.basis), likewise));
}

function tick(v) {
  const now = performance.now();
  for (const node of v.trials.querySelectorAll(".hp-f-clock")) {
    const { number } = node.dataset;
    v.since[number] ??= now;
    node.textContent = fmtSeconds((now - v.since[number]) / 1000);
  }
}

function drawTrials(v) {
  const { trials } = v.payload;
  const ends = trials.flatMap((trial) => trial.difference ?? []).map(Math.abs);
  const reach = Math.max(0.05, Math.ceil(20 * Math.max(0, ...ends)) / 20);
  renew(v.trials, [trials, reach, v.theme, v.desk.scope], () => trials.map((trial) => drawTrial(v, trial, reach)));
  const waiting = trials.some((trial) => trial.state === "asking");
  clearInterval(v.timer);
  if (waiting) v.timer = setInterval(() => tick(v), 250);
  tick(v);
  for (const trial of trials) {
    if (v.told[trial.number] === "asking" && trial.state === "done") v.say(`${trial.words}: ${trial.verdict}. ${trial.effect.map((pair) => pair.join(" ")).join("; ")}`);
    v.told[trial.number] = trial.state;
  }
}

function move(v, by) {
  const { rows } = v.payload;
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.module === focusOf(v));
  const row = rows[clamp(at < 0 ? 0 : at + by, 0, rows.length - 1)];
  v.select([row.module]);
  v.say(`${row.place}, block ${row.block} ${row.name}: ${row.cause}`);
  v.list.children[rows.indexOf(row)]?.scrollIntoView({ block: "nearest" });
}

export default {
  render({ model, el }) {
    return frame({ model, el }, {
      setup(v) {
        Object.assign(v, { id: `f${Math.random().toString(36).slice(2)}`, since: {}, told: {}, form: {}, unfolded: false });
        v.headline = h("p", { class: "hp-f-headline" });
        v.honesty = h("p", { class: "hp-f-soft" });
        v.noted = h("p", { class: "hp-f-soft hp-f-noted" });
        v.heads = h("div", { class: "hp-f-heads" });
        v.list = h("div", { class: "hp-f-list", role: "listbox", "aria-label": "Modules, ranked" });
        v.more = button("", "List all modules, or only the first (a)", () => v.setOption("everything", !v.payload.all), { class: "hp-button hp-f-more" });
        v.why = h("div", { class: "hp-f-why" });
        v.asking = h("div", {});
        v.trials = h("div", { class: "hp-f-trials" });
        const warm = () => v.warmed || v.blocked || (v.warmed = true, v.send("warm", {}));
        v.whatIf = h("section", { class: "hp-f-what-if", "aria-label": "What if", on: { pointerenter: warm, focusin: warm } }, h("h4", { text: "What if?" }), h("p", { class: "hp-f-soft", text: WHAT_IF }), v.asking, v.trials);
        v.main = h("div", { class: "hp-f-main" }, h("div", { class: "hp-f-ranking" }, v.heads, v.list, v.more), v.why, v.whatIf);
        v.body.append(v.headline, v.honesty, v.noted, v.main);
      },
      draw(v) {
        const { payload } = v;
        v.headline.textContent = payload.headline;
        v.honesty.textContent = payload.honesty;
        v.noted.textContent = payload.damage_note;
        v.root.classList.toggle("hp-f-pending", payload.pending);
        v.root.dataset.hpFit = v.width >= 1300 ? "three" : v.width >= 760 ? "two" : v.width >= 440 ? "one" : "slim";
        v.main.hidden = payload.count === 0 && !payload.findings.length;
        drawList(v);
        drawWhy(v);
        drawAsking(v);
        drawTrials(v);
      },
      stop(v) {
        clearInterval(v.timer);
      },
      keys: {
        ArrowUp: (v) => move(v, -1),
        ArrowDown: (v) => move(v, 1),
        Home: (v) => move(v, -1e6),
        End: (v) => move(v, 1e6),
        a: (v) => v.setOption("everything", !v.payload.all),
        w: (v) => !v.blocked && v.payload.tries && ask(v, suggestion(v) ?? { how: "dense" }),
      },
    });
  },
};
