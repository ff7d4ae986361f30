//! [`Owner`]: what `--chown` means in an image, looked up in its own account files.

/// A user and a group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A name that no account file of the image has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{name}`: {}", if *.file_exists { format!("not in `{file}` of the image") } else { format!("the image has no `{file}`") })]
pub struct OwnerError {
    /// `user` or `group`.
    pub what: &'static str,
    /// The name.
    pub name: String,
    /// The file it was looked for in.
    pub file: &'static str,
    /// Whether the image has the file.
    pub file_exists: bool,
}

impl OwnerError {
    /// Returns what to do about it.
    pub fn cure(&self) -> String {
        format!("make the {} with a RUN before, or give a number", self.what)
    }
}

/// Returns the owner that `text`, `user[:group]` by name or number, means with these bytes of /etc/passwd and
/// /etc/group. A number alone is the group too; a name alone takes its group from the passwd file; `root` is 0.
///
/// # Errors
/// [`OwnerError`] if a name is not found. A number that does not fit counts as a name, as in BuildKit.
pub fn resolve_owner(text: &str, passwd: Option<&[u8]>, group: Option<&[u8]>) -> Result<Owner, OwnerError> {
    let (user, group_name) = text.split_once(':').unwrap_or((text, ""));
    let (uid, primary) = find_user(user, passwd)?;
    let gid = match group_name {
        "" => primary,
        name => find_group(name, group)?,
    };
    Ok(Owner { uid, gid })
}

/// Returns the owner that a directory made for USER `text` gets, as BuildKit has it: a user that is not found counts as
/// root, a group that is not found as the user's own; and what was not found.
pub fn owner_or_root(text: &str, passwd: Option<&[u8]>, group: Option<&[u8]>) -> (Owner, Option<OwnerError>) {
    let (user, group_name) = text.split_once(':').unwrap_or((text, ""));
    let (found, missing) = match find_user(user, passwd) {
        Ok(found) => (found, None),
        Err(error) => ((0, 0), Some(error)),
    };
    let (uid, primary) = found;
    match group_name {
        "" => (Owner { uid, gid: primary }, missing),
        name => match find_group(name, group) {
            Ok(gid) => (Owner { uid, gid }, missing),
            Err(error) => (Owner { uid, gid: primary }, missing.or(Some(error))),
        },
    }
}

/// Reports whether `text` means something only with the account files.
pub fn asks_accounts(text: &str) -> bool {
    resolve_owner(text, None, None).is_err()
}

fn find_user(name: &str, passwd: Option<&[u8]>) -> Result<(u32, u32), OwnerError> {
    if name.is_empty() || name == "root" {
        return Ok((0, 0));
    }
    if let Some(number) = number(name.as_bytes()) {
        return Ok((number, number));
    }
    (fields_of(passwd, name).and_then(|fields| Some((number(fields.get(2)?)?, number(fields.get(3)?)?))))
        .ok_or_else(|| unknown("user", name, "/etc/passwd", passwd))
}

fn find_group(name: &str, group: Option<&[u8]>) -> Result<u32, OwnerError> {
    if name == "root" {
        return Ok(0);
    }
    (number(name.as_bytes()).or_else(|| number(fields_of(group, name)?.get(2)?)))
        .ok_or_else(|| unknown("group", name, "/etc/group", group))
}

fn unknown(what: &'static str, name: &str, file: &'static str, bytes: Option<&[u8]>) -> OwnerError {
    OwnerError { what, name: name.to_owned(), file, file_exists: bytes.is_some() }
}

/// Returns the fields of the first line of an account file that starts with `name`.
fn fields_of<'a>(bytes: Option<&'a [u8]>, name: &str) -> Option<Vec<&'a [u8]>> {
    (bytes?.split(|&b| b == b'\n'))
        .map(|line| line.trim_ascii().split(|&b| b == b':').collect::<Vec<_>>())
        .find(|fields| fields[0] == name.as_bytes())
}

fn number(bytes: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(bytes).ok()?;
    // 2³²−1 is no owner: chown(2) takes it for `leave as it is`.
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_1_6_12_names_and_numbers() {
        let passwd = b"root:x:0:0::/root:/bin/sh\nweb:x:33:44::/:/bin/sh\nbad:x:y:z\n".as_slice();
        let group = b"root:x:0:\nweb:x:55:\nstaff:x:50:web\n".as_slice();
        for (text, wanted) in [
            ("1000", Some((1000, 1000))),
            ("1000:7", Some((1000, 7))),
            ("root", Some((0, 0))),
            ("web", Some((33, 44))),
            ("web:web", Some((33, 55))),
            ("web:", Some((33, 44))),
            ("5:staff", Some((5, 50))),
            ("nobody", None),
            ("web:none", None),
            ("-1", None),
            ("4294967296", None),
            ("4294967295", None),
            ("bad", None),
        ] {
            let got = resolve_owner(text, Some(passwd), Some(group)).ok().map(|owner| (owner.uid, owner.gid));
            assert_eq!(got, wanted, "{text}");
        }
        assert_eq!(resolve_owner("root:root", None, None), Ok(Owner { uid: 0, gid: 0 }));
        let error = resolve_owner("web", None, None).unwrap_err();
        assert_eq!(error.to_string(), "user `web`: the image has no `/etc/passwd`");
        let error = resolve_owner("1:db", Some(passwd), Some(group)).unwrap_err();
        assert_eq!(error.to_string(), "group `db`: not in `/etc/group` of the image");
    }

    #[test]
    fn row_1_5_7_working_directories_of_unknown_users_are_roots() {
        let passwd = b"web:x:33:44::/:/bin/sh\n".as_slice();
        for (text, uid, gid, missing) in [
            ("web", 33, 44, None),
            ("7:8", 7, 8, None),
            ("nobody", 0, 0, Some("nobody")),
            ("nobody:9", 0, 9, Some("nobody")),
            ("web:none", 33, 44, Some("none")),
            ("nobody:none", 0, 0, Some("nobody")),
        ] {
            let (owner, error) = owner_or_root(text, Some(passwd), None);
            assert_eq!(
                (owner, error.map(|error| error.name)),
                (Owner { uid, gid }, missing.map(str::to_owned)),
                "{text}"
            );
        }
    }
}
