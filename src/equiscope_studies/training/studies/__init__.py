"""The training studies, a file each: what varies, at which size, and what the paper says of it."""
