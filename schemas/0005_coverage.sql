-- What share of the listed files is audited, and why the rest is not: by family, format and claimed base.

CREATE TABLE audit_evidence (
    audit_id INTEGER PRIMARY KEY,
    format VARCHAR,
    family VARCHAR,
    claimed_base VARCHAR,
    base_distance INTEGER,
    contradictions VARCHAR[] NOT NULL
);
COMMENT ON TABLE audit_evidence IS 'What each audit found out about its file before measuring it, whether or not it was measured';
COMMENT ON COLUMN audit_evidence.audit_id IS 'Audit';
COMMENT ON COLUMN audit_evidence.format IS 'What the file is, such as lora, lokr or textual_inversion; null when it was not opened';
COMMENT ON COLUMN audit_evidence.family IS 'Family of bases that it was taken for, by shapes, file and card; null when it stayed open';
COMMENT ON COLUMN audit_evidence.claimed_base IS 'Base that the card, or else the file, names; a claim';
COMMENT ON COLUMN audit_evidence.base_distance IS 'Steps of training between the base it was audited on and the one that is named; 0 for that base itself, null when no lineage leads there or it was not audited';
COMMENT ON COLUMN audit_evidence.contradictions IS 'What names another family than the one it was taken for, in words';

CREATE VIEW coverage AS
SELECT
    g.family, g.format, g.base, g.outcome, g.reason,
    g.outcome IN ('scored', 'scored_partial', 'no_effect') AS audited,
    sum(g.units)::BIGINT AS units,
    count(*)::BIGINT AS repos,
    sum(g.downloads)::BIGINT AS downloads
FROM (
    SELECT
        e.family, e.format, coalesce(e.claimed_base, a.base_claim, a.base_models[1]) AS base, a.outcome, a.reason,
        a.repo_id, count(*) AS units, max(a.downloads) AS downloads
    FROM adapters a
    LEFT JOIN audit_evidence e ON e.audit_id = a.audit_id
    GROUP BY ALL) g
GROUP BY ALL
ORDER BY units DESC, g.family, g.format, g.base, g.outcome, g.reason;
COMMENT ON VIEW coverage IS 'Listed units by family, format and claimed base, with how they ended; the counts add up to all of them';
COMMENT ON COLUMN coverage.family IS 'Family of bases that the file was taken for; null when it was not opened or stayed open';
COMMENT ON COLUMN coverage.format IS 'What the file is; null when it was not opened';
COMMENT ON COLUMN coverage.base IS 'Base that card or file names; null when neither does';
COMMENT ON COLUMN coverage.outcome IS 'How its audit ended, or pending';
COMMENT ON COLUMN coverage.reason IS 'Machine-readable reason';
COMMENT ON COLUMN coverage.audited IS 'Whether it was measured: scored, scored_partial or no_effect';
COMMENT ON COLUMN coverage.units IS 'Number of listed units';
COMMENT ON COLUMN coverage.repos IS 'Number of repos among them';
COMMENT ON COLUMN coverage.downloads IS 'Downloads of these repos; a repo with several files counts in each of its rows';
