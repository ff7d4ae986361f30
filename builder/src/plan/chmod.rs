//! Checks modes as `--chmod` takes them: octal up to 07777, or symbolic as chmod(1) (1.6-13).

/// Reports whether `text` is a mode.
pub(super) fn is_mode(text: &str) -> bool {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return is_octal(text);
    }
    !text.is_empty() && text.split(',').all(is_clause)
}

fn is_octal(text: &str) -> bool {
    u32::from_str_radix(text, 8).is_ok_and(|mode| mode <= 0o7777)
}

/// Reports whether `text` is `[ugoa]*` and at least one of `[-+=]` with what follows it.
fn is_clause(text: &str) -> bool {
    let actions = text.trim_start_matches(['u', 'g', 'o', 'a']);
    actions.starts_with(['-', '+', '=']) && actions[1..].split(['-', '+', '=']).all(is_permissions)
}

/// Reports whether `text` is any of `rwxXst`, or one of `u`, `g`, `o` to copy from.
fn is_permissions(text: &str) -> bool {
    matches!(text, "u" | "g" | "o") || text.bytes().all(|b| b"rwxXst".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_1_6_13() {
        for good in ["0", "644", "0755", "07777", "u=rwX,go=rX", "+x", "g=u", "a-w", "u+rw-x", "=", "-", "u=g,o="] {
            assert!(is_mode(good), "{good}");
        }
        for bad in ["", "8", "010000", "0x1ff", "u", "urw", "u=rwz", "u=rw,", "z+x", "rwx", "g=uo", "+x,é"] {
            assert!(!is_mode(bad), "{bad}");
        }
    }
}
