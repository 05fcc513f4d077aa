"""A recorded run as one HTML file that opens anywhere, without network, kernel or this package."""
