"""Media: content rendered to Markdown with figures and to one HTML page."""
