-- Signed levels beside the scores, the matrix that makes them, and which concepts cannot be told apart.

-- A column cannot be added together with a check, so the table is made anew.
CREATE TABLE scores_with_levels (
    audit_id INTEGER NOT NULL,
    concept VARCHAR NOT NULL,
    score FLOAT NOT NULL CHECK (isfinite(score)),
    low FLOAT NOT NULL CHECK (isfinite(low)),
    high FLOAT NOT NULL CHECK (isfinite(high)),
    projection FLOAT NOT NULL CHECK (isfinite(projection)),
    alignment FLOAT CHECK (isfinite(alignment)),
    probes INTEGER NOT NULL,
    level FLOAT CHECK (isfinite(level)),
    level_low FLOAT CHECK (isfinite(level_low)),
    level_high FLOAT CHECK (isfinite(level_high)),
    level_doubt FLOAT CHECK (isfinite(level_doubt))
);
INSERT INTO scores_with_levels SELECT *, NULL, NULL, NULL, NULL FROM scores;
DROP TABLE scores;
ALTER TABLE scores_with_levels RENAME TO scores;
COMMENT ON TABLE scores IS 'Score of every concept for every scored audit; comparable between adapters of one recipe';
COMMENT ON COLUMN scores.audit_id IS 'Audit';
COMMENT ON COLUMN scores.concept IS 'Canonical name';
COMMENT ON COLUMN scores.score IS 'Joint weight; 1 means as far as its words reach in the text encoder';
COMMENT ON COLUMN scores.low IS 'Lower end of the bootstrap interval over probes';
COMMENT ON COLUMN scores.high IS 'Upper end of the interval';
COMMENT ON COLUMN scores.projection IS 'Weight of the concept alone; negative when the adapter moves away from it';
COMMENT ON COLUMN scores.alignment IS 'Cosine of text side and image side of the concept; null when only one was measured';
COMMENT ON COLUMN scores.probes IS 'Number of image pairs behind the score';
COMMENT ON COLUMN scores.level IS 'Signed amount, for ordering and comparing adapters of one recipe; 1 is the concept alone at the length of its words, below 0 its opposite. Null in results made before there were levels';
COMMENT ON COLUMN scores.level_low IS 'Lower end of the interval of level over probes: what another audit may give';
COMMENT ON COLUMN scores.level_high IS 'Upper end of the interval of level';
COMMENT ON COLUMN scores.level_doubt IS 'Standard error of level against the true amount that more probes do not take away';

-- A column cannot be added together with a check, so the table is made anew.
CREATE TABLE trigger_scores_with_levels (
    audit_id INTEGER NOT NULL,
    concept VARCHAR NOT NULL,
    score FLOAT NOT NULL CHECK (isfinite(score)),
    low FLOAT NOT NULL CHECK (isfinite(low)),
    high FLOAT NOT NULL CHECK (isfinite(high)),
    projection FLOAT NOT NULL CHECK (isfinite(projection)),
    level FLOAT CHECK (isfinite(level)),
    level_low FLOAT CHECK (isfinite(level_low)),
    level_high FLOAT CHECK (isfinite(level_high)),
    level_doubt FLOAT CHECK (isfinite(level_doubt))
);
INSERT INTO trigger_scores_with_levels SELECT *, NULL, NULL, NULL, NULL FROM trigger_scores;
DROP TABLE trigger_scores;
ALTER TABLE trigger_scores_with_levels RENAME TO trigger_scores;
COMMENT ON TABLE trigger_scores IS 'Scores with the trigger in every prompt, of adapter and base alike';
COMMENT ON COLUMN trigger_scores.audit_id IS 'Audit';
COMMENT ON COLUMN trigger_scores.concept IS 'Canonical name';
COMMENT ON COLUMN trigger_scores.score IS 'Joint weight, as in scores';
COMMENT ON COLUMN trigger_scores.low IS 'Lower end of its interval';
COMMENT ON COLUMN trigger_scores.high IS 'Upper end of its interval';
COMMENT ON COLUMN trigger_scores.projection IS 'Weight of the concept alone';
COMMENT ON COLUMN trigger_scores.level IS 'Signed amount, as in scores';
COMMENT ON COLUMN trigger_scores.level_low IS 'Lower end of its interval over probes';
COMMENT ON COLUMN trigger_scores.level_high IS 'Upper end of its interval';
COMMENT ON COLUMN trigger_scores.level_doubt IS 'Standard error that more probes do not take away';

CREATE TABLE level_vectors (
    recipe_id VARCHAR NOT NULL,
    concept VARCHAR NOT NULL,
    vector FLOAT[] NOT NULL CHECK (isfinite(list_inner_product(vector, vector))),
    PRIMARY KEY (recipe_id, concept)
);
COMMENT ON TABLE level_vectors IS 'What makes levels of V: list_inner_product(audits.divergence, vector) is the level of the concept';
COMMENT ON COLUMN level_vectors.recipe_id IS 'Recipe';
COMMENT ON COLUMN level_vectors.concept IS 'Canonical name';
COMMENT ON COLUMN level_vectors.vector IS 'Row of the matrix M, in the space of the encoder';

CREATE TABLE concept_clusters (
    recipe_id VARCHAR NOT NULL,
    concept VARCHAR NOT NULL,
    cluster VARCHAR NOT NULL,
    PRIMARY KEY (recipe_id, concept)
);
COMMENT ON TABLE concept_clusters IS 'Concepts that a recipe cannot tell apart: their directions agree as much as two measurements of one direction would';
COMMENT ON COLUMN concept_clusters.recipe_id IS 'Recipe';
COMMENT ON COLUMN concept_clusters.concept IS 'Canonical name';
COMMENT ON COLUMN concept_clusters.cluster IS 'First concept of the lexicon that it cannot be told apart from; its own name when it stands alone';
