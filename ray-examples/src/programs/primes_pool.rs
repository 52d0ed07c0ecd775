//! Counts primes with a pool of workers, as programs with Python's `multiprocessing.Pool` do. Not in the article.
//!
//! ```python
//! from ray.util.multiprocessing import Pool
//!
//! def is_prime(n):
//!     ...
//!
//! pool = Pool(4)
//! print(sum(pool.map(is_prime, range(200_000))))
//! ```

use std::time::Instant;

use ray::remote;
use ray::util::Pool;

use crate::report::Report;

#[remote]
fn is_prime(n: u64) -> bool {
    n >= 2 && (2..).take_while(|divisor| divisor * divisor <= n).all(|divisor| !n.is_multiple_of(divisor))
}

#[remote]
fn count_primes(from: u64, to: u64) -> usize {
    // A plain call: this body runs in a worker already.
    (from..to).filter(|n| is_prime(*n)).count()
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let pool = Pool::new(4)?;

    let start = Instant::now();
    let primes = pool.map(is_prime, 0..50_000)?.into_iter().filter(|prime| *prime).count();
    println!("{primes} primes below 50,000");
    assert_eq!(primes, 5133);
    report.took("50,000 calls", start.elapsed());

    let start = Instant::now();
    let counts = pool.starmap(count_primes, (0..20).map(|part| (part * 10_000, (part + 1) * 10_000)))?;
    println!("primes below 200,000, in steps of 10,000: {counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 17_984);
    report.took("20 calls", start.elapsed());

    // The values are infinite, because `imap` takes only those that it needs.
    let first: ray::Result<Vec<u64>> = (0..)
        .zip(pool.imap(is_prime, 0.., 100)?)
        .filter_map(|(n, prime)| prime.map(|prime| prime.then_some(n)).transpose())
        .take(10)
        .collect();
    let first = first?;
    println!("the first ones: {first:?}");
    assert_eq!(first, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);

    pool.close();
    pool.join()?;
    ray::shutdown()
}
