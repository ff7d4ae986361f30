//! [`RefTable`]: the names of images, kept in `index.json`.
