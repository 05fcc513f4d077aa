// Scales and colors. PALETTES, METHODS, CIVIDIS, DIVERGING, ERROR_DOMAIN come from hyperprune_lab/views/theme.py.
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// scaleOf("log", [1e-3, 1], [0, 200]): a function of a value, with .invert, .ticks() and .clamped(value) (-1, 0, 1).
function scaleOf(kind, domain, range = [0, 1]) {
  const to = kind === "log" ? (value) => Math.log10(Math.max(value, 1e-300)) : (value) => value;
  const from = kind === "log" ? (value) => 10 ** value : (value) => value;
  const [a, b] = domain.map(to);
  const [c, d] = range;
  const scale = (value) => c + ((to(clamp(value, ...domain)) - a) / (b - a)) * (d - c);
  scale.invert = (place) => from(a + ((place - c) / (d - c)) * (b - a));
  scale.clamped = (value) => (value < domain[0] ? -1 : value > domain[1] ? 1 : 0);
  scale.domain = domain;
  scale.ticks = (count = 5) => (kind === "log" ? logTicks(domain) : linearTicks(domain, count));
  return scale;
}

function logTicks([low, high]) {
  const ticks = [];
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  for (let power = first; power <= last; power += 1) ticks.push(Number(`1e${power}`));
  return ticks.length > 1 ? ticks : [low, Math.sqrt(low * high), high];
}

function linearTicks([low, high], count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.99);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) ticks.push(Number((n * step).toPrecision(12)));
  return ticks;
}

const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const toHex = (rgb) => `#${rgb.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;

function along(stops, t) {
  const place = clamp(t, 0, 1) * (stops.length - 1);
  const at = Math.min(stops.length - 2, Math.floor(place));
  const [one, two] = [parts(stops[at]), parts(stops[at + 1])];
  return toHex(one.map((part, k) => part + (two[k] - part) * (place - at)));
}

// Colors of 0 to 1: sizes (cividis), and signed deviations with the middle at 0.5.
const cividis = (t) => along(CIVIDIS, t);
const deviation = (t, theme) => along(DIVERGING[theme], t);

function luminance(hex) {
  const [r, g, b] = parts(hex).map((part) => {
    const c = part / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// Text that can be read on this color.
const inkOn = (hex) => (luminance(hex) > 0.179 ? "#000000" : "#ffffff");

// {label, color, dash, marker} of a method in this theme; a foreign one gets a quiet style.
function methodStyle(name, theme) {
  const style = METHODS[name] ?? { label: name, light: "#57606a", dark: "#aab2bc", dash: [3, 3, 1, 3], marker: "*" };
  return { ...style, color: style[theme] };
}
