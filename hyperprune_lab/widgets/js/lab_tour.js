// The tour of the Lab: three steps beside the views, never in front of them.
const TOUR = [
  ["map", "This is a finished run. Each cell is one weight matrix, each column one block; the brighter, the more it lost. Click a cell: every view goes there."],
  ["mask", "What was kept of that matrix. Zoom in with + or Ctrl and the wheel until you see single groups; the card says why each choice was made."],
  ["scrubber", "Press ▶ to watch the run again from its record. Then choose a method above and press Start: the same views show your own run while it works."],
];
const TOUR_SEEN = "hyperprune-lab.tour-seen";

function tourSeen() {
  try {
    return localStorage.getItem(TOUR_SEEN) !== null;
  } catch {
    return false;
  }
}

function endTour(v) {
  try {
    localStorage.setItem(TOUR_SEEN, "1");
  } catch {
    // A page may not be allowed to remember; then the tour comes again.
  }
  v.tourAsked = false;
  if (v.options.tour) v.setOption("tour", false);
  v.redraw();
}

function startTour(v) {
  v.tourAsked = !v.tourAsked;
  v.tourStep = 0;
  v.redraw();
}

function drawTour(v) {
  const on = !v.options.maximized && !v.payload.nothing && (v.tourAsked ?? (v.options.tour && !tourSeen()));
  const [target, words] = TOUR[v.tourStep];
  v.tour.hidden = !on;
  for (const [name, slot] of Object.entries(v.slots)) slot.classList.toggle("hp-lab-toured", Boolean(on) && name === target);
  if (!on) return;
  const last = v.tourStep === TOUR.length - 1;
  renew(v.tour, [v.tourStep], () => [
    h("b", { text: `${v.tourStep + 1} of ${TOUR.length}` }), h("p", { text: words }),
    h("div", { class: "hp-lab-tour-row" },
      v.tourStep ? button("Back", "The step before", () => { v.tourStep -= 1; v.redraw(); }) : null,
      last ? null : button("Next", "The next step", () => { v.tourStep += 1; v.redraw(); }, { class: "hp-button hp-lab-main-button" }),
      button(last ? "Done" : "Close", "End the tour; the key t shows it again", () => endTour(v), last ? { class: "hp-button hp-lab-main-button" } : {}))]);
}
