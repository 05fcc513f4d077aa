"""Facts from a record: numpy and pandas in, numpy and pandas out.

Knows nothing about pictures and never imports torch: what is said here of a run can be said on any laptop.
"""
