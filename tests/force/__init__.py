"""What a disk store does when its files fail and its processes are killed: never a wrong byte, never over budget."""
