"""Tables and arrays in, figures out: what each view shows, as plain data, as text and as a static picture.

Knows neither widgets nor how a run is written; needs no torch. Each view is one file with a frozen data class,
``payload`` (what the browser draws), ``text`` (the same numbers in words) and ``picture`` (a matplotlib figure).
"""
