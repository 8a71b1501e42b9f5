"""The second edition of the pocket world, beside the first: more styles, more subjects, more words.

Nothing of the first edition depends on it, and the pocket profile still uses the first. The profile pocket-2 is for
`auditor evaluate`, which trains the adapters that it measures on. What did not change (the Hub
server, the odd repositories, the training loop) is taken from `auditor.pocket`. The lexicon and the probes that belong
to it are `pocket-2`.

Trained, in some four minutes on one NVIDIA H200 (the figures stand on the cards in `weights/`):

- CLIP and the VAE are finished.
- The denoiser of the base is not: its subjects are rough blobs. It needs more steps.
- The VLM is not: it was cut off after some 450 steps and was never measured. It has to be trained again.

Not trained: the zoo of adapters, and most of the lessons that the evaluation measures. The figures in the
documentation are the first edition's.

To go on from these weights on a GPU, and to unpack what it writes (the adapters are made by the same command):

    python -m auditor.pocket.second.training.accelerated \
        --from auditor/pocket/second/weights --out OUT --work WORK --seconds 500
    python -m auditor.pocket.second.training.accelerated.packing --help

`--from` keeps CLIP and the VAE, goes on with the denoiser, and trains the adapters and the VLM anew. On a
CPU, one model
at a time: `python -m auditor.pocket.second.training.base --help`, and likewise `vae`, `clip`, `zoo` beside it, and
`python -m auditor.pocket.second.vlm.train --help`. Switching the profile over needs all of it: base, VLM, zoo, and the
figures of the documentation measured again.
"""
