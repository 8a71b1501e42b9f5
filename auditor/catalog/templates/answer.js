"use strict";
// Answers questions from the pieces by the rules of auditor/catalog/evidence_sql.py; the tests compare the two.
const PRESENT = 0.1;
const NEAR = 0.05;
const COLUMNS = 4;
const NEAREST = 24;
const SCORED = ["scored", "scored_partial"];
const ROLES = { wanted: "", without: "without ", least: "least " };
const STEPS = { low: "a little more ", mid: "more ", high: "much more " };
const AMOUNTS = { low: "slightly", mid: "moderately", high: "very" };
const ORDERS = { popular: "most downloaded first", liked: "most liked first", newest: "newest first",
  oldest: "oldest first", smallest: "smallest first" };
const FILTERS = { base: "base", license: "licence", trigger: "trigger", owner: "owner", name: "name",
  downloads_min: "downloads from", downloads_max: "downloads to", likes_min: "likes from", likes_max: "likes to",
  size_min: "bytes from", size_max: "bytes to", created_after: "created since", created_before: "created before",
  strength_max: "acts at strength", outcome: "outcome" };

const KINDS = { public: "public domain, by the card", commercial: "commercial use ok, by the card", noncommercial: "no commercial use, by the card" };

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

// What licences have in common.
function kindOf(licences) {
  const kind = Object.keys(KINDS).find((name) => licences.every((one) => grammar.licences[name].includes(one.toLowerCase())));
  return kind ? ` (${KINDS[kind]})` : "";
}

function understoodAs(question) {
  if (question.repo !== null) return `adapters called ${question.repo}`;
  const number = (value) => String(Number(value.toPrecision(12)));
  const parts = question.like ? [`like ${question.like}`] : [];
  for (const wish of question.wishes) {
    const names = wish.names.map((name) => name.concept || `"${name.text}"`).join(" or ");
    const { amount } = wish;
    if (amount && question.like && wish.role === "wanted" && movesNeighbour(wish)) parts.push(`${STEPS[amount.typed]}${names}`);
    else if (!amount) {
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
    else if (name === "exact_base") parts.push(value ? "exact base only" : "any base");
    else if (name === "adult") parts.push(`${value ? "not " : ""}for all audiences, by the card`);
    else if (name === "has_license") parts.push(value ? "a licence stated" : "no licence stated");
    else {
      const said = `${FILTERS[name.replace(/^not_/, "")]}${name.startsWith("not_") ? " not" : ""}`;
      const kind = name === "license" && value.length > 1 ? kindOf(value) : "";
      parts.push(`${said} ${Array.isArray(value) ? value.join(" or ") + kind : typeof value === "number" ? number(value) : value}`);
    }
  }
  if (question.order !== "best") parts.push(ORDERS[question.order]);
  const slipped = Object.entries(question.corrected).map(([typed, read]) => `${typed} read as ${read}`).join(", ");
  return parts.join("; ") + (slipped ? ` (${slipped})` : "");
}

// One test per filter; values that repeat are tested once.
function testOf(core, name, value) {
  if (name.startsWith("not_")) {
    const turned = testOf(core, name.slice(4), value);
    return (index) => !turned(index);
  }
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
    adult: () => on("flags", (v) => v.split(" ").includes("nsfw") === value),
    has_license: () => on("license", (v) => Boolean(v) === value),
    has_trigger: () => on("trigger", (v) => Boolean(v) === value),
    owner: () => on("repo", (v) => value.includes(owner(v))),
    name: () => on("repo", (v) => lower(v).includes(value)),
    exact_base: () => (value ? on("flags", exact) : () => true),
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
  const numbers = (data, arm) => {
    if (typeof data[arm] === "string") data[arm] = unpacked(data[arm], Int16Array);
    return data[arm];
  };
  const arms = ["plain", "worded"].map((arm) => new Map([...columns].map(([name, data]) => [name, numbers(data, arm)])));
  return (arm, name, place) => {
    const values = arms[arm].get(name);
    const count = values.length / COLUMNS;
    const score = values[place] * core.unit;
    const along = values[3 * count + place] * core.unit;
    return [Math.max(score, along), values[count + place] * core.unit, values[2 * count + place] * core.unit, along, score];
  };
}

// The cosine of V with the sum of the wanted directions, from V·f of each and the f·f' of the recipe; of alternatives the
// best choice. It knows nothing of strength.
function pointingOf(core, question, columns, evidence) {
  const wanted = question.wishes.filter((wish) => wish.role === "wanted");
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

// "But more vibrant" moves a neighbour, "but vibrant > 0.5" is a condition.
function movesNeighbour(wish) {
  return wish.role !== "wanted" || !wish.amount || !"<>=".includes(wish.amount.typed[0] || "<");
}

// For `like … but more …`: the cosine of each V with that of the adapter, moved by its length along each concept wanted and
// away from each that is not, as _toward in auditor/catalog/search.py. V itself comes from the sketch, how far it goes along a
// concept from the scores, and how near the stored neighbours are from what is stored with them; without a sketch they are all.
function towardOf(core, question, origin, columns, evidence, sketch, near) {
  const stored = new Map([[origin, 1], ...near]);
  if (!sketch) return (audit) => stored.get(audit) ?? null;
  const [lengths, values, kept] = [unpacked(core.lengths, Float32Array), unpacked(sketch.values, Int16Array), sketch.kept];
  const recipe = core.recipes[core.recipe[origin]];
  const signOf = (wish) => (wish.role !== "wanted" ? -1 : wish.amount ? grammar.steps[wish.amount.typed] : 1);
  const moves = question.wishes.filter(movesNeighbour).flatMap((wish) => wish.names.map((name) => ({ name: name.concept, sign: signOf(wish) })));
  for (const move of moves) {
    const column = columns.get(move.name);
    if (column.inner[recipe] === undefined) throw new Error(`${move.name} is no concept of the audit of ${question.like}; it cannot be moved along that.`);
    move.inner = Object.fromEntries(Object.entries(column.inner).map(([one, text]) => [one, unpacked(text, Float32Array)]));
    move.at = Object.fromEntries(Object.entries(column.sketch).map(([one, text]) => [one, unpacked(text, Float32Array)]));
    move.square = (one) => move.inner[one]?.[words.order[move.name]] || 0;
    move.length = Math.sqrt(move.square(recipe));
  }
  const dot = (audit, place) => { let sum = 0; for (let i = 0; i < kept; i += 1) sum += values[audit * kept + i] * place[i]; return sum * sketch.unit; };
  const among = (one, two) => { let sum = 0; for (let i = 0; i < kept; i += 1) sum += values[one * kept + i] * values[two * kept + i]; return sum * sketch.unit ** 2; };
  // V·f with f of the recipe of `origin`. In another recipe f is another: what the sketch leaves out is taken from that one.
  const along = (audit, { name, at, square, length }) => {
    const other = core.recipes[core.recipe[audit]];
    const own = evidence(0, name, audit)[3] * square(other);
    if (other === recipe) return own;
    const seen = lengths[audit] * dot(audit, at[recipe]);
    return square(other) ? seen + (own - lengths[audit] * dot(audit, at[other])) * (length / Math.sqrt(square(other))) : seen;
  };
  const step = lengths[origin];
  const crossed = moves.reduce((sum, one) => sum + moves.reduce((part, two) => part
    + one.sign * two.sign * one.inner[recipe][words.order[two.name]] / (one.length * two.length), 0), 0);
  const moved = Math.sqrt(step ** 2 * (1 + crossed) + 2 * moves.reduce((sum, move) => sum + move.sign * step * along(origin, move) / move.length, 0));
  return (audit) => {
    if (!lengths[audit] || sketch.kinds[audit] !== sketch.kinds[origin]) return null;
    const cosine = stored.get(audit) ?? among(audit, origin);
    const further = moves.reduce((sum, move) => sum + move.sign * along(audit, move) / (move.length * lengths[audit]), 0);
    return step * (cosine + further) / moved;
  };
}

// Concepts that the question names, each once.
function conceptsOf(question) {
  return [...new Set([...question.wishes.flatMap((wish) => wish.names.map((name) => name.concept)), ...question.more_than.flat()])];
}

// Other concepts that a recipe cannot tell from one.
function alikeIn(recipe, name) {
  const others = words.alike[name];
  return others ? Object.keys(others).filter((other) => others[other].includes(recipe)) : [];
}

// Those that answer for the wanted concepts in some recipe.
function standIns(question) {
  const wanted = question.wishes.filter((wish) => wish.role === "wanted" && !wish.amount && question.like === null);
  return wanted.flatMap((wish) => wish.names.flatMap((name) => Object.keys(words.alike[name.concept] || {})));
}

// What a card shows: each concept, or the strongest of those that the recipe cannot tell from it.
function reasonsOf(question, of, recipe) {
  const wanted = new Set(question.wishes.filter((wish) => wish.role === "wanted" && !wish.amount && question.like === null)
    .flatMap((wish) => wish.names.map((name) => name.concept)));
  return conceptsOf(question).map((name) => {
    const own = [name, ...of(name)];
    const others = own[1] < PRESENT && wanted.has(name) ? alikeIn(recipe, name).map((other) => [other, ...of(other)]) : [];
    return [...[own, ...others].sort((a, b) => b[2] - a[2] || b[1] - a[1])[0], name];
  });
}

// One answer. Its row and its reasons are looked up when it is shown: of 80,000 answers 24 are.
class Hit {
  constructor(core, index, verdict, reasons = () => []) {
    Object.assign(this, { core, index, copies: 1, fit: null, reasons }, verdict);
  }

  get row() { return (this.known ??= rowOf(this.core, this.index)); }

  get why() { return (this.told ??= this.reasons()); }
}

// With `neighbour`, {origin, sketch, near}, nearness to that one takes the place of what is wanted.
function answer(core, asked, columns, neighbour = null) {
  const evidence = evidenceOf(core, columns);
  const toward = neighbour && towardOf(core, asked, neighbour.origin, columns, evidence, neighbour.sketch, neighbour.near);
  const question = toward ? { ...asked, wishes: asked.wishes.filter((wish) => wish.role !== "wanted" || !movesNeighbour(wish)) } : asked;
  const pointing = pointingOf(core, question, columns, evidence);
  const several = question.wishes.filter((wish) => wish.role === "wanted");
  const fits = several.length > 1 && several.every((wish) => !wish.amount);
  const passes = passing(core, question);
  const judged = judgeOf(question, toward !== null);
  const places = new Map(columns.size ? core.worded.map((audit, place) => [audit, place]) : []);
  const found = new Map();
  const { audit: audits, weights: copies } = core.columns;
  for (let index = 0; index < audits.length; index += 1) {
    const audit = audits[index];
    if (((columns.size || toward) && audit < 0) || !passes(index)) continue;
    const cosine = toward ? toward(audit) : null;
    if (toward && (cosine === null || core.columns.repo[index].toLowerCase() === question.like.toLowerCase())) continue;
    const recipe = columns.size ? core.recipes[core.recipe[audit]] : "";
    let [best, place] = [judged((name) => evidence(0, name, audit), 0, recipe), audit];
    if (places.has(audit) && (!best || best.band > 0)) {
      const worded = judged((name) => evidence(1, name, places.get(audit)), 1, recipe);
      if (worded && (!best || worded.band < best.band)) [best, place] = [worded, places.get(audit)];
    }
    if (!best) continue;
    const weights = question.repo === null ? copies[index] : index;
    const kept = found.get(weights);
    if (kept) {
      kept.copies += 1;
      continue;
    }
    if (pointing && best.arm === 0) best.pointing = pointing(audit);
    if (fits) best.fit = best.pointing ?? null;
    if (toward) [best.fit, best.cosine] = [cosine, cosine];
    found.set(weights, new Hit(core, index, best, () => reasonsOf(asked, (name) => evidence(best.arm, name, place), recipe)));
  }
  const hits = ordered(core, [...found.values()], toward ? { ...question, order: "best", limit: null } : question);
  // To be the newest of all is not to be alike.
  return toward ? ordered(core, question.order === "best" ? hits : hits.slice(0, NEAREST), question) : hits;
}

function ordered(core, hits, question) {
  const { downloads, likes, created, size, repo, path } = core.columns;
  const falling = (get) => (a, b) => (get(b) ?? -Infinity) - (get(a) ?? -Infinity) || 0;
  const rising = (get) => (a, b) => (get(a) ?? Infinity) - (get(b) ?? Infinity) || 0;
  const text = (get, sign = 1) => (a, b) => {
    const [one, two] = [get(a), get(b)];
    if (one === two) return 0;
    if (one === null || two === null) return one === null ? 1 : -1;
    return one < two ? -sign : sign;
  };
  const day = (hit) => core.lists.created[created[hit.index]];
  const orders = { popular: falling((hit) => downloads[hit.index]), liked: falling((hit) => likes[hit.index]),
    newest: text(day, -1), oldest: text(day), smallest: rising((hit) => size[hit.index]) };
  const keys = [(a, b) => a.band - b.band];
  if (question.repo !== null) {
    const named = question.repo.toLowerCase();
    keys.push((a, b) => (a.row.repo.toLowerCase() !== named) - (b.row.repo.toLowerCase() !== named));
  }
  if (question.order !== "best") keys.push(orders[question.order]);
  if (question.wishes.some((wish) => wish.role === "wanted" && wish.amount)) keys.push(falling((hit) => +(hit.certain > 0)));
  keys.push((a, b) => a.miss - b.miss, (a, b) => a.away - b.away, falling((hit) => hit.fit), falling((hit) => hit.certain),
    falling((hit) => hit.pointing), falling((hit) => hit.strength));
  if (!question.wishes.length && !question.more_than.length) keys.push(orders.popular);
  keys.push(text((hit) => repo[hit.index]), text((hit) => core.lists.path[path[hit.index]]));
  hits.sort((a, b) => {
    for (const key of keys) { const found = key(a, b); if (found) return found; }
    return 0;
  });
  return question.limit ? hits.slice(0, question.limit) : hits;
}

// How one audit in one arm answers the question, given what tells level, low, high, along and score of a concept.
function judgeOf(question, alike) {
  const parts = Object.fromEntries(["wanted", "least", "without"].map((role) => [role, question.wishes.filter((wish) => wish.role === role)
    .map(({ names, amount }) => ({ names: names.map((name) => name.concept), amount, from: amount ? amount.least ?? 0 : PRESENT, to: amount?.most ?? Infinity }))]));
  const { wanted, least, without } = parts;
  const strongest = (wish, of) => (wish.names.length === 1 ? of(wish.names[0])
    : wish.names.map(of).reduce((a, b) => a.map((value, i) => Math.max(value, b[i]))));
  const apart = without.length && !alike && !wanted.length && !least.length ? without : least;
  return (of, arm, recipe) => {
    let [has, sure, some, miss, certain, strength, away] = [true, true, false, 0, 1, 1, 0];
    for (const wish of wanted) {
      const [level, low] = strongest(wish, of);
      // Words that the recipe cannot tell apart answer for each other, never surely.
      const others = wish.amount ? [] : wish.names.flatMap((name) => alikeIn(recipe, name)).map(of);
      const wide = others.reduce((most, values) => Math.max(most, values[0]), level);
      has = has && wide >= wish.from && level <= wish.to;
      sure = sure && level >= wish.from && (low > 0 || wish.from <= 0);
      some = some || wide >= NEAR;
      if (wish.amount) miss += Math.max(wish.from - level, 0, level - wish.to);
      certain *= Math.max(low, 0) ** (1 / wanted.length);
      strength *= Math.max(level, 0) ** (1 / wanted.length);
    }
    for (const [one, two] of question.more_than) {
      has = has && of(one)[0] > of(two)[0];
      sure = sure && of(one)[1] > of(two)[2];
    }
    for (const wish of apart) away += strongest(wish, of)[3];
    for (const wish of least) {
      const along = strongest(wish, of)[3];
      has = has && along < PRESENT;
      sure = sure && along <= -PRESENT;
      some = true;
    }
    for (const wish of without) {
      const values = strongest(wish, of);
      if (values[1] >= wish.from) return null;
      // By the joint fit alone: every dark adapter lies some way along blurry.
      sure = sure && values[4] < wish.from;
    }
    if (!has && !some) return null;
    return { band: has && sure ? 0 : has ? 1 : 2, arm, miss: Math.round(miss * 1e6) / 1e6, certain, strength, away };
  };
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
  const keys = Object.keys(words.aliases).map((other) => [likeness(other), other]).filter(([value]) => value >= 0.6).sort((a, b) => b[0] - a[0]);
  return [...new Set(keys.map(([, other]) => words.aliases[other]))].slice(0, 3);
}
