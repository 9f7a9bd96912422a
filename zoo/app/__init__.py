"""The zoo in a browser: the server behind `regzoo app`, and the page that it serves.

The server reads no image itself. One helper process reads images, makes plans and prepares what the
page shows; each registration is a process of its own. Either may run out of memory and be killed
without ending the server. docs/reference/app.md describes the addresses and documents.
"""
