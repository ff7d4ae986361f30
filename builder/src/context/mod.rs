//! The build context: which files of the user's directory a build may see, and what they say.
