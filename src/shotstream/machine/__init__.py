"""What runs here: devices, number formats, attention back ends, free space, and where figures come from."""
