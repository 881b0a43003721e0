"""What each operator of a graph means for the integer model, a file for each family.

An operator takes a `Node` and the `Builder` and returns the node's first output; it raises SignbitError, to which the
importer adds the node's name, for whatever has no integer form.
"""
