"""What .github/workflows/pipeline.yml runs."""
