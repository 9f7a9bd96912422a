"""What the helper process does: look into images, plan, and prepare what the page shows.

The functions take paths and plain data and return plain data, because they cross a process boundary.
"""
