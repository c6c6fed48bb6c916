//! 1.D: the state machine of an adapter.

use ndis_host::pnp;

use crate::bench::{bench, frame};
use crate::native::breaks;
use crate::native::{nic, nic::MAC, stack};

#[test]
fn r058_breaks_when_a_frame_is_indicated_while_paused() {
    breaks!(58, || {
        let (nic, _, device) = bench(nic::Fault::None, stack::Fault::None);
        pnp::pause_stack(device);
        nic.receive(&[frame(MAC)], false);
    });
}
