"""Cohorts: many pairs registered by one or several processes."""
