"""Weights and bundles"""
