// Run control: what a run will do, what one is doing, which runs there are. Draws payload of hyperprune_lab/views/run_control.py.
const GROUPS = [["decide", "How HyperPrune decides"], ["data", "Calibration"], ["run", "The run"]];
const SIGNS = { live: "●", paused: "❚❚", interrupted: "◌", finished: "✓", failed: "✕", foreign: "?", damaged: "!" };
const OTHER = "another n:m …";

// Ask the kernel for something; without one, say so.
function act(v, kind, content = {}) {
  if (!v.kernel.live) return v.note(NEEDS_KERNEL);
  return v.send(kind, content);
}

const doing = (v, label, title, action, call, extra = "") =>
  button(label, title, call ?? (() => act(v, action)), { class: `hp-button ${extra}`, "data-action": action });

// Look before the run, or give a look up that is on its way.
function look(v) {
  v.closed = null;
  act(v, v.payload.work?.cancellable ? "cancel" : "check");
}

const fold = (v, name, content, close) =>
  h("div", { class: `hp-fold hp-fold-${name}`, "data-fold": name }, content, close ? button("×", "Close", close, { class: "hp-button hp-close" }) : null);

// -- the form

function control(v, field) {
  const id = `${v.id}-${field.name}`;
  const common = { id, class: "hp-input", "data-field": field.name, "aria-describedby": `${id}-told`, title: field.hint };
  const commit = (value) => v.options[field.name] !== value && v.setOption(field.name, value);
  const told = h("div", { class: "hp-told", id: `${id}-told` });
  let node;
  let own = null;
  if (field.kind === "choice") {
    node = h("select", { ...common, on: { change() {
      if (node.value !== OTHER) return commit(node.value);
      own.hidden = false;
      return own.focus();
    } } }, field.choices.map(([value, label]) => h("option", { value, text: label })),
    field.name === "pattern" ? h("option", { value: OTHER, text: OTHER }) : null);
    if (field.name === "pattern") {
      own = h("input", { class: "hp-own", placeholder: "n:m", "aria-label": "Another pattern, n:m", hidden: true, on: {
        change: () => own.value && commit(own.value),
        blur() {
          own.hidden = true;
          own.value = "";
          v.redraw();
        },
      } });
    }
  } else {
    const list = field.suggestions.length ? h("datalist", { id: `${id}-list` }, field.suggestions.map((value) => h("option", { value }))) : null;
    node = h("input", { ...common, type: "text", spellcheck: "false", autocomplete: "off", list: list && `${id}-list`,
      inputmode: field.kind === "number" ? "decimal" : null, on: {
        change: () => commit(node.value.trim()),
        keydown(event) {
          if (event.key !== "Enter") return;
          commit(node.value.trim());
          look(v);
        },
      } });
    own = list;
  }
  const mark = h("span", { class: "hp-mark", "aria-hidden": "true" });
  const label = h("label", { class: "hp-name", for: id }, field.label, mark);
  const box = h("div", { class: `hp-field hp-field-${field.name}` }, label, node, own, told);
  v.controls.set(field.name, { node, box, told, mark, own });
  return box;
}

function syncControls(v) {
  for (const field of v.payload.form.fields) {
    const { node, box, told, mark } = v.controls.get(field.name);
    const value = v.options[field.name] ?? field.value;
    const filled = field.place === "row" || field.kind === "choice" ? value || field.default : value;
    if (document.activeElement !== node && node.value !== filled && !(field.name === "pattern" && node.value === OTHER && !box.querySelector(".hp-own").hidden)) node.value = filled;
    if (node.tagName === "INPUT") node.placeholder = field.off ?? field.default;
    node.disabled = Boolean(field.off || v.payload.form.unable);
    const changed = field.changed && field.place !== "row";
    mark.textContent = changed ? " • changed" : "";
    box.classList.toggle("hp-changed", changed);
    node.setAttribute("aria-invalid", String(Boolean(field.fault)));
    told.textContent = field.fault ?? field.warning ?? "";
    told.className = `hp-told ${field.fault ? "hp-bad" : "hp-mind"}`;
    box.title = changed ? `Changed; otherwise ${field.default || "the default"}` : "";
  }
}

function drawForm(v) {
  const { form, shelf, work } = v.payload;
  renew(v.form, form.fields.map(({ name, choices, suggestions }) => [name, choices, suggestions]), () => {
    const of = (place) => form.fields.filter((field) => field.place === place);
    clear(v.groups, GROUPS.map(([place, label]) => h("fieldset", { class: `hp-group hp-group-${place}` }, h("legend", { text: label }), of(place).map((field) => control(v, field)))), v.rules);
    return of("row").map((field) => control(v, field));
  });
  syncControls(v);
  drawRules(v);
  const changed = form.changed.length + form.rules.length;
  const open = Boolean(v.options.more);
  v.more.textContent = (open ? "Less ▴" : "More ▾") + (changed && !open ? ` (${changed} changed)` : "");
  v.more.setAttribute("aria-expanded", String(open));
  const fault = form.faulty && !form.unable ? "Mend what is marked first." : form.unable;
  const asking = work?.cancellable;
  v.check.textContent = asking ? "Cancel" : "Check";
  v.check.title = asking ? "Give up looking" : fault ?? "What it will prune and take, before anything is run (c)";
  v.check.disabled = Boolean(form.unable || (work && !asking));
  v.start.textContent = work?.kind === "starting" ? "Starting …" : "Start";
  v.start.title = fault ?? (shelf.live ? "Begin this run; another one is at work, both will be slower" : "Look, and begin this run in a process of its own");
  v.start.classList.toggle("hp-primary", !shelf.live);
  v.start.disabled = Boolean(form.unable || form.faulty || work);
}

function drawRules(v) {
  const { rules, unable, faults } = v.payload.form;
  v.fault.textContent = faults.filter(([name]) => name === "overrides").map(([, message]) => message).join(" ");
  renew(v.chips, rules, () => (rules.length ? rules.map((rule) => h("span", { class: "hp-chip", title: rule.modules.slice(0, 30).join("\n") },
    h("span", { text: `${shortName(rule.label, 40)} → ${rule.wanted === "dense" ? "stays dense" : rule.wanted}` }),
    button("×", `Take back: ${rule.label}`, () => (rule.origin === "map" ? act(v, "unscope", { modules: rule.modules }) : act(v, "unrule", { expression: rule.label, wanted: rule.wanted })), { class: "hp-button hp-off" }))) :
    [h("span", { class: "hp-soft", text: "None. Choose on the map what happens to the modules that you selected, or add an expression." })]));
  v.expression.disabled = v.wanted.disabled = Boolean(unable);
}

// -- the look before the run

const ALIAS = { "calibration.text": "calibration_text", "calibration.samples": "samples", "calibration.window": "window" };

// Go to the control of a field, wherever it is.
function reachFor(v, name) {
  const field = v.payload.form.fields.find((one) => one.name === name);
  if (field?.place !== "row" && !v.options.more) v.setOption("more", true);
  setTimeout(() => (v.controls.get(name)?.node ?? v.expression).focus(), 30);
}

const meter = (share, label) => h("div", { class: "hp-meter", role: "img", "aria-label": label ?? fmtShare(share) }, h("div", { style: { width: `${100 * clamp(share, 0, 1)}%` } }));

function drawFound(v) {
  const { check, form } = v.payload;
  const told = check && JSON.stringify([check.facts, check.blockers]);
  v.found.hidden = !check || v.closed === told;
  if (v.found.hidden) return;
  const field = (name) => form.fields.find((one) => one.name === (ALIAS[name] ?? name));
  // What has to be mended is told at its field: see to it that the field can be seen.
  if (check.fresh && v.mended !== told) {
    v.mended = told;
    if (!v.options.more && v.kernel.live && check.blockers.some(([name]) => field(name)?.place !== "row")) v.setOption("more", true);
  }
  renew(v.found, check, () => {
    const sign = check.state === "asking" ? "" : check.ok && check.fresh ? "✓ " : check.fresh ? "✕ " : "◌ ";
    const mend = check.blockers.map(([name, message]) => button(field(name)?.label ?? name, message, () => reachFor(v, ALIAS[name] ?? name), { class: "hp-button hp-mend" }));
    const cells = (rows) => rows.map((row) => h("tr", {}, row.map((text, n) => h("td", { class: n === 2 ? "hp-why" : null, text }))));
    return fold(v, "check", [
      h("p", { class: `hp-headline ${check.ok ? "hp-good" : check.state === "asking" ? "" : "hp-bad"}`, role: "status" }, h("span", { "aria-hidden": "true", text: sign }), check.headline, mend),
      check.state === "asking" && known(check.share) ? meter(check.share, "how far the look has come") : null,
      check.warnings.map(([name, message]) => h("p", { class: "hp-mind" }, h("b", { text: `${field(name)?.label ?? name}: ` }), message)),
      h("div", { class: `hp-facts ${check.fresh ? "" : "hp-old"}` }, check.facts.map(([label, value, share, remark]) => h("div", { class: "hp-fact" }, h("span", { class: "hp-name", text: label }), h("b", { text: value }), known(share) ? meter(share) : null, remark ? h("span", { class: "hp-soft", text: remark }) : null))),
      h("div", { class: "hp-tables" },
        check.left.length ? h("table", { class: "hp-left" }, h("caption", { text: "Stays as it is" + (check.more ? ` (and ${check.more} more)` : "") }), cells(check.left)) : null,
        check.stages.length ? h("table", { class: "hp-left" }, h("caption", { text: "Time by stage" }), cells(check.stages)) : null),
    ], check.state === "asking" ? null : () => {
      v.closed = told;
      v.redraw();
    });
  });
}

// -- the run on the desk

// Where it stands: the newest step travels ahead of the payload.
function standing(v) {
  const { run } = v.payload;
  const at = v.desk.running;
  return at && at.stage === run.stage ? { ...run, block: at.block ?? run.block, step: at.step, steps: at.steps } : run;
}

function blocksBar(v, small) {
  const run = standing(v);
  const share = run.steps ? run.step / run.steps : 0;
  const whole = run.block === null && run.steps > 0 && !run.done.length;
  const cells = whole || !run.blocks ? [["now", share, null]] : Array.from({ length: run.blocks }, (_, n) => (run.done.includes(n) ? ["done", 1, n] : n === run.block ? ["now", share, n] : ["to come", 0, n]));
  return h("div", { class: `hp-blocks ${small ? "hp-small" : ""}`, role: "progressbar", "aria-label": "Progress of this stage", "aria-valuetext": run.place, "aria-valuemin": 0, "aria-valuemax": run.blocks || run.steps || 1, "aria-valuenow": run.done.length || (whole ? run.step : 0),
    "data-stage": run.stage ?? "", "data-block": run.block ?? "", "data-blocks": run.blocks, "data-step": run.step, "data-steps": run.steps },
  cells.map(([state, part, number]) => h("div", { class: "hp-block", "data-state": state, title: number === null ? run.place : `block ${number}: ${state === "now" ? "at work" : state}` },
    h("div", { class: "hp-part", style: { width: `${100 * part}%` } }), !small && number !== null && (run.blocks <= 40 || number % 5 === 0) ? h("span", { text: String(number) }) : null)));
}

function drawRun(v) {
  const { run } = v.payload;
  const shown = Boolean(run);
  v.live.hidden = !shown || (v.options.compact && !v.options.details);
  v.strip.hidden = !(run?.running && v.options.compact && !run.replayed);
  v.details.hidden = !shown || !v.options.compact;
  v.details.setAttribute("aria-expanded", String(Boolean(v.options.details)));
  v.anew.hidden = !(run?.running && v.options.compact);
  v.anew.textContent = v.options.new_run ? "Back to the run" : "New run …";
  if (!shown) return;
  const steer = run.running && run.mine;
  for (const node of [v.pause, v.stop]) {
    node.hidden = !run.running || run.replayed;
    node.disabled = !steer || run.asked === "stop" || Boolean(run.asked === "pause" && run.state === "live" && node === v.pause);
  }
  const paused = run.state === "paused";
  v.pause.textContent = paused ? "▶ Resume" : "❚❚ Pause";
  v.pause.dataset.action = paused ? "resume" : "pause";
  v.pause.title = steer ? (paused ? "Go on (p)" : "Wait after the step at work (p)") : run.steering;
  v.stop.title = steer ? run.steering : run.steering || "Stop";
  v.take.hidden = !run.follows;
  v.again.hidden = !run.resumable;
  v.again.disabled = Boolean(v.payload.work || v.payload.form.unable);
  v.heading.dataset.state = run.state;
  v.live.classList.toggle("hp-rest", !run.working);
  v.sign.textContent = SIGNS[run.state] ?? "";
  v.what.textContent = run.title;
  v.which.textContent = `${run.example ? "example · " : ""}${run.name}${run.replayed ? " · replay" : ""}`;
  v.stages.hidden = v.bar.hidden = v.place.hidden = !run.working;
  if (run.working) {
    renew(v.stages, run.stages, () => run.stages.map(([name, state, seconds]) => h("li", { class: "hp-stage", "data-state": state, "aria-current": state === "now" ? "step" : null },
      h("span", { "aria-hidden": "true", text: { done: "✓ ", now: "● ", "to come": "○ " }[state] }), name, seconds !== NONE ? h("span", { class: "hp-soft", text: ` ${seconds}` }) : null)));
    clear(v.bar, blocksBar(v, false));
    v.place.textContent = run.place;
  }
  const facts = run.facts.filter(([label]) => label !== "Running for");
  const clock = run.facts.find(([label]) => label === "Running for");
  v.clockFact.hidden = !clock;
  renew(v.facts, facts, () => facts.map(([label, value, , remark]) => h("div", { class: "hp-fact" }, h("span", { class: "hp-name", text: label }), h("b", { text: value }), remark ? h("span", { class: "hp-soft", text: remark }) : null)));
  v.facts.append(v.clockFact);
  if (v.counted !== v.payload) [v.counted, v.since] = [v.payload, performance.now()];
  tick(v);
  // Ends of blocks and of the run are spoken, nothing else.
  const news = [run.path, run.stage, run.done.length, run.state].join();
  if (v.news && v.news !== news && !run.replayed) v.say(run.state !== "live" ? `${run.state}. ${run.ended}` : run.done.length ? `${run.stage}: ${run.done.length} of ${run.blocks} blocks done` : run.stage ?? "");
  v.news = news;
  v.told.textContent = [run.ended, run.steering].filter(Boolean).join(" ");
  v.told.hidden = !v.told.textContent;
  v.told.classList.toggle("hp-bad", run.state === "failed");
  v.notice.textContent = run.notice ? `Notice: ${run.notice}` : "";
  v.notice.hidden = !run.notice;
  if (!v.strip.hidden) {
    clear(v.strip, h("span", { class: "hp-brief", title: `${run.title}, ${run.place}` }, `${SIGNS[run.state]} ${run.brief}`), blocksBar(v, true), h("span", { class: "hp-soft hp-when", text: run.state === "paused" ? "paused" : run.left === NOT_YET ? "" : `${run.left} left` }));
  }
}

// The clock of a run at work goes on between two events.
function tick(v) {
  const { run } = v.payload;
  if (!run || !v.ready) return;
  const going = run.state === "live" && !run.replayed && v.kernel.live;
  v.clock.textContent = fmtSeconds(run.seconds + (going ? (performance.now() - v.since) / 1000 : 0)).replace(/\.\d s$/, " s");
}

// -- the shelf

function drawShelf(v) {
  const { shelf } = v.payload;
  const open = Boolean(v.options.shelf_open);
  v.runs.textContent = `Runs ${shelf.count}` + (shelf.live ? `, ${shelf.live} live ` : " ") + (open ? "▴" : "▾");
  v.runs.setAttribute("aria-expanded", String(open));
  v.runs.title = `Runs: ${shelf.words} (r)`;
  renew(v.others, shelf.elsewhere, () => shelf.elsewhere.map((one) => h("p", { class: "hp-elsewhere", "data-state": one.state }, h("span", { class: "hp-sign", "aria-hidden": "true", text: SIGNS[one.state] }), h("span", { text: one.words }),
    doing(v, "Follow", `Show ${one.name} and follow it`, "open", () => act(v, "open", { path: one.path })))));
  v.others.hidden = Boolean(v.options.compact) && !open;
  v.shelf.hidden = !open;
  if (!open) return;
  renew(v.shelf, [shelf.entries, shelf.left_out], () => fold(v, "shelf", shelf.entries.length ? [
    h("table", { class: "hp-runs" },
      h("thead", {}, h("tr", {}, ["Run", "How far", "Perplexity", "Begun", ""].map((text) => h("th", { scope: "col", text })))),
      h("tbody", {}, shelf.entries.map((entry) => shelfRow(v, entry)))),
    shelf.left_out ? h("p", { class: "hp-soft", text: `and ${shelf.left_out} older ones` }) : null,
  ] : h("p", { class: "hp-soft", text: "No runs yet. Start one: its record is kept here." }), () => v.setOption("shelf_open", false)));
}

function shelfRow(v, entry) {
  const go = (label, title, kind, attrs) => button(label, title, () => act(v, kind, { path: entry.path }), { "data-action": kind, ...attrs });
  return h("tr", { "data-run": entry.name, "data-state": entry.state, class: entry.here ? "hp-here" : "" },
    h("td", {}, h("div", { class: "hp-run-name" }, h("span", { class: "hp-sign", "aria-hidden": "true", text: `${SIGNS[entry.state]} ` }), h("b", { text: entry.name, title: entry.path }), entry.example ? h("span", { class: "hp-tag", text: "example" }) : null), entry.what ? h("div", { class: "hp-soft", text: entry.what }) : null),
    h("td", {}, h("span", { class: `hp-state-${entry.state}`, text: entry.state }), h("div", { class: "hp-soft", text: entry.progress })),
    h("td", { text: entry.quality || NONE }), h("td", { class: "hp-when", text: entry.when }),
    h("td", { class: "hp-acts" }, entry.here ? h("span", { class: "hp-soft", text: "on the desk" }) : entry.readable ? go(entry.running ? "Follow" : "Open", `${entry.running ? "Follow" : "Open"} ${entry.name}`, "open") : null,
      entry.resumable && !entry.example ? go("Resume", `Go on with ${entry.name} from its last checkpoint`, "resume") : null,
      entry.readable && !entry.here ? go("Compare", `Hold ${entry.name} against the run on the desk`, "reference", { "aria-pressed": String(entry.reference) }) : null));
}

// -- the whole

const pauseOrGo = (v) => act(v, v.payload.run?.state === "paused" ? "resume" : "pause");

export default {
  render({ model, el }) {
    return frame({ model, el }, {
      setup(v) {
        v.id = `hp-${Math.random().toString(36).slice(2)}`;
        v.controls = new Map();
        v.since = performance.now();
        v.form = h("div", { class: "hp-form" });
        v.more = doing(v, "More ▾", "All settings (o)", "more", () => v.setOption("more", !v.options.more));
        v.check = doing(v, "Check", "", "check", () => look(v));
        v.start = doing(v, "Start", "", "start", () => {
          v.closed = null;
          act(v, "start");
        }, "hp-primary");
        v.runs = doing(v, "Runs", "", "runs", () => v.setOption("shelf_open", !v.options.shelf_open));
        v.pause = doing(v, "❚❚ Pause", "", "pause", () => pauseOrGo(v));
        v.stop = doing(v, "■ Stop", "", "stop");
        v.take = doing(v, "Take over", "Steer this run from here; the other only follows then", "take over");
        v.again = doing(v, "▶ Resume", "Go on from the last checkpoint, to the same masks as if nothing had happened", "resume");
        v.details = doing(v, "Details", "The run in full", "details", () => v.setOption("details", !v.options.details));
        v.anew = doing(v, "New run …", "The form for another run", "new", () => v.setOption("new_run", !v.options.new_run));
        v.strip = h("div", { class: "hp-strip", hidden: true });
        v.steer = h("span", { class: "hp-steer" }, v.pause, v.stop, v.take, v.again);
        v.begin = h("span", { class: "hp-begin" }, v.more, v.check, v.start);
        v.row = h("div", { class: "hp-control-row" }, v.form, v.strip, v.begin, h("span", { class: "hp-end" }, v.anew, v.details, v.runs));
        v.chips = h("div", { class: "hp-chips" });
        v.expression = h("input", { class: "hp-expression", type: "text", spellcheck: "false", placeholder: "expression, as in mlp or layers\\.0\\.", "aria-label": "Regular expression over module names" });
        v.wanted = h("select", { "aria-label": "What happens to the modules it finds" }, ["dense", "1:4", "2:4", "4:8", "8:16"].map((value) => h("option", { value, text: value === "dense" ? "stay dense" : value })));
        const add = () => {
          if (!v.expression.value.trim()) return v.expression.focus();
          act(v, "rule", { expression: v.expression.value.trim(), wanted: v.wanted.value });
          v.expression.value = "";
          return null;
        };
        v.expression.addEventListener("keydown", (event) => event.key === "Enter" && add());
        v.fault = h("div", { class: "hp-told hp-bad" });
        v.rules = h("fieldset", { class: "hp-group hp-rules" }, h("legend", { text: "Modules treated otherwise" }), v.chips,
          h("div", { class: "hp-add" }, v.expression, v.wanted, button("Add", "Add this rule", add)), v.fault);
        v.groups = h("div", { class: "hp-groups" });
        v.settings = fold(v, "more", [v.groups, h("div", { class: "hp-foot" }, doing(v, "Back to the defaults", "Take back every change of these settings", "defaults"))]);
        v.trouble = h("div", { class: "hp-trouble", role: "alert", hidden: true });
        v.working = h("div", { class: "hp-working", role: "status", hidden: true });
        v.found = h("div", { hidden: true });
        v.others = h("div", { class: "hp-others" });
        [v.sign, v.what, v.which] = [h("span", { class: "hp-sign", "aria-hidden": "true" }), h("b", {}), h("span", { class: "hp-soft" })];
        v.heading = h("div", { class: "hp-heading" }, v.sign, v.what, v.which);
        [v.stages, v.bar, v.facts] = [h("ol", { class: "hp-stages" }), h("div", { class: "hp-bar" }), h("div", { class: "hp-facts" })];
        [v.place, v.told, v.notice] = [h("div", { class: "hp-place" }), h("p", { class: "hp-steering" }), h("p", { class: "hp-mind" })];
        v.clock = h("b", {});
        v.clockFact = h("div", { class: "hp-fact" }, h("span", { class: "hp-name", text: "Running for" }), v.clock);
        v.live = h("div", { class: "hp-live" }, h("div", { class: "hp-top" }, v.heading, v.steer), v.stages, v.bar, v.place, v.facts, v.told, v.notice);
        v.shelf = h("div", { hidden: true });
        v.panels = h("div", { class: "hp-panels" }, v.working, v.trouble, v.settings, v.found, v.others, v.live, v.shelf);
        v.body.append(v.row, v.panels);
        // The process that looks before a run takes seconds to begin: have it at hand once somebody reaches for the form.
        const warm = () => {
          if (!v.warmed && v.kernel.live) v.send("warm", {});
          v.warmed = true;
        };
        v.row.addEventListener("pointerenter", warm);
        v.row.addEventListener("focusin", warm);
        v.timer = setInterval(() => tick(v), 1000);
      },
      draw(v) {
        const { run, work, trouble, form } = v.payload;
        const compact = Boolean(v.options.compact);
        v.root.classList.toggle("hp-compact", compact);
        const steered = Boolean(run?.running && compact && !v.options.new_run);
        v.form.hidden = v.begin.hidden = steered;
        drawForm(v);
        v.settings.hidden = !v.options.more || steered;
        drawFound(v);
        drawRun(v);
        if (steered) v.row.insertBefore(v.steer, v.row.lastChild);
        else v.live.firstChild.append(v.steer);
        if (!steered) v.strip.hidden = true;
        drawShelf(v);
        const busy = work && work.kind !== "checking" ? work.text : compact ? null : form.unable;
        v.working.hidden = !busy;
        v.working.textContent = busy ?? "";
        const lines = [trouble, ...form.faults.filter(([name]) => name !== "overrides").map(([, message]) => message)].filter(Boolean);
        v.trouble.hidden = !lines.length;
        renew(v.trouble, lines, () => [h("div", {}, lines.map((line) => h("p", { text: line }))), trouble ? button("×", "Close", () => act(v, "dismiss"), { class: "hp-button hp-close" }) : null]);
        const nothing = [...v.panels.children].every((node) => node.hidden || !node.childNodes.length);
        v.panels.hidden = nothing;
      },
      keys: {
        c: (v) => v.check.disabled || v.check.click(),
        p: (v) => v.payload.run?.running && !v.pause.disabled && pauseOrGo(v),
        o: (v) => v.more.click(),
        r: (v) => v.runs.click(),
      },
      stop: (v) => clearInterval(v.timer),
    });
  },
};
