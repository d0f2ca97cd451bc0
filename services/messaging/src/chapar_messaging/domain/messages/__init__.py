"""Messages: texts and payment cards, one document each; the first one opens a direct conversation."""
