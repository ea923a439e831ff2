"""The report: one page that answers, shows what the answer rests on, and works offline."""
