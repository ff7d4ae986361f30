//! HTTP's Basic scheme (RFC 7617).

use super::super::secret::Secret;
use crate::base64;

/// Returns the value of `Authorization` for a name and a password.
pub(super) fn header(user: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", encoded(user, password).expose()))
}

/// Returns a name and a password as the scheme has them.
pub(super) fn encoded(user: &str, password: &Secret) -> Secret {
    Secret::new(base64::encode(format!("{user}:{}", password.expose()).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_put_in_base64() {
        assert_eq!(header("Aladdin", &Secret::new("open sesame")).expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
