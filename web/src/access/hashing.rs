//! Hashes passwords on threads that may block, a few at a time: each hash takes 19 MiB and tens of milliseconds.

use std::sync::Arc;

use tokio::{sync::Semaphore, task::spawn_blocking};

/// Hashes at the same time, at most.
const RUNNING: usize = 2;
/// Hashes that run or wait, at most; further ones are refused.
const WAITING: usize = 16;

/// Bounds hashes.
#[derive(Debug)]
pub(crate) struct HashingPool {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for HashingPool {
    fn default() -> Self {
        Self { running: Arc::new(Semaphore::new(RUNNING)), waiting: Arc::new(Semaphore::new(WAITING)) }
    }
}

impl HashingPool {
    /// Runs a hash, and returns its result; none if too many wait. Its place is held until the hash has ended, also if
    /// the caller does not wait for it.
    pub(crate) async fn run<T: Send + 'static>(&self, hash: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let place = self.waiting.clone().try_acquire_owned().ok()?;
        let turn = self.running.clone().acquire_owned().await.ok()?;
        let work = spawn_blocking(move || {
            let result = hash();
            drop((turn, place));
            result
        });
        work.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn further_hashes_wait_and_beyond_that_are_refused() {
        let (pool, (release, wait)) = (HashingPool::default(), mpsc::channel::<()>());
        let wait = Arc::new(std::sync::Mutex::new(wait));
        let hashes = (0..WAITING + 5).map(|_| {
            let wait = wait.clone();
            pool.run(move || wait.lock().expect("not poisoned").recv().is_ok())
        });
        let mut refused = 0;
        let all = join_all(hashes);
        let releasing = async {
            for _ in 0..WAITING {
                release.send(()).expect("a hash waits");
                tokio::task::yield_now().await;
            }
        };
        let (results, ()) = tokio::join!(all, releasing);
        for result in results {
            refused += usize::from(result.is_none());
        }
        assert_eq!(refused, 5);
        assert_eq!(pool.waiting.available_permits(), WAITING, "all places are free again");
    }
}
