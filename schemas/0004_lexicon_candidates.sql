-- How the lexicon grows: what the vision-language model named and no concept is called.

CREATE VIEW lexicon_candidates AS
SELECT
    arg_max(s.phrase, (s.uses, s.phrase)) AS phrase,
    sum(s.uses)::INTEGER AS adapters,
    len(list_distinct(flatten(list(s.owners))))::INTEGER AS owners,
    sum(s.support) / sum(s.uses) AS mean_support,
    max(s.weight) AS largest_weight,
    list_slice(list_sort(list(s.phrase)), 1, 5) AS spellings,
    arg_max(s.example, (s.best_support, s.example)) AS example
FROM (
    SELECT p.phrase, count(*) AS uses, sum(p.support) AS support, max(p.support) AS best_support,
        list(DISTINCT split_part(u.first_repo_id, '/', 1)) AS owners,
        max(e.weight) AS weight, arg_max(u.first_repo_id, (p.support, u.first_repo_id)) AS example
    FROM phrases p
    JOIN audits u ON u.audit_id = p.audit_id
    LEFT JOIN explanations e ON e.audit_id = p.audit_id AND e.concept = p.phrase AND e.variant = 'robust'
    WHERE p.concept IS NULL
    GROUP BY p.phrase) s
GROUP BY concept_key(s.phrase)
ORDER BY adapters DESC, mean_support DESC, phrase;
COMMENT ON VIEW lexicon_candidates IS 'Phrases that the model named and that are no concept yet, most frequent first; spelling variants together. They are candidates for the next version of the lexicon';
COMMENT ON COLUMN lexicon_candidates.phrase IS 'Its most frequent spelling';
COMMENT ON COLUMN lexicon_candidates.adapters IS 'Audited files for which it was named';
COMMENT ON COLUMN lexicon_candidates.owners IS 'Distinct owners among them: one uploader''s series counts once here';
COMMENT ON COLUMN lexicon_candidates.mean_support IS 'Share of replies that named it, on average over these files';
COMMENT ON COLUMN lexicon_candidates.largest_weight IS 'Largest weight that it has in a private explanation; null when it was never kept in one';
COMMENT ON COLUMN lexicon_candidates.spellings IS 'Up to five of its spellings';
COMMENT ON COLUMN lexicon_candidates.example IS 'Repo of the file for which most replies named it';
