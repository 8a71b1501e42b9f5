-- Tables of the catalog. Every table and column is commented: DESCRIBE and duckdb_columns() are the manual.
-- No foreign keys: the file is built in one go by `auditor merge`, which checks the references itself.
-- list_inner_product(v, v) is finite exactly when every element of v is: CHECK allows no lambda.

CREATE TABLE schema_migrations (
    number INTEGER PRIMARY KEY,
    name VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    applied_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE schema_migrations IS 'Which numbered SQL files made this schema';
COMMENT ON COLUMN schema_migrations.number IS 'Number at the start of the file name';
COMMENT ON COLUMN schema_migrations.name IS 'File name';
COMMENT ON COLUMN schema_migrations.sha256 IS 'Hash of the file as applied';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When, UTC';

CREATE TABLE runs (
    run_id VARCHAR PRIMARY KEY,
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP NOT NULL,
    package_version VARCHAR NOT NULL,
    lexicon VARCHAR NOT NULL,
    lexicon_hash VARCHAR NOT NULL,
    listed INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    scored INTEGER NOT NULL,
    scored_partial INTEGER NOT NULL,
    no_effect INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    gone INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    audits INTEGER NOT NULL,
    read_results INTEGER NOT NULL,
    carried_results INTEGER NOT NULL,
    rejected_results INTEGER NOT NULL,
    row_format VARCHAR NOT NULL,
    CHECK (listed = pending + scored + scored_partial + no_effect + skipped + quarantined + gone + failed)
);
COMMENT ON TABLE runs IS 'One row per merge, newest last; carried over from the catalog that a merge replaces';
COMMENT ON COLUMN runs.run_id IS 'Start time and a random part';
COMMENT ON COLUMN runs.started_at IS 'Start of the merge, UTC';
COMMENT ON COLUMN runs.finished_at IS 'End of the merge, UTC';
COMMENT ON COLUMN runs.package_version IS 'Version of the auditor package that merged';
COMMENT ON COLUMN runs.lexicon IS 'Name and version of the lexicon';
COMMENT ON COLUMN runs.lexicon_hash IS 'Hash of the lexicon';
COMMENT ON COLUMN runs.listed IS 'Units listed: adapter files, and repos without any';
COMMENT ON COLUMN runs.pending IS 'Units not audited yet';
COMMENT ON COLUMN runs.scored IS 'Units scored';
COMMENT ON COLUMN runs.scored_partial IS 'Units scored with a reservation';
COMMENT ON COLUMN runs.no_effect IS 'Units whose adapter changes nothing measurable';
COMMENT ON COLUMN runs.skipped IS 'Units not ours to score';
COMMENT ON COLUMN runs.quarantined IS 'Units unsafe or malformed';
COMMENT ON COLUMN runs.gone IS 'Units that were no longer there';
COMMENT ON COLUMN runs.failed IS 'Units whose audit failed';
COMMENT ON COLUMN runs.audits IS 'Result files merged; less than the units, since equal bytes are audited once';
COMMENT ON COLUMN runs.read_results IS 'Result files read by this merge';
COMMENT ON COLUMN runs.carried_results IS 'Unchanged result files whose rows were taken over from the catalog before';
COMMENT ON COLUMN runs.rejected_results IS 'Result files moved to quarantine by this merge';
COMMENT ON COLUMN runs.row_format IS 'Hash of what decides how a result becomes rows; another one makes the next merge read all results again';

CREATE TABLE recipes (
    recipe_id VARCHAR PRIMARY KEY,
    algorithm_version INTEGER NOT NULL,
    base_name VARCHAR NOT NULL,
    base_repo VARCHAR NOT NULL,
    base_fingerprint VARCHAR NOT NULL,
    family VARCHAR NOT NULL,
    probe_set VARCHAR NOT NULL,
    probe_count INTEGER NOT NULL,
    lora_scale DOUBLE NOT NULL CHECK (isfinite(lora_scale)),
    seed BIGINT NOT NULL,
    encoder VARCHAR NOT NULL,
    concept_template VARCHAR NOT NULL,
    lexicon VARCHAR NOT NULL,
    proposer VARCHAR,
    generation VARCHAR NOT NULL,
    solver VARCHAR NOT NULL,
    recipe VARCHAR NOT NULL,
    neutral_words VARCHAR[] NOT NULL
);
COMMENT ON TABLE recipes IS 'Everything that can change a score; scores compare only within one recipe';
COMMENT ON COLUMN recipes.recipe_id IS 'Hash of the recipe';
COMMENT ON COLUMN recipes.algorithm_version IS 'Version of the algorithm';
COMMENT ON COLUMN recipes.base_name IS 'Short name of the base model';
COMMENT ON COLUMN recipes.base_repo IS 'Repository of the base model';
COMMENT ON COLUMN recipes.base_fingerprint IS 'Hash of the weights of the base model';
COMMENT ON COLUMN recipes.family IS 'Architecture family';
COMMENT ON COLUMN recipes.probe_set IS 'Probe set; its prompts are in table probes';
COMMENT ON COLUMN recipes.probe_count IS 'Most probes used per adapter';
COMMENT ON COLUMN recipes.lora_scale IS 'Strength at which adapters are scored';
COMMENT ON COLUMN recipes.seed IS 'Seed of the noise of the probes';
COMMENT ON COLUMN recipes.encoder IS 'Identity of the image and text encoder; vectors compare only within one encoder';
COMMENT ON COLUMN recipes.concept_template IS 'How a concept joins a prompt';
COMMENT ON COLUMN recipes.lexicon IS 'Name and version of the lexicon';
COMMENT ON COLUMN recipes.proposer IS 'Identity of the concept proposer; null when none was used';
COMMENT ON COLUMN recipes.generation IS 'Pipeline, sampler, steps, guidance, size and dtype, as JSON';
COMMENT ON COLUMN recipes.solver IS 'Variant, basis and thresholds, as JSON';
COMMENT ON COLUMN recipes.recipe IS 'The whole recipe as canonical JSON';
COMMENT ON COLUMN recipes.neutral_words IS 'Words that say nothing; they span what any appended text adds';

CREATE TABLE probes (
    probe_set VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    prompt VARCHAR NOT NULL,
    PRIMARY KEY (probe_set, position)
);
COMMENT ON TABLE probes IS 'Prompts that every adapter was asked, in their fixed order';
COMMENT ON COLUMN probes.probe_set IS 'Name and version of the probe set';
COMMENT ON COLUMN probes.position IS 'Place in the order, from 0';
COMMENT ON COLUMN probes.prompt IS 'The prompt';

CREATE TABLE concepts (
    concept VARCHAR PRIMARY KEY,
    facet VARCHAR NOT NULL,
    position INTEGER NOT NULL
);
COMMENT ON TABLE concepts IS 'The lexicon: concepts that every adapter is scored on';
COMMENT ON COLUMN concepts.concept IS 'Canonical name';
COMMENT ON COLUMN concepts.facet IS 'Kind of concept, such as palette or medium';
COMMENT ON COLUMN concepts.position IS 'Place in the lexicon, from 0';

CREATE TABLE concept_aliases (
    alias VARCHAR PRIMARY KEY,
    key VARCHAR NOT NULL,
    concept VARCHAR NOT NULL
);
COMMENT ON TABLE concept_aliases IS 'Names under which concepts are found, canonical names included';
COMMENT ON COLUMN concept_aliases.alias IS 'Name as written in the lexicon';
COMMENT ON COLUMN concept_aliases.key IS 'concept_key(alias): what spelling variants share';
COMMENT ON COLUMN concept_aliases.concept IS 'Canonical name it stands for';

CREATE TABLE concept_vectors (
    recipe_id VARCHAR NOT NULL,
    concept VARCHAR NOT NULL,
    vector FLOAT[] NOT NULL CHECK (isfinite(list_inner_product(vector, vector))),
    PRIMARY KEY (recipe_id, concept)
);
COMMENT ON TABLE concept_vectors IS 'Direction f(C) of each concept as the scores used it';
COMMENT ON COLUMN concept_vectors.recipe_id IS 'Recipe';
COMMENT ON COLUMN concept_vectors.concept IS 'Canonical name';
COMMENT ON COLUMN concept_vectors.vector IS 'f(C), in the space of the encoder';

CREATE TABLE common_directions (
    recipe_id VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    direction FLOAT[] NOT NULL CHECK (isfinite(list_inner_product(direction, direction))),
    PRIMARY KEY (recipe_id, position)
);
COMMENT ON TABLE common_directions IS 'Orthonormal directions that any appended text adds; removed from every f(C)';
COMMENT ON COLUMN common_directions.recipe_id IS 'Recipe';
COMMENT ON COLUMN common_directions.position IS 'From 0';
COMMENT ON COLUMN common_directions.direction IS 'Unit vector, in the space of the encoder';

CREATE TABLE files (
    file_sha256 VARCHAR PRIMARY KEY,
    size_bytes BIGINT,
    convention VARCHAR,
    family VARCHAR,
    dtypes VARCHAR[],
    pairs INTEGER,
    rank_min INTEGER,
    rank_max INTEGER,
    scale_min DOUBLE CHECK (isfinite(scale_min)),
    scale_max DOUBLE CHECK (isfinite(scale_max)),
    delta_norm DOUBLE CHECK (isfinite(delta_norm)),
    tensors_digest VARCHAR,
    content_digest VARCHAR,
    claimed_base VARCHAR,
    copies INTEGER NOT NULL
);
COMMENT ON TABLE files IS 'Distinct adapter files by content; the same bytes in fifty repos are one row';
COMMENT ON COLUMN files.file_sha256 IS 'Hash of the bytes';
COMMENT ON COLUMN files.size_bytes IS 'Size; null when unknown';
COMMENT ON COLUMN files.convention IS 'Naming scheme of its tensors; null when it was not read';
COMMENT ON COLUMN files.family IS 'Base family that names and shapes point to; null when open';
COMMENT ON COLUMN files.dtypes IS 'Storage types of the low-rank factors';
COMMENT ON COLUMN files.pairs IS 'Low-rank pairs in the file';
COMMENT ON COLUMN files.rank_min IS 'Smallest rank';
COMMENT ON COLUMN files.rank_max IS 'Largest rank';
COMMENT ON COLUMN files.scale_min IS 'Smallest alpha / rank';
COMMENT ON COLUMN files.scale_max IS 'Largest alpha / rank';
COMMENT ON COLUMN files.delta_norm IS 'Frobenius norm of all weight changes together';
COMMENT ON COLUMN files.tensors_digest IS 'Hash of the tensors without metadata: equal for re-saved files';
COMMENT ON COLUMN files.content_digest IS 'Hash of the normalised tensors: equal for twins in two naming schemes';
COMMENT ON COLUMN files.claimed_base IS 'What the metadata of the file says about its base; a claim';
COMMENT ON COLUMN files.copies IS 'Listed units with these bytes';

CREATE TABLE audits (
    audit_id INTEGER PRIMARY KEY,
    file_sha256 VARCHAR NOT NULL,
    recipe_id VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL CHECK (outcome IN
        ('scored', 'scored_partial', 'no_effect', 'skipped', 'quarantined', 'gone', 'failed')),
    reason VARCHAR,
    message VARCHAR NOT NULL,
    base_name VARCHAR,
    base_assumed BOOLEAN NOT NULL,
    card_mismatch BOOLEAN NOT NULL,
    probes INTEGER,
    effect_norm DOUBLE CHECK (isfinite(effect_norm)),
    noise_floor DOUBLE CHECK (isfinite(noise_floor)),
    p_value DOUBLE CHECK (isfinite(p_value)),
    cosine_error DOUBLE CHECK (isfinite(cosine_error)),
    explained_share DOUBLE CHECK (isfinite(explained_share)),
    status VARCHAR CHECK (status IN ('explained', 'unexplained', 'no_effect')),
    dose_rises BOOLEAN,
    proposals VARCHAR NOT NULL CHECK (proposals IN ('not_asked', 'pending', 'answered', 'unusable')),
    top_concepts STRUCT(concept VARCHAR, score FLOAT, low FLOAT, high FLOAT)[] NOT NULL,
    divergence FLOAT[] CHECK (isfinite(list_inner_product(divergence, divergence))),
    layers_injected INTEGER,
    pairs_unmatched INTEGER,
    latent_shift DOUBLE CHECK (isfinite(latent_shift)),
    timings_s MAP(VARCHAR, DOUBLE),
    versions MAP(VARCHAR, VARCHAR),
    finished_at TIMESTAMP,
    result_file VARCHAR NOT NULL,
    first_repo_id VARCHAR NOT NULL,
    first_commit_sha VARCHAR NOT NULL,
    first_path VARCHAR NOT NULL,
    UNIQUE (file_sha256, recipe_id)
);
COMMENT ON TABLE audits IS 'One row per result: one file audited with one recipe';
COMMENT ON COLUMN audits.audit_id IS 'Place among all audits, by file hash and recipe; may change with every merge';
COMMENT ON COLUMN audits.file_sha256 IS 'Hash of the audited bytes; of repo, path and commit when nothing could be fetched';
COMMENT ON COLUMN audits.recipe_id IS 'Recipe used; any for outcomes that no recipe can change';
COMMENT ON COLUMN audits.outcome IS 'How it ended';
COMMENT ON COLUMN audits.reason IS 'Machine-readable reason; null for plain scored';
COMMENT ON COLUMN audits.message IS 'One sentence for people';
COMMENT ON COLUMN audits.base_name IS 'Base model it was applied to; null when none was';
COMMENT ON COLUMN audits.base_assumed IS 'The card names no base of ours: the one that fits the shapes was used';
COMMENT ON COLUMN audits.card_mismatch IS 'The card names another base than the shapes allow';
COMMENT ON COLUMN audits.probes IS 'Number of image pairs behind the scores';
COMMENT ON COLUMN audits.effect_norm IS 'Length of the mean difference V, in units of unit-length image features';
COMMENT ON COLUMN audits.noise_floor IS 'Length that V had to exceed';
COMMENT ON COLUMN audits.p_value IS 'Sign-flip p-value of the effect';
COMMENT ON COLUMN audits.cosine_error IS 'Expected cosine error of V, in [0, 1]';
COMMENT ON COLUMN audits.explained_share IS 'Share of the squared length of V that the concepts explain, in [0, 1]';
COMMENT ON COLUMN audits.status IS 'Whether the concepts explain the change';
COMMENT ON COLUMN audits.dose_rises IS 'Whether the effect grows with the strength; null when not measured';
COMMENT ON COLUMN audits.proposals IS 'How far the naming of concepts by the vision-language model is; pending: the scores are final, phrases and explanations come with a later merge';
COMMENT ON COLUMN audits.top_concepts IS 'Up to eight concepts whose interval is above 0, highest score first';
COMMENT ON COLUMN audits.divergence IS 'V, the mean image difference, in the space of the encoder; null when not measured';
COMMENT ON COLUMN audits.layers_injected IS 'Layers of the base that the adapter changed';
COMMENT ON COLUMN audits.pairs_unmatched IS 'Pairs that found no layer in the base';
COMMENT ON COLUMN audits.latent_shift IS 'Relative change of the output of the denoiser on a fixed latent';
COMMENT ON COLUMN audits.timings_s IS 'Seconds per stage';
COMMENT ON COLUMN audits.versions IS 'Package versions used';
COMMENT ON COLUMN audits.finished_at IS 'When the audit ended, UTC';
COMMENT ON COLUMN audits.result_file IS 'Result file, relative to the results folder';
COMMENT ON COLUMN audits.first_repo_id IS 'Repo in which the bytes were first audited';
COMMENT ON COLUMN audits.first_commit_sha IS 'Commit of that repo';
COMMENT ON COLUMN audits.first_path IS 'Path in that repo';

CREATE TABLE result_files (
    audit_id INTEGER PRIMARY KEY,
    result_file VARCHAR NOT NULL,
    size_bytes BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL
);
COMMENT ON TABLE result_files IS 'Result files that this catalog was made of, as they were; the next merge reads only what has changed';
COMMENT ON COLUMN result_files.audit_id IS 'Audit';
COMMENT ON COLUMN result_files.result_file IS 'Result file, relative to the results folder';
COMMENT ON COLUMN result_files.size_bytes IS 'Its size';
COMMENT ON COLUMN result_files.mtime_ns IS 'When it was last changed, nanoseconds since 1970';

CREATE TABLE file_facts (
    audit_id INTEGER PRIMARY KEY,
    size_bytes BIGINT,
    convention VARCHAR,
    family VARCHAR,
    dtypes VARCHAR[],
    pairs INTEGER,
    rank_min INTEGER,
    rank_max INTEGER,
    scale_min DOUBLE CHECK (isfinite(scale_min)),
    scale_max DOUBLE CHECK (isfinite(scale_max)),
    delta_norm DOUBLE CHECK (isfinite(delta_norm)),
    tensors_digest VARCHAR,
    content_digest VARCHAR,
    claimed_base VARCHAR
);
COMMENT ON TABLE file_facts IS 'What each audit found in its file; table files has the same once per file';
COMMENT ON COLUMN file_facts.audit_id IS 'Audit';
COMMENT ON COLUMN file_facts.size_bytes IS 'Size';
COMMENT ON COLUMN file_facts.convention IS 'Naming scheme of its tensors';
COMMENT ON COLUMN file_facts.family IS 'Base family that names and shapes point to; null when open';
COMMENT ON COLUMN file_facts.dtypes IS 'Storage types of the low-rank factors';
COMMENT ON COLUMN file_facts.pairs IS 'Low-rank pairs in the file';
COMMENT ON COLUMN file_facts.rank_min IS 'Smallest rank';
COMMENT ON COLUMN file_facts.rank_max IS 'Largest rank';
COMMENT ON COLUMN file_facts.scale_min IS 'Smallest alpha / rank';
COMMENT ON COLUMN file_facts.scale_max IS 'Largest alpha / rank';
COMMENT ON COLUMN file_facts.delta_norm IS 'Frobenius norm of all weight changes together';
COMMENT ON COLUMN file_facts.tensors_digest IS 'Hash of the tensors without metadata';
COMMENT ON COLUMN file_facts.content_digest IS 'Hash of the normalised tensors';
COMMENT ON COLUMN file_facts.claimed_base IS 'What the metadata of the file says about its base; a claim';

-- No key: 80,000 audits of 1,000 concepts are 80 million rows, and one result file yields each pair once.
CREATE TABLE scores (
    audit_id INTEGER NOT NULL,
    concept VARCHAR NOT NULL,
    score FLOAT NOT NULL CHECK (isfinite(score)),
    low FLOAT NOT NULL CHECK (isfinite(low)),
    high FLOAT NOT NULL CHECK (isfinite(high)),
    projection FLOAT NOT NULL CHECK (isfinite(projection)),
    alignment FLOAT CHECK (isfinite(alignment)),
    probes INTEGER NOT NULL
);
COMMENT ON TABLE scores IS 'Score of every concept for every scored audit; comparable between adapters of one recipe';
COMMENT ON COLUMN scores.audit_id IS 'Audit';
COMMENT ON COLUMN scores.concept IS 'Canonical name';
COMMENT ON COLUMN scores.score IS 'Joint weight; 1 means as far as its words reach in the text encoder';
COMMENT ON COLUMN scores.low IS 'Lower end of the bootstrap interval over probes';
COMMENT ON COLUMN scores.high IS 'Upper end of the interval';
COMMENT ON COLUMN scores.projection IS 'Weight of the concept alone; negative when the adapter moves away from it';
COMMENT ON COLUMN scores.alignment IS 'Cosine of text side and image side of the concept; null when only one was measured';
COMMENT ON COLUMN scores.probes IS 'Number of image pairs behind the score';

CREATE TABLE explanations (
    audit_id INTEGER NOT NULL,
    variant VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    concept VARCHAR NOT NULL,
    weight DOUBLE NOT NULL CHECK (isfinite(weight)),
    support DOUBLE NOT NULL CHECK (isfinite(support)),
    in_lexicon BOOLEAN NOT NULL,
    explained_share DOUBLE NOT NULL CHECK (isfinite(explained_share))
);
COMMENT ON TABLE explanations IS 'Explanation of each adapter in its own concepts, not comparable between adapters';
COMMENT ON COLUMN explanations.audit_id IS 'Audit';
COMMENT ON COLUMN explanations.variant IS 'robust, or paper for the algorithm as published';
COMMENT ON COLUMN explanations.position IS 'Rank within the explanation, from 0';
COMMENT ON COLUMN explanations.concept IS 'Phrase, or canonical name when it is in the lexicon';
COMMENT ON COLUMN explanations.weight IS 'Coefficient';
COMMENT ON COLUMN explanations.support IS 'Share of model replies that named it';
COMMENT ON COLUMN explanations.in_lexicon IS 'Whether it is a concept of the lexicon';
COMMENT ON COLUMN explanations.explained_share IS 'Share explained by the whole explanation, in [0, 1]';

CREATE TABLE phrases (
    audit_id INTEGER NOT NULL,
    phrase VARCHAR NOT NULL,
    support DOUBLE NOT NULL CHECK (isfinite(support)),
    mean_rank DOUBLE NOT NULL CHECK (isfinite(mean_rank)),
    concept VARCHAR
);
COMMENT ON TABLE phrases IS 'What the vision-language model said about the image pairs';
COMMENT ON COLUMN phrases.audit_id IS 'Audit';
COMMENT ON COLUMN phrases.phrase IS 'Phrase as cleaned';
COMMENT ON COLUMN phrases.support IS 'Share of replies that named it';
COMMENT ON COLUMN phrases.mean_rank IS 'Mean place in the replies, 0 being first';
COMMENT ON COLUMN phrases.concept IS 'Concept of the lexicon it is a name of; null when it is not in the lexicon';

CREATE TABLE images (
    image_sha256 VARCHAR PRIMARY KEY,
    picture BLOB NOT NULL
);
COMMENT ON TABLE images IS 'Small pictures by content; base pictures are shared by all adapters';
COMMENT ON COLUMN images.image_sha256 IS 'Hash of the picture';
COMMENT ON COLUMN images.picture IS 'PNG or WebP file, at most 160 pixels wide and high';

CREATE TABLE pairs (
    audit_id INTEGER NOT NULL,
    probe INTEGER NOT NULL,
    prompt VARCHAR NOT NULL,
    base_image VARCHAR NOT NULL,
    adapter_image VARCHAR NOT NULL
);
COMMENT ON TABLE pairs IS 'A few pictures of each adapter beside the base, same prompt and same noise';
COMMENT ON COLUMN pairs.audit_id IS 'Audit';
COMMENT ON COLUMN pairs.probe IS 'Probe, by its place in the probe set';
COMMENT ON COLUMN pairs.prompt IS 'Its prompt';
COMMENT ON COLUMN pairs.base_image IS 'Picture of the base: images.image_sha256';
COMMENT ON COLUMN pairs.adapter_image IS 'Picture with the adapter: images.image_sha256';

CREATE TABLE trigger_effects (
    audit_id INTEGER PRIMARY KEY,
    trigger VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    weights_norm DOUBLE NOT NULL CHECK (isfinite(weights_norm)),
    trigger_on_base_norm DOUBLE NOT NULL CHECK (isfinite(trigger_on_base_norm)),
    trigger_on_adapter_norm DOUBLE NOT NULL CHECK (isfinite(trigger_on_adapter_norm)),
    interaction_norm DOUBLE NOT NULL CHECK (isfinite(interaction_norm))
);
COMMENT ON TABLE trigger_effects IS 'What a declared trigger text does, apart from the weights';
COMMENT ON COLUMN trigger_effects.audit_id IS 'Audit';
COMMENT ON COLUMN trigger_effects.trigger IS 'The text; written by the uploader';
COMMENT ON COLUMN trigger_effects.source IS 'Where it was declared';
COMMENT ON COLUMN trigger_effects.weights_norm IS 'Effect of the weights alone, as a length of V';
COMMENT ON COLUMN trigger_effects.trigger_on_base_norm IS 'Effect of the words on the base alone';
COMMENT ON COLUMN trigger_effects.trigger_on_adapter_norm IS 'Effect of the words on the adapted model';
COMMENT ON COLUMN trigger_effects.interaction_norm IS 'Effect of the words that only the adapter brings';

CREATE TABLE trigger_scores (
    audit_id INTEGER NOT NULL,
    concept VARCHAR NOT NULL,
    score FLOAT NOT NULL CHECK (isfinite(score)),
    low FLOAT NOT NULL CHECK (isfinite(low)),
    high FLOAT NOT NULL CHECK (isfinite(high)),
    projection FLOAT NOT NULL CHECK (isfinite(projection))
);
COMMENT ON TABLE trigger_scores IS 'Scores with the trigger in every prompt, of adapter and base alike';
COMMENT ON COLUMN trigger_scores.audit_id IS 'Audit';
COMMENT ON COLUMN trigger_scores.concept IS 'Canonical name';
COMMENT ON COLUMN trigger_scores.score IS 'Joint weight, as in scores';
COMMENT ON COLUMN trigger_scores.low IS 'Lower end of its interval';
COMMENT ON COLUMN trigger_scores.high IS 'Upper end of its interval';
COMMENT ON COLUMN trigger_scores.projection IS 'Weight of the concept alone';

CREATE TABLE dose (
    audit_id INTEGER NOT NULL,
    scale DOUBLE NOT NULL CHECK (isfinite(scale)),
    norm DOUBLE NOT NULL CHECK (isfinite(norm)),
    projections MAP(VARCHAR, DOUBLE) NOT NULL
);
COMMENT ON TABLE dose IS 'Effect at several strengths, on a few probes';
COMMENT ON COLUMN dose.audit_id IS 'Audit';
COMMENT ON COLUMN dose.scale IS 'Strength of the adapter';
COMMENT ON COLUMN dose.norm IS 'Length of V there';
COMMENT ON COLUMN dose.projections IS 'Weight of each leading concept alone';

CREATE TABLE rejected_results (
    file_name VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    moved_to VARCHAR NOT NULL
);
COMMENT ON TABLE rejected_results IS 'Result files that could not be read; their units count as pending and are audited again';
COMMENT ON COLUMN rejected_results.file_name IS 'Name of the file';
COMMENT ON COLUMN rejected_results.reason IS 'What is wrong with it';
COMMENT ON COLUMN rejected_results.moved_to IS 'Where it is kept';

CREATE TABLE adapters (
    adapter_id INTEGER PRIMARY KEY,
    repo_id VARCHAR NOT NULL,
    commit_sha VARCHAR NOT NULL,
    path VARCHAR,
    outcome VARCHAR NOT NULL CHECK (outcome IN
        ('scored', 'scored_partial', 'no_effect', 'skipped', 'quarantined', 'gone', 'failed', 'pending')),
    reason VARCHAR,
    message VARCHAR NOT NULL,
    audit_id INTEGER,
    file_sha256 VARCHAR,
    weights VARCHAR,
    size_bytes BIGINT,
    copies INTEGER NOT NULL,
    variant_of VARCHAR,
    base_name VARCHAR,
    base_claim VARCHAR,
    base_models VARCHAR[] NOT NULL,
    base_relation VARCHAR,
    license VARCHAR,
    trigger VARCHAR,
    trigger_source VARCHAR,
    instance_prompt VARCHAR,
    tags VARCHAR[] NOT NULL,
    pipeline_tag VARCHAR,
    library_name VARCHAR,
    gated VARCHAR,
    nsfw BOOLEAN NOT NULL,
    downloads BIGINT NOT NULL,
    likes BIGINT NOT NULL,
    created_at TIMESTAMP,
    last_modified TIMESTAMP
);
COMMENT ON TABLE adapters IS 'Every listed unit: one row per adapter file, and one per repo that has none. Texts are claims by uploaders';
COMMENT ON COLUMN adapters.adapter_id IS 'Number within this catalog; changes when the catalog is rebuilt';
COMMENT ON COLUMN adapters.repo_id IS 'owner/name on the Hub';
COMMENT ON COLUMN adapters.commit_sha IS 'Commit that everything here belongs to';
COMMENT ON COLUMN adapters.path IS 'File in the repo; null for a repo as a whole';
COMMENT ON COLUMN adapters.outcome IS 'How its audit ended; pending when it is still to be done';
COMMENT ON COLUMN adapters.reason IS 'Machine-readable reason; null for scored and pending';
COMMENT ON COLUMN adapters.message IS 'One sentence for people';
COMMENT ON COLUMN adapters.audit_id IS 'Audit of its bytes; null when settled without one, or pending';
COMMENT ON COLUMN adapters.file_sha256 IS 'Hash of the bytes; null when unknown';
COMMENT ON COLUMN adapters.weights IS 'Digest of the weight changes as applied, so that one adapter in two spellings has one; the hash of the bytes where nothing was applied';
COMMENT ON COLUMN adapters.size_bytes IS 'Size; null when unknown';
COMMENT ON COLUMN adapters.copies IS 'Listed units with the same weights, in whatever spelling, this one included';
COMMENT ON COLUMN adapters.variant_of IS 'File of the same repo that was audited in its place';
COMMENT ON COLUMN adapters.base_name IS 'Base model in our settings that the card points to; null when open';
COMMENT ON COLUMN adapters.base_claim IS 'What the card says about its base';
COMMENT ON COLUMN adapters.base_models IS 'Claimed bases that look like repos';
COMMENT ON COLUMN adapters.base_relation IS 'How the repo says it relates to its base';
COMMENT ON COLUMN adapters.license IS 'Licence by the card or the Hub; null when neither names one';
COMMENT ON COLUMN adapters.trigger IS 'Declared trigger text; null when none';
COMMENT ON COLUMN adapters.trigger_source IS 'Where the trigger was found';
COMMENT ON COLUMN adapters.instance_prompt IS 'Prompt it was trained with, by the card';
COMMENT ON COLUMN adapters.tags IS 'Tags on the Hub';
COMMENT ON COLUMN adapters.pipeline_tag IS 'Task on the Hub';
COMMENT ON COLUMN adapters.library_name IS 'Library on the Hub';
COMMENT ON COLUMN adapters.gated IS 'auto or manual when terms must be accepted; null when open';
COMMENT ON COLUMN adapters.nsfw IS 'Tagged as not for all audiences';
COMMENT ON COLUMN adapters.downloads IS 'Downloads of the repo by the listing';
COMMENT ON COLUMN adapters.likes IS 'Likes of the repo by the listing';
COMMENT ON COLUMN adapters.created_at IS 'Creation of the repo, UTC';
COMMENT ON COLUMN adapters.last_modified IS 'Last change of the repo, UTC';
