"""Datasets and plans"""
