//! [`LocalTree`]: the files of an image in a directory of the user.

use super::tree_tar::clamped;
use super::{FinishedImage, hold};
use crate::cancel::Cancel;
use crate::error::StoreError;
use crate::flat::Flat;
use crate::io_error::{IoContext, IoError};
use crate::meta::{Kind, Metadata, Timestamp};
use crate::meter::Course;
use crate::path::TreePath;
use crate::rootdir::RootDir;
use crate::sealed;
use crate::stack::Found;
use crate::store::Store;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::PathBuf;

/// Writes the files of an image into a directory, which may hold others (FEATURES 4-21). Modes, times, links and xattrs
/// are the image's, the owner is the caller.
///
/// A file takes its name when it is whole; what stood there before is replaced. Links in the directory are not followed:
/// where the image has a directory, a link gives way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalTree {
    /// The directory; it is made if it is missing.
    pub path: PathBuf,
    /// Delete what the image does not have.
    pub delete: bool,
    /// Times after this one become this one.
    pub latest: Option<Timestamp>,
}

impl LocalTree {
    /// Writes the files; returns in words what could not be taken along: device nodes, and attributes that the file
    /// system or the caller's rights do not allow.
    ///
    /// # Errors
    /// [`StoreError`]; what was written before stays.
    pub fn export(&self, image: &FinishedImage, store: &Store, cancel: &Cancel) -> Result<Vec<String>, StoreError> {
        let _lease = hold(image, &[], store)?;
        let flat = Flat::open(&image.layers, store, cancel)?;
        fs::create_dir_all(&self.path).at("create", &self.path)?;
        let root = RootDir::open(&self.path)?;
        let files = flat.walk();
        let (course, first_names, left_out) = (flat.course(&files, store, &self.path), HashMap::new(), Vec::new());
        let mut tree = Tree { flat: &flat, root, latest: self.latest, first_names, left_out, course };
        let files: Vec<&(TreePath, Found<'_>)> = files.iter().filter(|(path, _)| !path.is_root()).collect();
        for (path, found) in &files {
            if cancel.is_cancelled() {
                return Err(IoError::new("write", &self.path, &io::Error::other("interrupted")).into());
            }
            tree.add(path, found)?;
        }
        if self.delete {
            tree.delete_others(&files.iter().map(|(path, _)| path).collect())?;
        }
        // Last, since what is made in a directory changes its time and may need its mode.
        for (path, found) in files.iter().rev().filter(|(_, found)| found.metadata.is_directory()) {
            tree.apply(path, &clamped(found.metadata, self.latest))?;
        }
        Ok(tree.left_out)
    }
}

struct Tree<'a> {
    flat: &'a Flat,
    root: RootDir,
    latest: Option<Timestamp>,
    first_names: HashMap<(usize, TreePath), TreePath>,
    left_out: Vec<String>,
    course: Course,
}

impl Tree<'_> {
    fn add(&mut self, path: &TreePath, found: &Found<'_>) -> Result<(), StoreError> {
        let there = self.there(path)?;
        if found.metadata.is_directory() {
            return self.directory(path, there.as_ref());
        }
        if matches!(found.metadata.kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. }) {
            self.left_out.push(format!("device node `{path}`"));
            return Ok(());
        }
        if there.is_some_and(|there| there.is_directory()) {
            self.root.remove_tree(path)?;
        }
        let beside = path.parent().unwrap_or_default().child(sealed::temporary_name().as_bytes());
        let written = self.write(&beside, path, found);
        if written.is_err() && self.there(&beside)?.is_some() {
            self.root.remove_file(&beside)?;
        }
        written
    }

    /// Returns what stands at a path.
    fn there(&self, path: &TreePath) -> Result<Option<Metadata>, StoreError> {
        match self.root.metadata(path) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn directory(&self, path: &TreePath, there: Option<&Metadata>) -> Result<(), StoreError> {
        match there {
            Some(there) if there.is_directory() => return Ok(()),
            Some(_) => self.root.remove_file(path)?,
            None => {}
        }
        Ok(self.root.create_directory(path)?)
    }

    /// Writes a file as `beside` and gives it its name.
    fn write(&mut self, beside: &TreePath, path: &TreePath, found: &Found<'_>) -> Result<(), StoreError> {
        let inode = (found.layer, found.inode.clone());
        if let Some(first) = self.first_names.get(&inode) {
            // Renaming one name of a file to another of the same file would do nothing.
            if self.there(path)?.is_some() {
                self.root.remove_file(path)?;
            }
            return Ok(self.root.hardlink(path, first)?);
        }
        match &found.metadata.kind {
            Kind::Symlink { target } => self.root.create_symlink(beside, target)?,
            Kind::Fifo => self.root.create_fifo(beside)?,
            _ => self.content(beside, found)?,
        }
        self.apply(beside, &clamped(found.metadata, self.latest))?;
        self.root.rename(beside, path)?;
        self.first_names.insert(inode, path.clone());
        Ok(())
    }

    fn content(&mut self, beside: &TreePath, found: &Found<'_>) -> Result<(), StoreError> {
        let mut file = self.root.create_file(beside)?;
        let content = self.flat.content(found.layer, &found.inode)?;
        let got = io::copy(&mut self.course.reading(content), &mut file).at("write", self.root.show(beside))?;
        if got == found.metadata.size() {
            return Ok(());
        }
        let what = format!("`{}`", found.inode);
        Err(StoreError::SizeMismatch { what, wanted: found.metadata.size(), got })
    }

    /// Gives a file the image's mode, time and xattrs, as far as the caller may.
    fn apply(&mut self, path: &TreePath, metadata: &Metadata) -> Result<(), StoreError> {
        let is_root = rustix::process::geteuid().is_root();
        let mut metadata = Metadata {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            ..metadata.clone()
        };
        if !is_root && metadata.xattrs.remove(&b"security.capability"[..]).is_some() {
            self.left_out.push(format!("capabilities of `{path}`"));
        }
        match self.root.apply(path, &metadata) {
            Err(error) if error.errno == Some(libc::EOPNOTSUPP) && !metadata.xattrs.is_empty() => {
                self.left_out.push(format!("extended attributes of `{path}`"));
                metadata.xattrs.clear();
                Ok(self.root.apply(path, &metadata)?)
            }
            other => Ok(other?),
        }
    }

    /// Deletes what is not among `kept`.
    fn delete_others(&self, kept: &BTreeSet<&TreePath>) -> Result<(), StoreError> {
        let mut directories = vec![TreePath::root()];
        while let Some(directory) = directories.pop() {
            for name in self.root.list(&directory)? {
                let path = directory.child(&name);
                if !kept.contains(&path) {
                    self.root.remove_tree(&path)?;
                } else if self.there(&path)?.is_some_and(|there| there.is_directory()) {
                    directories.push(path);
                }
            }
        }
        Ok(())
    }
}
