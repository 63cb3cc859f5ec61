"""Pages that people look at: templates, figures, Markdown. Knows no store."""
