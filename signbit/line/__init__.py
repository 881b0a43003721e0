"""The line between host and device: the bytes of a frame, and a link that asks again."""
