//! Upper directory to layer: brings what a command left behind to normal form, and indexes it in the same walk.
