-- Views in plain names. They are what people read; the tables are what they are made of.

CREATE VIEW lora_card AS
SELECT
    a.adapter_id, a.repo_id, a.path, a.commit_sha, a.outcome, a.reason, a.message,
    array_to_string(list_transform(list_slice(u.top_concepts, 1, 5),
        lambda t: t.concept || ' ' || format('{:.2f}', t.score)), ', ') AS concepts,
    coalesce(u.base_name, a.base_name) AS base,
    r.family, a.base_claim, a.license, a.trigger,
    list_filter([
        CASE WHEN a.outcome = 'scored_partial' THEN 'partial' END,
        CASE WHEN u.status = 'unexplained' THEN 'unexplained' END,
        CASE WHEN u.proposals = 'pending' THEN 'proposals_pending' END,
        CASE WHEN u.base_assumed THEN 'base_assumed' END,
        CASE WHEN u.card_mismatch THEN 'card_mismatch' END,
        CASE WHEN u.dose_rises = false THEN 'dose_not_rising' END,
        CASE WHEN a.copies > 1 THEN 'copied' END,
        CASE WHEN a.gated IS NOT NULL THEN 'gated' END,
        CASE WHEN a.nsfw THEN 'nsfw' END
    ], lambda flag: flag IS NOT NULL) AS flags,
    u.probes, u.effect_norm, u.p_value, u.explained_share, u.status, u.top_concepts,
    a.downloads, a.likes, a.tags, a.nsfw, a.gated, a.copies, a.created_at, a.last_modified,
    a.file_sha256, a.size_bytes, f.rank_max, f.convention, u.recipe_id, u.audit_id
FROM adapters a
LEFT JOIN audits u ON u.audit_id = a.audit_id
LEFT JOIN recipes r ON r.recipe_id = u.recipe_id AND u.base_name IS NOT NULL
LEFT JOIN files f ON f.file_sha256 = a.file_sha256;
COMMENT ON VIEW lora_card IS 'One row per listed adapter: what it does, on which base, under which licence, and what to beware of';
COMMENT ON COLUMN lora_card.adapter_id IS 'Row of adapters';
COMMENT ON COLUMN lora_card.repo_id IS 'owner/name on the Hub';
COMMENT ON COLUMN lora_card.path IS 'File in the repo; null for a repo as a whole';
COMMENT ON COLUMN lora_card.commit_sha IS 'Commit';
COMMENT ON COLUMN lora_card.outcome IS 'How its audit ended; pending when it is still to be done';
COMMENT ON COLUMN lora_card.reason IS 'Machine-readable reason';
COMMENT ON COLUMN lora_card.message IS 'One sentence for people';
COMMENT ON COLUMN lora_card.concepts IS 'Strongest concepts with their scores';
COMMENT ON COLUMN lora_card.base IS 'Base model it was audited on, else the one that the card points to';
COMMENT ON COLUMN lora_card.family IS 'Architecture family of that base; null when not audited';
COMMENT ON COLUMN lora_card.base_claim IS 'What the card says about its base';
COMMENT ON COLUMN lora_card.license IS 'Licence by the card or the Hub';
COMMENT ON COLUMN lora_card.trigger IS 'Declared trigger text';
COMMENT ON COLUMN lora_card.flags IS 'What to beware of: partial, unexplained, proposals_pending (explanation still to come), base_assumed, card_mismatch, dose_not_rising, copied, gated, nsfw';
COMMENT ON COLUMN lora_card.probes IS 'Number of image pairs behind the scores';
COMMENT ON COLUMN lora_card.effect_norm IS 'Length of the mean difference V';
COMMENT ON COLUMN lora_card.p_value IS 'Sign-flip p-value of the effect';
COMMENT ON COLUMN lora_card.explained_share IS 'Share of the change that the concepts explain, in [0, 1]';
COMMENT ON COLUMN lora_card.status IS 'explained, unexplained or no_effect';
COMMENT ON COLUMN lora_card.top_concepts IS 'Strongest concepts with score and interval';
COMMENT ON COLUMN lora_card.downloads IS 'Downloads of the repo';
COMMENT ON COLUMN lora_card.likes IS 'Likes of the repo';
COMMENT ON COLUMN lora_card.tags IS 'Tags on the Hub';
COMMENT ON COLUMN lora_card.nsfw IS 'Tagged as not for all audiences';
COMMENT ON COLUMN lora_card.gated IS 'auto or manual when terms must be accepted';
COMMENT ON COLUMN lora_card.copies IS 'Listed units with the same weights, in whatever spelling, this one included';
COMMENT ON COLUMN lora_card.created_at IS 'Creation of the repo, UTC';
COMMENT ON COLUMN lora_card.last_modified IS 'Last change of the repo, UTC';
COMMENT ON COLUMN lora_card.file_sha256 IS 'Hash of the bytes';
COMMENT ON COLUMN lora_card.size_bytes IS 'Size of the file';
COMMENT ON COLUMN lora_card.rank_max IS 'Largest rank of its low-rank pairs';
COMMENT ON COLUMN lora_card.convention IS 'Naming scheme of its tensors';
COMMENT ON COLUMN lora_card.recipe_id IS 'Recipe of the audit';
COMMENT ON COLUMN lora_card.audit_id IS 'Row of audits';

CREATE VIEW failures AS
SELECT a.repo_id, a.path, a.commit_sha, a.outcome, a.reason, a.message, a.base_claim, a.audit_id
FROM adapters a
WHERE a.outcome IN ('skipped', 'quarantined', 'gone', 'failed');
COMMENT ON VIEW failures IS 'Listed units that ended without a measurement, and why';
COMMENT ON COLUMN failures.repo_id IS 'owner/name on the Hub';
COMMENT ON COLUMN failures.path IS 'File in the repo; null for the repo as a whole';
COMMENT ON COLUMN failures.commit_sha IS 'Commit';
COMMENT ON COLUMN failures.outcome IS 'skipped, quarantined, gone or failed';
COMMENT ON COLUMN failures.reason IS 'Machine-readable reason';
COMMENT ON COLUMN failures.message IS 'One sentence for people';
COMMENT ON COLUMN failures.base_claim IS 'What the card says about its base';
COMMENT ON COLUMN failures.audit_id IS 'Audit that found it out; null when the listing did';

CREATE VIEW outcome_counts AS
SELECT a.outcome, a.reason, count(*) AS units, count(DISTINCT a.repo_id) AS repos
FROM adapters a
GROUP BY a.outcome, a.reason
ORDER BY units DESC, a.outcome, a.reason;
COMMENT ON VIEW outcome_counts IS 'How the listed units ended; the counts add up to all of them';
COMMENT ON COLUMN outcome_counts.outcome IS 'Outcome, or pending';
COMMENT ON COLUMN outcome_counts.reason IS 'Machine-readable reason';
COMMENT ON COLUMN outcome_counts.units IS 'Number of listed units';
COMMENT ON COLUMN outcome_counts.repos IS 'Number of repos among them';
