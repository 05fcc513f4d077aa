// What is wrong with a drawn view, in words. Texts over drawn cells choose their ink themselves: not weighed here.
root => {
  const found = [];
  const say = (fault, node) => found.push(`${fault}: ${node.textContent.trim().slice(0, 40)}`);
  const numbers = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  // What lies under the middle of a text, be it an ancestor or not; where the text is scrolled away, its ancestors.
  const behind = (node) => {
    const text = document.createRange();
    text.selectNodeContents([...node.childNodes].find((child) => child.nodeType === 3 && child.textContent.trim()));
    const box = text.getBoundingClientRect();
    const here = document.elementsFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    const under = here.includes(node) ? here.slice(here.indexOf(node)) : [];
    for (let at = node; at; at = at.parentElement) if (!under.includes(at)) under.push(at);
    for (const at of under) {
      const { backgroundColor, opacity } = getComputedStyle(at), color = numbers(backgroundColor);
      if (opacity === '1' && (color.length === 3 || color[3] === 1)) return color;
    }
    return [255, 255, 255];
  };
  const faded = (node) => { for (let at = node; at; at = at.parentElement) if (getComputedStyle(at).opacity < 1) return true; return false; };
  const frame = root.getBoundingClientRect();
  for (const node of root.querySelectorAll('*')) {
    const style = getComputedStyle(node), box = node.getBoundingClientRect();
    if (!box.width || style.visibility === 'hidden') continue;
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) continue;
    if (parseFloat(style.fontSize) < 11) say(`text of ${style.fontSize}`, node);
    const drawn = node instanceof SVGElement;
    if (!drawn && box.width > 1 && ['hidden', 'clip'].includes(style.overflowX) && style.textOverflow !== 'ellipsis'
      && node.scrollWidth > node.clientWidth + 1) say('clipped', node);
    if (!drawn && !node.disabled && !faded(node) && numbers(style.color)[3] !== 0) {
      const [a, b] = [light(numbers(style.color)), light(behind(node))].sort((x, y) => y - x);
      if ((a + 0.05) / (b + 0.05) < 4.5) say(`contrast ${((a + 0.05) / (b + 0.05)).toFixed(1)}`, node);
    }
    let at = node.parentElement, scrolls = false;
    for (; at && at !== root; at = at.parentElement) scrolls ||= getComputedStyle(at).overflowX === 'auto';
    if (!scrolls && (box.right > frame.right + 1 || box.left < frame.left - 1)) say('outside the view', node);
  }
  for (const svg of root.querySelectorAll('svg')) {
    const edge = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].filter((text) => text.textContent.trim() && text.getBoundingClientRect().width);
    const boxes = texts.map((text) => text.getBoundingClientRect());
    boxes.forEach((box, k) => {
      if (box.right > edge.right + 3 || box.left < edge.left - 3 || box.bottom > edge.bottom + 3 || box.top < edge.top - 3) say('cut by its picture', texts[k]);
      boxes.slice(0, k).forEach((other, j) => {
        const across = Math.min(box.right, other.right) - Math.max(box.left, other.left);
        const down = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
        if (across > 3 && down > 5) say(`over "${texts[j].textContent.slice(0, 20)}"`, texts[k]);
      });
    });
  }
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) found.push(`the page scrolls sideways by ${page.scrollWidth - page.clientWidth} px`);
  return found;
}
