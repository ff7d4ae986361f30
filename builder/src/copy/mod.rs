//! COPY.
