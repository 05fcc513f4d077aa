// Where the views of the Lab stand, and how they get there: as widgets of the kernel, or as parts of a page without one.
const WIDE = 1300;
const NARROW = 760;
const ABOVE = 200;
const LEAST_HEIGHT = 620;

const partOf = (v, name) => v.payload.views.find((part) => part.name === name);
const layoutName = (width) => (width >= WIDE ? "wide" : width < NARROW ? "narrow" : "normal");

// In a page that is not a notebook there is nothing above the Lab.
function heightOf(v) {
  const zoom = v.root.currentCSSZoom || 1;
  return v.options.height || clamp(Math.round((window.innerHeight - (v.model.static ? 16 : ABOVE)) / zoom), LEAST_HEIGHT, 1200);
}

// Which views this page shows, by layout, tab and what is maximized.
function shownIn(v) {
  const { tab, beside, maximized, pane } = v.options;
  const layout = layoutName(v.width);
  const main = layout === "narrow" ? [pane === "mask" ? "mask" : tab] : ["mask", tab, ...(layout === "wide" ? [beside] : [])];
  if (maximized) return maximized === "map" ? ["control", "map", "scrubber"] : ["control", maximized, "scrubber"];
  return ["control", "map", ...main, "scrubber"];
}

async function mount(v, name) {
  const slot = v.slots[name];
  const part = partOf(v, name);
  const key = part.id ?? (v.model.mount ? name : null);
  if (part.failure || key === null) {
    renew(slot.quiet, part.failure, () => (part.failure ? [h("p", { class: "hp-lab-placeholder", text: `${part.label} could not be opened. ${part.failure}` })] : []));
    return;
  }
  if (slot.mounted === key) return;
  slot.mounted = key;
  try {
    if (v.model.mount) {
      v.mounts.push(v.model.mount(name, slot));
      return;
    }
    const manager = v.model.widget_manager;
    const view = await manager.create_view(await manager.get_model(key));
    if (slot.mounted !== key || v.stopped) return view.remove();
    v.mounts.push(() => view.remove());
    clear(slot, slot.quiet, view.el);
  } catch (error) {
    slot.mounted = null;
    clear(slot, h("p", { class: "hp-lab-placeholder", text: `${part.label} could not be shown: ${error.message}` }));
    console.error(error);
  }
}

// Tell the kernel which views this page shows: it keeps the others at rest.
function tellShown(v, views) {
  const key = views.join();
  if (key === v.told) return;
  v.told = key;
  v.send("shown", { page: v.page, views });
}

// The mask is drawn as high as it fits below its controls.
function tellRoom(v) {
  const room = v.maskPane.clientHeight;
  const mask = room - 190;
  if (v.maskPane.hidden || room === 0 || Math.abs(mask - (v.toldRoom ?? 0)) < 8) return;
  v.toldRoom = mask;
  v.send("room", { mask });
}

function drawTabs(v, bar, shown, { withMask = false } = {}) {
  const { tab, pane } = v.options;
  const names = [...(withMask ? ["mask"] : []), ...v.payload.tabs];
  const current = withMask && pane === "mask" ? "mask" : tab;
  const layout = layoutName(v.width);
  renew(bar, [names, current, layout, v.options.beside, shown], () => names
    .filter((name) => layout !== "wide" || name !== v.options.beside)
    .map((name) => {
      const part = partOf(v, name);
      return h("button", { type: "button", role: "tab", tabindex: -1, id: `${v.page}-${name}`, "aria-selected": String(name === current), "aria-controls": `${v.page}-pane`, "data-hp-tab": name, title: `${part.label} (${part.key})`, on: { click: () => openView(v, name) } },
        h("span", { class: "hp-lab-key", "aria-hidden": "true", text: part.key }), part.label);
    }));
}

// Bring a view before the eyes; with focus, let the keys go to it.
function openView(v, name, { focus = false } = {}) {
  const layout = layoutName(v.width);
  const { tabs } = v.payload;
  if (v.options.maximized && v.options.maximized !== name && name !== "control") v.setOption("maximized", "");
  if (name === "mask" && layout === "narrow") v.setOption("pane", "mask");
  if (tabs.includes(name)) {
    if (layout === "narrow" && v.options.pane !== "tab") v.setOption("pane", "tab");
    if (!(layout === "wide" && name === v.options.beside)) v.setOption("tab", name);
  }
  if (focus) focusView(v, name);
}

// A view that was never shown takes a moment to come; whoever goes elsewhere meanwhile is left there.
function focusView(v, name, from = document.activeElement, tries = 100) {
  const root = v.slots[name]?.querySelector(".hp");
  if (document.activeElement !== from) return;
  if (root && !v.slots[name].hidden && root.clientWidth) root.focus({ preventScroll: true });
  else if (tries > 0) setTimeout(() => focusView(v, name, from, tries - 1), 50);
}

function arrange(v) {
  const layout = layoutName(v.width);
  const { tab, beside, maximized } = v.options;
  const shown = shownIn(v);
  v.root.dataset.hpLayout = layout;
  v.root.dataset.hpMaximized = maximized ?? "";
  v.root.style.setProperty("--hp-lab-height", `${heightOf(v)}px`);
  const at = (name) => (name === "mask" ? v.maskPane : name === beside && layout === "wide" && !maximized ? v.besidePane : v.tabPane);
  for (const [name, slot] of Object.entries(v.slots)) {
    const visible = shown.includes(name);
    if (v.payload.tabs.includes(name)) {
      const home = at(name).querySelector(":scope > .hp-lab-room");
      if (slot.parentNode !== home) home.append(slot);
    }
    slot.hidden = !visible;
    if (visible) mount(v, name);
  }
  const tabbed = [tab, beside].some((name) => shown.includes(name));
  v.maskPane.hidden = !shown.includes("mask");
  v.tabPane.hidden = layout === "narrow" && !maximized ? false : !tabbed && !v.payload.tabs.includes(maximized);
  v.besidePane.hidden = layout !== "wide" || Boolean(maximized);
  v.main.hidden = maximized === "map";
  if (layout === "narrow") v.main.insertBefore(v.tabPane, v.maskPane);
  else v.main.insertBefore(v.maskPane, v.tabPane);
  drawTabs(v, v.tabBar, shown, { withMask: layout === "narrow" });
  v.besideLabel.textContent = partOf(v, beside).label;
  tellShown(v, shown);
  tellRoom(v);
}
