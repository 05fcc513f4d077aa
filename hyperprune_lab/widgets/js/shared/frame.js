// The grammar that all views share: question, state, measure, help, menu, keys, text twin, DOM contract.
const MENU = [
  ["code", "Copy pandas code"],
  ["csv", "CSV"],
  ["png", "PNG"],
  ["text", "Text"],
];
const NEEDS_KERNEL = "A running kernel is needed for this.";
const NO_ANSWER = "No answer from the kernel yet: it is busy, or was restarted (then run this cell again). The picture stays.";

function isDark(theme, root) {
  if (theme === "light" || theme === "dark") return theme === "dark";
  const host = getComputedStyle(root);
  const background = ["--jp-layout-color1", "--vscode-editor-background"].map((name) => host.getPropertyValue(name).trim()).find(Boolean);
  if (background) {
    const probe = h("span", { style: { color: background } });
    root.append(probe);
    const rgb = getComputedStyle(probe).color.match(/[\d.]+/g)?.map(Number) ?? [255, 255, 255];
    probe.remove();
    return luminance(toHex(rgb.slice(0, 3))) < 0.3;
  }
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

// frame({model, el}, {setup(v), draw(v), keys, stop(v)}) -> cleanup. See "v" below.
function frame({ model, el }, view) {
  const caption = model.get("caption");
  const kernel = link(model);
  const id = Math.random().toString(36).slice(2);
  let serial = 0;
  let queued = false;
  let size = 0;

  const badge = h("span", { class: "hp-badge" });
  const measure = h("select", { class: "hp-measure", "aria-label": "Measure", tabindex: -1, on: { change: () => v.setOption("measure", measure.value) } });
  const tools = h("span", { class: "hp-tools" });
  const follow = button("", "", () => v.send("follow", {}), { class: "hp-button hp-follow", hidden: true });
  const help = h("div", { class: "hp-help", hidden: true });
  const menu = h("div", { class: "hp-menu", role: "menu", hidden: true });
  const helpButton = button("?", "How to read this, and how it can mislead (?)", () => toggle(help, helpButton), { "aria-expanded": "false" });
  const menuButton = button("⋯", "Copy and download", () => toggle(menu, menuButton), { "aria-expanded": "false", "aria-haspopup": "menu" });
  const notice = h("div", { class: "hp-notice", role: "alert", hidden: true });
  const waiting = h("div", { class: "hp-waiting", hidden: true });
  const body = h("div", { class: "hp-body" });
  const twin = h("pre", { class: "hp-text", "aria-label": "The same in words" });
  const spoken = h("div", { class: "hp-spoken", "aria-live": "polite" });
  const root = h("section",
    { class: `hp hp-${caption.name}`, role: "group", tabindex: 0, "aria-label": `${caption.title}: ${caption.question}`, "data-hp-view": caption.name, "data-lm-suppress-shortcuts": "true" },
    h("header", { class: "hp-head" },
      h("h3", { class: "hp-question", text: caption.question }),
      badge, tools, h("span", { class: "hp-controls" }, follow, measure, helpButton, h("span", { class: "hp-anchor" }, menuButton, menu))),
    help, notice, waiting, body, twin, spoken);

  for (const { name, label } of caption.measures) measure.append(h("option", { value: name, text: label }));
  measure.hidden = caption.measures.length < 2;
  for (const [heading, words] of caption.help) help.append(h("p", {}, h("b", { text: `${heading} ` }), words));
  for (const [name, label] of MENU) menu.append(button(label, label, () => give(name), { role: "menuitem" }));

  // What a view's functions get.
  const v = {
    root, body, tools, caption, model, kernel,
    payload: {}, state: "empty", seq: 0, selection: [], options: {}, desk: {},
    theme: "light", colors: PALETTES.light, width: 0,
    reduced: window.matchMedia("(prefers-reduced-motion: reduce)").matches,
    // Select modules, the first is the focus; shown at once, before the kernel has heard of it.
    select(modules) {
      v.selection = [...new Set(modules)];
      serial = kernel.send("select", { modules: v.selection });
      probe();
      redraw();
    },
    // Add or take away one module.
    toggle(module) {
      const without = v.selection.filter((other) => other !== module);
      v.select(without.length < v.selection.length ? without : [...without, module]);
    },
    // Set an option of the Python view (a trait tagged asked=True), shown at once in v.options.
    setOption(name, value) {
      v.options = { ...v.options, [name]: value };
      serial = kernel.send("option", { name, value });
      // A page without a kernel may still hold the answer.
      if (!kernel.live && JSON.stringify(model.get("options")?.[name]) !== JSON.stringify(value)) v.note(NEEDS_KERNEL);
      probe();
      redraw();
    },
    // Any other message: on_message(kind, content) in Python.
    send(kind, content) {
      serial = kernel.send(kind, content);
      probe();
    },
    ask: kernel.ask,
    redraw,
    // A passing remark under the header; spoken too.
    note(text) {
      waiting.textContent = text ?? "";
      waiting.hidden = !text;
      if (text) v.say(text);
    },
    say(text) {
      spoken.textContent = text;
    },
    // The wheel belongs to the page until the view has focus; with Ctrl or ⌘ it always zooms.
    onWheel(node, call) {
      node.addEventListener("wheel", (event) => {
        if (!(event.ctrlKey || event.metaKey || root.contains(document.activeElement))) return;
        event.preventDefault();
        call(event);
      }, { passive: false });
    },
    card: hoverCard(body),
  };

  function toggle(panel, opener, open = panel.hidden) {
    panel.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open && panel === menu) enter(menu.firstChild);
  }

  async function give(name) {
    toggle(menu, menuButton, false);
    if (name === "text") return download(`${caption.name}.txt`, "text/plain", [model.get("twin")]);
    if (name === "code") return v.note((await copyText(model.get("code"))) ? "Copied." : model.get("code"));
    const answer = await kernel.ask({ name });
    if (!answer) return v.note(kernel.live ? NO_ANSWER : NEEDS_KERNEL);
    if (answer.problem) return v.note(answer.problem);
    return download(`${caption.name}.${name}`, name === "png" ? "image/png" : "text/csv", answer.buffers);
  }

  // A kernel that is busy or gone is noticed by what it does not hear.
  let patience = 0;
  function probe() {
    if (!kernel.live) return;
    clearTimeout(patience);
    patience = setTimeout(() => kernel.behind() && v.note(NO_ANSWER), 5000);
  }

  function redraw() {
    if (queued) return;
    queued = true;
    queueMicrotask(() => {
      queued = false;
      refresh();
    });
  }

  function refresh() {
    const heard = model.get("heard") ?? 0;
    const problem = model.get("problem");
    const state = model.get("state");
    if (kernel.live && !kernel.behind() && waiting.textContent === NO_ANSWER) v.note(null);
    if (heard >= serial) {
      v.selection = model.get("selection") ?? [];
      v.options = model.get("options") ?? {};
    }
    v.payload = model.get("payload") ?? {};
    v.desk = model.get("desk_state") ?? {};
    v.state = state;
    v.seq = model.get("seq");
    v.theme = isDark(v.desk.theme, root) ? "dark" : "light";
    v.colors = PALETTES[v.theme];
    root.dataset.hpTheme = v.theme;
    for (const [name, color] of Object.entries(v.colors)) root.style.setProperty(`--hp-${name}`, color);
    root.dataset.hpState = state;
    root.dataset.hpSelection = JSON.stringify(v.selection);
    badge.textContent = model.get("badge");
    if (v.options.measure) measure.value = v.options.measure;
    twin.textContent = model.get("twin");
    if (problem) {
      const act = () => (problem.copy ? copyText(problem.copy).then((done) => v.note(done ? "Copied." : problem.copy)) : v.send("retry", {}));
      clear(notice, h("span", { text: [problem.module, problem.cause].filter(Boolean).join(": ") }), button(problem.button, problem.button, act));
    }
    notice.hidden = !problem;
    notice.dataset.kind = problem?.kind ?? "";
    const [replayed, led] = [v.desk.replayed, v.desk.following];
    follow.hidden = !kernel.live || !(replayed || (state === "live" && !led));
    follow.textContent = replayed ? "To the newest moment" : "Follow the run";
    const drawable = Object.keys(v.payload).length > 0;
    root.classList.toggle("hp-dim", Boolean(problem) && state === "error" && drawable && problem.kind === "view");
    body.hidden = !drawable;
    v.width = body.clientWidth || root.clientWidth;
    if (drawable && v.width === 0) return;
    const held = root.contains(document.activeElement);
    if (drawable) {
      try {
        if (!v.ready) view.setup?.(v);
        v.ready = true;
        view.draw(v);
      } catch (error) {
        clear(notice, h("span", { text: `This view could not be drawn: ${error.message}` }));
        notice.hidden = false;
        console.error(error);
      }
    }
    if (!root.classList.contains("hp-inside")) reach(-1);
    if (held && !root.contains(document.activeElement)) root.focus({ preventScroll: true });
    root.dataset.hpSeq = v.seq;
  }

  // A view may hold others, each with a Tab stop of its own.
  const mine = (node) => node.closest(".hp") === root;

  // One Tab stop: Enter goes to the controls inside, Esc comes back, and once more leaves the view.
  function reach(index) {
    root.classList.toggle("hp-inside", index === 0);
    for (const control of root.querySelectorAll("button, select, input, summary")) if (mine(control)) control.tabIndex = index;
  }

  function enter(node) {
    reach(0);
    (node ?? root.querySelector(":is(select, button):not([hidden])"))?.focus();
  }

  function leave() {
    const open = [[menu, menuButton], [help, helpButton]].find(([panel]) => !panel.hidden);
    if (open) toggle(...open, false);
    const inside = root.classList.contains("hp-inside") || document.activeElement !== root;
    reach(-1);
    if (inside || open) root.focus();
    else root.blur();
  }

  function pressed(event) {
    const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (view.keys?.Escape?.(v, event) !== true) leave();
    } else if (typing || (event.target.tagName === "BUTTON" && [" ", "Enter"].includes(event.key))) return;
    else {
      const name = (event.shiftKey && event.key.length > 1 ? "Shift+" : "") + event.key;
      const call = view.keys?.[name];
      if (call) call(v, event);
      else if (event.key === "Enter") enter();
      else if (event.key === "?") toggle(help, helpButton);
      else if (event.key === "m" && caption.measures.length > 1) {
        const names = caption.measures.map((one) => one.name);
        v.setOption("measure", names[(names.indexOf(v.options.measure) + 1) % names.length]);
      } else return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  root.addEventListener("keydown", pressed);
  root.addEventListener("focusin", (event) => reach(event.target !== root && mine(event.target) ? 0 : -1));
  root.addEventListener("focusout", (event) => root.contains(event.relatedTarget) || reach(-1));
  el.append(root);

  const resized = new ResizeObserver(() => {
    const width = body.hidden ? root.clientWidth : body.clientWidth;
    if (width !== size) redraw();
    size = width;
  });
  resized.observe(root);
  // The host's theme is an attribute of its body.
  const themed = new MutationObserver(redraw);
  themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", redraw);
  const told = (content, buffers) => content?.kind !== "answer" && view.message?.(v, content, buffers);
  model.on("change", redraw);
  model.on("msg:custom", told);
  kernel.send("hello", { id });
  redraw();
  return () => {
    view.stop?.(v);
    resized.disconnect();
    themed.disconnect();
    scheme.removeEventListener("change", redraw);
    clearTimeout(patience);
    model.off("change", redraw);
    model.off("msg:custom", told);
    kernel.send("bye", { id });
    kernel.close();
  };
}

// A card beside the pointer: show(x, y, [[label, value], ...] or [text, ...]) in the body's pixels, and hide().
function hoverCard(body) {
  const node = h("div", { class: "hp-card", hidden: true });
  return {
    show(x, y, lines) {
      if (!node.isConnected) body.append(node);
      clear(node, lines.map((line) => (Array.isArray(line)
        ? h("div", { class: "hp-pair" }, h("span", { text: line[0] }), h("b", { text: line[1] }))
        : h("div", { class: "hp-card-title", text: line }))));
      node.hidden = false;
      const left = x + 14 + node.offsetWidth > body.clientWidth ? x - 14 - node.offsetWidth : x + 14;
      const top = y + 14 + node.offsetHeight > body.clientHeight ? y - 10 - node.offsetHeight : y + 14;
      Object.assign(node.style, { left: `${Math.max(0, left)}px`, top: `${Math.max(0, top)}px` });
    },
    hide() {
      node.hidden = true;
    },
  };
}
