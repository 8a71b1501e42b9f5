-- What people read, one row per distinct weights, and `most` for up to six concepts, with triggers.

CREATE VIEW distinct_adapters AS
SELECT c.repo_id, c.path, c.base, c.family, c.license, c.trigger, c.outcome,
    list_transform(c.top_concepts, lambda t: t.concept) AS top_concepts, c.concepts AS top_scores,
    c.flags, c.probes, c.effect_norm, c.explained_share, c.downloads, c.likes, c.created_at, c.copies, c.file_sha256,
    c.size_bytes, c.nsfw, c.audit_id
FROM lora_card c JOIN adapters a ON a.adapter_id = c.adapter_id
WHERE c.outcome IN ('scored', 'scored_partial')
QUALIFY row_number() OVER (PARTITION BY a.weights ORDER BY c.downloads DESC, c.created_at, c.repo_id, c.path) = 1;
COMMENT ON VIEW distinct_adapters IS 'Scored adapters, one row per distinct weights: copies and re-uploads are not counted again';
COMMENT ON COLUMN distinct_adapters.repo_id IS 'owner/name on the Hub, of the most downloaded copy';
COMMENT ON COLUMN distinct_adapters.path IS 'File in the repo';
COMMENT ON COLUMN distinct_adapters.base IS 'Base model it was audited on';
COMMENT ON COLUMN distinct_adapters.family IS 'Architecture family of that base';
COMMENT ON COLUMN distinct_adapters.license IS 'Licence by the card or the Hub';
COMMENT ON COLUMN distinct_adapters.trigger IS 'Declared trigger text';
COMMENT ON COLUMN distinct_adapters.outcome IS 'scored or scored_partial';
COMMENT ON COLUMN distinct_adapters.top_concepts IS 'Names of the strongest concepts: list_contains(top_concepts, ''vibrant'')';
COMMENT ON COLUMN distinct_adapters.top_scores IS 'The five strongest with their scores, for reading';
COMMENT ON COLUMN distinct_adapters.flags IS 'What to beware of, as in lora_card';
COMMENT ON COLUMN distinct_adapters.probes IS 'Number of image pairs behind the scores';
COMMENT ON COLUMN distinct_adapters.effect_norm IS 'Length of the mean difference V';
COMMENT ON COLUMN distinct_adapters.explained_share IS 'Share of the change that the concepts explain';
COMMENT ON COLUMN distinct_adapters.downloads IS 'Downloads of the repo';
COMMENT ON COLUMN distinct_adapters.likes IS 'Likes of the repo';
COMMENT ON COLUMN distinct_adapters.created_at IS 'Creation of the repo, UTC';
COMMENT ON COLUMN distinct_adapters.copies IS 'Listed units with the same weights, this one included';
COMMENT ON COLUMN distinct_adapters.file_sha256 IS 'Hash of the bytes';
COMMENT ON COLUMN distinct_adapters.size_bytes IS 'Size of the file';
COMMENT ON COLUMN distinct_adapters.nsfw IS 'Tagged as not for all audiences';
COMMENT ON COLUMN distinct_adapters.audit_id IS 'Row of audits';

CREATE VIEW named_scores AS
SELECT d.repo_id, d.path, d.base, d.license, s.arm, CASE WHEN s.arm = 'trigger' THEN e.trigger END AS trigger, s.concept,
    s.score, s.low, s.high, s.projection, d.downloads, d.file_sha256, d.audit_id
FROM distinct_adapters d
JOIN (SELECT audit_id, 'weights' AS arm, concept, score, low, high, projection FROM scores
      UNION ALL
      SELECT audit_id, 'trigger', concept, score, low, high, projection FROM trigger_scores) s ON s.audit_id = d.audit_id
LEFT JOIN trigger_effects e ON e.audit_id = d.audit_id;
COMMENT ON VIEW named_scores IS 'Every score with the name of its adapter, one row per distinct weights, arm and concept';
COMMENT ON COLUMN named_scores.repo_id IS 'owner/name on the Hub';
COMMENT ON COLUMN named_scores.path IS 'File in the repo';
COMMENT ON COLUMN named_scores.base IS 'Base model it was audited on';
COMMENT ON COLUMN named_scores.license IS 'Licence';
COMMENT ON COLUMN named_scores.arm IS 'weights: pictures without the trigger; trigger: with it in every prompt';
COMMENT ON COLUMN named_scores.trigger IS 'The trigger of that arm; null for weights';
COMMENT ON COLUMN named_scores.concept IS 'Canonical name of the concept';
COMMENT ON COLUMN named_scores.score IS 'Joint score; 1 is as far as the words reach in the text encoder';
COMMENT ON COLUMN named_scores.low IS 'Lower end of its interval';
COMMENT ON COLUMN named_scores.high IS 'Upper end of its interval';
COMMENT ON COLUMN named_scores.projection IS 'Weight of the concept alone; negative is away from it';
COMMENT ON COLUMN named_scores.downloads IS 'Downloads of the repo';
COMMENT ON COLUMN named_scores.file_sha256 IS 'Hash of the bytes';
COMMENT ON COLUMN named_scores.audit_id IS 'Row of audits';

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
), strength AS (
    SELECT s.audit_id, s.with_trigger,
        power(product(greatest(s.low, 0)) FILTER (t.role = 'wanted'),
              1.0 / greatest(count(*) FILTER (t.role = 'wanted'), 1)) AS certain,
        power(product(greatest(s.score, 0)) FILTER (t.role = 'wanted'),
              1.0 / greatest(count(*) FILTER (t.role = 'wanted'), 1)) AS strength,
        min(greatest(s.score, s.projection)) FILTER (t.role = 'wanted') AS faintest,
        avg(s.projection) FILTER (t.role = 'least') AS away,
        -- "without": not even the lower end may reach a tenth of asking for it in words.
        coalesce(max(s.low) FILTER (t.role = 'without'), 0) AS unwanted
    FROM (SELECT audit_id, concept, score, low, projection, false AS with_trigger FROM scores
          UNION ALL
          SELECT audit_id, concept, score, low, projection, true FROM trigger_scores) s
    JOIN term t ON t.concept = s.concept
    GROUP BY s.audit_id, s.with_trigger
), better AS (
    -- Of the weights alone and the weights with the trigger, the arm that has more of what is wanted.
    SELECT * FROM strength
    QUALIFY row_number() OVER (PARTITION BY audit_id ORDER BY certain DESC NULLS LAST, away NULLS LAST, with_trigger) = 1
), hit AS (
    -- Narrow on purpose: what the answer shows is looked up for the k best only.
    SELECT a.adapter_id, a.audit_id, a.repo_id, a.path, m.certain, m.strength, m.away,
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
               AND m.strength > CASE WHEN len(least) > 0 THEN 0.1 ELSE 0 END)
           OR (NOT m.with_trigger AND isfinite(g.fit) AND g.fit > 0 AND m.faintest >= 0.1))
      AND (base IS NULL OR lower(base) IN (lower(coalesce(u.base_name, a.base_name)), lower(r.family)))
      AND (license IS NULL OR lower(license) = lower(a.license))
), best AS MATERIALIZED (
    SELECT * FROM hit WHERE copy = 1
    ORDER BY away NULLS LAST, fit DESC NULLS LAST, certain DESC NULLS LAST, strength DESC NULLS LAST, repo_id, path
    LIMIT k
), why AS (
    SELECT s.audit_id, s.with_trigger,
        list({'concept': s.concept, 'score': s.score, 'low': s.low, 'high': s.high, 'projection': s.projection}
             ORDER BY t.role DESC, t.place)
            FILTER (t.role <> 'without') AS matched
    FROM (SELECT audit_id, concept, score, low, high, projection, false AS with_trigger FROM scores
          UNION ALL
          SELECT audit_id, concept, score, low, high, projection, true FROM trigger_scores) s
    JOIN term t ON t.concept = s.concept
    WHERE s.audit_id IN (SELECT audit_id FROM best)
    GROUP BY s.audit_id, s.with_trigger
)
SELECT row_number() OVER (ORDER BY h.away NULLS LAST, h.fit DESC NULLS LAST, h.certain DESC NULLS LAST, h.strength DESC NULLS LAST, h.repo_id, h.path) AS place,
    h.repo_id, h.path, h.strength AS score, h.certain AS at_least, h.fit, w.matched, c.probes, c.base, c.license,
    c.trigger, c.outcome, c.flags, c.copies, c.commit_sha, h.audit_id, h.with_trigger
FROM best h JOIN lora_card c ON c.adapter_id = h.adapter_id 
LEFT JOIN why w ON w.audit_id = h.audit_id AND w.with_trigger = h.with_trigger
ORDER BY place;
COMMENT ON MACRO TABLE most_of IS 'Adapters that have all wanted concepts: of one the strongest first, of several those that do most nearly what the words together would (fit, a cosine); none that surely has one of without; with least, those that move furthest away from it. Equal weights appear once; what acts only with its trigger is found too (with_trigger). most_of([''vibrant'', ''watercolor''], without := [''dark''], k := 5, base := ''sdxl'', license := ''mit'')';

CREATE OR REPLACE MACRO most(a, b := NULL, c := NULL, d := NULL, e := NULL, f := NULL, k := 20, base := NULL,
                             license := NULL) AS TABLE
FROM most_of(list_filter([a, b, c, d, e, f]::VARCHAR[], lambda phrase: phrase IS NOT NULL),
             k := k, base := base, license := license);
COMMENT ON MACRO TABLE most IS 'The adapters that are most of up to six concepts: FROM most(''vibrant'', ''watercolor''). Any spelling or synonym of a concept will do. One concept is ranked by the lower end of its score, several by fit: the cosine of what the adapter does with what all words together would do';
