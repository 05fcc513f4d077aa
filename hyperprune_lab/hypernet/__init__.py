"""The shared hypernetwork: its inputs, its relaxation, its objective and its memory of earlier layers."""
