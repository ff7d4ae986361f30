//! Image configs of finished stages.
