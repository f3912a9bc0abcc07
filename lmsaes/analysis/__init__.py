"""Stage three: one read of a cache for many SAEs, and what was found into the database.

config.py, identity.py, jobs.py ─► run.py ─► scan.py: the pass ─► pages.py ─► store.py ─► database
                                                │                    │
    segments.py: a batch, sorted ◄──────────────┤                    ├─► logits.py, neighbors.py
    findings.py: all that is gathered ◄─────────┘                    ├─► cofiring.py, labels.py
        feature_statistics.py: numbers, contexts                     └─► twins.py, other_saes.py
            bins.py, exact_sums.py, context_choice.py
        token_statistics.py, token_pairs.py: counts on the disk
        reference_contexts.py, sampled_rows.py: samples fixed before the pass (sampling.py)
    earlier_range.py: a range of features that is added to what is there (stored_tokens.py)
    weight_facts.py: from the model or the database; wiring.py, strongest_parts.py: heads, neurons
    output_scores.py: features added to texts, one at a time
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
