//! How a cluster differs from the embedded engine: each test asserts the behaviour that `list.txt` names for tests of the other
//! modules.

use ray::ErrorKind;

use crate::support::engine;

/// A closure cannot be sent to another process.
#[test]
fn closures_are_refused() {
    if !super::wanted() {
        return;
    }
    engine();
    let error = ray::get(ray::task(|| 1).remote()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(error.to_string().contains("closure"), "{error}");
}
