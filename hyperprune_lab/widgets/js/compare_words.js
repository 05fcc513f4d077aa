// Words that both read, colored by loss difference; the worst of them; and free continuations.
const fixed = (value) => (known(value) ? minus(value.toFixed(2)) : NONE);
const differenceAt = (page, n) => (known(page.ours[n]) && known(page.theirs[n]) ? page.ours[n] - page.theirs[n] : null);
const line = (text) => text.replaceAll("\n", "⏎");

function setupWords(v) {
  const select = (name, label, options) => h("select", { tabindex: -1, "aria-label": label, title: label, on: { change: (event) => v.setOption(name, event.target.value) } }, options.map(([value, text]) => h("option", { value, text })));
  v.weights = select("weights", "Which weights", [["mask-only", "mask only"], ["compensated", "compensated"]]);
  v.against = select("against", "Held against", [["reference", "reference"], ["dense", "dense model"]]);
  v.wordsTitle = h("span", { class: "hp-mapTitle" });
  v.chips = h("span", { class: "hp-chips" });
  v.pager = h("span", { class: "hp-pager" });
  v.bar = h("div", { class: "hp-bar" }, v.wordsTitle, v.weights, v.against);
  v.text = h("div", { class: "hp-reading", role: "document", "aria-label": "Text colored by loss difference" });
  v.token = h("p", { class: "hp-token-line", "aria-live": "polite" });
  v.scale = h("div", { class: "hp-scale" });
  v.lists = h("div", { class: "hp-lists" });
  v.wordsBox = h("div", {}, h("div", { class: "hp-under" }, v.chips, v.pager), v.text, v.token, v.scale);
  v.words = h("div", { class: "hp-words" }, v.wordsBox, v.lists);
  v.texts = h("div", { class: "hp-texts" });
  v.text.addEventListener("click", (event) => {
    const node = event.target.closest?.(".hp-token");
    v.root.focus({ preventScroll: true });
    if (!node) return;
    v.cursor = Number(node.dataset.place);
    drawCursor(v);
  });
}

// {background, color, thickness, dotted} of a difference, or null where there is none to speak of.
function lookOf(v, nats) {
  const { same, full } = v.payload.words;
  if (!known(nats) || Math.abs(nats) <= same) return null;
  const strength = clamp(Math.abs(nats) / full, 0, 1);
  const background = along([v.colors.background, deviation(nats > 0 ? 1 : 0, v.theme)], 0.14 + 0.7 * strength);
  return { background, color: inkOn(background), thickness: 1 + Math.round(3 * strength), dotted: nats < 0 };
}

const dressed = (look) => (look ? { background: look.background, color: look.color, borderBottom: `${look.thickness}px ${look.dotted ? "dotted" : "solid"} var(--hp-ink)` } : {});

function drawBar(v) {
  const { payload } = v;
  const { reference, focus, words } = payload;
  v.weights.value = opt(v, "weights") ?? "mask-only";
  v.against.value = payload.against === "dense" ? "dense" : "reference";
  v.against.hidden = reference === null || focus === reference;
  v.against.options[0].textContent = reference === null ? "reference" : `against ${shortName(reference, 24)}`;
  v.against.options[1].textContent = "against its dense model";
  const other = payload.against === "dense" ? "its dense model" : payload.against;
  v.wordsTitle.textContent = `Words and continuations: ${focus} against ${other}`;
  if (words.partly) v.wordsTitle.textContent += ` (${words.partly})`;
}

// The page that was asked for, if it is here; until then the one before.
function pageNow(v) {
  const { words } = v.payload;
  const name = opt(v, "domain") || words.pages[0]?.domain;
  const of = words.domains.find(([domain]) => domain === name);
  const asked = opt(v, "page") ?? -1;
  const number = asked >= 0 && asked < (of?.[1] ?? 0) ? asked : of?.[2];
  return words.pages.find((page) => page.domain === name && page.number === number) ?? words.pages[0];
}

function goTo(v, domain, page, place) {
  const held = v.payload.words.pages.some((one) => one.domain === domain && one.number === page);
  v.cursor = place;
  if (held) {
    v.own = { ...v.own, domain, page };
    v.redraw();
  } else {
    v.own = { ...v.own, domain: undefined, page: undefined };
    v.jump = place;
    v.setOption("domain", domain);
    v.setOption("page", page);
  }
}

function turn(v, by) {
  const of = v.payload.words.domains.find(([name]) => name === v.page?.domain);
  if (of) goTo(v, of[0], clamp(v.page.number + by, 0, of[1] - 1), null);
}

function drawWords(v) {
  const { words } = v.payload;
  v.wordsBox.hidden = Boolean(words.problem);
  if (words.problem) {
    v.page = null;
    clear(v.lists, h("p", { class: "hp-label", text: words.problem }));
    return;
  }
  v.page = pageNow(v);
  drawChips(v);
  drawText(v);
  drawLists(v);
}

function drawChips(v) {
  const { words } = v.payload;
  const { page } = v;
  renew(v.chips, [words.domains, page.domain, v.theme], () => words.domains.map(([name, , worst, [nats, low, high]]) => {
    const look = lookOf(v, nats);
    const range = known(low) ? `, ${fmtSigned(low)} to ${fmtSigned(high)}` : "";
    const label = [`${shortName(name, 24)} `, h("span", { class: "hp-nats", style: dressed(look), text: fmtSigned(nats) })];
    return button(label, `${name}: ${fmtSigned(nats)} nats a token${range}`, () => goTo(v, name, worst, null), { "aria-pressed": String(name === page.domain) });
  }));
  const of = words.domains.find(([name]) => name === page.domain);
  renew(v.pager, [page.domain, page.number, of[1]], () => [
    button("‹", "The page before ([)", () => turn(v, -1), { disabled: page.number === 0 }),
    h("span", { class: "hp-label", text: `page ${page.number + 1} of ${of[1]}${page.number === of[2] ? ", with the worst token" : ""}` }),
    button("›", "The next page (])", () => turn(v, 1), { disabled: page.number === of[1] - 1 })]);
}

// What one token cost both.
function costOf(v, n) {
  const { page, payload: { words } } = v;
  const nats = differenceAt(page, n);
  return nats === null ? " was given, not predicted." : ` ${words.theirs} ${fixed(page.theirs[n])} → ${words.ours} ${fixed(page.ours[n])} nats (${fmtSigned(nats)})`;
}

function drawText(v) {
  const { page, payload } = v;
  const { words } = payload;
  renew(v.text, [page, v.theme], () => page.texts.map((piece, n) => {
    const nats = differenceAt(page, n);
    const look = lookOf(v, nats);
    const text = words.has_text ? piece : "▪";
    const [blank, word] = [text.match(/^\s*/)[0], text.trimStart()];
    const shown = word || (look ? "⏎" : "");
    const parts = [blank.includes("\n") ? blank : blank && " "];
    if (shown) parts.push(h("span", { class: `hp-token${n === 0 && !known(page.ours[0]) ? " hp-given" : ""}`, "data-place": n, title: piece + costOf(v, n), "data-value": nats === null ? null : nats.toFixed(3), style: dressed(look), text: shown }));
    return word ? parts : parts.reverse();
  }));
  renew(v.scale, [v.theme, words.ours, words.theirs, words.has_text, words.shares], () => [
    h("span", { class: "hp-label", text: "nats a token:" }),
    ...[-2, -1, -0.5, 0, 0.5, 1, 2].map((nats) => h("span", { class: "hp-swatch", style: dressed(lookOf(v, nats)), text: nats === 0 ? "±0.1" : fmtSigned(nats, nats % 1 ? 1 : 0) })),
    h("span", { class: "hp-label", text: `solid: worse than ${words.theirs === "dense" ? "dense" : words.theirs}; dotted: better` }),
    words.shares ? h("span", { class: "hp-label", text: `${fmtShare(words.shares[1])} of tokens worse, ${fmtShare(words.shares[2])} better, ${fmtShare(words.shares[0])} within ±0.1` }) : null,
    words.has_text ? null : h("span", { class: "hp-label", text: "These records hold no words: each mark is one token." })]);
  drawCursor(v);
}

// The token that is told about: the chosen one, else the worst of the page.
function drawCursor(v) {
  const { page } = v;
  const all = page.texts.map((_, n) => differenceAt(page, n) ?? -Infinity);
  const at = v.cursor ?? all.indexOf(Math.max(...all));
  for (const node of v.text.querySelectorAll(".hp-on")) node.classList.remove("hp-on");
  const node = v.text.querySelector(`[data-place="${at}"]`);
  node?.classList.add("hp-on");
  if (node) {
    const top = node.offsetTop;
    const bottom = top + node.offsetHeight;
    if (top < v.text.scrollTop || bottom > v.text.scrollTop + v.text.clientHeight) v.text.scrollTop = top - v.text.clientHeight / 2;
  }
  v.told = at;
  const piece = v.payload.words.has_text ? `“${line(page.texts[at] ?? "").trim() || "⏎"}”` : `Token ${at}`;
  clear(v.token, h("b", { text: piece }), costOf(v, at));
}

function moveToken(v, by) {
  const { page } = v;
  if (!page) return;
  v.cursor = clamp(v.told + by, 0, page.texts.length - 1);
  drawCursor(v);
}

function drawLists(v) {
  const { words } = v.payload;
  const shown = v.width >= ROOMY ? 7 : 5;
  renew(v.lists, [words.worst, words.better, v.theme, shown], () => [["Where it got worse most", words.worst], ["Where it got better most", words.better]].map(([title, tokens]) => h("div", {},
    h("p", { class: "hp-mapTitle", text: tokens.length ? title : `${title}: nowhere beyond ±0.1` }),
    h("ol", { class: "hp-list-of" }, tokens.slice(0, shown).map(([domain, page, place, before, piece, after, ours, theirs]) => h("li", {},
      h("button", { type: "button", tabindex: -1, class: "hp-word", title: `${domain}, page ${page + 1}: ${theirs} to ${ours} nats. Click to go there.`, on: { click: () => goTo(v, domain, page, place) } },
        h("span", { class: "hp-nats", style: dressed(lookOf(v, ours - theirs)), text: fmtSigned(ours - theirs, 1) }),
        words.has_text ? h("span", { class: "hp-context" }, h("span", { class: "hp-before" }, h("bdi", { text: line(before.slice(-26)) })), h("b", { text: line(piece) }), h("span", { text: line(after.slice(0, 18)) })) : h("span", { class: "hp-context", text: `token ${place}` }),
        h("span", { class: "hp-label", text: `${fixed(theirs)} → ${fixed(ours)} ${domain}` }))))))));
}

function drawTexts(v) {
  const { payload } = v;
  const { texts, texts_problem: problem, focus, against } = payload;
  renew(v.texts, [texts, problem, focus, against], () => {
    if (problem) return h("p", { class: "hp-label", text: problem });
    const other = against === "dense" ? "dense" : against;
    const row = (name, text, split, cls) => h("div", { class: `hp-said ${cls}` }, h("span", { class: "hp-label hp-by", text: shortName(name, 22) }),
      h("span", {}, split === null ? text : [text.slice(0, split), h("span", { class: "hp-split", title: "Here they part", text: "▸" }), h("span", { class: "hp-parted", text: text.slice(split) })]));
    return [
      h("p", { class: "hp-mapTitle", text: `Free continuations of the same openings; ▸ marks where ${focus} leaves ${other}` }),
      h("div", { class: "hp-said-grid" }, texts.map(([prompt, theirs, ours, dense, split]) => h("div", { class: "hp-prompt" },
        h("p", { class: "hp-label", text: (prompt.length > 90 ? `…${prompt.slice(-90)}` : prompt) + " …" }),
        dense === null ? null : row("dense", dense, null, "hp-quiet"), row(other, theirs, split, ""), row(split === null ? `${focus}, the same` : focus, ours, split, "")))),
    ];
  });
}
