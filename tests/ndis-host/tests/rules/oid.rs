//! 1.J: OID requests.

use crate::bench::bench;
use crate::native::breaks;
use crate::native::{nic, stack};

#[test]
fn r156_breaks_when_an_oid_request_is_completed_twice() {
    breaks!(156, || {
        bench(nic::Fault::CompleteOidTwice, stack::Fault::None);
    });
}
