//! What we build, read by readelf and by our own tools: they must say the same.
