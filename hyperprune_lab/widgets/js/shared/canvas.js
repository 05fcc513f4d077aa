// A canvas that is sharp on every screen; and hatching, which means "not known".

// sharpCanvas(parent, {label}): {node, context, size(width, height)} in CSS pixels.
function sharpCanvas(parent, attrs) {
  const node = h("canvas", { role: "img", "aria-label": attrs?.label, class: attrs?.class });
  parent.append(node);
  const context = node.getContext("2d");
  return {
    node,
    context,
    size(width, height) {
      const ratio = window.devicePixelRatio || 1;
      const [w, g] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (node.width !== w || node.height !== g) [node.width, node.height] = [w, g];
      Object.assign(node.style, { width: `${width}px`, height: `${height}px` });
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
    },
  };
}

function hatchRect(context, x, y, width, height, color, gap = 5) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.beginPath();
  for (let at = x - height - (x % gap); at < x + width; at += gap) {
    context.moveTo(at, y + height);
    context.lineTo(at + height, y);
  }
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.stroke();
  context.restore();
}

// An SVG pattern for fill="url(#id)".
function hatchPattern(id, color, { gap = 5, crossed = false } = {}) {
  const line = (d) => s("path", { d, stroke: color, "stroke-width": 1, fill: "none" });
  const size = { id, width: gap, height: gap, patternUnits: "userSpaceOnUse" };
  const up = line(`M-1,1 l2,-2 M0,${gap} l${gap},-${gap} M${gap - 1},${gap + 1} l2,-2`);
  return s("pattern", size, up, crossed ? line(`M0,0 l${gap},${gap}`) : null);
}

// A colorbar for a scale: {scale, color(t), label, format}. Ends that hold more carry an arrow.
function colorbar({ scale, color, label, format, width = 210, below = false, above = false }) {
  const height = 10;
  const stops = Array.from({ length: 33 }, (_, k) => color(k / 32));
  const id = `hp-bar-${Math.random().toString(36).slice(2)}`;
  const gradient = s("linearGradient", { id }, stops.map((stop, k) => s("stop", { offset: k / 32, "stop-color": stop })));
  const [low, high] = scale.domain;
  const place = (value) => 16 + ((scale(value) - scale(low)) / (scale(high) - scale(low))) * (width - 32);
  const ticks = scale.ticks(4).map((tick) => {
    const x = place(tick);
    return s("g", {},
      s("line", { x1: x, x2: x, y1: height, y2: height + 4, class: "hp-tick" }),
      s("text", { x, y: height + 15, "text-anchor": "middle", class: "hp-tick-label", text: fmtTick(format(tick)) }));
  });
  const arrow = (points, on) => (on ? s("polygon", { points, class: "hp-arrow" }) : null);
  return h("div", { class: "hp-colorbar", role: "img", "aria-label": `${label}: ${format(low)} to ${format(high)}` },
    h("span", { class: "hp-label", text: label }),
    s("svg", { width, height: height + 20 }, s("defs", {}, gradient),
      s("rect", { x: 16, y: 0, width: width - 32, height, fill: `url(#${id})` }),
      arrow("7,5 14,0 14,10", below), arrow(`${width - 7},5 ${width - 14},0 ${width - 14},10`, above), ticks));
}
