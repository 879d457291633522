"""From YAML to typed components, every problem with its line."""
