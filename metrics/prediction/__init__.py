"""Prediction of factors from codes: row splits, importance, logistic regression."""
