// The desk of a page without a kernel: it answers what the page holds, and says of the rest that a kernel is needed.
// The book is made by hyperprune_lab/report/book.py.
const OWN = ["tab", "beside", "maximized", "pane", "tour", "speed", "height", "compact"];

function paperModel(name, frame, desk) {
  const values = { ...frame };
  const listeners = new Map();
  return {
    static: true,
    answers: true,
    values,
    get: (key) => values[key],
    set() {},
    on: (event, call) => listeners.set(event, [...(listeners.get(event) ?? []), call]),
    off: (event, call) => listeners.set(event, (listeners.get(event) ?? []).filter((other) => other !== call)),
    save_changes() {},
    tell: () => (listeners.get("change") ?? []).forEach((call) => call()),
    send(content) {
      values.heard = Math.max(values.heard ?? 0, content.serial ?? 0);
      desk.hear(name, content);
    },
  };
}

// {models, hear}: one model for every view, all moving together.
function paperDesk(book) {
  const desk = { selection: book.selection, moment: null, theme: "auto", options: {}, hovered: null, models: {} };

  // What is held of a view for this focus at this moment: the newest entry that is not after it.
  function entryOf(name, seq) {
    const lists = book.entries[name] ?? {};
    const own = lists[desk.selection[0] ?? ""] ?? [];
    const usual = lists[book.selection[0] ?? ""] ?? [];
    const until = (list) => list.findLast(([since]) => since <= seq);
    return until(own) ?? until(usual) ?? usual[0];
  }

  function frameOf(name) {
    const base = book.frames[name];
    const seq = desk.moment ?? book.last;
    const replayed = seq < book.last;
    const status = book.statuses.findLast(([since]) => since <= seq)?.[1] ?? {};
    const chosen = desk.options[name] ?? {};
    const variant = replayed ? null : Object.entries(chosen).map(([key, value]) => [key, value, book.choices[name]?.[`${key}=${JSON.stringify(value)}`]]).find(([, , held]) => held);
    const entry = variant ? [seq, ...variant[2]] : entryOf(name, seq);
    const options = { ...base.options, ...Object.fromEntries(Object.entries(chosen).filter(([key]) => OWN.includes(key))) };
    if (variant) options[variant[0]] = variant[1];
    const shared = { theme: desk.theme, following: true, replayed, running: replayed ? status.running ?? null : base.desk_state.running, scope: {}, hovered: desk.hovered };
    return {
      ...(entry ? Object.fromEntries(book.own[name].map((trait, n) => [trait, book.held(entry[n + 1])])) : {}),
      ...(replayed ? { state: status.state, badge: status.badge, problem: null } : { state: base.state, badge: base.badge, problem: base.problem }),
      seq, options, selection: desk.selection, desk_state: shared,
    };
  }

  function refresh() {
    for (const [name, model] of Object.entries(desk.models)) {
      Object.assign(model.values, frameOf(name));
      model.tell();
    }
  }

  desk.hear = (name, content) => {
    const { kind } = content;
    if (kind === "select") desk.selection = content.modules;
    else if (kind === "channel" || kind === "row") {
      desk.selection = [content.module, ...desk.selection.filter((other) => other !== content.module)].slice(0, 1);
      if (kind === "channel") desk.hovered = [content.module, content.channel];
    } else if (kind === "hover") desk.hovered = content.channel === null ? null : [content.module, content.channel];
    else if (kind === "moment") desk.moment = content.seq;
    else if (kind === "follow") desk.moment = null;
    else if (kind === "theme") desk.theme = content.value;
    else if (kind === "option") {
      const { name: option, value } = content;
      const kept = Object.fromEntries(Object.entries(desk.options[name] ?? {}).filter(([key]) => OWN.includes(key)));
      const swap = name === "lab" && option === "tab" && value === (kept.beside ?? book.frames.lab.options.beside);
      if (swap) kept.beside = kept.tab ?? book.frames.lab.options.tab;
      desk.options[name] = { ...kept, [option]: value };
    } else return;
    refresh();
  };

  for (const [name, frame] of Object.entries(book.frames)) desk.models[name] = paperModel(name, frame, desk);
  refresh();
  return desk;
}

// What stands where a notebook has the run row: what this page is, and what it does not hold.
function cover(book, slot) {
  const { title, facts, left, made } = book.cover;
  const about = h("details", { class: "hp-about-page" }, h("summary", { text: "about this page" }),
    h("div", { class: "hp-about-words" }, h("p", { text: made }), h("b", { text: "Left out" }), h("ul", {}, left.map((words) => h("li", { text: words })))));
  slot.replaceChildren(h("div", { class: "hp-cover" }, h("h1", { text: title }),
    h("dl", {}, facts.map(([label, value]) => h("div", {}, h("dt", { text: label }), h("dd", { text: value })))), about));
  return () => {};
}

// The length of the JSON, the JSON, then bytes that views want as base64: those are made when they are first needed.
async function readBook(text) {
  const packed = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const whole = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(whole.buffer).getUint32(0, true);
  const book = JSON.parse(new TextDecoder().decode(whole.subarray(4, 4 + length)));
  let at = 4 + length;
  const parts = book.bytes.map((size) => whole.subarray(at, (at += size)));
  const letters = (part) => btoa(Array.from(part, (byte) => String.fromCharCode(byte)).join(""));
  const wholeOf = (value) => {
    if (Array.isArray(value)) return value.map(wholeOf);
    if (value === null || typeof value !== "object") return value;
    if (typeof value.bytes === "number" && Object.keys(value).length === 1) return letters(parts[value.bytes]);
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, wholeOf(one)]));
  };
  const opened = new Map();
  book.held = (number) => {
    if (!opened.has(number)) opened.set(number, wholeOf(book.pool[number]));
    return opened.get(number);
  };
  return book;
}

export default async function openReport(views) {
  const host = document.getElementById("report");
  try {
    const book = await readBook(document.getElementById("book").textContent);
    const desk = paperDesk(book);
    const model = desk.models.lab;
    model.mount = (name, slot) => {
      if (name === "control") return cover(book, slot);
      return views[name].render({ model: desk.models[name], el: slot });
    };
    views.lab.render({ model, el: host });
    // The page around the Lab goes with its colors.
    const dress = () => { document.documentElement.dataset.theme = host.querySelector(".hp-lab").dataset.hpTheme ?? "light"; };
    new MutationObserver(dress).observe(host.querySelector(".hp-lab"), { attributes: true, attributeFilter: ["data-hp-theme"] });
    dress();
  } catch (error) {
    host.textContent = `This page could not be opened: ${error.message}. It needs a browser of 2023 or later.`;
    throw error;
  }
}
