//! HTTP's Basic scheme (RFC 7617).

use super::super::secret::Secret;

/// Returns the value of `Authorization` for a name and a password.
pub(super) fn header(user: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", base64(format!("{user}:{}", password.expose()).as_bytes())))
}

/// Returns `bytes` in base64 (RFC 4648, 4), with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().enumerate().fold(0u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_put_in_base64() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy"), ("\u{ff}>", "w78+")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(header("Aladdin", &Secret::new("open sesame")).expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
