"""The pieces of plans on microscopes: micrographs, milling, and slices. They open no run."""
