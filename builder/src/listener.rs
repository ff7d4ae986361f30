//! [`with_registries`]: a client of registries whose news become events of a build.

use crate::diagnostic::Diagnostic;
use crate::progress::{Event, ProgressSink};
use layerfs::cancel::Cancel;
use layerfs::digest::Digest;
use layerfs::registry::Registries;
use layerfs::registry::observer::{Direction, Observer};
use layerfs::registry::settings::RegistrySettings;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A client of registries, and who hears of what it does.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client.
    pub registries: Registries,
    /// Who hears what it does.
    pub observer: Arc<dyn Observer>,
}

/// What a client tells.
enum News {
    Waiting { host: String, why: String, wait: Duration },
    Warning(String),
}

/// Passes on what a client tells, until it is closed: the client may live longer than who listens.
#[derive(Debug)]
struct Listener(Mutex<Option<Sender<News>>>);

impl Listener {
    fn tell(&self, news: News) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.as_ref().is_some_and(|sender| sender.send(news).is_err()) {
            // Nobody listens any more.
        }
    }
}

impl Observer for Listener {
    /// Whoever moves bytes shows it as part of a step of its own.
    fn transfer(&self, _: &Digest, _: Direction, _: u64, _: Option<u64>) {}

    fn waiting(&self, host: &str, why: &str, wait: Duration) {
        self.tell(News::Waiting { host: host.to_owned(), why: why.to_owned(), wait });
    }

    fn warning(&self, text: &str) {
        self.tell(News::Warning(text.to_owned()));
    }
}

/// Closes a listener, also when whoever uses it panics.
struct Close<'a>(&'a Listener);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Calls `work` with a client of registries, whose waits and warnings go to `sink`.
pub fn with_registries<T>(
    settings: &RegistrySettings,
    sink: &dyn ProgressSink,
    cancel: &Cancel,
    work: impl FnOnce(&Client) -> T,
) -> T {
    let (sender, news) = mpsc::channel();
    let listener = Arc::new(Listener(Mutex::new(Some(sender))));
    let observer: Arc<dyn Observer> = listener.clone();
    let registries = Registries::new(settings.clone(), Arc::clone(&observer), cancel);
    std::thread::scope(|scope| {
        scope.spawn(move || pass_on(news, sink));
        let _close = Close(&listener);
        work(&Client { registries, observer })
    })
}

fn pass_on(news: Receiver<News>, sink: &dyn ProgressSink) {
    for one in news {
        sink.event(match one {
            News::Waiting { host, why, wait } => Event::Waiting { host, why, wait },
            News::Warning(text) => Event::Warning(Diagnostic::warning(text)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl ProgressSink for Heard {
        fn event(&self, event: Event) {
            self.0.lock().expect("locked").push(format!("{event:?}"));
        }
    }

    #[test]
    fn news_are_passed_on_until_it_is_closed() {
        let heard = Heard::default();
        let (sender, news) = mpsc::channel();
        let listener = Listener(Mutex::new(Some(sender)));
        std::thread::scope(|scope| {
            let sink = &heard;
            scope.spawn(move || pass_on(news, sink));
            let _close = Close(&listener);
            listener.waiting("r.io", "it answered 429", Duration::from_secs(2));
            listener.warning("a mirror is down");
        });
        listener.warning("nobody hears this");
        let heard = heard.0.into_inner().expect("unlocked");
        assert_eq!(heard.len(), 2);
        assert_eq!(heard[0], r#"Waiting { host: "r.io", why: "it answered 429", wait: 2s }"#);
        assert!(heard[1].contains("a mirror is down"), "{}", heard[1]);
    }
}
