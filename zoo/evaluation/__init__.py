"""Evaluation of registrations: metrics, Learn2Reg figures, quality warnings, comparison."""
