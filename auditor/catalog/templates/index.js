"use strict";
// Every text on this page was written by somebody else: it enters the page by textContent only.
const [REPO, PATH, OUTCOME, REASON, MESSAGE, BASE, LICENSE, TRIGGER, FLAGS, DOWNLOADS, CONCEPTS, SHARE, PROBES, COPIES,
  SHA, HREF] = Array(16).keys();
const STEP = 50;
const FIELDS = ["words", "base", "outcome", "license", "order"];
const rows = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const texts = rows.map((row) => [row[REPO], row[PATH], row[BASE], row[LICENSE], row[TRIGGER], row[OUTCOME], row[REASON],
  row[SHA], ...row[FLAGS], ...row[CONCEPTS].map((c) => c[0])].filter(Boolean).join("\n").toLowerCase());
// One scale for all bars, so that adapters compare; the few beyond it end at the edge.
const highs = rows.flatMap((row) => row[CONCEPTS].map((c) => c[3])).sort((a, b) => a - b);
const most = Math.max(0.1, highs[Math.floor(0.98 * (highs.length - 1))] || 0);
let found = [];
let shown = 0;

function element(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined && text !== null) made.textContent = text;
  return made;
}

function fill(id, place) {
  const counts = new Map();
  for (const row of rows) if (row[place]) counts.set(row[place], (counts.get(row[place]) || 0) + 1);
  for (const [value, count] of [...counts].sort((a, b) => b[1] - a[1])) {
    const option = element("option", "", `${value.replaceAll("_", " ")} (${count})`);
    option.value = value;
    byId(id).append(option);
  }
}

// Concepts may have several words: the longest run of words that is a concept counts as one.
const known = new Set(rows.flatMap((row) => row[CONCEPTS].map((c) => c[0].toLowerCase())));
function terms(text) {
  const words = text.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const made = [];
  while (words.length) {
    let length = Math.min(4, words.length);
    while (length > 1 && !known.has(words.slice(0, length).join(" "))) length -= 1;
    made.push(words.splice(0, length).join(" "));
  }
  return made;
}

function strength(row, wanted) {
  let product = 1;
  for (const term of wanted) {
    const concept = row[CONCEPTS].find((c) => c[0].toLowerCase() === term);
    product *= concept ? concept[2] : 0;
  }
  return wanted.length ? Math.pow(product, 1 / wanted.length) : 0;
}

function search() {
  const asked = terms(byId("words").value);
  const wanted = asked.filter((term) => known.has(term));
  const filters = [["base", BASE], ["outcome", OUTCOME], ["license", LICENSE]]
    .map(([id, place]) => [byId(id).value, place]).filter(([value]) => value);
  found = [];
  rows.forEach((row, index) => {
    if (filters.every(([value, place]) => row[place] === value) && asked.every((term) => texts[index].includes(term))) {
      found.push([row, strength(row, wanted)]);
    }
  });
  const order = byId("order").value;
  if (order === "name") found.sort((a, b) => (a[0][REPO] < b[0][REPO] ? -1 : a[0][REPO] > b[0][REPO] ? 1 : 0));
  else if (order === "downloads") found.sort((a, b) => b[0][DOWNLOADS] - a[0][DOWNLOADS]);
  else if (wanted.length) found.sort((a, b) => b[1] - a[1]);
  const state = new URLSearchParams(FIELDS.map((id) => [id, byId(id).value]).filter(([, value]) => value));
  history.replaceState(null, "", `#${state}`);
  byId("found").textContent = `${found.length} of ${rows.length} adapters`;
  byId("list").replaceChildren();
  shown = 0;
  more(wanted);
  byId("more").onclick = () => more(wanted);
}

function more(wanted) {
  const next = found.slice(shown, shown + STEP).map(([row]) => card(row, wanted));
  byId("list").append(...next);
  shown += next.length;
  byId("more").hidden = shown >= found.length;
}

function card(row, wanted) {
  const item = element("li", "adapter");
  const left = element("div");
  const heading = element("h2");
  const name = element(row[HREF] ? "a" : "span", "", row[REPO]);
  if (row[HREF]) name.href = row[HREF];
  heading.append(name);
  left.append(heading);
  if (row[PATH]) left.append(element("p", "path", row[PATH]));
  const badges = element("p", "facts");
  const kind = { scored: "", scored_partial: "mid", no_effect: "mid", skipped: "mid", pending: "mid" }[row[OUTCOME]];
  badges.append(element("span", `badge ${kind ?? "bad"}`, row[OUTCOME].replaceAll("_", " ")));
  for (const flag of row[FLAGS]) badges.append(element("span", "badge mid", flag.replaceAll("_", " ")));
  left.append(badges);
  const facts = [row[BASE] && `base ${row[BASE]}`, `licence ${row[LICENSE] ?? "not stated"}`,
    row[TRIGGER] && `trigger “${row[TRIGGER]}”`, `${row[DOWNLOADS]} downloads`,
    row[COPIES] > 1 && `${row[COPIES]} copies`].filter(Boolean);
  left.append(element("p", "facts", facts.join(" · ")));
  item.append(left);
  if (row[CONCEPTS].length) item.append(bars(row, wanted));
  else item.append(element("p", "message", row[REASON] ? `${row[MESSAGE]} (${row[REASON]})` : row[MESSAGE]));
  return item;
}

function bars(row, wanted) {
  const box = element("div");
  const grid = element("div", "bars");
  const ordered = [...row[CONCEPTS]].sort((a, b) => wanted.includes(b[0].toLowerCase()) - wanted.includes(a[0].toLowerCase()));
  for (const [concept, score, low, high] of ordered.slice(0, 5)) {
    const label = element("span", wanted.includes(concept.toLowerCase()) ? "name hit" : "name", concept);
    label.title = concept;
    grid.append(label, bar(...[score, low, high].map((value) => Math.min(value / most, 1))),
      element("span", "value", `${score.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`));
  }
  box.append(grid);
  const share = row[SHARE] === null ? "" : `, ${Math.round(100 * row[SHARE])} % of the change explained`;
  box.append(element("p", "facts", `${row[PROBES]} image pairs${share}`));
  return box;
}

function bar(score, low, high) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 100 14");
  svg.setAttribute("preserveAspectRatio", "none");
  const body = document.createElementNS(space, "rect");
  for (const [key, value] of [["class", "bar"], ["y", 2], ["height", 10], ["width", 100 * score]]) body.setAttribute(key, value);
  const line = document.createElementNS(space, "line");
  for (const [key, value] of [["class", "whisker"], ["x1", 100 * low], ["x2", 100 * high], ["y1", 7], ["y2", 7]]) {
    line.setAttribute(key, value);
  }
  svg.append(body, line);
  return svg;
}

fill("base", BASE);
fill("outcome", OUTCOME);
fill("license", LICENSE);
// The address holds the question, so that an answer can be passed on.
const asked = new URLSearchParams(location.hash.slice(1));
for (const id of FIELDS) if (asked.has(id)) byId(id).value = asked.get(id);
let waiting;
byId("words").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 120); });
for (const id of ["base", "outcome", "license", "order"]) byId(id).addEventListener("change", search);
search();
