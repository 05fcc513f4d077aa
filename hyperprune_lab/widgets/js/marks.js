// Markers of methods as SVG paths around the origin, and axes of small charts.
const round = (value) => Math.round(value * 10) / 10;
const polygonPath = (points, r) => "M" + points.map(([x, y]) => `${round(x * r)},${round(y * r)}`).join("L") + "Z";
const star = (count, inner, turn = -90) => Array.from({ length: 2 * count }, (_, k) => {
  const angle = ((turn + (k * 180) / count) * Math.PI) / 180;
  const radius = k % 2 ? inner : 1.2;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
});
const SHAPES = {
  "^": [[0, -1.15], [1.05, 0.75], [-1.05, 0.75]],
  v: [[0, 1.15], [1.05, -0.75], [-1.05, -0.75]],
  s: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  D: [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]],
  P: [[-0.4, -1], [0.4, -1], [0.4, -0.4], [1, -0.4], [1, 0.4], [0.4, 0.4], [0.4, 1], [-0.4, 1], [-0.4, 0.4], [-1, 0.4], [-1, -0.4], [-0.4, -0.4]],
  X: star(4, 0.5, -45),
  p: star(5, 0.97),
  "*": star(5, 0.5),
};

// A marker of this shape and radius; a circle where the shape has no name here.
function markOf(shape, x, y, r, attrs) {
  const points = SHAPES[shape];
  if (!points) return s("circle", { cx: round(x), cy: round(y), r, ...attrs });
  return s("path", { d: polygonPath(points, r), transform: `translate(${round(x)},${round(y)})`, ...attrs });
}

// A straight line; a text.
const lineOf = (x1, y1, x2, y2, attrs) => s("line", { x1: round(x1), y1: round(y1), x2: round(x2), y2: round(y2), ...attrs });
const wordsAt = (x, y, text, attrs) => s("text", { x: round(x), y: round(y), text, ...attrs });
