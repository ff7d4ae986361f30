//! [`LayerReader`]: takes a layer's entries one by one, and tells a [`Sink`] what to make of them.

use crate::index::ACCOUNT_FILES;
use crate::meta::{Kind, Metadata};
use crate::path::TreePath;
use crate::unpack::sink::{Content, Sink};
use crate::unpack::table::Table;
use crate::unpack::{LayerError, UnpackLimits, Unpacked};

/// Longest account file whose bytes are kept, in bytes.
const LONGEST_ACCOUNT_FILE: u64 = 10 << 20;
/// Bytes of a name that a message shows.
const LONGEST_SHOWN: usize = 200;
/// Marks of overlays that real root mounted, which leak into layers of careless tools.
const MARKS_OF_ROOT: &[u8] = b"trusted.overlay.";

/// What an entry of a tar states, its name aside.
#[derive(Debug)]
pub(super) enum Stated {
    /// An inode of its own.
    Inode(Metadata),
    /// One more name of the file with this name.
    Hardlink(Vec<u8>),
}

/// Takes a layer's entries one by one.
#[derive(Debug)]
pub(super) struct LayerReader<'a, S> {
    table: Table,
    sink: &'a mut S,
    limits: UnpackLimits,
    entries: u64,
    bytes: u64,
}

impl<'a, S: Sink> LayerReader<'a, S> {
    pub(super) fn new(sink: &'a mut S, limits: UnpackLimits) -> Self {
        Self { table: Table::default(), sink, limits, entries: 0, bytes: 0 }
    }

    /// Takes the next entry, with its content if it is a regular file.
    pub(super) fn entry(&mut self, name: &[u8], stated: Stated, content: Content<'_>) -> Result<(), LayerError> {
        self.count(name, &stated, &content)?;
        let stated = without_marks(stated);
        let path = self.checked(name, name)?;
        match marker(&path).map_err(|why| hostile(name, why))? {
            Marker::Ignored => Ok(()),
            Marker::Opaque(directory) => self.opaque(name, &directory),
            Marker::Whiteout(path) => self.whiteout(name, &path),
            Marker::None => {
                let path = self.resolved(name, &path)?;
                match stated {
                    Stated::Inode(metadata) => self.inode(name, &path, metadata, content),
                    Stated::Hardlink(target) => self.hardlink(name, &path, &target),
                }
            }
        }
    }

    /// Ends the layer.
    pub(super) fn finish(mut self) -> Result<Unpacked, LayerError> {
        for (path, target) in self.table.bind() {
            self.link_on_disk(&path, &target)?;
        }
        let unpacked = self.table.finish();
        self.sink.finish(&unpacked)?;
        Ok(unpacked)
    }

    fn count(&mut self, name: &[u8], stated: &Stated, content: &Content<'_>) -> Result<(), LayerError> {
        self.entries += 1;
        if let Stated::Inode(metadata) = stated {
            self.bytes = self.bytes.saturating_add(content.stored(metadata.size()));
        }
        let too_large = |what, limit| Err(LayerError::TooLarge { what, limit, entry: text(name) });
        if self.entries > self.limits.entries {
            return too_large("entries", self.limits.entries);
        }
        if self.bytes > self.limits.bytes {
            return too_large("bytes", self.limits.bytes);
        }
        Ok(())
    }

    /// Returns `bytes` as a path, if it is one that a layer may have. A leading `/` means nothing, as in a chroot.
    fn checked(&self, entry: &[u8], bytes: &[u8]) -> Result<TreePath, LayerError> {
        let parts = || bytes.split(|&b| b == b'/');
        let path = TreePath::normalize(bytes);
        let why = if bytes.contains(&0) {
            "a path has no NUL byte".to_owned()
        } else if parts().any(|part| part == b"..") {
            format!("`{}` climbs with `..`", text(bytes))
        } else if path.as_bytes().len() >= self.limits.path {
            format!("its path has {} bytes, {} are possible", path.as_bytes().len(), self.limits.path - 1)
        } else if let Some(long) = parts().find(|part| part.len() > self.limits.component) {
            format!("a name of {} bytes, {} are possible", long.len(), self.limits.component)
        } else {
            return Ok(path);
        };
        Err(hostile(entry, why))
    }

    /// Returns where `path` is when the links of this layer are followed, with every directory above it there.
    fn resolved(&mut self, name: &[u8], path: &TreePath) -> Result<TreePath, LayerError> {
        let resolved = self.table.resolve(path).map_err(|why| hostile(name, why))?;
        // The name itself was looked at; a link of this layer can still lead to a name that means something else.
        if resolved.components().any(|part| part.starts_with(b".wh.")) {
            return Err(hostile(name, format!("a link leads to `{resolved}`, which means a whiteout")));
        }
        if resolved.as_bytes().len() >= self.limits.path {
            return Err(hostile(name, "links lead it to a path longer than any".to_owned()));
        }
        for directory in self.table.imply_parents(&resolved) {
            self.sink.directory(&directory)?;
        }
        Ok(resolved)
    }

    fn opaque(&mut self, name: &[u8], directory: &TreePath) -> Result<(), LayerError> {
        // As if for an entry in the directory, so that a link at its end is followed and it is there.
        let inner = self.resolved(name, &directory.child(b"x"))?;
        self.table.make_opaque(inner.parent().unwrap_or_default());
        Ok(())
    }

    fn whiteout(&mut self, name: &[u8], path: &TreePath) -> Result<(), LayerError> {
        let path = self.resolved(name, path)?;
        self.table.white_out(path);
        Ok(())
    }

    fn inode(
        &mut self,
        name: &[u8],
        path: &TreePath,
        metadata: Metadata,
        content: Content<'_>,
    ) -> Result<(), LayerError> {
        if metadata.is_directory() {
            return self.directory(path, metadata);
        }
        check_link(&metadata).map_err(|why| hostile(name, why))?;
        self.make_room(name, path)?;
        if content.segments.is_none() && is_account_file(path, &metadata) {
            let mut bytes = Vec::new();
            content.bytes.read_to_end(&mut bytes).map_err(super::reading)?;
            self.sink.inode(path, &metadata, Content { bytes: &mut &bytes[..], segments: None, at: None })?;
            self.table.accounts.insert(path.clone(), bytes);
        } else {
            self.sink.inode(path, &metadata, content)?;
        }
        self.table.put(path, metadata);
        Ok(())
    }

    fn directory(&mut self, path: &TreePath, metadata: Metadata) -> Result<(), LayerError> {
        if !path.is_root() && !self.table.inode(path).is_some_and(Metadata::is_directory) {
            self.remove(path)?;
            self.sink.directory(path)?;
        }
        self.table.put(path, metadata);
        Ok(())
    }

    fn hardlink(&mut self, name: &[u8], path: &TreePath, target: &[u8]) -> Result<(), LayerError> {
        let target = self.checked(name, target)?;
        let target = self.table.resolve(&target).map_err(|why| hostile(name, why))?;
        if target.is_root() || target == *path {
            return Err(hostile(name, format!("a hardlink to `{target}` is none")));
        }
        if self.table.inode(&target).is_some_and(Metadata::is_directory) {
            return Err(hostile(name, format!("its target `{target}` is a directory")));
        }
        let first = self.table.first_name(&target);
        if first == *path {
            // The two are names of one inode already, and this is the one that was there first.
            return Ok(());
        }
        self.make_room(name, path)?;
        if self.table.get(&target).is_some() && self.table.unbound(&target).is_none() {
            self.link_on_disk(path, &first)?;
            self.table.link(path, &first);
        } else {
            self.table.link_unbound(path, &first);
        }
        Ok(())
    }

    fn link_on_disk(&mut self, path: &TreePath, target: &TreePath) -> Result<(), LayerError> {
        match self.table.inode(target) {
            Some(metadata) if !is_device(&metadata.kind) => self.sink.hardlink(path, target),
            _ => Ok(()),
        }
    }

    /// Takes away what stands at `path`: of duplicates the last wins.
    fn make_room(&mut self, name: &[u8], path: &TreePath) -> Result<(), LayerError> {
        if path.is_root() {
            return Err(hostile(name, "`/` is a directory".to_owned()));
        }
        self.remove(path)
    }

    fn remove(&mut self, path: &TreePath) -> Result<(), LayerError> {
        if self.table.get(path).is_none() {
            return Ok(());
        }
        let on_disk = self.table.unbound(path).is_none()
            && !self.table.inode(path).is_some_and(|metadata| is_device(&metadata.kind));
        if on_disk {
            self.sink.remove(path)?;
        }
        self.table.remove(path);
        Ok(())
    }
}

/// Reports whether a file of `kind` is kept in the index alone: nobody makes devices in a user namespace.
pub(super) fn is_device(kind: &Kind) -> bool {
    matches!(kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. })
}

fn is_account_file(path: &TreePath, metadata: &Metadata) -> bool {
    matches!(metadata.kind, Kind::File { size } if size <= LONGEST_ACCOUNT_FILE)
        && ACCOUNT_FILES.iter().any(|file| file.as_bytes() == path.as_bytes())
}

/// What the name of an entry says (image-spec layer.md, "Whiteouts").
enum Marker {
    None,
    Ignored,
    Opaque(TreePath),
    Whiteout(TreePath),
}

fn marker(path: &TreePath) -> Result<Marker, String> {
    let opaque = path.name() == b".wh..wh..opq";
    let parent = path.parent().unwrap_or_default();
    let bookkeeping = |name: &[u8]| name.starts_with(b".wh..wh.");
    // What aufs kept for itself: `.wh..wh.plnk`, `.wh..wh.orph`, `.wh..wh.aufs`.
    if parent.components().any(bookkeeping) || (bookkeeping(path.name()) && !opaque) {
        return Ok(Marker::Ignored);
    }
    if parent.components().any(|name| name.starts_with(b".wh.")) {
        return Err("a whiteout holds nothing".to_owned());
    }
    if opaque {
        return Ok(Marker::Opaque(parent));
    }
    match path.name().strip_prefix(b".wh.") {
        None => Ok(Marker::None),
        Some(b"" | b"." | b"..") => Err("a whiteout of `.` or `..`, or of nothing".to_owned()),
        Some(name) => Ok(Marker::Whiteout(parent.child(name))),
    }
}

/// Says what is wrong with a symbolic link that symlink(2) would not make.
fn check_link(metadata: &Metadata) -> Result<(), String> {
    match &metadata.kind {
        Kind::Symlink { target } if target.is_empty() => Err("a link that says nothing".to_owned()),
        Kind::Symlink { target } if target.contains(&0) => Err("a link has no NUL byte".to_owned()),
        Kind::Symlink { target } if target.len() >= 4096 => Err(format!("a link of {} bytes", target.len())),
        _ => Ok(()),
    }
}

fn without_marks(mut stated: Stated) -> Stated {
    if let Stated::Inode(metadata) = &mut stated {
        metadata.xattrs.retain(|name, _| !name.starts_with(MARKS_OF_ROOT));
    }
    stated
}

/// Returns the name of an entry for messages.
/// Returns a name for people, who need no more than its beginning.
fn text(name: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&name[..name.len().min(LONGEST_SHOWN)]);
    if name.len() > LONGEST_SHOWN { format!("{shown}…") } else { shown.into_owned() }
}

fn hostile(entry: &[u8], why: String) -> LayerError {
    LayerError::Hostile { entry: text(entry), why }
}
