//! [`EarlyForms`]: layers are brought into the form that an output asks for while their tars are being written.

use super::forms::{LayerCompression, temporary_file};
use crate::cancel::Cancel;
use crate::error::StoreError;
use crate::growing::{Growing, Writing};
use crate::indexes::TarFacts;
use crate::io_error::IoContext;
use crate::store::Store;
use std::fs::File;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// Compresses one layer at a time, beside whatever writes them. What comes out is kept in the store, where outputs find
/// it; what goes wrong here goes wrong there again, and is told there.
#[derive(Debug)]
pub struct EarlyForms<'a> {
    form: LayerCompression,
    but_the_last: bool,
    store: &'a Store,
    layers: Mutex<Option<Sender<Layer>>>,
    queue: Mutex<Receiver<Layer>>,
}

/// A layer that is being written, and what to call it.
type Layer = (Growing<TarFacts>, String);

/// Dropped, it lets whoever serves return once all is done.
struct Closing<'a>(&'a EarlyForms<'a>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.layers.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl<'a> EarlyForms<'a> {
    /// Returns what brings layers into `form`; `but_the_last` leaves the last one of an image to the output.
    pub fn new(form: LayerCompression, but_the_last: bool, store: &'a Store) -> Self {
        let (layers, queue) = channel();
        Self { form, but_the_last, store, layers: Mutex::new(Some(layers)), queue: Mutex::new(queue) }
    }

    /// Takes on the layer called `name`, whose tar is going to be appended to `file`, which is empty. The tar's digest and
    /// size are to be said to what is returned, if anything is.
    ///
    /// # Errors
    /// The operating system's.
    pub fn follow(&self, file: &File, name: String, is_last: bool) -> Result<Option<Writing<TarFacts>>, StoreError> {
        if is_last && self.but_the_last {
            return Ok(None);
        }
        let (growing, writing) = Growing::new(file.try_clone().at("duplicate", "a layer's tar")?);
        let layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(_)) = layers.as_ref().map(|layers| layers.send((growing, name))) {
            // Nobody serves any more: outputs do it.
        }
        Ok(Some(writing))
    }

    /// Does `work`, and brings the layers that are taken on meanwhile into the form; returns once all are done, or soon
    /// after `cancel` is set.
    pub fn beside<T>(&self, cancel: &Cancel, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            scope.spawn(|| self.serve(cancel));
            let _closing = Closing(self);
            work()
        })
    }

    fn serve(&self, cancel: &Cancel) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // Threads of its own: whoever reads the files of a layer must not wait for those who compress it.
        let mut pool = None;
        for (growing, name) in queue.iter() {
            if pool.is_none() {
                pool = rayon::ThreadPoolBuilder::new().thread_name(|_| "compress".to_owned()).build().ok();
            }
            let make = || self.make(growing, name, cancel);
            if pool.as_ref().is_some_and(|pool| pool.install(make).is_err()) {
                // Outputs do it again, and tell.
            }
        }
    }

    fn make(&self, mut tar: Growing<TarFacts>, name: String, cancel: &Cancel) -> Result<(), StoreError> {
        let mut written = temporary_file(self.store)?;
        let made = self.form.follow(&mut cancel.watch(&mut tar), name, self.store, written.as_file_mut())?;
        match tar.outcome() {
            Some(facts) => self.form.keep(written, &made, &facts.diff_id, self.store).map(drop),
            None => Ok(()),
        }
    }
}
