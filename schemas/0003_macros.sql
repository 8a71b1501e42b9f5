-- Questions in plain names. They run with core DuckDB alone, also in older command-line programs.

-- concept_key: the same reduction as auditor.lexicons.concept_key; a test compares the two.
CREATE MACRO concept_spelling(word) AS (
    regexp_replace(regexp_replace(regexp_replace(regexp_replace(
        replace(replace(replace(replace(replace(replace(replace(word,
            'colour', 'color'), 'grey', 'gray'), 'mould', 'mold'), 'moustach', 'mustach'),
            'jewellery', 'jewelry'), 'aluminium', 'aluminum'), 'sombre', 'somber'),
        '(cent|lust|fib|theat|spect|och)re', '\1er', 'g'),
        '(arm|vap|harb)our', '\1or', 'g'),
        'is(e|ed|er|ing|ation)$', 'iz\1', 'g'),
        'll', 'l', 'g')
);
COMMENT ON MACRO concept_spelling IS 'A word in American spelling; part of concept_key';

CREATE MACRO concept_stem(word) AS (
    CASE WHEN regexp_matches(word, '(che|she|xe|sse|ze)$') THEN left(word, -1)
         WHEN word LIKE '%ie' THEN left(word, -2) || 'y'
         ELSE word END
);
COMMENT ON MACRO concept_stem IS 'The common form of a word without its plural s; part of concept_key';

CREATE MACRO concept_singular(word) AS (
    CASE WHEN length(word) <= 3 OR regexp_matches(word, '(ss|us|is)$') THEN word
         ELSE concept_stem(regexp_replace(word, 's$', '')) END
);
COMMENT ON MACRO concept_singular IS 'A common form of singular and plural; part of concept_key';

CREATE MACRO concept_key(phrase) AS (
    array_to_string(list_transform(
        regexp_extract_all(
            replace(replace(replace(lower(phrase), '_', ' '), '''', ''), '’', ''), '[\p{L}\p{N}\p{M}]+'),
        lambda word: concept_singular(concept_spelling(word))), '')
);
COMMENT ON MACRO concept_key IS 'What the spelling variants of a phrase share: concept_key(''Water-Colours'') = ''watercolor''';

CREATE MACRO concept(phrase) AS (
    coalesce(
        (SELECT any_value(n.concept) FROM concept_aliases n WHERE n.key = concept_key(phrase)),
        error('no concept is called "' || phrase || '"; the nearest names are '
            || coalesce((SELECT string_agg(m.alias, ', ') FROM (
                SELECT c.alias FROM concept_aliases c
                ORDER BY jaro_winkler_similarity(c.key, concept_key(phrase)) DESC, c.alias LIMIT 3) m), 'none')
            || '; all of them: FROM concept_aliases')
    )
);
COMMENT ON MACRO concept IS 'Canonical name of a concept by any of its names: concept(''colourful''). An unknown name is an error that tells near ones';

-- The ranking rule. One wanted concept: by the lower end of its score, so that a wide interval does not win by luck.
-- Several: by the cosine between V and the sum of their directions, so by how nearly the adapter does what all the
-- words together would do. It falls when one of them is missing and when something nobody asked for is there. The
-- joint fit behind the single scores cannot rank this: it gives a faint style's share to its neighbours.
-- An adapter has a concept when its score or its projection reaches a tenth of asking for it in words.
CREATE MACRO most_of(wanted, without := []::VARCHAR[], least := []::VARCHAR[], k := 20, base := NULL,
                     license := NULL) AS TABLE
WITH term AS (
    SELECT t.role, t.place, concept(t.phrase) AS concept FROM (
        SELECT 'wanted' AS role, unnest(wanted::VARCHAR[]) AS phrase, generate_subscripts(wanted::VARCHAR[], 1) AS place
        UNION ALL
        SELECT 'without', unnest(without::VARCHAR[]), generate_subscripts(without::VARCHAR[], 1)
        UNION ALL
        SELECT 'least', unnest(least::VARCHAR[]), generate_subscripts(least::VARCHAR[], 1)) t
), asked AS MATERIALIZED (
    -- One vector per recipe, so that each V meets one vector however many words there are.
    SELECT p.recipe_id, list(p.total::FLOAT ORDER BY p.place) AS vector
    FROM (SELECT v.recipe_id, v.place, sum(v.value) AS total, count(*) AS concepts
          FROM (SELECT c.recipe_id, unnest(c.vector) AS value, generate_subscripts(c.vector, 1) AS place
                FROM concept_vectors c
                WHERE c.concept IN (SELECT concept FROM term WHERE role = 'wanted')) v
          GROUP BY v.recipe_id, v.place) p
    GROUP BY p.recipe_id
    HAVING min(p.concepts) > 1
       AND min(p.concepts) = (SELECT count(DISTINCT concept) FROM term WHERE role = 'wanted')
), together AS (
    SELECT u.audit_id,
        CASE WHEN len(u.divergence) = len(q.vector) THEN list_cosine_similarity(u.divergence, q.vector) END AS fit
    FROM audits u JOIN asked q ON q.recipe_id = u.recipe_id
    WHERE u.outcome IN ('scored', 'scored_partial')
), strength AS (
    SELECT s.audit_id,
        power(product(greatest(s.low, 0)) FILTER (t.role = 'wanted'),
              1.0 / greatest(count(*) FILTER (t.role = 'wanted'), 1)) AS certain,
        power(product(greatest(s.score, 0)) FILTER (t.role = 'wanted'),
              1.0 / greatest(count(*) FILTER (t.role = 'wanted'), 1)) AS strength,
        min(greatest(s.score, s.projection)) FILTER (t.role = 'wanted') AS faintest,
        avg(s.projection) FILTER (t.role = 'least') AS away,
        -- "without": not even the lower end may reach a tenth of asking for it in words.
        coalesce(max(s.low) FILTER (t.role = 'without'), 0) AS unwanted
    FROM scores s JOIN term t ON t.concept = s.concept
    GROUP BY s.audit_id
), hit AS (
    -- Narrow on purpose: what the answer shows is looked up for the k best only.
    SELECT a.adapter_id, a.audit_id, a.repo_id, a.path, m.certain, m.strength, m.away,
        CASE WHEN isfinite(g.fit) THEN g.fit END AS fit,
        row_number() OVER (PARTITION BY a.weights
                           ORDER BY a.downloads DESC, a.created_at, a.repo_id, a.path) AS copy
    FROM adapters a
    JOIN audits u ON u.audit_id = a.audit_id
    LEFT JOIN recipes r ON r.recipe_id = u.recipe_id AND u.base_name IS NOT NULL
    LEFT JOIN strength m ON m.audit_id = a.audit_id
    LEFT JOIN together g ON g.audit_id = a.audit_id
    WHERE a.outcome IN ('scored', 'scored_partial')
      AND coalesce(m.unwanted, 0) < 0.1
      AND (len(wanted) = 0
           OR (NOT coalesce(isfinite(g.fit), false)
               AND m.strength > CASE WHEN len(least) > 0 THEN 0.1 ELSE 0 END)
           OR (isfinite(g.fit) AND g.fit > 0 AND m.faintest >= 0.1))
      AND (base IS NULL OR lower(base) IN (lower(coalesce(u.base_name, a.base_name)), lower(r.family)))
      AND (license IS NULL OR lower(license) = lower(a.license))
), best AS MATERIALIZED (
    SELECT * FROM hit WHERE copy = 1
    ORDER BY away NULLS LAST, fit DESC NULLS LAST, certain DESC NULLS LAST, strength DESC NULLS LAST, repo_id, path
    LIMIT k
), why AS (
    SELECT s.audit_id,
        list({'concept': s.concept, 'score': s.score, 'low': s.low, 'high': s.high, 'projection': s.projection}
             ORDER BY t.role DESC, t.place)
            FILTER (t.role <> 'without') AS matched
    FROM scores s JOIN term t ON t.concept = s.concept
    WHERE s.audit_id IN (SELECT audit_id FROM best)
    GROUP BY s.audit_id
)
SELECT row_number() OVER (ORDER BY h.away NULLS LAST, h.fit DESC NULLS LAST, h.certain DESC NULLS LAST, h.strength DESC NULLS LAST, h.repo_id, h.path) AS place,
    h.repo_id, h.path, h.strength AS score, h.certain AS at_least, h.fit, w.matched, c.probes, c.base, c.license,
    c.trigger, c.outcome, c.flags, c.copies, c.commit_sha, h.audit_id
FROM best h JOIN lora_card c ON c.adapter_id = h.adapter_id LEFT JOIN why w ON w.audit_id = h.audit_id
ORDER BY place;
COMMENT ON MACRO TABLE most_of IS 'Adapters that have all wanted concepts: of one the strongest first, of several those that do most nearly what the words together would (fit, a cosine); none that surely has one of without; with least, those that move furthest away from it. Equal weights appear once. most_of([''vibrant'', ''watercolor''], without := [''dark''], k := 5, base := ''sdxl'', license := ''mit'')';

CREATE MACRO most(a, b := NULL, k := 20, base := NULL, license := NULL) AS TABLE
FROM most_of(list_filter([a, b]::VARCHAR[], lambda phrase: phrase IS NOT NULL),
             k := k, base := base, license := license);
COMMENT ON MACRO TABLE most IS 'The most a (and b) adapters: FROM most(''vibrant'', ''watercolor''). Any spelling or synonym of a concept will do. One concept is ranked by the lower end of its score, two by fit: the cosine of what the adapter does with what both words together would do';

CREATE MACRO audited(repo, file) AS (
    coalesce(
        (SELECT first(a.audit_id ORDER BY a.path) FROM adapters a
         WHERE a.repo_id = repo AND (file IS NULL OR a.path = file) AND a.outcome IN ('scored', 'scored_partial')),
        error('no scored adapter in "' || repo || '"; see FROM adapters WHERE repo_id = ...')
    )
);
COMMENT ON MACRO audited IS 'audit_id of a file of a repo, or of its first scored file when file is null';

-- The long vectors meet once, before anything is joined to them: at 100,000 adapters that is nine tenths of the time.
CREATE MACRO similar_to(repo, k := 20, file := NULL) AS TABLE
WITH origin AS MATERIALIZED (
    SELECT u.file_sha256, u.divergence, len(u.divergence) AS size, r.encoder
    FROM audits u JOIN recipes r ON r.recipe_id = u.recipe_id
    WHERE u.audit_id = audited(repo, file)
), near AS (
    SELECT u.file_sha256, u.audit_id,
        CASE WHEN len(u.divergence) = o.size THEN list_cosine_similarity(u.divergence, o.divergence) END AS cosine
    FROM audits u JOIN recipes r ON r.recipe_id = u.recipe_id, origin o
    WHERE u.outcome IN ('scored', 'scored_partial') AND r.encoder = o.encoder AND u.file_sha256 <> o.file_sha256
), best AS MATERIALIZED (
    SELECT max(n.cosine) AS cosine, arg_max(n.audit_id, n.cosine) AS audit_id
    FROM near n
    WHERE isfinite(n.cosine) AND n.audit_id IN (SELECT a.audit_id FROM adapters a)
    GROUP BY n.file_sha256
    ORDER BY cosine DESC, n.file_sha256
    LIMIT k
)
SELECT c.repo_id, c.path, b.cosine, c.concepts, c.base, c.license, c.trigger, c.outcome, c.flags, c.copies, c.audit_id
FROM best b JOIN lora_card c ON c.audit_id = b.audit_id
QUALIFY row_number() OVER (PARTITION BY c.audit_id ORDER BY c.downloads DESC, c.created_at, c.repo_id, c.path) = 1
ORDER BY b.cosine DESC, c.repo_id, c.path;
COMMENT ON MACRO TABLE similar_to IS 'Adapters that change images in the same direction: cosine of their V, same encoder. FROM similar_to(''owner/name'', k := 5)';

CREATE MACRO compare(repo_a, repo_b, file_a := NULL, file_b := NULL) AS TABLE
SELECT x.concept, x.score AS score_a, x.low AS low_a, x.high AS high_a,
    y.score AS score_b, y.low AS low_b, y.high AS high_b, x.score - y.score AS difference,
    x.low > y.high OR y.low > x.high AS distinct_intervals
FROM scores x JOIN scores y ON y.concept = x.concept
WHERE x.audit_id = audited(repo_a, file_a) AND y.audit_id = audited(repo_b, file_b)
ORDER BY abs(difference) DESC, x.concept;
COMMENT ON MACRO TABLE compare IS 'Two adapters concept by concept, largest difference first: FROM compare(''owner/one'', ''owner/two'')';
