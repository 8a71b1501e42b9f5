"use strict";
// Every text on this page was written by somebody else: it enters the page by textContent only.
const STEP = 24;
const PRESENT = 0.1;
const DETAIL = 32;
const BANDS = ["surely: every interval lies above 0", "maybe: measured, but an interval reaches 0", "near, but not what was asked for"];
const AMOUNTS = { low: "slightly", mid: "moderately", high: "very" };
const byId = (id) => document.getElementById(id);
const arrived = new Map();
const waiting = new Map();
let hits = [];
let shown = 0;
let asked = 0;
let words = null;
let grammar = null;

// Called by each piece of data as it loads; pieces are scripts, so that a page from disk can load them.
function piece(name, data) {
  arrived.set(name, data);
  if (waiting.has(name)) waiting.get(name)(data);
  if (name === "first") start();
}

function load(name) {
  if (arrived.has(name)) return Promise.resolve(arrived.get(name));
  return new Promise((resolve) => {
    const others = waiting.get(name);
    waiting.set(name, (data) => { if (others) others(data); resolve(data); });
    if (others) return;
    const script = document.createElement("script");
    script.src = `site/${name}.js`;
    document.body.append(script);
  });
}

function element(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined && text !== null) made.textContent = text;
  return made;
}

// Columns to one row; texts that repeat are numbers into a list.
function rowOf(core, index) {
  const row = { index };
  for (const [name, column] of Object.entries(core.columns)) {
    row[name] = core.lists[name] ? core.lists[name][column[index]] : column[index];
  }
  return row;
}

async function ask() {
  const turn = (asked += 1);
  const typed = byId("words").value.trim();
  let question = { wishes: [], more_than: [], filters: {}, order: "best", like: null, repo: null, limit: null, corrected: {} };
  const core = typed || byId("base").value || byId("license").value || byId("order").value || byId("concept").value
    ? await load("core") : arrived.get("first");
  try {
    if (typed) question = readQuestion(typed, catalogWords(core), grammar);
    const slider = byId("concept").value.trim().toLowerCase();
    const concept = slider && conceptOf(slider, words, grammar);
    if (concept) {
      question.wishes.push({ role: "wanted", names: [{ text: slider, concept }],
        amount: { typed: "", least: Number(byId("amount").value), most: null } });
    }
    for (const name of ["base", "license"]) if (byId(name).value) question.filters[name] = [byId(name).value.toLowerCase()];
    if (byId("order").value) question.order = byId("order").value;
    const unknown = question.wishes.filter((wish) => wish.names.some((name) => name.concept === null));
    if (unknown.length) throw new Error(`“${unknown[0].names[0].text}” is no concept of this catalog, and this page has no text encoder`);
    if (question.like) throw new Error("neighbours need the whole directions: ask auditor search");
    const names = [...new Set([...question.wishes.flatMap((wish) => wish.names.map((name) => name.concept)), ...question.more_than.flat()])];
    const columns = new Map(await Promise.all(names.map(async (name) => [name, await load(`concepts/${words.order[name]}`)])));
    if (turn !== asked) return;
    hits = answer(core, question, columns);
    byId("understood").textContent = `${said(question)}${hits.length} adapters${core.partial ? `, the ${core.partial} most downloaded of ${core.total}` : ""}`;
  } catch (error) {
    hits = [];
    byId("understood").textContent = error.message;
  }
  remember();
  shown = 0;
  byId("results").replaceChildren();
  showMore();
}

function catalogWords(core) {
  if (!core.owners) core.owners = new Set(core.columns.repo.map((repo) => repo.split("/")[0].toLowerCase()));
  return { ...words, owners: core.owners, holds: (text) => core.columns.repo.some((repo) => repo.toLowerCase().includes(text)) };
}

function said(question) {
  const role = { wanted: "", without: "without ", least: "least " };
  const parts = question.wishes.map((wish) => `${role[wish.role]}${AMOUNTS[wish.amount?.typed] ? AMOUNTS[wish.amount.typed] + " " : ""}${wish.names.map((name) => name.concept).join(" or ")}`);
  parts.push(...question.more_than.map(([one, two]) => `more ${one} than ${two}`));
  for (const [name, value] of Object.entries(question.filters)) parts.push(`${name.replaceAll("_", " ")} ${Array.isArray(value) ? value.join(" or ") : value}`);
  if (question.repo) parts.push(`called ${question.repo}`);
  for (const [typed, read] of Object.entries(question.corrected)) parts.push(`${typed} read as ${read}`);
  return parts.length ? `Understood: ${parts.join("; ")}. ` : "";
}

function passes(row, filters) {
  const tests = {
    base: (v) => v.includes((row.base || "").toLowerCase()) || v.includes((row.family || "").toLowerCase()),
    license: (v) => v.includes((row.license || "").toLowerCase()), trigger: (v) => (row.trigger || "").toLowerCase().includes(v),
    has_trigger: (v) => Boolean(row.trigger) === v, owner: (v) => v.includes(row.repo.split("/")[0].toLowerCase()),
    name: (v) => row.repo.toLowerCase().includes(v), exact_base: () => !row.flags.includes("base_assumed") && !row.flags.includes("card_mismatch"),
    downloads_min: (v) => row.downloads >= v, downloads_max: (v) => row.downloads <= v, likes_min: (v) => row.likes >= v,
    likes_max: (v) => row.likes <= v, size_min: (v) => row.size >= v, size_max: (v) => row.size <= v,
    created_after: (v) => (row.created || "") >= v, created_before: (v) => row.created && row.created < v,
    outcome: (v) => row.outcome === v, strength_max: (v) => row.reached !== null && row.reached <= v,
  };
  return Object.entries(filters).every(([name, value]) => tests[name](value));
}

// The rules of auditor/catalog/evidence_sql.py, but for the fit.
function answer(core, question, columns) {
  const evidence = [0, 1].map((arm) => new Map([...columns].map(([name, data]) => {
    const at = new Map();
    data.rows.forEach((row, i) => { if (data.arm[i] === arm) at.set(row, [Math.max(data.score[i], data.along[i]), data.low[i], data.high[i], data.along[i], data.score[i]]); });
    return [name, at];
  })));
  const found = new Map();
  for (let index = 0; index < core.columns.repo.length; index += 1) {
    const row = rowOf(core, index);
    if (question.repo ? !row.repo.toLowerCase().includes(question.repo.toLowerCase()) : !passes(row, question.filters)) continue;
    const best = [0, 1].filter((arm) => arm === 0 || row.words).map((arm) => judged(question, (name) => evidence[arm].get(name).get(index) || [0, 0, 0, 0, 0], arm))
      .filter(Boolean).sort((a, b) => a.band - b.band || a.arm - b.arm)[0];
    if (!best) continue;
    const kept = found.get(row.weights);
    if (kept) kept.copies += 1;
    else found.set(row.weights, { row, ...best, copies: 1 });
  }
  const orders = { popular: (a, b) => b.row.downloads - a.row.downloads, liked: (a, b) => b.row.likes - a.row.likes,
    newest: (a, b) => ((b.row.created || "") > (a.row.created || "") ? 1 : -1), oldest: (a, b) => ((a.row.created || "9") > (b.row.created || "9") ? 1 : -1),
    smallest: (a, b) => a.row.size - b.row.size, best: () => 0 };
  const sorted = [...found.values()].sort((a, b) => a.band - b.band || orders[question.order](a, b) || a.miss - b.miss
    || a.away - b.away || b.certain - a.certain || b.strength - a.strength || b.row.downloads - a.row.downloads);
  return question.limit ? sorted.slice(0, question.limit) : sorted;
}

function judged(question, of, arm) {
  const wanted = question.wishes.filter((wish) => wish.role === "wanted");
  const least = question.wishes.filter((wish) => wish.role === "least");
  const without = question.wishes.filter((wish) => wish.role === "without");
  const strongest = (wish) => wish.names.map((name) => of(name.concept)).reduce((a, b) => [0, 1, 2, 3].map((i) => Math.max(a[i], b[i])));
  const bounds = (wish) => (wish.amount ? [wish.amount.least ?? 0, wish.amount.most ?? Infinity] : [PRESENT, Infinity]);
  let [has, sure, some, miss, certain, strength, away] = [true, true, false, 0, 1, 1, 0];
  for (const wish of wanted) {
    const [level, low] = strongest(wish);
    const [from, to] = bounds(wish);
    has = has && level >= from && level <= to;
    sure = sure && low > 0;
    some = some || level >= PRESENT / 2;
    if (wish.amount) miss += Math.max(from - level, 0, level - to);
    certain *= Math.max(low, 0) ** (1 / wanted.length);
    strength *= Math.max(level, 0) ** (1 / wanted.length);
  }
  for (const [one, two] of question.more_than) {
    has = has && of(one)[0] > of(two)[0];
    sure = sure && of(one)[1] > of(two)[2];
  }
  const lone = without.length && !wanted.length && !least.length;
  for (const wish of lone ? without : least) away += strongest(wish)[3];
  for (const wish of least) {
    has = has && strongest(wish)[3] < PRESENT;
    sure = sure && strongest(wish)[3] <= -PRESENT;
    some = true;
  }
  for (const wish of without) {
    if (strongest(wish)[1] >= bounds(wish)[0]) return null;
    sure = sure && strongest(wish)[0] < bounds(wish)[0];
  }
  const band = has && sure ? 0 : has ? 1 : some ? 2 : null;
  return band === null ? null : { band, arm, miss, certain, strength, away, why: question.wishes.flatMap((wish) => wish.names.map((name) => [name.concept, ...of(name.concept)])) };
}

function showMore() {
  const narrowed = hits.some((hit) => hit.band > 0) || hits.some((hit) => hit.why.length);
  for (const hit of hits.slice(shown, shown + STEP)) {
    let group = byId("results").lastElementChild;
    if (!group || Number(group.dataset.band) !== hit.band) {
      group = element("section", "band");
      group.dataset.band = hit.band;
      group.append(element("h2", narrowed ? "" : "hidden", narrowed ? BANDS[hit.band] : "Most downloaded"), element("ol"));
      byId("results").append(group);
    }
    group.lastElementChild.append(card(hit));
  }
  shown = Math.min(hits.length, shown + STEP);
  byId("more").hidden = shown >= hits.length;
}

function card(hit) {
  const { row } = hit;
  const item = element("li", "adapter");
  const picture = element("div", "pair");
  const heading = element("h3");
  const link = element("a", "", row.repo);
  link.href = `#adapter=${row.index}`;
  heading.append(link);
  item.append(picture, heading);
  const facts = [row.base, row.license || "no licence", row.trigger && `trigger ${row.trigger}${hit.arm ? " (needed)" : ""}`,
    row.reached !== null && `strength from ${row.reached}`, hit.copies > 1 && `${hit.copies} copies`].filter(Boolean);
  item.append(element("p", "facts", facts.join(" · ")));
  const list = element("ul", "chips");
  item.append(list);
  for (const [name, level, low, high, along, score] of hit.why.filter((why) => why[1] > 0 || why[4] < 0)) {
    // An interval belongs to the joint score; what the concept alone would explain has none here.
    if (score > 0 || level <= 0) list.append(chip(name, score, low, high, "chip hit"));
    else list.append(element("li", "chip hit", `${name} ${along.toFixed(2)} (alone)`));
  }
  detailOf(row.index).then((detail) => {
    fillPair(picture, detail, row);
    for (const [name, score, low, high] of detail.chips.slice(0, 5)) {
      if (!hit.why.some((why) => why[0] === name)) list.append(chip(name, score, low, high, "chip"));
    }
  });
  return item;
}

function chip(name, score, low, high, kind) {
  const made = element("li", kind, `${name} ${score.toFixed(2)}`);
  made.append(element("small", "", ` [${low.toFixed(2)}, ${high.toFixed(2)}]`));
  return made;
}

async function detailOf(index) {
  return (await load(`detail/${Math.floor(index / DETAIL)}`))[index % DETAIL];
}

function fillPair(box, detail, row) {
  if (!detail.pair) return;
  const [base, adapter, prompt] = detail.pair;
  for (const [address, side] of [[base, "base model alone"], [adapter, `with ${row.repo}`]]) {
    const image = element("img", row.flags.includes("nsfw") && !byId("adult").checked ? "veiled" : "");
    image.alt = `${prompt}, ${side}`;
    image.src = address;
    box.append(image);
  }
}

async function openPage(index) {
  const core = await load("core");
  const row = rowOf(core, index);
  const detail = await detailOf(index);
  const page = byId("page");
  const back = element("a", "", "Back to the results");
  back.href = "#";
  const pair = element("div", "pair large");
  fillPair(pair, detail, row);
  const rows = [["file", row.path], ["base", row.base], ["licence", row.license || "not stated"], ["trigger", row.trigger], ["downloads", row.downloads],
    ["strength", detail.strength], ["image pairs", detail.probes], ["explained share", detail.share], ["beware", row.flags.replaceAll(" ", ", ")],
    ["reproduce", `auditor explain ${row.repo}`], ["all scores", `auditor show ${row.repo}`]].filter(([, value]) => value);
  const facts = element("dl");
  for (const [name, value] of rows) facts.append(element("dt", "", name), element("dd", "", value));
  page.replaceChildren(back, element("h2", "", row.repo), pair, ...scores("Weights alone", detail.chips), ...scores(`With the trigger ${row.trigger || ""}`, detail.worded), facts);
  if (detail.href) {
    const whole = element("a", "", "The whole page");
    whole.href = detail.href;
    page.append(whole);
  }
  for (const id of ["results", "more"]) byId(id).hidden = true;
  page.hidden = false;
  page.focus();
}

function scores(title, chips) {
  if (!chips.length) return [];
  const list = element("ul", "chips");
  for (const values of chips) list.append(chip(...values, "chip"));
  return [element("h3", "", title), list];
}

async function showRest() {
  if (!byId("rest").open || byId("why").childElementCount) return;
  const rest = await load("rest");
  for (const [outcome, reason, family, count, examples] of rest) {
    const line = element("p", "", `${count} ${outcome.replaceAll("_", " ")}${reason ? `: ${reason.replaceAll("_", " ")}` : ""}${family ? ` (${family})` : ""}, such as `);
    line.append(element("span", "note", examples.join(", ")));
    byId("why").append(line);
  }
}

const FIELDS = ["words", "base", "license", "order", "concept", "amount"];
function remember() {
  const kept = new URLSearchParams();
  for (const id of FIELDS) if (byId(id).value && byId(id).value !== byId(id).defaultValue) kept.set(id, byId(id).value);
  if (!location.hash.startsWith("#adapter=")) history.replaceState(null, "", kept.size ? `#${kept}` : "#");
}

function follow() {
  const kept = new URLSearchParams(location.hash.slice(1));
  if (kept.has("adapter")) return openPage(Number(kept.get("adapter")));
  byId("page").hidden = true;
  byId("results").hidden = false;
  byId("more").hidden = shown >= hits.length;
  return null;
}

function start() {
  const first = arrived.get("first");
  [words, grammar] = [arrived.get("words"), makeGrammar(arrived.get("words").grammar)];
  for (const id of ["base", "license"]) {
    for (const [value, count] of first.counts[id]) {
      const option = element("option", "", `${value} (${count})`);
      option.value = value;
      byId(id).append(option);
    }
  }
  for (const name of Object.keys(words.order)) byId("concepts").append(Object.assign(element("option"), { value: name }));
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const id of FIELDS) if (kept.has(id)) byId(id).value = kept.get(id);
  let pause;
  const later = () => { clearTimeout(pause); pause = setTimeout(ask, 150); };
  for (const id of FIELDS) byId(id).addEventListener("input", later);
  byId("amount").addEventListener("input", () => { byId("amountshown").textContent = byId("amount").value; });
  byId("adult").addEventListener("change", ask);
  byId("controls").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  byId("more").addEventListener("click", showMore);
  byId("rest").addEventListener("toggle", showRest);
  addEventListener("hashchange", follow);
  ask().then(follow);
}
