"""What Tocsin costs, each figure a ratio to a floor measured in the same run. Nothing here is a test."""
