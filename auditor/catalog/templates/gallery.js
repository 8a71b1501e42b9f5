"use strict";
// Every text on this page was written by somebody else: it enters the page by textContent only.
const STEP = 24;
const DETAIL = 32;
const AUDITS = 32;
const BANDS = ["surely: every interval lies above 0", "maybe: measured, but an interval reaches 0", "near, but not what was asked for"];
const EMPTY = { wishes: [], more_than: [], filters: {}, order: "best", like: null, repo: null, limit: null, corrected: {} };
// No licence is called this: names of licences hold no spaces at their ends.
const COMMERCIAL = " commercial";
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
  return new Promise((resolve, reject) => {
    const others = waiting.get(name);
    waiting.set(name, (data) => { if (others) others(data); resolve(data); });
    if (others) return;
    const script = document.createElement("script");
    script.src = `site/${name}.js`;
    script.addEventListener("error", () => { waiting.delete(name); reject(new Error(`site/${name}.js did not load; look for it beside this page`)); });
    document.body.append(script);
  });
}

function element(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined && text !== null) made.textContent = text;
  return made;
}

function linkTo(address, text) {
  const made = element("a", "", text);
  made.href = address;
  return made;
}

function commandFor(typed) {
  return `auditor search ${quoted(typed)}`;
}

// As the shell wants it; names and questions may hold anything.
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\"'\"'")}'`;
}

async function ask() {
  const turn = (asked += 1);
  const typed = byId("words").value.trim();
  let question = structuredClone(EMPTY);
  let note = [];
  try {
    const narrowed = typed || ["base", "license", "order", "concept"].some((id) => byId(id).value);
    const core = narrowed ? await load("core") : arrived.get("first");
    if (typed) question = readQuestion(typed, catalogWords(core), grammar);
    addControls(question);
    [hits, note] = question.like === null ? await found(core, question, typed) : await foundAlike(core, question);
    if (turn !== asked) return;
    const understood = understoodAs(question);
    const some = core.partial ? `, the ${core.partial} most downloaded of ${core.total}` : "";
    const all = hits.reduce((sum, hit) => sum + hit.copies, 0);
    const copies = all > hits.length ? ` (${all} with copies)` : "";
    say(`${hits.length} adapter${hits.length === 1 ? "" : "s"}${copies}${some}.`, understood && ` Understood: ${understood}.`, ...note, ...remarks(question),
      hits.length ? "" : nothingFound(question));
  } catch (error) {
    if (turn !== asked) return;
    hits = [];
    say(error.message);
  }
  remember();
  shown = 0;
  byId("results").replaceChildren();
  showMore();
}

// Each on its own line.
function say(...lines) {
  byId("understood").replaceChildren(...lines.filter(Boolean).map((text) => element("span", "line", text)));
}

// As remarks in auditor/catalog/questions/question_wording.py.
function remarks(question) {
  return question.filters.has_license === false ? [" A card without a licence allows nothing: ask its owner, or ask for “commercial use ok”."] : [];
}

// What to try when nothing was found.
function nothingFound(question) {
  if (question.filters.license) return ` No adapter passes all of that. Licences in this catalog: ${words.licences.join(", ")}.`;
  return " No adapter passes all of that: leave out a filter or a word.";
}

// The controls beside the box add to the question.
function addControls(question) {
  const slider = byId("concept").value.trim().toLowerCase();
  const concept = slider && conceptOf(slider, words, grammar);
  if (slider && !concept) throw new Error(`${unknown(slider)}.`);
  if (concept) {
    question.wishes.push({ role: "wanted", names: [{ text: slider, concept }],
      amount: { typed: "", least: Number(byId("amount").value), most: null } });
  }
  if (byId("base").value) question.filters.base = [byId("base").value.toLowerCase()];
  const licence = byId("license").value;
  if (licence) question.filters.license = licence === COMMERCIAL ? licencesCalled("commercial", words, grammar) : [licence.toLowerCase()];
  if (byId("order").value) question.order = byId("order").value;
}

function unknown(text) {
  const near = nearestConcepts(text);
  return `No concept of this catalog is called “${text}”; ${near.length ? `nearest in spelling: ${near.join(", ")}; ` : ""}the box “Concept” lists them all`;
}

async function found(core, question, typed) {
  const free = question.wishes.flatMap((wish) => wish.names).filter((name) => name.concept === null);
  question.wishes = question.wishes.map((wish) => ({ ...wish, names: wish.names.filter((name) => name.concept !== null) })).filter((wish) => wish.names.length);
  if (free.length && !question.wishes.length && !Object.keys(question.filters).length) {
    throw new Error(`${unknown(free[0].text)}. Other words need the text encoder, which this page has not; the command line has it: ${commandFor(typed)}`);
  }
  const names = [...new Set([...conceptsOf(question), ...standIns(question)])];
  const columns = new Map(await Promise.all(names.map(async (name) => [name, await load(`concepts/${words.order[name]}`)])));
  const outcome = question.filters.outcome;
  const notes = free.map((name) => ` Left out: ${unknown(name.text).replace(/^No/, "no")}.`);
  if (free.length) notes.push(` With them, by the text encoder, which this page has not: ${commandFor(typed)}`);
  if (outcome && !SCORED.includes(outcome) && outcome !== "no_effect") notes.push(" What was not audited is listed below, under “Not audited, and why”.");
  for (const wish of question.wishes.filter((one) => one.role === "wanted" && !one.amount)) {
    for (const name of wish.names) {
      const others = Object.keys(words.alike[name.concept] || {}).sort();
      if (others.length) notes.push(` ${name.concept} cannot be told from ${others.join(", ")} by some audits here: adapters that do those are listed too, further down.`);
    }
  }
  return [answer(core, question, columns), notes];
}

async function foundAlike(core, question) {
  const free = question.wishes.flatMap((wish) => wish.names).find((name) => name.concept === null);
  if (free) throw new Error(`${unknown(free.text)}. “like” can be moved along concepts only.`);
  const origin = originOf(core, question.like);
  if (origin < 0) throw new Error(`There is no scored adapter “${question.like}” to be like.`);
  const audit = core.columns.audit[origin];
  question.like = core.columns.repo[origin];
  const names = conceptsOf(question);
  const alone = !names.length && !Object.keys(question.filters).length;
  const [sketch, near, ...loaded] = await Promise.all([alone ? null : load("sketch"), nearOf(audit), ...names.map((name) => load(`concepts/${words.order[name]}`))]);
  const columns = new Map(names.map((name, place) => [name, loaded[place]]));
  const share = sketch && sketch.shares[sketch.kinds[audit]];
  const notes = alone ? [` The ${near.length} nearest.`] : share > 0.999 ? [] : [` The first ${NEAREST} neighbours are exact; others are compared by ${sketch.kept} numbers each, which hold ${Math.floor(100 * share)} % of what adapters change here.`];
  return [answer(core, question, columns, { origin: audit, sketch, near }), notes];
}

// The adapter of this name; of a part of a name the most downloaded.
function originOf(core, name) {
  const { repo, audit, downloads } = core.columns;
  let best = -1;
  for (let index = 0; index < repo.length; index += 1) {
    const here = repo[index].toLowerCase();
    if (audit[index] < 0) continue;
    if (here === name) return index;
    if (!name.includes("/") && here.includes(name) && (best < 0 || downloads[index] > downloads[best])) best = index;
  }
  return best;
}

async function nearOf(audit) {
  return (await load(`scores/${Math.floor(audit / AUDITS)}`)).near[audit % AUDITS];
}

function catalogWords(core) {
  if (!core.owners) core.owners = new Set(core.columns.repo.map((repo) => repo.split("/")[0].toLowerCase()));
  return { ...words, owners: core.owners, holds: (text) => core.columns.repo.some((repo) => repo.toLowerCase().includes(text)) };
}

function showMore() {
  // A filter is passed or not, and to be like another is a place in an order: neither is more or less sure.
  const alikeOnes = hits.length > 0 && hits[0].cosine !== undefined;
  const judgedOnes = hits.length > 0 && hits[0].why.length > 0;
  for (const hit of hits.slice(shown, shown + STEP)) {
    let group = byId("results").lastElementChild;
    if (!group || Number(group.dataset.band) !== hit.band) {
      group = element("section", "band");
      group.dataset.band = hit.band;
      const title = alikeOnes ? "nearest first: cosine of what the two adapters change" : judgedOnes ? BANDS[hit.band] : "Adapters";
      group.append(element("h2", alikeOnes || judgedOnes ? "" : "hidden", title), element("ol"));
      byId("results").append(group);
    }
    group.lastElementChild.append(card(hit));
  }
  shown = Math.min(hits.length, shown + STEP);
  byId("more").hidden = shown >= hits.length;
}

function addressOf(row) {
  return `${row.repo}${row.path ? `/${row.path}` : ""}`;
}

function card(hit) {
  const { row } = hit;
  const item = element("li", "adapter");
  const picture = element("div", "pair");
  const heading = element("h3");
  heading.append(linkTo(`#adapter=${encodeURIComponent(addressOf(row))}`, row.repo));
  const facts = element("p", "facts");
  const said = (strength, needed) => [row.base, row.license || "no licence stated", row.trigger ? `trigger ${row.trigger}${needed ? " (needed)" : ""}` : "no trigger word", strength && `strength ${strength}`,
    hit.cosine !== undefined && `cosine ${hit.cosine.toFixed(2)}`, hit.copies > 1 && `${hit.copies} copies`].filter(Boolean).join(" · ");
  facts.textContent = said("", hit.arm);
  const list = element("ul", "chips");
  const choose = element("button", "choose", "Compare");
  choose.type = "button";
  choose.setAttribute("aria-label", `Compare ${row.repo}`);
  choose.addEventListener("click", () => chooseForComparison(row, choose));
  // People press pictures; by keyboard the heading is the way.
  picture.addEventListener("click", () => { location.hash = `adapter=${encodeURIComponent(addressOf(row))}`; });
  item.append(picture, heading, facts, list, choose);
  for (const [found, level, low, high, along, score, wish] of hit.why.filter((why) => why[1] > 0 || why[4] < 0)) {
    const name = found === wish ? found : `${found} for ${wish}`;
    // An interval belongs to the joint score; what the concept alone would explain has none here.
    if (score > 0 || level <= 0) list.append(chip(name, score, low, high, "chip hit"));
    else list.append(element("li", "chip hit", `${name} ${along.toFixed(2)} (alone)`));
  }
  detailOf(row.index).then((detail) => {
    fillPair(picture, detail, row);
    const needed = hit.arm || (!hit.why.length && needsWord(detail));
    const chips = needed ? detail.worded : detail.chips;
    const wanted = hit.why.filter((why) => why[1] > 0).map((why) => why[0]);
    // A dose was measured with the word where that alone makes it do something, and without it elsewhere.
    const measured = Boolean(needed) === needsWord(detail);
    facts.textContent = said(measured && strengthFor(wanted.length ? wanted : chips.slice(0, 1).map((values) => values[0]), detail.dose), needed);
    if (!hit.why.length && !chips.length) list.append(element("li", "note", "no concept surely above 0"));
    for (const [name, score, low, high] of chips.slice(0, 5)) {
      if (!hit.why.some((why) => why[0] === name)) list.append(chip(name, score, low, high, "chip"));
    }
  });
  return item;
}

// Whether only its word makes it do something.
function needsWord(detail) {
  return !detail.chips.length && detail.worded.length > 0;
}

function chip(name, score, low, high, kind) {
  const made = element("li", kind, `${name} ${score.toFixed(2)}`);
  made.append(element("small", "", ` [${low.toFixed(2)}, ${high.toFixed(2)}]`));
  return made;
}

async function detailOf(index) {
  const some = await load(`detail/${Math.floor(index / DETAIL)}`);
  const detail = some.rows[index % DETAIL];
  return { ...detail, pairs: detail.pairs.map(([base, adapter, prompt]) => [some.pictures[base], some.pictures[adapter], prompt]) };
}

function fillPair(box, detail, row, which = 0) {
  if (!detail.pairs[which]) return;
  const [base, adapter, prompt] = detail.pairs[which];
  box.append(picture(base, `${prompt}, base model alone`, row), picture(adapter, `${prompt}, with ${row.repo}`, row));
}

function picture(address, text, row) {
  const image = element("img", row.flags.includes("nsfw") && !byId("adult").checked ? "veiled" : "");
  image.alt = text;
  image.src = address;
  return image;
}

// Who presses Enter wants the answer: on a phone the keyboard goes away, and the next Tab is the first adapter.
function toResults() {
  const below = byId("results").getBoundingClientRect().top > innerHeight / 2;
  byId("understood").scrollIntoView({ block: below ? "start" : "nearest" });
  byId("results").focus({ preventScroll: true });
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
  if (!/^#(adapter|compare)=/.test(location.hash)) history.replaceState(null, "", kept.size ? `#${kept}` : "#");
}

async function follow() {
  const kept = new URLSearchParams(location.hash.slice(1));
  try {
    if (kept.has("adapter")) return await openPage(kept.get("adapter"));
    if (kept.has("compare")) return await openComparison(kept.get("compare"), kept.get("with") || "");
  } catch (error) {
    return openAside(element("p", "", error.message));
  }
  closeAside();
  return null;
}

function start() {
  const first = arrived.get("first");
  [words, grammar] = [arrived.get("words"), makeGrammar(arrived.get("words").grammar)];
  byId("license").append(Object.assign(element("option", "", "commercial use ok, by the card"), { value: COMMERCIAL }));
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
  byId("adult").addEventListener("change", () => ask().then(follow));
  byId("controls").addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(pause); ask().then(toResults); });
  byId("more").addEventListener("click", showMore);
  byId("rest").addEventListener("toggle", showRest);
  addEventListener("hashchange", follow);
  ask().then(follow);
}
