//! [`TarReader`]: entries of a tar stream (ustar, PAX, GNU long names and sparse files), one at a time.
