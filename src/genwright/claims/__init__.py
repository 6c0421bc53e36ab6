"""One short file per published system: its reference, its claim, the experiment that tests it."""
