// The Lab: one frame around the views, with a status strip below. Payload of hyperprune_lab/widgets/lab.py.
const LOST = {
  live: "The kernel was restarted. The run continues; run this cell to reattach. The pictures stay.",
  other: "The kernel was restarted. The pictures stay; run this cell to reattach.",
};
const NEXT_THEME = { auto: "light", light: "dark", dark: "auto" };

function maximize(v, name) {
  v.setOption("maximized", v.options.maximized === name ? "" : name);
}

// The view that a key or a button means: the one with the focus, else the tab.
function current(v) {
  const slot = document.activeElement?.closest?.(".hp-lab-slot");
  const name = slot && v.root.contains(slot) ? slot.dataset.hpSlot : null;
  if (name && !["control", "scrubber"].includes(name)) return name;
  return v.options.maximized || (layoutName(v.width) === "narrow" && v.options.pane === "mask" ? "mask" : v.options.tab);
}

// Keys of the Lab go before those of the views: they are the same everywhere in it.
function labKeys(v, event) {
  const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const part = /^[1-9]$/.test(event.key) ? v.payload.views?.find((one) => one.key === event.key) : null;
  if (part) {
    openView(v, part.name, { focus: true });
  } else if (event.key === ".") {
    v.slots.scrubber.querySelector(".hp")?.dispatchEvent(new CustomEvent("hp-play"));
  } else if (event.key === "f") {
    maximize(v, current(v));
  } else if (event.key === "Escape" && v.options.maximized && event.target.classList.contains("hp")) {
    maximize(v, v.options.maximized);
  } else if (event.key === "Backspace") {
    v.send("back", {});
  } else if (event.key === "t") {
    startTour(v);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

function tabKeys(v, event) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  const tabs = [...v.tabBar.children];
  const next = tabs[(tabs.indexOf(document.activeElement) + by + tabs.length) % tabs.length];
  openView(v, next.dataset.hpTab);
  setTimeout(() => v.tabBar.querySelector(`[data-hp-tab="${next.dataset.hpTab}"]`)?.focus(), 0);
  event.preventDefault();
  event.stopPropagation();
}

function drawStrip(v) {
  const { payload, desk } = v;
  clear(v.focusText, h("b", { text: payload.focus }), payload.facts ? ` ${payload.facts}` : "");
  v.focusText.title = v.selection.join("\n");
  v.exampleChip.hidden = !payload.example;
  renew(v.against, [payload.references, payload.reference], () => {
    const names = payload.references.map((one) => one.name);
    const others = payload.reference && !names.includes(payload.reference) ? [{ name: payload.reference, label: payload.reference }] : [];
    return [h("option", { value: "", text: "against: –" }), ...[...others, ...payload.references].map((one) => h("option", { value: one.name, text: `against: ${one.label}` }))];
  });
  v.against.value = payload.reference ?? "";
  v.against.hidden = v.against.options.length < 2 || (v.model.static && !v.model.answers);
  v.backButton.disabled = !payload.back;
  v.backButton.hidden = v.model.static;
  const theme = desk.theme ?? "auto";
  renew(v.themeButton, theme, () => ({ auto: "◐", light: "☀", dark: "☾" })[theme]);
  v.themeButton.title = `Colors: ${theme}. Next: ${NEXT_THEME[theme]}`;
  v.themeButton.setAttribute("aria-label", v.themeButton.title);
}

// Ends of blocks and errors are said aloud, nothing else.
function speak(v) {
  const [seq, words] = v.payload.spoken ?? [0, ""];
  if (v.spokenSeq !== undefined && seq > v.spokenSeq && words && !v.desk.replayed) v.say(words);
  v.spokenSeq = Math.max(v.spokenSeq ?? 0, seq);
}

// A kernel that goes takes nothing with it that is on the screen. The widget manager knows whether it has gone.
function watchKernel(v) {
  v.looked = async () => {
    const id = v.payload.views.find((part) => part.id)?.id;
    const held = id && (await v.model.widget_manager.get_model(id).catch(() => null));
    const lost = !held || held.comm_live === false;
    if (lost === v.lost || v.stopped) return;
    v.lost = lost;
    v.root.toggleAttribute("data-hp-lost", lost);
    v.lostNote.textContent = v.state === "live" || v.state === "paused" ? LOST.live : LOST.other;
    v.lostNote.hidden = !lost;
    for (const name of ["scrubber", "control"]) v.slots[name].inert = lost;
  };
  v.model.on("comm_live_update", v.looked);
}

export default {
  render({ model, el }) {
    return frame({ model, el }, {
      setup(v) {
        Object.assign(v, { page: `lab-${Math.random().toString(36).slice(2)}`, mounts: [], slots: {}, tourStep: 0, lost: false });
        for (const part of v.payload.views) {
          const quiet = h("div", { class: "hp-lab-quiet" });
          v.slots[part.name] = h("div", { class: `hp-lab-slot hp-lab-slot-${part.name}`, "data-hp-slot": part.name }, quiet);
          v.slots[part.name].quiet = quiet;
        }
        v.lostNote = h("div", { class: "hp-lab-lost", role: "alert", hidden: true });
        v.nothing = h("p", { class: "hp-lab-empty" });
        v.tour = h("aside", { class: "hp-lab-tour", "aria-label": "Tour", hidden: true });
        v.tabBar = h("div", { class: "hp-lab-tabs", role: "tablist", "aria-label": "Views", on: { keydown: (event) => tabKeys(v, event) } });
        const more = (name) => button("⤢", "All the room for this view, and back (f)", () => maximize(v, name()), { class: "hp-button hp-lab-max", "aria-label": "All the room for this view" });
        v.besideLabel = h("span", { class: "hp-lab-beside-name" });
        const swap = button("⇄", "Swap with the tab on the left", () => v.setOption("tab", v.options.beside), { "aria-label": "Swap with the tab on the left" });
        v.maskPane = h("div", { class: "hp-lab-pane hp-lab-pane-mask" }, h("div", { class: "hp-lab-room" }, v.slots.mask));
        v.tabPane = h("div", { class: "hp-lab-pane hp-lab-pane-tab", role: "tabpanel", id: `${v.page}-pane` },
          h("div", { class: "hp-lab-bar" }, v.tabBar, more(() => current(v))), h("div", { class: "hp-lab-room" }));
        v.besidePane = h("div", { class: "hp-lab-pane hp-lab-pane-beside" }, h("div", { class: "hp-lab-bar" }, v.besideLabel, swap), h("div", { class: "hp-lab-room" }));
        v.main = h("div", { class: "hp-lab-panes" }, v.maskPane, v.tabPane, v.besidePane);
        v.body.append(v.slots.control, v.lostNote, v.nothing, v.slots.map, v.tour, v.main, v.slots.scrubber);
        v.exampleChip = h("span", { class: "hp-lab-example", text: "example run", title: "A run that comes with the project: the same numbers on every machine." });
        v.focusText = h("span", { class: "hp-lab-focus" });
        v.against = h("select", { class: "hp-lab-against", "aria-label": "Hold this run against", title: "Hold this run against another", on: { change: () => v.send("against", { run: v.against.value }) } });
        v.backButton = button("‹ Back", "Back to the previous look (Backspace)", () => v.send("back", {}));
        v.themeButton = button("◐", "", () => v.send("theme", { value: NEXT_THEME[v.desk.theme ?? "auto"] }));
        v.tools.append(v.exampleChip, v.focusText, v.against, v.backButton, v.themeButton);
        for (const item of v.root.querySelectorAll(".hp-menu > button")) {
          if (item.title === "CSV") item.hidden = true;
          if (item.title === "Copy pandas code") item.textContent = "Copy code of this look";
        }
        v.root.addEventListener("keydown", (event) => labKeys(v, event), true);
        v.resized = () => v.redraw();
        window.addEventListener("resize", v.resized);
        if (!v.model.static) watchKernel(v);
      },
      draw(v) {
        v.nothing.textContent = v.payload.nothing;
        v.nothing.hidden = !v.payload.nothing;
        v.root.classList.toggle("hp-lab-no-run", Boolean(v.payload.nothing));
        arrange(v);
        drawTour(v);
        drawStrip(v);
        speak(v);
      },
      stop(v) {
        v.stopped = true;
        window.removeEventListener("resize", v.resized);
        if (v.looked) v.model.off("comm_live_update", v.looked);
        if (v.page) v.send("shown", { page: v.page, views: [] });
        for (const leave of v.mounts ?? []) leave?.();
      },
    });
  },
};
