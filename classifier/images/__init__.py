"""The forms that images have between the stages: packs, tables, arrays, and what their folders say of themselves."""
