//! Whether the tender runs as root, for `process: { root }` of a policy.
//!
//! In a user namespace a number stands for another user. The tender's own user may be root of the
//! namespace above under any number, or have no number: then the kernel shows a stand-in, which
//! says nothing.

use solo5_policy::Fact;

use crate::sys::users::user_ids;

/// The number that the kernel shows for a user without one, unless an administrator has changed it.
const OVERFLOW: u32 = 65534;

/// Whether one of this process's users is root, here or in the user namespace above.
pub fn is_root() -> Fact<bool> {
    judge(&user_ids(), std::fs::read_to_string("/proc/self/uid_map").ok().as_deref())
}

/// As [`is_root`], for these users and this content of `uid_map`; `None` if it cannot be read.
fn judge(users: &[u32], map: Option<&str>) -> Fact<bool> {
    let above = |user: u32| match map {
        Some(map) => map.lines().find_map(|range| in_range(user, range)),
        // Without `/proc` there is no more to know.
        None => (user != OVERFLOW).then_some(user),
    };
    let mut unknown = None;
    for user in users {
        match above(*user) {
            _ if *user == 0 => return Fact::Known(true),
            Some(0) => return Fact::Known(true),
            Some(_) => {}
            None => unknown = Some(user),
        }
    }
    match unknown {
        None => Fact::Known(false),
        Some(user) => Fact::Unreadable(format!("user {user} is unknown in this user namespace")),
    }
}

/// The number above of `user`, if it is in `range`: three numbers, the first one here, the first one
/// above, and how many there are.
fn in_range(user: u32, range: &str) -> Option<u32> {
    let mut numbers = range.split_whitespace().map(str::parse::<u32>);
    let mut next = || numbers.next()?.ok();
    let (here, above, count) = (next()?, next()?, next()?);
    let offset = user.checked_sub(here).filter(|offset| *offset < count)?;
    above.checked_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_who_is_root_here_or_above() {
        let whole = "         0          0 4294967295\n";
        let (yes, no) = (Fact::Known(true), Fact::Known(false));
        let is_unreadable = |fact| matches!(fact, Fact::Unreadable(_));
        assert_eq!(judge(&[1000; 4], Some(whole)), no);
        assert_eq!(judge(&[1000, 1000, 1000, 0], Some(whole)), yes);
        assert_eq!(judge(&[OVERFLOW; 4], Some(whole)), no, "the user nobody");
        // Root in a namespace of an ordinary user; and the other way round.
        assert_eq!(judge(&[0; 4], Some("0 1000 1")), yes);
        assert_eq!(judge(&[1000; 4], Some("1000 0 1")), yes);
        assert_eq!(judge(&[1001; 4], Some("0 100000 65536\n")), no);
        assert_eq!(judge(&[5; 4], Some("0 100000 4\n4 7 2\n")), no);
        // `unshare -U` makes no map, so this may be anybody.
        assert!(is_unreadable(judge(&[OVERFLOW; 4], Some(""))));
        assert!(is_unreadable(judge(&[7, OVERFLOW, 7, 7], Some("7 7 1"))));
        assert_eq!(judge(&[OVERFLOW, 0, 7, 7], Some("7 7 1")), yes);
        assert_eq!(judge(&[1000; 4], None), no);
        assert!(is_unreadable(judge(&[OVERFLOW; 4], None)));
        assert!(is_unreadable(judge(&[1000; 4], Some("x y z"))));
    }
}
