//! The only room with `unsafe`: system calls that no safe crate has. Each block says why it is sound.
#![allow(unsafe_code, reason = "this is the one room where it is allowed")]

pub mod file;
pub mod keyring;
pub mod mount_attributes;
pub mod network;
pub mod process;
pub mod seccomp;
pub mod xattr;
