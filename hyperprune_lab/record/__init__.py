"""One run on disk: written while it happens, readable by anyone at the same time, verifiable for ever.

Does not know how masks are chosen (the ground floor) or how they are drawn (the top floor).

``writer`` takes the event stream (no pandas, no torch); ``store`` reads a run back as plain values and numpy
arrays; ``reader`` adds pandas tables; ``verify`` recomputes what the run claims; ``export`` writes Parquet.
"""
