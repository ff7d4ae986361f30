//! [`Accounts`]: users and groups of an image, from the bytes of its /etc/passwd and /etc/group.

use serde::{Deserialize, Serialize};

/// The highest user or group id that USER takes, as in Docker.
const HIGHEST: u32 = i32::MAX as u32;

/// A line of /etc/passwd (passwd(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory; may be empty.
    pub home: String,
}

/// A line of /etc/group (group(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Names of its members.
    pub members: Vec<String>,
}

/// Whom a command runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunUser {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups, the primary one first.
    pub groups: Vec<u32>,
    /// Home directory, for HOME.
    pub home: String,
}

/// Why there is no such user or group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AccountError {
    /// A name that /etc/passwd lacks.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    /// A name that /etc/group lacks.
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    /// A number that is too large.
    #[error("user `{0}`: uids and gids must be in range 0-{HIGHEST}")]
    OutOfRange(String),
}

/// Users and groups of an image. Lines that make no sense are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

impl Accounts {
    /// Returns what the bytes of /etc/passwd and /etc/group say; either may be empty.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Self {
        Self { users: lines(passwd).filter_map(user).collect(), groups: lines(group).filter_map(self::group).collect() }
    }

    /// Returns the first user of this name.
    pub fn lookup_user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// Returns the first group of this name.
    pub fn lookup_group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// Returns whom USER `written` (`user[:group]`, names or numbers; empty for root) names (row 1.5-6):
    /// `uid:gid` is taken as it is; a user alone brings the primary group of /etc/passwd and every group that lists the
    /// name; a group given is the only one; a number that /etc/passwd lacks has group 0.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn resolve_run_user(&self, written: &str) -> Result<RunUser, AccountError> {
        let (user, group) = written.split_once(':').unwrap_or((written, ""));
        let entry = self.entry(user)?;
        let uid = match (&entry, number(user)?) {
            (Some(entry), _) => entry.uid,
            (None, Some(uid)) => uid,
            (None, None) if user.is_empty() => 0,
            (None, None) => return Err(AccountError::NoUser(user.to_owned())),
        };
        let home = entry.map(|entry| entry.home.clone()).filter(|home| !home.is_empty());
        let home = home.unwrap_or_else(|| "/".to_owned());
        if !group.is_empty() {
            let gid = self.group_id(group)?;
            return Ok(RunUser { uid, gid, groups: vec![gid], home });
        }
        let gid = entry.map_or(0, |entry| entry.gid);
        let mut groups = vec![gid];
        if let Some(entry) = entry {
            let more = self.groups.iter().filter(|group| group.members.contains(&entry.name)).map(|group| group.gid);
            groups.extend(more.filter(|more| *more != gid));
        }
        Ok(RunUser { uid, gid, groups, home })
    }

    /// Returns the line of /etc/passwd for a user as written: by number, else by name; root's for nothing.
    fn entry(&self, user: &str) -> Result<Option<&User>, AccountError> {
        let uid = if user.is_empty() { Some(0) } else { number(user)? };
        Ok(match uid {
            Some(uid) => self.users.iter().find(|entry| entry.uid == uid),
            None => self.lookup_user(user),
        })
    }

    fn group_id(&self, group: &str) -> Result<u32, AccountError> {
        if let Some(gid) = number(group)? {
            return Ok(gid);
        }
        let found = self.lookup_group(group).map(|entry| entry.gid);
        found.ok_or_else(|| AccountError::NoGroup(group.to_owned()))
    }

    /// Returns owner and group that `--chown` `written` (`user[:group]`) names (row 1.6-12): a number alone is the group
    /// too; a name alone brings its primary group; `root` is 0 without a look; what is no proper number is a name.
    ///
    /// # Errors
    /// [`AccountError::NoUser`], [`AccountError::NoGroup`].
    pub fn resolve_owner(&self, written: &str) -> Result<(u32, u32), AccountError> {
        let (user, group) = written.split_once(':').unwrap_or((written, ""));
        let (uid, primary) = match (user.parse::<u32>(), user) {
            (Ok(uid), _) => (uid, uid),
            (_, "" | "root") => (0, 0),
            _ => {
                let entry = self.lookup_user(user).ok_or_else(|| AccountError::NoUser(user.to_owned()))?;
                (entry.uid, entry.gid)
            }
        };
        let gid = match (group.parse::<u32>(), group) {
            (Ok(gid), _) => gid,
            (_, "") => primary,
            (_, "root") => 0,
            _ => self.lookup_group(group).ok_or_else(|| AccountError::NoGroup(group.to_owned()))?.gid,
        };
        Ok((uid, gid))
    }
}

/// Returns the id if `text` is all digits; nothing for a name.
fn number(text: &str) -> Result<Option<u32>, AccountError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if id <= HIGHEST => Ok(Some(id)),
        _ => Err(AccountError::OutOfRange(text.to_owned())),
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = Vec<String>> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let lines: Vec<Vec<String>> =
        text.lines().map(|line| line.trim().split(':').map(str::to_owned).collect()).collect();
    lines.into_iter()
}

fn user(fields: Vec<String>) -> Option<User> {
    let name = fields.first().filter(|name| !name.is_empty())?.clone();
    let uid = fields.get(2)?.parse().ok()?;
    let gid = fields.get(3)?.parse().ok()?;
    Some(User { name, uid, gid, home: fields.get(5).cloned().unwrap_or_default() })
}

fn group(fields: Vec<String>) -> Option<Group> {
    let name = fields.first().filter(|name| !name.is_empty())?.clone();
    let gid = fields.get(2)?.parse().ok()?;
    let members = fields.get(3).map(String::as_str).unwrap_or_default();
    let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
    Some(Group { name, gid, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n# a remark\nbroken\nbad:x:one:2::/:\n\
        alice:x:1000:100:,,,:/home/alice:/bin/sh\nnohome:x:1001:1001\n";
    const GROUP: &[u8] = b"root:x:0:\nwheel:x:10:root,alice\nusers:x:100:\nstaff:x:50:alice\nold:x:0:root\n";

    fn run(written: &str) -> Result<(u32, u32, Vec<u32>, String), String> {
        let accounts = Accounts::parse(PASSWD, GROUP);
        let user = accounts.resolve_run_user(written).map_err(|error| error.to_string())?;
        Ok((user.uid, user.gid, user.groups, user.home))
    }

    /// Row 1.5-6.
    #[test]
    fn user_names_whom_a_command_runs_as() {
        let ok = |uid, gid, groups: &[u32], home: &str| Ok((uid, gid, groups.to_vec(), home.to_owned()));
        for (written, wanted) in [
            ("", ok(0, 0, &[0, 10], "/root")),
            ("root", ok(0, 0, &[0, 10], "/root")),
            ("0", ok(0, 0, &[0, 10], "/root")),
            ("alice", ok(1000, 100, &[100, 10, 50], "/home/alice")),
            ("1000", ok(1000, 100, &[100, 10, 50], "/home/alice")),
            ("alice:staff", ok(1000, 50, &[50], "/home/alice")),
            ("alice:7", ok(1000, 7, &[7], "/home/alice")),
            ("1000:7", ok(1000, 7, &[7], "/home/alice")),
            ("4242", ok(4242, 0, &[0], "/")),
            ("4242:users", ok(4242, 100, &[100], "/")),
            ("nohome", ok(1001, 1001, &[1001], "/")),
            ("bob", Err("unable to find user bob: no matching entries in passwd file".to_owned())),
            ("-1", Err("unable to find user -1: no matching entries in passwd file".to_owned())),
            ("alice:bob", Err("unable to find group bob: no matching entries in group file".to_owned())),
            ("4294967296", Err("user `4294967296`: uids and gids must be in range 0-2147483647".to_owned())),
        ] {
            assert_eq!(run(written), wanted, "{written}");
        }
    }

    /// Row 1.5-6: without account files root is still root.
    #[test]
    fn an_image_without_accounts_has_root() {
        let user = Accounts::parse(b"", b"").resolve_run_user("").expect("root");
        assert_eq!(user, RunUser { uid: 0, gid: 0, groups: vec![0], home: "/".to_owned() });
    }

    /// Row 1.6-12.
    #[test]
    fn chown_names_an_owner() {
        let accounts = Accounts::parse(PASSWD, GROUP);
        for (written, wanted) in [
            ("5", Ok((5, 5))),
            ("5:6", Ok((5, 6))),
            ("alice", Ok((1000, 100))),
            ("alice:wheel", Ok((1000, 10))),
            ("root", Ok((0, 0))),
            ("5:root", Ok((5, 0))),
            ("4294967296", Err(AccountError::NoUser("4294967296".to_owned()))),
            ("5:nobody", Err(AccountError::NoGroup("nobody".to_owned()))),
        ] {
            assert_eq!(accounts.resolve_owner(written), wanted, "{written}");
        }
    }
}
