"""Who was measured when: sheets, panel, vocabulary, design and their checks."""
