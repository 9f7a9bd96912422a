"""What the helper process does: look into images, plan, and prepare what the page shows.

The functions take and return paths and plain data, because they are called from another process.
"""
