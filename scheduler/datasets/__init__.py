"""The catalogue of data sets, and who may read them on the clusters."""
