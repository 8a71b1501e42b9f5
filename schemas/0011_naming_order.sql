-- Which concept names an adapter first is not the one with the largest score: see docs/method.md.

ALTER TABLE scores ADD COLUMN place UTINYINT;
COMMENT ON COLUMN scores.place IS 'Place in the order of naming: 1 for the concept that V is nearest to, then nearest to what is left, up to 8; null for all others, and in results made before there was an order';

ALTER TABLE trigger_scores ADD COLUMN place UTINYINT;
COMMENT ON COLUMN trigger_scores.place IS 'Place in the order of naming, as in scores';

COMMENT ON COLUMN audits.top_concepts IS 'The concept that names it, and concepts whose interval is above 0, up to eight, in the order of naming';
