"""What runs in the peers' own environment: no import of ``lob_pipeline`` anywhere below."""
