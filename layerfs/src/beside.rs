//! [`each_beside`]: work that waits more than it computes, for several things at once.

/// Does `work` for all `items` at once and returns what came of each, in their order. The first is the caller's own, so that
/// one alone takes no thread.
///
/// # Panics
/// If `work` does.
pub fn each_beside<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let Some((first, others)) = items.split_first() else { return Vec::new() };
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = others.iter().map(|item| scope.spawn(move || work(item))).collect();
        let own = work(first);
        let theirs = threads.into_iter().map(|thread| thread.join().expect("work beside other work does not panic"));
        std::iter::once(own).chain(theirs).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn all_are_at_work_at_once_and_come_in_order() {
        let all_there = Barrier::new(3);
        let doubled = each_beside(&[1, 2, 3], |item| {
            all_there.wait();
            item * 2
        });
        assert_eq!(doubled, [2, 4, 6]);
        let here = std::thread::current().id();
        assert!(each_beside(&[()], |()| std::thread::current().id() == here)[0], "one alone takes no thread");
        assert_eq!(each_beside(&[] as &[u8], |item| *item), Vec::<u8>::new());
    }
}
