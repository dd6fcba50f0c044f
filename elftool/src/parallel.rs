//! Parallel work on a sequence of items. Results keep the order of the items, and memory is bounded.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};

/// How many items each thread may be ahead of the oldest unfinished one.
const AHEAD: usize = 64;

/// Calls `work` on `items` in `threads` threads, and `consume` on the results in the order of
/// the items, in this thread. At most `AHEAD * threads` results wait at any time.
pub(crate) fn in_order<T, R: Send>(
    threads: usize,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> R + Sync,
    mut consume: impl FnMut(R),
) {
    if threads < 2 {
        return items.map(work).for_each(consume);
    }
    let source = Mutex::new(items.enumerate());
    let gate = Gate::default();
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (source, gate, work) = (&source, &gate, &work);
            let sender = sender.clone();
            scope.spawn(move || {
                loop {
                    // The lock is not held while working or waiting.
                    let next = locked(source).next();
                    let Some((index, item)) = next else { return };
                    gate.wait_for(index, AHEAD * threads);
                    if sender.send((index, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        for (index, result) in receiver {
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&next) {
                consume(result);
                next += 1;
                gate.open(next);
            }
        }
    });
}

/// Stops threads that are too far ahead: counts the results that were consumed.
#[derive(Default)]
struct Gate {
    done: Mutex<usize>,
    changed: Condvar,
}

impl Gate {
    /// Waits until fewer than `ahead` items separate `index` from the oldest unfinished item. The oldest
    /// never waits, so there is always progress.
    fn wait_for(&self, index: usize, ahead: usize) {
        let mut done = locked(&self.done);
        while index - *done >= ahead {
            let waited = self.changed.wait(done);
            done = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn open(&self, done: usize) {
        *locked(&self.done) = done;
        self.changed.notify_all();
    }
}

/// Ignores poisoning: no thread leaves the content of a lock half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_keep_their_order_and_few_wait() {
        for threads in [1, 2, 7] {
            let (mut consumed, started) = (0, AtomicUsize::new(0));
            let most = AtomicUsize::new(0);
            let items = 0..5000_usize;
            let work = |item: usize| {
                started.fetch_max(item, Ordering::Relaxed);
                if item.is_multiple_of(997) {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                item
            };
            in_order(threads, items, work, |result| {
                assert_eq!(result, consumed);
                let ahead = started.load(Ordering::Relaxed).saturating_sub(consumed);
                most.fetch_max(ahead, Ordering::Relaxed);
                consumed += 1;
            });
            assert_eq!(consumed, 5000);
            assert!(most.into_inner() <= (AHEAD + 1) * threads);
        }
    }
}
