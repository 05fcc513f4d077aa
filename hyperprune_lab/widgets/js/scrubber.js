// The scrubber: one line of time, and the moment on it that every view shows. Payload of hyperprune_lab/views/scrubber.py.
const BAND = 24;
const ICONS = {
  play: ["M5,3 L14,9 L5,15 Z"],
  pause: ["M4,3 h3.5 v12 h-3.5 Z", "M10.5,3 h3.5 v12 h-3.5 Z"],
  back: ["M4,3 h2 v12 h-2 Z", "M15,3 L7,9 L15,15 Z"],
  on: ["M3,3 L11,9 L3,15 Z", "M12,3 h2 v12 h-2 Z"],
};
const icon = (name) => s("svg", { width: 18, height: 18, "aria-hidden": "true" }, ICONS[name].map((d) => s("path", { d, class: "hp-icon" })));
const newestOf = (v) => v.payload.seqs[v.payload.seqs.length - 1] ?? 0;

// The last place in a sorted list whose value is not above x; -1 before the first.
function placeOf(values, x) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

const secondOf = (v, seq) => v.payload.seconds[Math.max(0, placeOf(v.payload.seqs, seq))] ?? 0;
const seqAt = (v, second) => v.payload.seqs[Math.max(0, placeOf(v.payload.seconds, second))] ?? 0;
const speedOf = (v) => v.options.speed || Math.max(v.payload.length / v.payload.whole, 0.01);

function placeName(v, seq) {
  const { blocks, stages, seconds } = v.payload;
  // What goes on may have gone further than this page has heard.
  const block = blocks.findLast(([, , start, stop, over]) => start <= seq && (seq <= stop || !over));
  if (block) return `${shortName(block[0], 24)}, block ${block[1]}`;
  const second = secondOf(v, seq);
  const stage = stages.findLast(([, start, stop, over]) => start <= second && (second <= stop || !over));
  if (stage) return shortName(stage[0], 30);
  return seconds.length && stages.length && second > stages[0][1] ? "evaluation" : "before the first stage";
}

// Where the handle stands: where a person or the clock has put it, until the kernel has heard of it.
const shownSecond = (v) => (v.clock || v.dragging || (v.asked !== null && v.kernel.behind()) ? v.at : secondOf(v, v.seq));

// Ask for a moment; not for the next one before the last was heard, so that a busy kernel is not buried.
function go(v, second, { newest = false } = {}) {
  v.at = clamp(second, 0, v.payload.length);
  const seq = newest ? null : seqAt(v, v.at);
  place(v);
  if (seq === v.asked && v.kernel.behind()) return;
  if (v.kernel.live && v.kernel.behind() && performance.now() - v.askedAt < 1000) {
    v.next = seq;
    return;
  }
  ask(v, seq);
}

function ask(v, seq) {
  v.next = undefined;
  if (seq === v.asked && seq === v.seq) return;
  v.asked = seq;
  v.askedAt = performance.now();
  v.send("moment", { seq: seq !== null && seq >= newestOf(v) ? null : seq });
  if (!v.kernel.live && v.kernel.behind()) v.note(NEEDS_KERNEL);
}

function step(v, by) {
  pause(v);
  const { seqs, stops } = v.payload;
  const line = [...new Set([seqs[0], ...stops, newestOf(v)])];
  const now = seqAt(v, shownSecond(v));
  const next = by > 0 ? line.find((seq) => seq > now) ?? newestOf(v) : line.findLast((seq) => seq < now) ?? seqs[0];
  go(v, secondOf(v, next), { newest: next >= newestOf(v) });
  ask(v, next >= newestOf(v) ? null : next);
  v.say(`${placeName(v, next)}, ${fmtSeconds(secondOf(v, next))}`);
}

function stepEvent(v, by) {
  pause(v);
  const { seqs } = v.payload;
  const seq = seqs[clamp(placeOf(seqs, seqAt(v, shownSecond(v))) + by, 0, seqs.length - 1)];
  v.at = secondOf(v, seq);
  ask(v, seq);
  place(v);
}

function pause(v) {
  v.clock = null;
  // A moment that the clock was still to ask for is not wanted any more.
  v.next = undefined;
  cancelAnimationFrame(v.frameId);
  drawPlay(v);
}

function play(v) {
  if (v.clock) return pause(v);
  const from = shownSecond(v) >= v.payload.length - 0.01 ? 0 : shownSecond(v);
  v.clock = { from, since: performance.now(), speed: speedOf(v) };
  drawPlay(v);
  v.frameId = requestAnimationFrame(() => tick(v));
  return null;
}

function tick(v) {
  if (!v.clock || !v.root.isConnected) return;
  const second = v.clock.from + ((performance.now() - v.clock.since) / 1000) * v.clock.speed;
  if (second >= v.payload.length) {
    go(v, v.payload.length, { newest: true });
    v.next = undefined;
    ask(v, null);
    pause(v);
    return;
  }
  if (v.drawnAt === undefined || performance.now() - v.drawnAt > (v.reduced ? 250 : 33)) {
    v.drawnAt = performance.now();
    if (seqAt(v, second) !== v.asked) go(v, second);
    else {
      v.at = second;
      place(v);
    }
  }
  v.frameId = requestAnimationFrame(() => tick(v));
}

function setSpeed(v, speed) {
  if (v.clock) v.clock = { from: shownSecond(v), since: performance.now(), speed: speed || v.payload.length / v.payload.whole };
  v.setOption("speed", speed);
}

function faster(v, by) {
  const { speeds } = v.payload;
  const now = speedOf(v);
  setSpeed(v, (by > 0 ? speeds.find((one) => one > now * 1.01) : speeds.findLast((one) => one < now * 0.99)) ?? speeds[by > 0 ? speeds.length - 1 : 0]);
}

function drawPlay(v) {
  renew(v.playButton, Boolean(v.clock), () => icon(v.clock ? "pause" : "play"));
  const title = v.clock ? "Pause the replay" : "Replay the run";
  v.playButton.title = `${title} (. or space)`;
  v.playButton.setAttribute("aria-label", title);
  v.root.dataset.hpPlaying = String(Boolean(v.clock));
}

// The line itself: drawn anew only when it has grown or its room has changed.
function drawLine(v) {
  const { stages, blocks, length } = v.payload;
  const wide = Math.max(80, v.track.clientWidth);
  const key = [v.payload, wide, v.theme];
  if (v.key?.every((part, n) => part === key[n])) return;
  v.key = key;
  v.x = scaleOf("linear", [0, Math.max(length, 1e-3)], [8, wide - 8]);
  const bands = stages.map(([name, start, stop], n) => {
    const [a, b] = [v.x(start), v.x(stop)];
    const fits = b - a > 6.4 * name.length + 8;
    return s("g", {}, s("rect", { x: a, y: 3, width: Math.max(1, b - a), height: 14, fill: n % 2 ? v.colors.grid : v.colors.neutral }, s("title", { text: name })),
      fits ? s("text", { x: (a + b) / 2, y: 14, "text-anchor": "middle", class: "hp-stage", text: name }) : null);
  });
  const ticks = blocks.filter(([, , , , over]) => over).map(([, , , stop]) => {
    const x = v.x(secondOf(v, stop));
    return s("line", { x1: x, x2: x, y1: 13, y2: 17, stroke: v.colors.line });
  });
  v.done = s("rect", { x: 8, y: 18, height: 3, fill: v.colors.accent });
  v.handle = s("g", {}, s("line", { y1: 2, y2: 22, stroke: v.colors.accent, "stroke-width": 2 }), s("circle", { cy: 19.5, r: 4.5, fill: v.colors.accent, stroke: v.colors.background, "stroke-width": 1.5 }));
  clear(v.svg, s("rect", { x: 8, y: 18, width: wide - 16, height: 3, fill: v.colors.grid }), bands, ticks, v.done, v.handle);
  v.svg.setAttribute("width", wide);
}

// Only what moves.
function place(v, hovered = null) {
  const second = shownSecond(v);
  const x = v.x(second);
  v.done.setAttribute("width", Math.max(0, x - 8));
  v.handle.setAttribute("transform", `translate(${x},0)`);
  const told = hovered ?? second;
  const words = `${placeName(v, seqAt(v, told))} · ${fmtSeconds(told)}`;
  v.label.textContent = hovered === null ? `${words} of ${fmtSeconds(v.payload.length)}` : `→ ${words}`;
  const values = { "aria-valuemax": v.payload.length.toFixed(1), "aria-valuenow": second.toFixed(1), "aria-valuetext": words };
  for (const [name, value] of Object.entries(values)) v.track.setAttribute(name, value);
}

function pointing(v) {
  const at = (event) => v.x.invert(clamp(event.clientX - v.svg.getBoundingClientRect().left, ...[8, Number(v.svg.getAttribute("width")) - 8]));
  v.track.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pause(v);
    v.dragging = true;
    v.track.setPointerCapture(event.pointerId);
    v.root.focus({ preventScroll: true });
    event.preventDefault();
    go(v, at(event));
  });
  v.track.addEventListener("pointermove", (event) => (v.dragging ? go(v, at(event)) : place(v, at(event))));
  const drop = () => {
    if (!v.dragging) return;
    v.dragging = false;
    if (v.next !== undefined) ask(v, v.next);
    place(v);
  };
  v.track.addEventListener("pointerup", drop);
  v.track.addEventListener("pointercancel", drop);
  v.track.addEventListener("pointerleave", () => v.dragging || place(v));
}

export default {
  render({ model, el }) {
    return frame({ model, el }, {
      setup(v) {
        Object.assign(v, { at: 0, asked: null, askedAt: 0, next: undefined, clock: null, dragging: false });
        v.playButton = button("", "", () => play(v), { class: "hp-button hp-play" });
        v.speed = h("select", { class: "hp-speed", title: "Speed of the replay (+ −)", "aria-label": "Speed of the replay", on: { change: () => setSpeed(v, Number(v.speed.value)) } });
        v.svg = s("svg", { height: BAND });
        v.track = h("div", { class: "hp-track", role: "slider", "aria-label": "Moment of the run", "aria-valuemin": 0 }, v.svg);
        v.label = h("span", { class: "hp-moment hp-label" });
        v.newest = button("newest", "", () => {
          pause(v);
          v.send("follow", {});
        }, { class: "hp-button hp-newest" });
        const back = button(icon("back"), "A block back (←)", () => step(v, -1), { "aria-label": "A block back" });
        const on = button(icon("on"), "A block on (→)", () => step(v, 1), { "aria-label": "A block on" });
        v.body.append(h("div", { class: "hp-line" }, back, v.playButton, on, v.speed, v.track, v.newest, v.label));
        pointing(v);
        drawPlay(v);
        // What surrounds the scrubber may start and pause it.
        v.root.addEventListener("hp-play", () => play(v));
      },
      draw(v) {
        const { speeds, length, whole, live } = v.payload;
        v.root.classList.toggle("hp-compact", Boolean(v.options.compact));
        renew(v.speed, [speeds, whole], () => [h("option", { value: 0, text: `all in ${whole} s` }), ...speeds.map((one) => h("option", { value: one, text: `${one}×` }))]);
        v.speed.value = v.options.speed ?? 0;
        if (!v.kernel.behind()) {
          if (v.next !== undefined) ask(v, v.next);
          else if (!v.clock && !v.dragging) v.asked = v.desk.replayed ? v.seq : null;
          // Somebody else went to the newest moment.
          if (v.clock && !v.desk.replayed && v.asked !== null && v.asked < newestOf(v) && performance.now() - v.askedAt > 400) pause(v);
        }
        const newest = !v.desk.replayed && !v.clock;
        v.newest.textContent = live ? "live" : "end";
        v.newest.title = live ? "The run goes on: to its newest moment (End)" : "To the end of the run (End)";
        v.newest.setAttribute("aria-pressed", String(newest));
        v.newest.classList.toggle("hp-on", live && newest);
        drawLine(v);
        if (length >= 0) place(v);
      },
      stop: (v) => v.ready && pause(v),
      keys: {
        " ": play,
        ".": play,
        ArrowLeft: (v) => step(v, -1),
        ArrowRight: (v) => step(v, 1),
        "Shift+ArrowLeft": (v) => stepEvent(v, -1),
        "Shift+ArrowRight": (v) => stepEvent(v, 1),
        Home: (v) => {
          pause(v);
          go(v, 0);
        },
        End: (v) => {
          pause(v);
          v.send("follow", {});
        },
        "+": (v) => faster(v, 1),
        "=": (v) => faster(v, 1),
        "-": (v) => faster(v, -1),
      },
    });
  },
};
