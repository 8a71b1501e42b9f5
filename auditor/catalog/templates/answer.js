"use strict";
// Answers questions from the pieces by the rules of auditor/catalog/evidence_sql.py; the tests compare the two.
const PRESENT = 0.1;
const NEAR = 0.05;
const COLUMNS = 4;
const SCORED = ["scored", "scored_partial"];
const ROLES = { wanted: "", without: "without ", least: "least " };
const AMOUNTS = { low: "slightly", mid: "moderately", high: "very" };
const ORDERS = { popular: "most downloaded first", liked: "most liked first", newest: "newest first",
  oldest: "oldest first", smallest: "smallest first" };
const FILTERS = { base: "base", license: "licence", trigger: "trigger", owner: "owner", name: "name",
  downloads_min: "downloads from", downloads_max: "downloads to", likes_min: "likes from", likes_max: "likes to",
  size_min: "bytes from", size_max: "bytes to", created_after: "created since", created_before: "created before",
  strength_max: "acts at strength", outcome: "outcome" };

// Numbers of auditor/catalog/export/score_pieces.py.
function unpacked(text, Kind) {
  return new Kind(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer);
}

// Columns to one row; texts that repeat are numbers into a list.
function rowOf(core, index) {
  const row = { index };
  for (const [name, column] of Object.entries(core.columns)) {
    row[name] = core.lists[name] ? core.lists[name][column[index]] : column[index];
  }
  return row;
}

function understoodAs(question) {
  if (question.repo !== null) return `adapters called ${question.repo}`;
  const number = (value) => String(Number(value.toPrecision(12)));
  const parts = question.like ? [`like ${question.like}`] : [];
  for (const wish of question.wishes) {
    const names = wish.names.map((name) => name.concept || `"${name.text}"`).join(" or ");
    const { amount } = wish;
    if (!amount) {
      parts.push(`${question.like && wish.role === "wanted" ? "more " : ROLES[wish.role]}${names}`);
    } else {
      const word = AMOUNTS[amount.typed] ? `${AMOUNTS[amount.typed]} ` : "";
      const most = amount.most === null ? "or more" : `to ${number(amount.most)}`;
      parts.push(`${ROLES[wish.role]}${word}${names} (${amount.least === null ? "0" : number(amount.least)} ${most})`);
    }
  }
  parts.push(...question.more_than.map(([one, two]) => `more ${one} than ${two}`));
  for (const [name, value] of Object.entries(question.filters)) {
    if (name === "has_trigger") parts.push(value ? "with trigger" : "without trigger");
    else if (name === "exact_base") parts.push(value ? "exact base only" : "");
    else parts.push(`${FILTERS[name]} ${Array.isArray(value) ? value.join(" or ") : typeof value === "number" ? number(value) : value}`);
  }
  if (question.order !== "best") parts.push(ORDERS[question.order]);
  const slipped = Object.entries(question.corrected).map(([typed, read]) => `${typed} read as ${read}`).join(", ");
  return parts.join("; ") + (slipped ? ` (${slipped})` : "");
}

// One test per filter; values that repeat are tested once.
function testOf(core, name, value) {
  const on = (column, test) => {
    const { columns, lists } = core;
    if (!lists[column]) return (index) => test(columns[column][index]);
    const passing = lists[column].map(test);
    return (index) => passing[columns[column][index]];
  };
  const lower = (text) => (text || "").toLowerCase();
  const owner = (repo) => lower(repo.split("/")[0]);
  const exact = (flags) => !flags.split(" ").some((flag) => flag === "base_assumed" || flag === "card_mismatch");
  const tests = {
    base: () => { const names = ["listed", "base", "family"].map((column) => on(column, (v) => value.includes(lower(v)))); return (i) => names.some((named) => named(i)); },
    license: () => on("license", (v) => v !== null && value.includes(lower(v))),
    trigger: () => on("trigger", (v) => v !== null && lower(v).includes(value)),
    has_trigger: () => on("trigger", (v) => Boolean(v) === value),
    owner: () => on("repo", (v) => value.includes(owner(v))),
    name: () => on("repo", (v) => lower(v).includes(value)),
    exact_base: () => on("flags", exact),
    downloads_min: () => on("downloads", (v) => v >= value), downloads_max: () => on("downloads", (v) => v <= value),
    likes_min: () => on("likes", (v) => v >= value), likes_max: () => on("likes", (v) => v <= value),
    size_min: () => on("size", (v) => v !== null && v >= value), size_max: () => on("size", (v) => v !== null && v <= value),
    created_after: () => on("created", (v) => v !== null && v >= value), created_before: () => on("created", (v) => v !== null && v < value),
    outcome: () => on("outcome", value === "unscored" ? (v) => !SCORED.includes(v) : (v) => v === value),
    strength_max: () => on("reached", (v) => v !== null && v <= value),
  };
  return tests[name]();
}

function passing(core, question) {
  if (question.repo !== null) {
    const name = question.repo.toLowerCase();
    return (index) => core.columns.repo[index].toLowerCase().includes(name);
  }
  const tests = Object.entries({ outcome: null, ...question.filters })
    .map(([name, value]) => (name === "outcome" && value === null
      ? [testOf(core, name, "scored"), testOf(core, name, "scored_partial")] : [testOf(core, name, value)]));
  return (index) => tests.every((some) => some.some((test) => test(index)));
}

// Level, low, high, along and score of a concept, of one audit in one arm.
function evidenceOf(core, columns) {
  const arms = ["plain", "worded"].map((arm) => new Map([...columns].map(([name, data]) => [name, unpacked(data[arm], Int16Array)])));
  return (arm, name, place) => {
    const values = arms[arm].get(name);
    const count = values.length / COLUMNS;
    const [score, low, high, along] = [0, 1, 2, 3].map((column) => values[column * count + place] * core.unit);
    return [Math.max(score, along), low, high, along, score];
  };
}

// The cosine of V with the sum of the wanted directions, from V·f of each and the f·f' of the recipe; of alternatives the
// best choice.
function pointingOf(core, question, columns, evidence) {
  const wanted = wantedOf(question);
  if (!wanted.length || question.more_than.length) return null;
  const names = wanted.flatMap((wish) => wish.names.map((name) => name.concept));
  const choices = wanted.reduce((some, wish) => some.flatMap((choice) => wish.names.map((name) => [...choice, names.indexOf(name.concept)])), [[]]);
  const recipes = core.recipes.map((recipe) => {
    const rows = names.map((name) => columns.get(name).inner[recipe]);
    if (rows.some((row) => row === undefined)) return null;
    const inner = rows.map((row) => { const all = unpacked(row, Float32Array); return names.map((name) => all[words.order[name]]); });
    const lengths = choices.map((choice) => Math.sqrt(choice.reduce((sum, i) => sum + choice.reduce((part, j) => part + inner[i][j], 0), 0)));
    return { squares: inner.map((row, i) => row[i]), lengths };
  });
  const lengths = unpacked(core.lengths, Float32Array);
  return (audit) => {
    const recipe = recipes[core.recipe[audit]];
    if (!recipe || !lengths[audit]) return null;
    const dots = names.map((name, i) => evidence(0, name, audit)[3] * recipe.squares[i]);
    const cosines = choices.map((choice, place) => choice.reduce((sum, i) => sum + dots[i], 0) / (lengths[audit] * recipe.lengths[place]));
    const best = Math.max(...cosines.filter(Number.isFinite));
    return Number.isFinite(best) ? best : null;
  };
}

function wantedOf(question) {
  return question.wishes.filter((wish) => wish.role === "wanted");
}

function answer(core, question, columns) {
  const evidence = evidenceOf(core, columns);
  const pointing = pointingOf(core, question, columns, evidence);
  const several = wantedOf(question).length > 1 && !wantedOf(question).some((wish) => wish.amount);
  const passes = passing(core, question);
  const places = new Map(columns.size ? core.worded.map((audit, place) => [audit, place]) : []);
  const found = new Map();
  for (let index = 0; index < core.columns.repo.length; index += 1) {
    if (!passes(index)) continue;
    const audit = core.columns.audit[index];
    if (columns.size && audit < 0) continue;
    let best = judged(question, (name) => evidence(0, name, audit), 0);
    if (places.has(audit)) {
      const worded = judged(question, (name) => evidence(1, name, places.get(audit)), 1);
      if (worded && (!best || worded.band < best.band)) best = worded;
    }
    if (!best) continue;
    const weights = question.repo === null ? core.lists.weights[core.columns.weights[index]] : index;
    const kept = found.get(weights);
    if (kept) kept.copies += 1;
    else {
      const cosine = pointing && best.arm === 0 ? pointing(audit) : null;
      found.set(weights, { row: rowOf(core, index), fit: several ? cosine : null, pointing: cosine, ...best, copies: 1 });
    }
  }
  return ordered([...found.values()], question);
}

function ordered(hits, question) {
  const falling = (get) => (a, b) => (get(b) ?? -Infinity) - (get(a) ?? -Infinity) || 0;
  const rising = (get) => (a, b) => (get(a) ?? Infinity) - (get(b) ?? Infinity) || 0;
  const text = (get, sign = 1) => (a, b) => {
    const [one, two] = [get(a), get(b)];
    if (one === two) return 0;
    if (one === null || two === null) return one === null ? 1 : -1;
    return one < two ? -sign : sign;
  };
  const orders = { popular: falling((hit) => hit.row.downloads), liked: falling((hit) => hit.row.likes),
    newest: text((hit) => hit.row.created, -1), oldest: text((hit) => hit.row.created), smallest: rising((hit) => hit.row.size) };
  const named = question.repo === null ? null : question.repo.toLowerCase();
  const keys = [(a, b) => a.band - b.band];
  if (named !== null) keys.push((a, b) => (a.row.repo.toLowerCase() !== named) - (b.row.repo.toLowerCase() !== named));
  if (question.order !== "best") keys.push(orders[question.order]);
  keys.push((a, b) => a.miss - b.miss, (a, b) => a.away - b.away, falling((hit) => hit.fit), falling((hit) => hit.certain), falling((hit) => hit.pointing), falling((hit) => hit.strength));
  if (!question.wishes.length && !question.more_than.length) keys.push(falling((hit) => hit.row.downloads));
  keys.push(text((hit) => hit.row.repo), text((hit) => hit.row.path));
  hits.sort((a, b) => {
    for (const key of keys) { const found = key(a, b); if (found) return found; }
    return 0;
  });
  return question.limit ? hits.slice(0, question.limit) : hits;
}

function judged(question, of, arm) {
  const wanted = wantedOf(question);
  const least = question.wishes.filter((wish) => wish.role === "least");
  const without = question.wishes.filter((wish) => wish.role === "without");
  const strongest = (wish) => wish.names.map((name) => of(name.concept)).reduce((a, b) => a.map((value, i) => Math.max(value, b[i])));
  const bounds = (wish) => (wish.amount ? [wish.amount.least ?? 0, wish.amount.most ?? Infinity] : [PRESENT, Infinity]);
  let [has, sure, some, miss, certain, strength, away] = [true, true, false, 0, 1, 1, 0];
  for (const wish of wanted) {
    const [level, low] = strongest(wish);
    const [from, to] = bounds(wish);
    has = has && level >= from && level <= to;
    sure = sure && (low > 0 || from <= 0);
    some = some || level >= NEAR;
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
    // By the joint fit alone: every dark adapter lies some way along blurry.
    sure = sure && strongest(wish)[4] < bounds(wish)[0];
  }
  const band = has && sure ? 0 : has ? 1 : some ? 2 : null;
  if (band === null) return null;
  const names = [...new Set([...question.wishes.flatMap((wish) => wish.names.map((name) => name.concept)), ...question.more_than.flat()])];
  return { band, arm, miss: Math.round(miss * 1e6) / 1e6, certain, strength, away, why: names.map((name) => [name, ...of(name)]) };
}

// Neighbours of one adapter, of those that the pieces hold, with the filters of the question.
function alike(core, question, origin, near) {
  const cosines = new Map([[core.columns.audit[origin], 1], ...near]);
  const [passes, found] = [passing(core, { ...question, repo: null }), new Map()];
  const own = core.columns.repo[origin].toLowerCase();
  for (let index = 0; index < core.columns.repo.length; index += 1) {
    const cosine = cosines.get(core.columns.audit[index]);
    if (cosine === undefined || core.columns.repo[index].toLowerCase() === own || !passes(index)) continue;
    const weights = core.columns.weights[index];
    if (found.has(weights)) found.get(weights).copies += 1;
    else found.set(weights, { row: rowOf(core, index), band: 0, arm: 0, miss: 0, away: 0, fit: cosine, cosine, why: [], copies: 1 });
  }
  return ordered([...found.values()], question);
}

// As strength_for in auditor/catalog/strength.py.
function strengthFor(concepts, dose) {
  const reached = dose.map(([scale, norm, projections]) => [scale, norm, concepts.map((name) => projections[name])])
    .filter(([scale, norm, values]) => norm && scale > 0 && values.length && values.every((value) => value !== undefined))
    .map(([scale, norm, values]) => [scale, Math.min(...values), Math.min(...values) / norm])
    .filter((point) => point[1] >= PRESENT);
  if (!reached.length) return null;
  const best = Math.max(...reached.map((point) => point[2]));
  const good = reached.filter((point) => point[2] >= 0.8 * best).map((point) => point[0]);
  const [low, high] = [Math.min(...good), Math.max(...good)];
  return low === high ? `${low}` : `${low} to ${high}`;
}

function nearestConcepts(text) {
  const key = conceptKey(text);
  const likeness = (other) => 1 - slips(key, other) / Math.max(key.length, other.length, 1);
  const keys = Object.keys(words.aliases).map((other) => [likeness(other), other]).filter(([value]) => value >= 0.5).sort((a, b) => b[0] - a[0]);
  return [...new Set(keys.map(([, other]) => words.aliases[other]))].slice(0, 3);
}
