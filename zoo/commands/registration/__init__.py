"""Registration"""
