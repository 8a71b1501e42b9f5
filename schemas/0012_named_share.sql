-- A lexicon with more concepts than the encoder has dimensions explains nearly anything; one concept alone does not.

ALTER TABLE audits ADD COLUMN named_share DOUBLE;
COMMENT ON COLUMN audits.named_share IS 'Share of |V|^2, scatter of few probes set aside, that the first concept in the order of naming explains alone; low where an adapter does several things, or something that no concept names';
