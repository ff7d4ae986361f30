//! [`Faults`]: which exchanges of a proxy go wrong, and how.

use super::Class;
use std::time::Duration;

/// How one exchange goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It does not.
    None,
    /// The connection is reset when so many bytes of the request's body have come, and the registry hears none of it:
    /// as behind a server that keeps a request until it has all.
    ResetRequest(u64),
    /// The same, and the registry heard what came. One of Debian's then gives the whole upload up: neither the old
    /// location nor any other is good for more than "404 BLOB_UPLOAD_INVALID".
    TearRequest(u64),
    /// The connection is reset when so many bytes of the response's body have gone.
    ResetResponse(u64),
    /// The connection ends, in good order, when so many bytes of the response's body have gone.
    Truncate(u64),
    /// The registry is not asked; this status is answered, with `Retry-After` if there are seconds.
    Status(u16, Option<u64>),
    /// The registry is not asked; this is answered: status, media type and body.
    Answer(u16, &'static str, String),
    /// The response stops at so many bytes, for some time.
    Stall(u64, Duration),
    /// This byte of the response's body is another.
    Corrupt(u64),
    /// `Docker-Content-Digest` names other bytes.
    WrongDigest,
    /// The client is sent to another host, which has the blob.
    Redirect,
    /// The response has no `Location`.
    NoLocation,
    /// The response comes in pieces of so many bytes, with pauses of a millisecond.
    Drip(usize),
}

/// A request that may go wrong.
#[derive(Debug, Clone)]
pub struct Asking {
    /// GET, PUT.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// What the path stands for.
    pub class: Class,
}

impl Fault {
    /// Returns how often an upload's bytes may have to be sent again for this: `chunk` bytes where the registry still
    /// knows the upload, `blob` bytes where it does not.
    pub fn cost(&self, chunk: u64, blob: u64) -> u64 {
        match self {
            Self::ResetRequest(_) | Self::Status(..) => chunk,
            Self::TearRequest(_) | Self::ResetResponse(_) | Self::Truncate(_) | Self::NoLocation => blob,
            _ => 0,
        }
    }
}

type Choose = Box<dyn FnMut(&Asking) -> Fault + Send>;

/// Chooses a fault for each exchange.
pub struct Faults(Choose);

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::chosen(|_| Fault::None)
    }

    /// What goes wrong is chosen by a function.
    pub fn chosen(choose: impl FnMut(&Asking) -> Fault + Send + 'static) -> Self {
        Self(Box::new(choose))
    }

    /// This goes wrong, so many times, with requests of a method to a class of paths.
    pub fn times(count: usize, method: &'static str, class: Class, fault: Fault) -> Self {
        let mut left = count;
        Self::chosen(move |asking| {
            if left == 0 || asking.method != method || asking.class != class {
                return Fault::None;
            }
            left -= 1;
            fault.clone()
        })
    }

    /// About a third of all exchanges go wrong, the same ones for each run with this seed, up to `most`.
    pub fn seeded(seed: u64, most: usize) -> Self {
        let mut state = seed;
        let (mut left, mut burst) = (most, 0);
        Self::chosen(move |asking| {
            if burst > 0 {
                burst -= 1;
                return Fault::Status(503, None);
            }
            if left == 0 || !random(&mut state).is_multiple_of(3) {
                return Fault::None;
            }
            left -= 1;
            let fault = any(&mut state, asking);
            if matches!(fault, Fault::Status(503, _)) {
                burst = random(&mut state) % 3;
            }
            fault
        })
    }

    /// Returns the fault of an exchange.
    pub(super) fn choose(&mut self, asking: &Asking) -> Fault {
        (self.0)(asking)
    }
}

/// Returns a fault that makes sense for a request.
fn any(state: &mut u64, asking: &Asking) -> Fault {
    // As many small positions as large ones.
    let exponent = random(state) % 24;
    let at = random(state) % (2 << exponent);
    let status = [500, 502, 503, 504, 429, 408][(random(state) % 6) as usize];
    let general = |state: &mut u64| match random(state) % 4 {
        0 => Fault::Status(status, (status == 429).then_some(1)),
        1 => Fault::ResetResponse(0),
        2 => Fault::Truncate(at),
        _ => Fault::ResetResponse(at),
    };
    match (asking.method.as_str(), asking.class) {
        ("GET", Class::Blob) => match random(state) % 8 {
            0 => Fault::Corrupt(at),
            1 => Fault::Redirect,
            2 => Fault::Stall(at, Duration::from_millis(200)),
            3 => Fault::Drip(1 << 14),
            _ => general(state),
        },
        ("GET" | "HEAD", Class::Manifest) => match random(state) % 4 {
            0 => Fault::WrongDigest,
            1 => Fault::Corrupt(at % 400),
            _ => general(state),
        },
        ("PATCH" | "PUT", Class::Upload) => match random(state) % 4 {
            0 => Fault::TearRequest(at),
            1 => general(state),
            _ => Fault::ResetRequest(at),
        },
        // Once in eight, since nothing can be done about it but to start again.
        ("POST", Class::Upload) if random(state).is_multiple_of(8) => Fault::NoLocation,
        _ => general(state),
    }
}

/// Numbers that are the same in every run (SplitMix64).
pub fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
