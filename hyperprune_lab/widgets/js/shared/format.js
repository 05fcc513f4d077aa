// Numbers in words, exactly as hyperprune_lab/views/theme.py writes them.
const NONE = "–";
const NOT_YET = "not yet";

const known = (value) => typeof value === "number" && !Number.isNaN(value);
const minus = (text) => text.replace("-", "−");

function fmtDigits(value, digits) {
  if (!known(value)) return NONE;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  if (exponent >= -4 && exponent <= 5) return minus(value.toFixed(Math.max(0, digits - 1 - exponent)));
  return value.toExponential(digits - 1).replace("+", "").replaceAll("-", "−");
}

const fmtError = (value) => fmtDigits(value, 2);
const fmtNumber = (value) => fmtDigits(value, 3);
const fmtRatio = (value) => (known(value) ? `${value.toFixed(2)}×` : NONE);
const fmtCount = (value) =>
  known(value) ? String(Math.trunc(value)).replace(/\B(?=(\d{3})+$)/g, "\u202f") : NONE;
// On an axis: 0.1, not 0.10.
const fmtTick = (text) => (text.includes(".") ? text.replace(/(\.\d*?)0+(?!\d)/, "$1").replace(/\.(?!\d)/, "") : text);
const fmtShape = (out, inn) => `${out} × ${inn}`;

function fmtSigned(value, digits = 2) {
  return known(value) ? minus((value < 0 ? "" : "+") + value.toFixed(digits)) : NONE;
}

function fmtShare(value) {
  if (!known(value)) return NONE;
  const percent = 100 * value;
  const nearAnEnd = (percent !== 0 && Math.abs(percent) < 1) || (percent > 99 && percent < 100);
  return minus(`${percent.toFixed(nearAnEnd ? 1 : 0)} %`);
}

function fmtSeconds(value) {
  if (!known(value)) return NONE;
  if (value < 9.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

// The end of a module's name, which tells more than its beginning.
function shortName(name, longest = 32) {
  return name.length <= longest ? name : `…${name.slice(1 - longest)}`;
}
