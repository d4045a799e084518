"""The pages that are made from the code, so that what they list cannot differ from what there is."""
