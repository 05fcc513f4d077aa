"""The run: a model, a method and a calibration text go in, typed events come out."""
