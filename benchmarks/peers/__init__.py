"""What people would pick instead, each as its own documentation has it. Every program has its pins in its first lines."""
