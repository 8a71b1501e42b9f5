"use strict";
// Reads questions as auditor/catalog/questions does: the same table, the same steps, the same cases in the tests.
// words = {aliases: {key: concept}, aliasNames: [..], bases: [..], licences: [..], owners: Set, holds: text => bool}
const SPELLINGS = [[/colour/g, "color"], [/grey/g, "gray"], [/mould/g, "mold"], [/moustach/g, "mustach"],
  [/jewellery/g, "jewelry"], [/aluminium/g, "aluminum"], [/sombre/g, "somber"],
  [/(cent|lust|fib|theat|spect|och)re/g, "$1er"], [/(arm|vap|harb)our/g, "$1or"],
  [/is(e|ed|er|ing|ation)(?![\p{L}\p{N}])/gu, "iz$1"], [/ll/g, "l"]];
const MAX_CHARS = 400;
const MAX_WISHES = 8;
const LONGEST_NAME = 6;
const SEPARATORS = new Set(",;/|+&()");
const DATE = /^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$/;
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const NEGATED = /(?:(?:^|[\s,;(])(?:not|no|non|without|except(?: for)?|excluding|exclude|isn't|nor|never|other than)(?:[\s-]+(?:a|an|the|any|for|on|by|from|under|with|very|too|so|that))*[\s-]*|(?:^|[\s,;(])[-!]\s*)$/;
const TURNED = ["license", "base", "owner", "trigger"];
const OPPOSITES = { downloads_min: "downloads_max", downloads_max: "downloads_min", likes_min: "likes_max", likes_max: "likes_min",
  size_min: "size_max", size_max: "size_min", created_after: "created_before", created_before: "created_after" };
const REPO_WITHIN = /(?<![\w./-])[\w.-]*\w\/[\w.-]*\w(?![\w/-])/g;
const ABOUT = 0.1;
const UNITS = { "": 1, k: 1e3, m: 1e6, g: 1e9 };

function singular(word) {
  if (word.length <= 3 || /(ss|us|is)$/.test(word)) return word;
  const stem = word.replace(/s$/, "");
  if (/(che|she|xe|sse|ze)$/.test(stem)) return stem.slice(0, -1);
  return stem.endsWith("ie") ? stem.slice(0, -2) + "y" : stem;
}

function conceptKey(phrase) {
  const words = phrase.toLowerCase().replace(/ß/g, "ss").replace(/_/g, " ").replace(/['’]/g, "").match(/[\p{L}\p{N}\p{M}]+/gu) || [];
  return words.map((word) => singular(SPELLINGS.reduce((text, [find, put]) => text.replace(find, put), word))).join("");
}

function makeGrammar(raw) {
  const sets = Object.fromEntries(["negations", "least", "breaks", "joints", "fillers", "words"]
    .map((name) => [name, new Set(raw[name])]));
  const silent = new Set(["fillers", "joints", "breaks", "negations", "least"].flatMap((name) => raw[name]));
  // {name} stands for a part, and parts for parts of theirs.
  const whole = (pattern) => pattern.replace(/\{([a-z]+)\}/g, (_, name) => whole(raw.parts[name]));
  const compiled = (table) => table.map(([find, put]) => [new RegExp(find, "g"), put]);
  const like = `\\b${whole(raw.parts.like)}\\s+`;
  return { ...raw, ...sets, silent, like: new RegExp(`${like}(?:https?://[^\\s/]+/)?([\\w.-]+/[\\w.-]+)(?:/\\S*)?`, "g"),
    likeName: new RegExp(`${like}([\\w-][\\w.-]{2,})(?![\\w/])`, "g"), tidy: compiled(raw.tidy), rewrites: compiled(raw.rewrites),
    filters: raw.filters.map(([find, name, value]) => [new RegExp(whole(find), "g"), name, value]) };
}

function relatedForms(word, grammar) {
  const forms = [];
  if (!word) return forms;
  for (const [old, added] of grammar.derived) {
    let stem = word;
    if (old.startsWith("+")) {
      const ending = old.slice(1);
      if (!word.endsWith(ending) || word.length < ending.length + 4) continue;
      stem = word.slice(0, -ending.length);
      if (stem.at(-1) !== stem.at(-2)) continue;
      stem = stem.slice(0, -1);
    } else if (old) {
      if (!word.endsWith(old) || word.length < old.length + 3) continue;
      stem = word.slice(0, -old.length);
    }
    forms.push(added.startsWith("+") ? stem + stem.at(-1) + added.slice(1) : stem + added);
  }
  return forms;
}

function has(table, key) { return Object.prototype.hasOwnProperty.call(table, key); }

function conceptOf(phrase, words, grammar) {
  const key = conceptKey(phrase);
  if (has(words.aliases, key)) return words.aliases[key];
  if (has(grammar.everyday, phrase)) {
    const named = conceptKey(grammar.everyday[phrase]);
    if (has(words.aliases, named)) return words.aliases[named];
    const further = has(grammar.everyday, grammar.everyday[phrase]) ? conceptKey(grammar.everyday[grammar.everyday[phrase]]) : "";
    if (has(words.aliases, further)) return words.aliases[further];
  }
  if (!phrase.includes(" ") && phrase.length >= 3 && !grammar.silent.has(phrase)) {
    for (const start of new Set([phrase, key])) {
      for (const form of relatedForms(start, grammar)) {
        const formKey = conceptKey(form);
        if (has(words.aliases, formKey)) return words.aliases[formKey];
      }
    }
  }
  return null;
}

function slips(one, two) {
  let before = [];
  let row = Array.from({ length: two.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i += 1) {
    const earlier = before;
    before = row;
    row = [i];
    for (let j = 1; j <= two.length; j += 1) {
      let cost = Math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (one[i - 1] === two[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && one[i - 1] === two[j - 2] && one[i - 2] === two[j - 1]) cost = Math.min(cost, earlier[j - 2] + 1);
      row.push(cost);
    }
  }
  return row.at(-1);
}

function nearestKeys(key, known) {
  const allowed = key.length >= 8 ? 2 : 1;
  let best = allowed + 1;
  let found = [];
  for (const other of known) {
    if (other[0] !== key[0] || Math.abs(other.length - key.length) > allowed || other.length < 4) continue;
    const distance = slips(key, other);
    if (distance < best) [best, found] = [distance, [other]];
    else if (distance === best && distance <= allowed) found.push(other);
  }
  return found;
}

// Where quoted texts and values stand, which are left as typed.
function asTyped(text, grammar) {
  const places = [...text.matchAll(/"[^"]*"|\b([a-z]+):\s?[^\s,;"]+/g)]
    .filter((match) => !match[1] || has(grammar.keys, match[1])).map((match) => [match.index, match.index + match[0].length]);
  let left = text;
  for (const [pattern, name] of grammar.filters) {
    if (name === "trigger") {
      for (const match of left.matchAll(pattern)) {
        const start = match.index + match[0].lastIndexOf(match[1]);
        places.push([start, start + match[1].length]);
      }
    } else if (name === "has_trigger") left = left.replace(pattern, (found) => ",".repeat(found.length));
  }
  return places;
}

function correctedText(text, words, grammar) {
  const known = new Map();
  for (const alias of words.aliasNames) for (const part of alias.split(/[\s-]+/)) known.set(conceptKey(part), part);
  for (const alias of words.aliasNames) known.set(conceptKey(alias), alias);
  for (const word of grammar.words) known.set(conceptKey(word), word);
  const mended = {};
  const alone = asTyped(text, grammar);
  const read = text.replace(/\S+/g, (piece, place) => {
    const [, start, core, end] = piece.match(/^([\s,;(!?.-]*)(.*?)([\s,;)!?.]*)$/s);
    if (core.length < 5 || !/^\p{L}+(?:-\p{L}+)*$/u.test(core) || grammar.silent.has(core) || grammar.words.has(core)
      || known.has(conceptKey(core)) || conceptOf(core, words, grammar) || words.owners.has(core)
      || (core.startsWith("un") && conceptOf(core.slice(2), words, grammar))
      || alone.some(([from, to]) => from < place + piece.length && place < to)) return piece;
    const near = nearestKeys(conceptKey(core), known.keys());
    const meanings = new Set(near.map((key) => conceptOf(known.get(key), words, grammar) || key));
    if (!near.length || (near.length > 1 && meanings.size > 1) || words.holds(core)) return piece;
    mended[core] = known.get(near[0]);
    return start + mended[core] + end;
  });
  return [read, mended];
}

const plain = (text) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
const some = (names) => (names.length ? names.slice(0, 12).join(", ") + (names.length > 12 ? ", …" : "") : "none");

function numberOf(value) {
  const size = value.match(/^([\d.]+)\s*([kmg])i?b$/);
  const number = value.match(/^([\d.,]*\d[\d.,]*)([km]?)$/);
  const read = size ? Number(size[1]) * UNITS[size[2]]
    : number ? Number(number[1].replace(/,/g, "")) * UNITS[number[2]] : NaN;
  return Number.isFinite(read) ? read : null;
}

function licencesCalled(value, words, grammar) {
  if (has(grammar.licences, value)) {
    const here = new Set(words.licences.map((name) => name.toLowerCase()));
    const some = grammar.licences[value].filter((name) => here.has(name));
    return some.length ? some : grammar.licences[value];
  }
  const known = [...new Set([...words.licences, ...Object.values(grammar.licences).flat()].map((name) => name.toLowerCase()))].sort();
  const exact = known.filter((name) => name === value);
  const version = (name) => plain(name).startsWith(plain(value)) && /^\d*$/.test(plain(name).slice(plain(value).length));
  const loose = exact.length ? exact : plain(value) ? known.filter(version) : [];
  return loose.length ? loose : null;
}

function basesCalled(text, words, grammar) {
  const key = plain(text);
  const direct = words.bases.filter((base) => plain(base) === key);
  const synonym = Object.keys(grammar.bases).find((name) => grammar.bases[name].map(plain).includes(key));
  const wider = synonym ? words.bases.filter((base) => plain(base).startsWith(synonym)) : [];
  const found = [...new Set([...direct, ...wider])];
  return found.length ? found : null;
}

function accepted(name, value, words, grammar, sure) {
  let read = value;
  let known = "";
  if (name.startsWith("created")) return created(name, value, words, grammar);
  if (name === "license") [read, known] = [licencesCalled(value, words, grammar), `licences in this catalog: ${some(words.licences)}`];
  else if (name === "base") [read, known] = [basesCalled(value, words, grammar), `bases in this catalog: ${some(words.bases)}`];
  else if (name === "owner") [read, known] = [words.owners.has(value) && (sure || !has(words.aliases, conceptKey(value))) ? [value] : null, "an owner is what stands before the / of a repo"];
  else if (name.endsWith("_between")) {
    const [kind, [least, most]] = [name.replace("_between", ""), value.split(" ").map(numberOf)];
    return least === null || most === null ? null : { [`${kind}_min`]: least, [`${kind}_max`]: most };
  } else if (["has_trigger", "has_license", "adult", "exact_base"].includes(name)) read = value !== "no" && value !== "false";
  else if (name === "order") [read, known] = [has(grammar.orders, value) ? grammar.orders[value] : null, `orders: ${some(Object.keys(grammar.orders).sort())}`];
  else if (name === "outcome") [read, known] = [grammar.outcomes.includes(value) ? value : null, `outcomes: ${some([...grammar.outcomes].sort())}`];
  else if (name === "limit") {
    const number = has(grammar.numbers, value) ? grammar.numbers[value] : numberOf(value);
    [read, known] = [number >= 1 && Number.isInteger(number) ? number : null, "a whole number is needed, such as 5"];
  } else if (/_(min|max)$/.test(name)) [read, known] = [numberOf(value), "a number is needed, such as 100, 2.5k or 50 MB"];
  else [read, known] = [value || null, "it is empty"];
  if (read === null && sure) throw new Error(`${name.replaceAll("_", " ")} '${value}' is not known here; ${known}`);
  return read === null ? null : { [name]: read };
}

// As question_dates.py: the year, month or day that is meant, or null.
function periodOf(said, today, numbers) {
  if (DATE.test(said)) {
    const [inYear, inMonth, onDay] = said.split("-").map(Number);
    return !onDay || onDay <= daysIn(inYear, inMonth) ? said : null;
  }
  const [year, month, day] = today.split("-").map(Number);
  const daysAgo = (days) => new Date(Date.UTC(year, month - 1, day - days)).toISOString().slice(0, 10);
  if (said === "today" || said === "this day") return today;
  if (said === "yesterday") return daysAgo(1);
  if (said === "this week") return daysAgo((new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7);
  if (said === "this month") return today.slice(0, 7);
  if (said === "this year") return today.slice(0, 4);
  const two = (number) => String(number).padStart(2, "0");
  const named = said.match(/^(?:this |last )?([a-z]{3})[a-z]*(?: (\d{1,2})(?:st|nd|rd|th)?,? (20\d\d))?$/);
  if (named && MONTHS.includes(named[1])) {
    const place = MONTHS.indexOf(named[1]) + 1;
    return named[2] ? periodOf(`${named[3]}-${two(place)}-${two(Number(named[2]))}`, today, numbers) : `${year - (place > month)}-${two(place)}`;
  }
  const past = said.match(/^(?:last |past |previous )?(?:([\w ]+?) )?(hour|day|week|month|year)s?(?: ago)?$/);
  if (!past) return null;
  const count = past[1] ?? "1";
  const many = /^\d{1,3}$/.test(count) ? Number(count) : has(numbers, count) ? numbers[count] : null;
  if (many === null) return null;
  const days = { hour: Math.ceil(many / 24), day: many, week: 7 * many };
  if (has(days, past[2])) return daysAgo(days[past[2]]);
  const months = year * 12 + month - 1 - many * (past[2] === "year" ? 12 : 1);
  const [thatYear, thatMonth] = [Math.floor(months / 12), months % 12 + 1];
  return `${String(thatYear).padStart(4, "0")}-${two(thatMonth)}-${two(Math.min(day, daysIn(thatYear, thatMonth)))}`;
}

function daysIn(year, month) {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
}

// The year, month or day after one.
function following(period) {
  const [year, month, day] = period.split("-").map(Number);
  const two = (number) => String(number).padStart(2, "0");
  if (!month) return String(year + 1);
  if (day && day < daysIn(year, month)) return `${year}-${two(month)}-${two(day + 1)}`;
  const after = month === 12 ? `${year + 1}-01` : `${year}-${two(month + 1)}`;
  return day ? `${after}-01` : after;
}

// Since or before a day; of the bounds of "in 2025" the second is the next period.
function created(name, value, words, grammar) {
  const today = words.today || new Date().toISOString().slice(0, 10);
  const periods = value.split("|").map((said) => {
    const period = periodOf(said, today, grammar.numbers);
    if (period === null) {
      throw new Error(`${name.replaceAll("_", " ")} '${said}' is not known here; dates are written 2025, 2025-03, 2025-03-31, or said: last month, 2 weeks ago`);
    }
    return period;
  });
  const [first, last] = [periods[0], periods.at(-1)];
  if (name === "created_between") return { created_after: first, created_before: following(last) };
  if (name === "created_in") return { created_after: first, created_before: following(first) };
  // After 2024 is 2025 and later; "newer than a week" has no period that it leaves out.
  if (name === "created_later") return { created_after: value === first ? following(first) : first };
  return { [name]: first };
}

// The opposite of a filter, where there is one.
function turnedRound(taken, typed) {
  const [[name, value], ...more] = Object.entries(taken);
  if (TURNED.includes(name)) return { [`not_${name}`]: value };
  if (typeof value === "boolean") return { [name]: !value };
  if (!more.length && has(OPPOSITES, name)) return { [OPPOSITES[name]]: value };
  throw new Error(`'not' before '${typed.replace(/^[ ,;]+|[ ,;]+$/g, "")}' cannot be asked for; say what you want instead of it`);
}

// Turned round by a "not" before it; several names are any of them.
function addFilter(found, before, taken, typed) {
  for (const [name, value] of Object.entries(NEGATED.test(before) ? turnedRound(taken, typed) : taken)) {
    const old = found[name];
    if (Array.isArray(old) && Array.isArray(value)) {
      const both = old.filter((one) => value.includes(one));
      found[name] = both.length ? both : [...new Set([...old, ...value])];
    } else found[name] = value;
  }
}

function takeFilters(text, words, grammar) {
  const found = {};
  let line = text.replace(/\b([a-z]+):\s?("[^"]*"|[^\s,;"]+)/g, (all, key, given, at, whole) => {
    if (!has(grammar.keys, key)) return all;
    let name = grammar.keys[key];
    const [, sign, value] = given.replace(/^"+|"+$/g, "").match(/^(>=|<=|>|<|≥|≤)?(.*)$/);
    if (["downloads", "likes", "size"].includes(name)) {
      name += ["<", "<=", "≤"].includes(sign) || (!sign && name === "size") ? "_max" : "_min";
    }
    addFilter(found, whole.slice(0, at), accepted(name, value, words, grammar, true), all);
    return " , ";
  });
  for (const [find, nameTemplate, valueTemplate] of grammar.filters) {
    line = line.replace(find, (...match) => {
      const fill = (template) => template.replace(/\$(\d)/g, (_, place) => match[Number(place)] || "");
      const name = fill(nameTemplate);
      const taken = accepted(name.replace(/\?$/, ""), fill(valueTemplate), words, grammar, !name.endsWith("?"));
      if (!taken) return match[0];
      addFilter(found, match.at(-1).slice(0, match.at(-2)), taken, match[0]);
      return " , ";
    });
  }
  return [takeBase(line, words, grammar, found), found];
}

function takeBase(text, words, grammar, found) {
  const spellings = [...new Set([...words.bases, ...Object.values(grammar.bases).flat()])]
    .sort((a, b) => b.length - a.length || (a < b ? -1 : 1))
    .map((name) => name.toLowerCase().replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(?:\\b(for|on|with|using) )?(?:the )?(?:\\bbase |\\bfamily )?(?<![\\w./-])(${spellings.join("|")})(?![\\w/-])( base| family| models?| loras?)?`, "g");
  const line = text.replace(pattern, (all, _, name, noun, at, whole) => {
    if (has(words.aliases, conceptKey(name)) && !noun) return all;
    addFilter(found, whole.slice(0, at), accepted("base", name, words, grammar, true), all);
    return " , ";
  });
  const unknown = line.match(/\b(?:for|on) (?:the )?([\w.-]+) (?:base|family)\b/);
  if (unknown) accepted("base", unknown[1], words, grammar, true);
  return line;
}

function walk(tokens, words, grammar) {
  const wishes = [];
  let [loose, role, amount, either, fresh, limit] = [[], "wanted", null, false, false, null];
  const add = (name) => {
    const last = wishes.at(-1);
    if (either && role === "wanted" && last && last.role === "wanted") {
      last.names.push(name);
      last.amount = last.amount || amount;
    } else wishes.push({ role, names: [name], amount });
    [amount, either, fresh] = [null, false, name.concept !== null];
  };
  const endPhrase = () => {
    while (loose.length && grammar.joints.has(loose.at(-1))) loose.pop();
    if (!loose.length) return;
    add({ text: loose.join(" "), concept: null });
    [loose, role] = [[], "wanted"];
  };
  // "> 0.5" after a concept is its amount, before one that of the next.
  const bound = (sign, number) => {
    if (!Number.isFinite(number)) throw new Error("that is too large a number for an amount; amounts are scores, such as 0.5");
    endPhrase();
    const last = fresh && !(sign === "=" && wishes.at(-1).amount) ? wishes.at(-1) : null;
    const old = (last ? last.amount : amount) || { typed: "", least: null, most: null };
    const tenth = (value) => Number(value.toFixed(6));
    const made = { typed: `${old.typed} ${sign} ${number}`.trim(),
      least: sign === "=" ? tenth(Math.max(number - ABOUT, 0)) : sign === ">" ? number : old.least,
      most: sign === "=" ? tenth(number + ABOUT) : sign === "<" ? number : old.most };
    if (last) last.amount = made;
    else amount = made;
  };
  // A number that no concept followed belongs to the one before.
  const boundBefore = () => {
    const last = wishes.at(-1);
    if (amount && "<>=".includes(amount.typed[0] || "<") && last && !last.amount) [last.amount, amount] = [amount, null];
    fresh = false;
  };
  const longest = (start) => {
    for (let length = Math.min(LONGEST_NAME, tokens.length - start); length > 0; length -= 1) {
      const window = tokens.slice(start, start + length);
      if ("~<>=".includes(window[0][0]) || (length === 1 && grammar.silent.has(window[0]))) continue;
      if (window.some((token) => SEPARATORS.has(token)) || "~<>=".includes(window.at(-1)[0])) continue;
      const concept = conceptOf(window.join(" "), words, grammar);
      if (concept !== null) return [length, concept];
    }
    return [1, null];
  };
  // How many hits a bare number asks for; 0 when it belongs to words that name something.
  const countAt = (place) => {
    const word = tokens[place];
    const number = /^\d{1,3}$/.test(word) ? Number(word) : has(grammar.numbers, word) ? grammar.numbers[word] : 0;
    if (!number || grammar.silent.has(word) || loose.length || limit || role !== "wanted") return 0;
    const after = tokens[place + 1] ?? ",";
    const ends = SEPARATORS.has(after) || "~<>=".includes(after[0]) || grammar.silent.has(after);
    return ends || longest(place + 1)[1] !== null ? number : 0;
  };
  for (let place = 0; place < tokens.length;) {
    const [length, concept] = longest(place);
    const token = tokens[place];
    const negated = token.startsWith("un") ? conceptOf(token.slice(2), words, grammar) : null;
    if (concept !== null) {
      endPhrase();
      add({ text: tokens.slice(place, place + length).join(" "), concept });
      if (tokens[place + length] !== "or") role = "wanted";
    } else if (countAt(place)) {
      limit = countAt(place);
    } else if (grammar.negations.has(token) || grammar.least.has(token)) {
      endPhrase();
      if (either && wishes.at(-1)?.role === "wanted") throw new Error("one thing or the absence of another cannot be asked for; ask for the two in turn");
      [role, either] = [grammar.negations.has(token) ? "without" : "least", false];
    } else if (SEPARATORS.has(token) || grammar.breaks.has(token)) {
      const carried = role;
      endPhrase();
      boundBefore();
      either = token === "or";
      [role, amount] = either ? [carried, amount] : ["wanted", null];
    } else if (token[0] === "~" || has(grammar.degrees, token)) {
      endPhrase();
      const degree = has(grammar.degrees, token) ? grammar.degrees[token] : token.slice(1);
      const [least, most] = grammar.amounts[degree];
      amount = { typed: degree, least, most };
    } else if ("<>=".includes(token[0])) {
      bound(token[0], Number(token.slice(1)));
    } else if (/^[01]\.\d+$/.test(token) && !loose.length) {
      bound("=", Number(token));
    } else if (negated !== null) {
      endPhrase();
      role = role === "wanted" ? "least" : "wanted";
      add({ text: token, concept: negated });
      role = "wanted";
    } else if (!grammar.fillers.has(token) && !(grammar.joints.has(token) && !loose.length)) loose.push(token);
    place += length;
  }
  endPhrase();
  boundBefore();
  return [wishes, limit];
}

function withoutRepeats(wishes) {
  const roles = new Map();
  const seen = new Set();
  const kept = [];
  for (const wish of wishes) {
    const names = [];
    for (const name of wish.names) {
      const key = name.concept || conceptKey(name.text);
      if (!key) continue;
      if (!roles.has(key)) roles.set(key, wish.role);
      if (roles.get(key) !== wish.role) throw new Error(`'${name.text}' is both wanted and not wanted; drop one of the two`);
      if (!seen.has(key)) names.push(name);
    }
    names.forEach((name) => seen.add(name.concept || conceptKey(name.text)));
    if (names.length) kept.push({ ...wish, names });
  }
  return kept;
}

function repoAskedFor(line, words, grammar) {
  const address = line.match(/^https?:\/\/[^\s/]+\/([\w.-]+\/[\w.-]+)(?:\/\S*)?$/);
  if (address) return address[1];
  if (/^[\w.-]+\/[\w.-]+$/.test(line) && !line.split("/").every((half) => has(words.aliases, conceptKey(half)))) return line;
  const parts = line.split(" ");
  const joined = parts.join("/");
  if (parts.length === 2 && words.owners.has(parts[0]) && /^[\w.-]+\/[\w.-]+$/.test(joined) && words.holds(joined)) return joined;
  if (/^[\w.-]+$/.test(line) && line.length >= 3 && !grammar.silent.has(line)
    && conceptOf(line, words, grammar) === null && words.holds(line)) return line;
  return null;
}

function tidied(text, grammar) {
  const line = text.normalize("NFKC").toLowerCase().replace(/’/g, "'").replace(/[\0~\x1c-\x1f\x85]/g, " ").trim().split(/\s+/).join(" ");
  return grammar.tidy.reduce((whole, [find, put]) => whole.replace(find, put), line);
}

// The line without names of adapters, the one that others shall be like, and one that is merely named.
function neighbourOf(line, words, grammar) {
  const like = [...line.matchAll(grammar.like)][0];
  if (like) {
    refuseUnlike(line.slice(0, like.index), like[1]);
    return [line.replace(grammar.like, " , "), like[1], null];
  }
  for (const match of line.matchAll(grammar.likeName)) {
    const name = match[1];
    if (!grammar.silent.has(name) && conceptOf(name, words, grammar) === null && words.holds(name)) {
      refuseUnlike(line.slice(0, match.index), name);
      return [`${line.slice(0, match.index)} , ${line.slice(match.index + match[0].length)}`, name, null];
    }
  }
  const named = [...new Set(line.match(REPO_WITHIN) || [])].filter((name) => words.holds(name));
  if (named.length > 1) throw new Error(`two adapters are named; see them beside each other: auditor compare ${named[0]} ${named[1]}`);
  if (!named.length) return [line, null, null];
  refuseUnlike(line.slice(0, line.indexOf(named[0])), named[0]);
  return [line.replaceAll(named[0], " , "), null, named[0]];
}

function refuseUnlike(before, name) {
  if (NEGATED.test(before)) throw new Error(`adapters that are not like ${name} cannot be asked for; say what they should do, or not do`);
}

function readQuestion(text, words, grammar) {
  if (text.length > MAX_CHARS) throw new Error(`a question has at most ${MAX_CHARS} characters, this one has ${text.length}`);
  let line = tidied(text, grammar);
  const empty = { wishes: [], more_than: [], filters: {}, order: "best", like: null, repo: null, limit: null, corrected: {} };
  const repo = repoAskedFor(line, words, grammar);
  if (repo !== null) return { ...empty, repo };
  let corrected;
  [line, corrected] = correctedText(line, words, grammar);
  let [like, named, filters] = [];
  [line, like, named] = neighbourOf(line, words, grammar);
  [line, filters] = takeFilters(line, words, grammar);
  const moreThan = [];
  line = line.replace(/(?:^|(?<=[,;]))(?:(?: ?more| ?most) )?([^\d<>=,;]+)([<>])([^\d<>=,;]+)(?=$|[,;])/g, (all, before, sign, after) => {
    const [one, two] = [before.trim(), after.trim()];
    if (conceptOf(one, words, grammar) === null || conceptOf(two, words, grammar) === null) return all;
    return sign === ">" ? `more ${one} than ${two}` : `more ${two} than ${one}`;
  });
  line = line.replace(/\b(more|less) ((?:(?!\bthan\b)[^,;])+?) than ([^,;]+?)(?=$|[,;]| but | and )/g, (all, way, one, two) => {
    const [first, second] = [one, two].map((part) => conceptOf(part.trim(), words, grammar));
    if (first === null || second === null) return way === "more" ? ` ${one} , less ${two} , ` : all;
    if (first === second) return all;
    moreThan.push(way === "more" ? [first, second] : [second, first]);
    return ` ${one} , ${two} , `;
  });
  for (const [find, put] of grammar.rewrites) line = line.replace(find, put);
  const tokens = line.match(/~\w+|[<>=]\d+(?:\.\d+)?|[\p{L}\p{N}]+(?:['’.+&][\p{L}\p{N}]+)*|[,;/|+&()]/gu) || [];
  const [walked, count] = walk(tokens, words, grammar);
  if (named !== null) {
    if (!walked.some((wish) => wish.names.some((name) => name.concept !== null))) return { ...empty, repo: named, corrected };
    like = named;
  }
  const wishes = withoutRepeats(walked);
  const { order = "best", limit = count, ...rest } = filters;
  const lone = wishes.length === 1 && wishes[0].role === "wanted" && wishes[0].names[0].concept === null ? wishes[0].names[0].text : null;
  if (lone !== null && !Object.keys(rest).length && like === null && words.holds(lone)) return { ...empty, repo: lone };
  if (!wishes.length && !Object.keys(rest).length && like === null && order === "best") {
    throw new Error("say what the adapter should do, for example: most vibrant watercolor LoRA");
  }
  if (wishes.reduce((count, wish) => count + wish.names.length, 0) > MAX_WISHES) {
    throw new Error(`a question has at most ${MAX_WISHES} concepts, this one has more`);
  }
  if (has(rest, "outcome") && !["scored", "scored_partial"].includes(rest.outcome) && (wishes.length || like !== null)) {
    throw new Error(`adapters of outcome '${rest.outcome}' have no scores; ask for them without concepts`);
  }
  return { wishes, more_than: moreThan, filters: rest, order, like, repo: null, limit, corrected };
}
