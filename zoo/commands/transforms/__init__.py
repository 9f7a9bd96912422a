"""Files and transforms"""
