"""The pieces that plans are made of: they open no run."""
