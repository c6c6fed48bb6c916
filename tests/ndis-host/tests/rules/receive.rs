//! 1.H: the receive path.

use ndis_host::sched;

use crate::bench::{ONE_SECOND, bench, frame};
use crate::native::breaks;
use crate::native::{nic, stack};

#[test]
fn r139_breaks_when_a_frame_comes_that_nobody_asked_for() {
    breaks!(139, || {
        let (nic, ..) = bench(nic::Fault::None, stack::Fault::None);
        sched::sleep(ONE_SECOND);
        nic.receive(&[frame([0x02, 0, 0, 0, 0, 9])], false);
    });
}
