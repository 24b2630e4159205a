"""The processes of one `serve --workers`: a parent, which starts the others and shows them as one, and its children."""
