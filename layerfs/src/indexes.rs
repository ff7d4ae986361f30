//! [`IndexStore`]
