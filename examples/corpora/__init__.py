"""Parts of `examples/corpus_debian.py`: packages, their text, the recipes of two corpora."""
