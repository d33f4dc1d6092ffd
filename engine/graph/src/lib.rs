//! The graph language and the sample plane.
