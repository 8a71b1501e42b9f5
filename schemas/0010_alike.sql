-- A question about one of several words that a recipe cannot tell apart is a question about all of them.

CREATE TABLE alike (
    recipe_id VARCHAR NOT NULL,
    concept VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    members VARCHAR[] NOT NULL,
    PRIMARY KEY (recipe_id, concept)
);
COMMENT ON TABLE alike IS 'Each concept that its recipe cannot tell apart from another, with the name of its cluster: cluster_names by concept, kept by the merge since questions need it';
COMMENT ON COLUMN alike.recipe_id IS 'Recipe';
COMMENT ON COLUMN alike.concept IS 'Canonical name';
COMMENT ON COLUMN alike.name IS 'The member that was named for most adapters, as in cluster_names';
COMMENT ON COLUMN alike.members IS 'All members, most often named first';

CREATE OR REPLACE MACRO most_of(wanted, without := []::VARCHAR[], least := []::VARCHAR[], k := 20, base := NULL,
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
), sought AS (
    -- An adapter is found too by words that its recipe cannot tell apart from a wanted one.
    SELECT t.role, t.place, t.concept, r.recipe_id,
        unnest(CASE WHEN t.role = 'wanted' THEN coalesce(k.members, [t.concept]) ELSE [t.concept] END) AS member
    FROM term t CROSS JOIN recipes r
    LEFT JOIN alike k ON k.recipe_id = r.recipe_id AND k.concept = t.concept
), evidence AS (
    SELECT s.audit_id, s.with_trigger, t.role, t.place, max(s.low) AS low, max(s.score) AS score,
        max(s.projection) AS projection, max(s.low) FILTER (t.member = t.concept) AS own_low,
        max(s.score) FILTER (t.member = t.concept) AS own_score
    FROM (SELECT audit_id, concept, score, low, projection, false AS with_trigger FROM scores
          UNION ALL
          SELECT audit_id, concept, score, low, projection, true FROM trigger_scores) s
    JOIN audits u ON u.audit_id = s.audit_id
    JOIN sought t ON t.member = s.concept AND t.recipe_id = u.recipe_id
    GROUP BY s.audit_id, s.with_trigger, t.role, t.place
), strength AS (
    -- What answers by the words themselves comes first; widely and present are by what cannot be told from them, too.
    SELECT s.audit_id, s.with_trigger,
        power(product(greatest(s.own_low, 0)) FILTER (s.role = 'wanted'),
              1.0 / greatest(count(*) FILTER (s.role = 'wanted'), 1)) AS certain,
        power(product(greatest(s.low, 0)) FILTER (s.role = 'wanted'),
              1.0 / greatest(count(*) FILTER (s.role = 'wanted'), 1)) AS widely,
        power(product(greatest(s.own_score, 0)) FILTER (s.role = 'wanted'),
              1.0 / greatest(count(*) FILTER (s.role = 'wanted'), 1)) AS strength,
        power(product(greatest(s.score, 0)) FILTER (s.role = 'wanted'),
              1.0 / greatest(count(*) FILTER (s.role = 'wanted'), 1)) AS present,
        min(greatest(s.score, s.projection)) FILTER (s.role = 'wanted') AS faintest,
        avg(s.projection) FILTER (s.role = 'least') AS away,
        -- "without": not even the lower end may reach a tenth of asking for it in words.
        coalesce(max(s.low) FILTER (s.role = 'without'), 0) AS unwanted
    FROM evidence s
    GROUP BY s.audit_id, s.with_trigger
), better AS (
    -- Of the weights alone and the weights with the trigger, the arm that has more of what is wanted.
    SELECT * FROM strength
    QUALIFY row_number() OVER (PARTITION BY audit_id ORDER BY certain DESC NULLS LAST, widely DESC NULLS LAST,
                                   away NULLS LAST, with_trigger) = 1
), hit AS (
    -- Narrow on purpose: what the answer shows is looked up for the k best only.
    SELECT a.adapter_id, a.audit_id, a.repo_id, a.path, m.certain, m.widely, m.strength, m.away,
        coalesce(m.with_trigger, false) AS with_trigger,
        CASE WHEN isfinite(g.fit) AND NOT m.with_trigger THEN g.fit END AS fit,
        row_number() OVER (PARTITION BY a.weights
                           ORDER BY a.downloads DESC, a.created_at, a.repo_id, a.path) AS copy
    FROM adapters a
    JOIN audits u ON u.audit_id = a.audit_id
    LEFT JOIN recipes r ON r.recipe_id = u.recipe_id AND u.base_name IS NOT NULL
    LEFT JOIN better m ON m.audit_id = a.audit_id
    LEFT JOIN together g ON g.audit_id = a.audit_id
    WHERE a.outcome IN ('scored', 'scored_partial')
      AND coalesce(m.unwanted, 0) < 0.1
      AND (len(wanted) = 0
           OR ((m.with_trigger OR NOT coalesce(isfinite(g.fit), false))
               AND m.present > CASE WHEN len(least) > 0 THEN 0.1 ELSE 0 END)
           OR (NOT m.with_trigger AND isfinite(g.fit) AND g.fit > 0 AND m.faintest >= 0.1))
      AND (base IS NULL OR lower(base) IN (lower(coalesce(u.base_name, a.base_name)), lower(r.family)))
      AND (license IS NULL OR lower(license) = lower(a.license))
), best AS MATERIALIZED (
    SELECT * FROM hit WHERE copy = 1
    ORDER BY away NULLS LAST, fit DESC NULLS LAST, certain DESC NULLS LAST, widely DESC NULLS LAST,
             strength DESC NULLS LAST, repo_id, path
    LIMIT k
), answering AS (
    -- The word itself where it is there, else what answers most surely of those that cannot be told from it.
    SELECT s.*, t.role, t.place
    FROM (SELECT audit_id, concept, score, low, high, projection, false AS with_trigger FROM scores
          UNION ALL
          SELECT audit_id, concept, score, low, high, projection, true FROM trigger_scores) s
    JOIN audits u ON u.audit_id = s.audit_id
    JOIN sought t ON t.member = s.concept AND t.recipe_id = u.recipe_id
    WHERE s.audit_id IN (SELECT audit_id FROM best)
    QUALIFY row_number() OVER (PARTITION BY s.audit_id, s.with_trigger, t.role, t.place
                               ORDER BY s.concept = t.concept AND greatest(s.score, s.projection) >= 0.1 DESC, s.low DESC,
                                   greatest(s.score, s.projection) DESC, s.concept) = 1
), why AS (
    SELECT s.audit_id, s.with_trigger,
        list({'concept': s.concept, 'score': s.score, 'low': s.low, 'high': s.high, 'projection': s.projection}
             ORDER BY s.role DESC, s.place)
            FILTER (s.role <> 'without') AS matched
    FROM answering s
    GROUP BY s.audit_id, s.with_trigger
)
SELECT row_number() OVER (ORDER BY h.away NULLS LAST, h.fit DESC NULLS LAST, h.certain DESC NULLS LAST,
                             h.widely DESC NULLS LAST, h.strength DESC NULLS LAST, h.repo_id, h.path) AS place,
    h.repo_id, h.path, h.strength AS score, h.certain AS at_least, h.fit, w.matched, c.probes, c.base, c.license,
    c.trigger, c.outcome, c.flags, c.copies, c.commit_sha, h.audit_id, h.with_trigger
FROM best h JOIN lora_card c ON c.adapter_id = h.adapter_id 
LEFT JOIN why w ON w.audit_id = h.audit_id AND w.with_trigger = h.with_trigger
ORDER BY place;
COMMENT ON MACRO TABLE most_of IS 'Adapters that have all wanted concepts: of one the strongest first, of several those that do most nearly what the words together would (fit, a cosine); none that surely has one of without; with least, those that move furthest away from it. Equal weights appear once; what acts only with its trigger is found too (with_trigger), and, behind the others, what has a word that its recipe cannot tell from a wanted one (alike). most_of([''vibrant'', ''watercolor''], without := [''dark''], k := 5, base := ''sdxl'', license := ''mit'')';
