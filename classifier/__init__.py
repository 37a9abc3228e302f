"""The library that the stages share: no fixed paths, no params.yaml, no prints."""
