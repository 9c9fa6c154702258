"""Files from the browser: received, inspected, kept, handed out again."""
