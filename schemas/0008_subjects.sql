-- Adapters for one subject are asked for it in contexts of their own, where the base never sees the taught word.

CREATE TABLE trigger_effects_of_any_kind (
    audit_id INTEGER PRIMARY KEY,
    trigger VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    weights_norm DOUBLE NOT NULL CHECK (isfinite(weights_norm)),
    trigger_on_base_norm DOUBLE CHECK (isfinite(trigger_on_base_norm)),
    trigger_on_adapter_norm DOUBLE NOT NULL CHECK (isfinite(trigger_on_adapter_norm)),
    interaction_norm DOUBLE CHECK (isfinite(interaction_norm))
);
INSERT INTO trigger_effects_of_any_kind SELECT * FROM trigger_effects;
DROP TABLE trigger_effects;
ALTER TABLE trigger_effects_of_any_kind RENAME TO trigger_effects;
COMMENT ON TABLE trigger_effects IS 'What a declared trigger text does, apart from the weights';
COMMENT ON COLUMN trigger_effects.audit_id IS 'Audit';
COMMENT ON COLUMN trigger_effects.trigger IS 'The text; written by the uploader';
COMMENT ON COLUMN trigger_effects.source IS 'Where it was declared';
COMMENT ON COLUMN trigger_effects.weights_norm IS 'Effect of the weights alone, as a length of V; of a subject''s adapter, on the class without its word';
COMMENT ON COLUMN trigger_effects.trigger_on_base_norm IS 'Effect of the words on the base alone; null for a subject';
COMMENT ON COLUMN trigger_effects.trigger_on_adapter_norm IS 'Effect of the words on the adapted model';
COMMENT ON COLUMN trigger_effects.interaction_norm IS 'Effect of the words that only the adapter brings; null for a subject';

COMMENT ON TABLE pairs IS 'A few pictures of each adapter beside the base, on the same noise: plain prompts, or those with the trigger of an adapter that acts only with it';
COMMENT ON COLUMN pairs.probe IS 'Place in the probe set, or in the contexts of a subject';
COMMENT ON COLUMN pairs.prompt IS 'Prompt of the adapter''s picture; it may hold the trigger, which the uploader wrote';

CREATE TABLE subject_effects (
    audit_id INTEGER PRIMARY KEY,
    token VARCHAR NOT NULL,
    noun VARCHAR NOT NULL,
    contexts VARCHAR NOT NULL,
    probes INTEGER NOT NULL,
    norm DOUBLE NOT NULL CHECK (isfinite(norm)),
    leak DOUBLE NOT NULL CHECK (isfinite(leak)),
    p_value DOUBLE CHECK (isfinite(p_value)),
    floor DOUBLE CHECK (isfinite(floor))
);
COMMENT ON TABLE subject_effects IS 'Adapters whose trigger names one subject: the adapter with its word against the base with the class, in contexts of their own. The concepts are in trigger_scores';
COMMENT ON COLUMN subject_effects.audit_id IS 'Audit';
COMMENT ON COLUMN subject_effects.token IS 'Word that was taught; written by the uploader';
COMMENT ON COLUMN subject_effects.noun IS 'Class of the subject, such as dog';
COMMENT ON COLUMN subject_effects.contexts IS 'Contexts it was asked for in';
COMMENT ON COLUMN subject_effects.probes IS 'How many of them were used';
COMMENT ON COLUMN subject_effects.norm IS 'Length of the mean difference';
COMMENT ON COLUMN subject_effects.leak IS 'The same when the adapter is asked for the class alone: near norm, every dog becomes this one';
COMMENT ON COLUMN subject_effects.p_value IS 'Sign-flip p-value over the contexts';
COMMENT ON COLUMN subject_effects.floor IS 'What the norm had to exceed';
