"use strict";
// The page of one adapter, and two beside each other, from the pieces.
const MOST = 12;
const BAR = 200;
let chosen = null;
let cameFrom = null;

function openAside(...content) {
  const page = byId("page");
  if (page.hidden) cameFrom = document.activeElement;
  page.replaceChildren(linkTo("#", "Back to the results"), ...content);
  for (const id of ["results", "more", "controls", "understood", "legend"]) byId(id).hidden = true;
  page.hidden = false;
  page.focus();
  scrollTo(0, 0);
}

function closeAside() {
  if (byId("page").hidden) return;
  byId("page").hidden = true;
  for (const id of ["results", "controls", "understood", "legend"]) byId(id).hidden = false;
  byId("more").hidden = shown >= hits.length;
  remember();
  // Who came by keyboard goes on where they were.
  if (cameFrom && cameFrom.isConnected) cameFrom.focus();
}

// Rows are told by owner/name/path, which stay when the catalog grows; a bare owner/name is its first row.
async function rowCalled(address) {
  const core = await load("core");
  const count = core.columns.repo.length;
  let first = -1;
  for (let index = 0; index < count; index += 1) {
    const repo = core.columns.repo[index];
    if (!address.startsWith(repo)) continue;
    const row = rowOf(core, index);
    if (addressOf(row) === address) return row;
    if (repo === address && first < 0) first = index;
  }
  if (first < 0) throw new Error(`This catalog has no measured adapter “${address}”.`);
  return rowOf(core, first);
}

// Score, low and high of every concept in one arm, or null.
async function scoresOf(row, arm) {
  if (row.audit < 0) return null;
  const [core, some] = [await load("core"), await load(`scores/${Math.floor(row.audit / AUDITS)}`)];
  const text = arm === "plain" ? some.plain[row.audit % AUDITS] : some.worded[row.audit];
  if (text === undefined) return null;
  const values = unpacked(text, Int16Array);
  return Object.entries(words.order).map(([name, place]) => ({ name, score: values[3 * place] * core.unit,
    low: values[3 * place + 1] * core.unit, high: values[3 * place + 2] * core.unit }));
}

async function openPage(address) {
  const row = await rowCalled(address);
  const [detail, plain, worded, near] = await Promise.all([detailOf(row.index), scoresOf(row, "plain"), scoresOf(row, "worded"),
    row.audit < 0 ? [] : nearOf(row.audit)]);
  const trigger = row.trigger && `${row.trigger}${needsWord(detail) ? " (needed: put it into the prompt)" : " (it acts without it too)"}`;
  const rows = [["licence", row.license ? row.license + kindOf([row.license]) : "not stated, so nothing is allowed"], ["trigger", trigger || "none declared: no word is needed"],
    ["strength", strengthSaid(detail)], ["base", row.base], ["file", row.path], ["fetch it", `hf download ${quoted(row.repo)} ${quoted(row.path || "")}`.trim()],
    ["downloads", row.downloads], ["image pairs", detail.probes], ["explained share", detail.share && `${detail.share} of what it changes is accounted for by the scores`],
    ["beware", row.flags.replaceAll(" ", ", ").replaceAll("_", " ")], ["reproduce", `auditor explain ${quoted(row.repo)}`],
    ["all that is known", `auditor show ${quoted(row.repo)}`]].filter(([, value]) => value);
  const facts = element("dl");
  for (const [name, value] of rows) facts.append(element("dt", "", name), element("dd", "", value));
  const pictures = element("div", "pairs");
  detail.pairs.forEach(([, , prompt], which) => {
    const [figure, box] = [element("figure"), element("div", "pair")];
    fillPair(box, detail, row, which);
    figure.append(box, element("figcaption", "", `${prompt}: base model alone, and with the adapter`));
    pictures.append(figure);
  });
  const whole = detail.href ? [linkTo(detail.href, "The whole page, with intervals, strengths and how to reproduce it")] : [];
  openAside(element("h2", "", row.repo), facts, pictures, ...scores(worded ? "Scores of the weights alone" : "Scores", plain),
    ...scores(`Scores with its trigger, ${row.trigger || "the word"}, in every prompt`, worded), ...whole, ...await neighbourList(row, near));
}

// Of the strongest concept that strengths were measured for.
function strengthSaid(detail) {
  for (const [name] of needsWord(detail) ? detail.worded : detail.chips) {
    const strength = strengthFor([name], detail.dose);
    if (strength) return `${strength} (of those measured, where it does ${name} best)`;
  }
  return detail.dose.length ? "none of those measured does it clearly" : "measured at 1 only";
}

function scores(title, all) {
  if (!all) return [];
  const shownOnes = all.filter((one) => one.score > 0).sort((a, b) => b.score - a.score).slice(0, MOST);
  if (!shownOnes.length) return [element("h3", "", title), element("p", "", "None is above 0.")];
  const most = Math.max(1, ...shownOnes.map((one) => one.high));
  const table = tableOf(["concept", "score, 95 % interval", ""], shownOnes.map((one) => [one.name, bar(one, most, "bar"), number(one)]));
  return [element("h3", "", title), table];
}

async function neighbourList(row, near) {
  const core = await load("core");
  const first = new Map();
  core.columns.audit.forEach((audit, index) => { if (!first.has(audit)) first.set(audit, index); });
  const list = element("ul");
  for (const [audit, cosine] of near.slice(0, 5)) {
    const other = rowOf(core, first.get(audit));
    const item = element("li");
    item.append(linkTo(`#adapter=${encodeURIComponent(addressOf(other))}`, other.repo), element("span", "note", ` cosine ${cosine.toFixed(2)} `),
      linkTo(comparisonOf(row, other), `compare with ${other.repo}`));
    list.append(item);
  }
  return near.length ? [element("h3", "", "Most alike"), element("p", "note", "Cosine of what the two change: 1 is the same change, 0 is nothing in common."), list] : [];
}

function comparisonOf(one, two) {
  return `#compare=${encodeURIComponent(addressOf(one))}&with=${encodeURIComponent(addressOf(two))}`;
}

function chooseForComparison(row, button) {
  if (chosen && chosen.row.index !== row.index) {
    location.hash = comparisonOf(chosen.row, row);
    chosen.button.setAttribute("aria-pressed", "false");
    chosen = null;
    byId("chosen").textContent = "";
    return;
  }
  chosen = chosen ? null : { row, button };
  button.setAttribute("aria-pressed", chosen ? "true" : "false");
  byId("chosen").textContent = chosen ? `${row.repo} is chosen: press Compare at a second adapter.` : "";
}

async function openComparison(first, second) {
  const rows = await Promise.all([rowCalled(first), rowCalled(second)]);
  const [details, tables, near] = await Promise.all([Promise.all(rows.map((row) => detailOf(row.index))),
    Promise.all(rows.map((row) => scoresOf(row, "plain"))), rows[0].audit < 0 ? [] : nearOf(rows[0].audit)]);
  const silent = rows.find((row, i) => !tables[i]);
  if (silent) throw new Error(`${silent.repo} has no effect to compare.`);
  const pairs = tables[0].map((one, i) => ({ name: one.name, one, two: tables[1][i] }))
    .filter(({ one, two }) => Math.max(one.score, two.score) > 0)
    .map((pair) => ({ ...pair, apart: pair.one.low > pair.two.high || pair.two.low > pair.one.high, by: pair.one.score - pair.two.score }))
    .sort((a, b) => b.apart - a.apart || Math.abs(b.by) - Math.abs(a.by) || (a.name < b.name ? -1 : 1));
  const only = [pairs.filter((pair) => pair.apart && pair.by > 0), pairs.filter((pair) => pair.apart && pair.by < 0)];
  const said = rows.map((row, i) => only[i].length && `${row.repo} is more ${only[i].map((pair) => pair.name).join(", ")}`).filter(Boolean);
  const cosine = near.find(([audit]) => audit === rows[1].audit);
  const most = Math.max(1, ...pairs.slice(0, MOST).flatMap(({ one, two }) => [one.high, two.high]));
  const cells = pairs.slice(0, MOST).map(({ name, one, two, apart }) => {
    const both = element("div");
    both.append(bar(one, most, "bar"), bar(two, most, "bar second"));
    return [name, both, number(one), number(two), apart ? "yes" : "no"];
  });
  const strengths = element("ul");
  rows.forEach((row, i) => only[i].forEach((pair) => {
    const strength = strengthFor([pair.name], details[i].dose);
    if (strength) strengths.append(element("li", "", `${pair.name} of ${row.repo}: strength ${strength} of those measured`));
  }));
  openAside(element("h2", "", `${rows[0].repo} and ${rows[1].repo}`),
    element("p", "", `${said.join("; ") || "No concept differs beyond both intervals"}${cosine ? `; their changes have a cosine of ${cosine[1].toFixed(2)}` : ""}.`),
    ...together(rows, details), element("h3", "", "Concept by concept"),
    tableOf(["concept", "both, with 95 % intervals", rows[0].repo, rows[1].repo, "apart beyond both intervals"], cells),
    ...(strengths.childElementCount ? [element("h3", "", "At which strength"), strengths] : []),
    element("p", "note", `The same, with more pictures, as a file: auditor compare ${quoted(rows[0].repo)} ${quoted(rows[1].repo)} --page`));
}

// Pictures of both for a prompt that both were drawn with; the base once when it is the same.
function together(rows, details) {
  for (const [base, adapter, prompt] of details[0].pairs) {
    const other = details[1].pairs.find((pair) => pair[2] === prompt);
    if (!other) continue;
    const [figure, box] = [element("figure"), element("div", "trio")];
    const bases = base === other[0] ? [[base, "the base model", rows[0]]] : [[base, `the base of ${rows[0].repo}`, rows[0]], [other[0], `the base of ${rows[1].repo}`, rows[1]]];
    const all = [...bases, [adapter, `with ${rows[0].repo}`, rows[0]], [other[1], `with ${rows[1].repo}`, rows[1]]];
    box.append(...all.map(([address, side, row]) => picture(address, `${prompt}: ${side}`, row)));
    figure.append(box, element("figcaption", "", `${prompt}: ${all.map(([, side]) => side).join(", ")}`));
    return [element("h3", "", "The same prompt and noise"), figure];
  }
  return [];
}

function number({ score, low, high }) {
  return `${score.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}]`;
}

function tableOf(headings, rows) {
  const [table, head, body] = [element("table"), element("thead"), element("tbody")];
  const line = element("tr");
  for (const text of headings) line.append(text ? Object.assign(element("th", "", text), { scope: "col" }) : element("td"));
  head.append(line);
  for (const cells of rows) {
    const row = element("tr");
    cells.forEach((cell, i) => {
      const made = i ? element("td") : Object.assign(element("th"), { scope: "row" });
      made.append(cell);
      row.append(made);
    });
    body.append(row);
  }
  table.append(head, body);
  const scroll = element("div", "scroll");
  Object.assign(scroll, { tabIndex: 0, role: "group", ariaLabel: headings.filter(Boolean).join(", ") });
  scroll.append(table);
  return scroll;
}

// A bar with its interval. The numbers stand beside it, so screen readers pass over it.
function bar({ score, low, high }, most, kind) {
  const make = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const at = (value) => (Math.min(Math.max(value, 0), most) / most * BAR).toFixed(1);
  const drawn = make("svg", { class: "mark", viewBox: `0 0 ${BAR} 12`, "aria-hidden": "true" });
  drawn.append(make("rect", { class: "track", width: BAR, height: 12, rx: 3 }), make("rect", { class: kind, width: at(score), height: 12, rx: 3 }),
    make("path", { class: "whisker", d: `M${at(low)} 6H${at(high)}M${at(low)} 2V10M${at(high)} 2V10` }));
  return drawn;
}
