"""Networks: the published ones (near_*.py) and the small one that ships with the extension."""
