"""Speed and scale, each with its command, machine and recorded result."""
