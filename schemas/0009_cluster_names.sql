-- Clusters go by the word that is used most, and say which other words they hold.

CREATE VIEW cluster_names AS
SELECT
    m.recipe_id,
    m.cluster,
    list_extract(list(m.concept ORDER BY m.adapters DESC, m.first DESC, m.concept), 1) AS name,
    list(m.concept ORDER BY m.adapters DESC, m.first DESC, m.concept) AS members,
    sum(m.adapters)::INTEGER AS adapters
FROM (
    SELECT c.recipe_id, c.cluster, c.concept, c.concept = c.cluster AS first, count(DISTINCT p.audit_id) AS adapters
    FROM concept_clusters c
    LEFT JOIN (SELECT a.recipe_id, f.audit_id, f.concept FROM phrases f JOIN audits a ON a.audit_id = f.audit_id) p
        ON p.recipe_id = c.recipe_id AND p.concept = c.concept
    GROUP BY c.recipe_id, c.cluster, c.concept) m
GROUP BY m.recipe_id, m.cluster
HAVING count(*) > 1
ORDER BY m.recipe_id, name;
COMMENT ON VIEW cluster_names IS 'Clusters of two and more concepts that a recipe cannot tell apart: which of the words stands in an explanation is chance';
COMMENT ON COLUMN cluster_names.recipe_id IS 'Recipe';
COMMENT ON COLUMN cluster_names.cluster IS 'As in concept_clusters';
COMMENT ON COLUMN cluster_names.name IS 'The member that the vision-language model named for most adapters; the first of the lexicon where none was named more';
COMMENT ON COLUMN cluster_names.members IS 'All members, most often named first';
COMMENT ON COLUMN cluster_names.adapters IS 'Times that a member was named for an adapter';

COMMENT ON COLUMN scores.low IS 'Lower end of the interval over probes: what another audit of the same adapter may give';
COMMENT ON COLUMN scores.high IS 'Upper end';
