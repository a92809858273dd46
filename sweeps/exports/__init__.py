"""Projections of the ledger: MLflow and Optuna. They are written, never read back."""
