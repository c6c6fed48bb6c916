//! 1.L: interrupts, messages, DPCs.

use std::sync::atomic::{AtomicU32, Ordering};

use ndis_host::ndis::interrupts::disturb::{self, Disturbances};
use ndis_host::ndis::native::AdapterHandle;
use ndis_host::{pnp, sched, verifier};
use ndis_sys::{
    NDIS_CONNECT_LINE_BASED, NDIS_CONNECT_MESSAGE_BASED, NDIS_INDICATE_ALL_NBLS,
    NDIS_STATUS_INVALID_PARAMETER, NDIS_STATUS_SUCCESS,
};

use crate::native::hardware::{self, Plan, Step, calls};
use crate::native::{breaks, holds};

static DPCS: AtomicU32 = AtomicU32::new(0);

fn counting(messages: Option<usize>) -> Plan {
    Plan {
        messages,
        in_dpc: |_| {
            DPCS.fetch_add(1, Ordering::Relaxed);
        },
        ..Plan::default()
    }
}

fn dpcs() -> u32 {
    DPCS.load(Ordering::Relaxed)
}

#[test]
fn r138_breaks_when_a_dpc_that_may_indicate_all_leaves_some() {
    breaks!(138, || hardware::live(
        Plan {
            throttled: |limit| limit.MoreNblsPending = 1,
            ..Plan::default()
        },
        |_| {
            interrupt_often();
        }
    ));
}

#[test]
fn r138_holds_when_a_throttled_dpc_is_called_again() {
    holds!(|| hardware::live(
        Plan {
            throttled: |limit| {
                let throttled = limit.MaxNblsToIndicate != NDIS_INDICATE_ALL_NBLS;
                limit.MoreNblsPending = u32::from(throttled);
                DPCS.fetch_add(1, Ordering::Relaxed);
            },
            ..Plan::default()
        },
        |_| {
            let calls = interrupt_often();
            hardware::wait("DPCs without an interrupt", || dpcs() > calls);
        }
    ));
}

/// Interrupts so often that some DPCs are throttled and some are not; says how often.
fn interrupt_often() -> u32 {
    const TIMES: u32 = 40;
    for _ in 0..TIMES {
        hardware::card().interrupt(0);
        sched::sleep(100_000);
    }
    TIMES
}

#[test]
fn r194_breaks_when_the_line_has_no_service_routine() {
    breaks!(194, || hardware::attempt(Plan {
        interrupt: |given| given.InterruptHandler = None,
        ..Plan::default()
    }));
}

#[test]
fn r194_breaks_when_messages_have_no_dpc() {
    breaks!(194, || hardware::attempt(Plan {
        interrupt: |given| given.MessageInterruptDpcHandler = None,
        ..Plan::default()
    }));
}

#[test]
fn r195_holds_when_messages_are_granted() {
    holds!(|| hardware::live(counting(None), |_| {
        assert_eq!(
            hardware::hardware().interrupt_type,
            NDIS_CONNECT_MESSAGE_BASED
        );
        let before = dpcs();
        hardware::card().interrupt(2);
        hardware::wait("the DPC of a message", || dpcs() > before);
    }));
}

#[test]
fn r195_holds_when_the_line_is_granted() {
    holds!(|| hardware::live(counting(Some(0)), |_| {
        assert_eq!(hardware::hardware().interrupt_type, NDIS_CONNECT_LINE_BASED);
        hardware::card().interrupt(0);
        hardware::wait("the DPC of the line", || dpcs() > 0);
        assert_eq!(hardware::message_calls(), 0);
    }));
}

/// A line on which the card interrupts a few times.
fn on_line(plan: Plan) {
    let plan = Plan {
        messages: Some(0),
        ..plan
    };
    hardware::live(plan, |_| {
        for _ in 0..8 {
            hardware::card().interrupt(0);
            disturb::interrupt(adapter());
            sched::sleep(1_000_000);
        }
    });
}

fn adapter() -> AdapterHandle {
    AdapterHandle(hardware::hardware().adapter as u64)
}

#[test]
fn r196_holds_when_a_neighbours_interrupt_is_not_claimed() {
    holds!(|| {
        on_line(Plan::default());
        assert!(hardware::line_calls() > 8);
    });
}

#[test]
fn r196_breaks_when_a_neighbours_interrupt_is_claimed() {
    breaks!(196, || on_line(Plan {
        answer: |_| (true, true),
        ..Plan::default()
    }));
}

#[test]
fn r196_breaks_when_a_message_is_not_recognized() {
    breaks!(196, || hardware::live(
        Plan {
            answer: |_| (false, false),
            ..Plan::default()
        },
        |_| {
            hardware::card().interrupt(0);
            sched::sleep(1_000_000);
        }
    ));
}

unsafe extern "efiapi" fn lazy_line(
    _context: ndis_sys::NDIS_HANDLE,
    queue_dpc: *mut u8,
    targets: *mut u32,
) -> u8 {
    // SAFETY: NDIS passes pointers to its own variables.
    unsafe {
        queue_dpc.write(0);
        targets.write(0);
    }
    0
}

#[test]
fn r196_breaks_when_the_device_is_left_asserting_its_line() {
    breaks!(196, || on_line(Plan {
        interrupt: |given| given.InterruptHandler = Some(lazy_line),
        ..Plan::default()
    }));
}

#[test]
fn r197_breaks_when_a_dpc_is_asked_for_and_denied() {
    breaks!(197, || on_line(Plan {
        answer: |own| (own, true),
        ..Plan::default()
    }));
}

#[test]
fn r197_holds_when_a_dpc_is_queued_by_call() {
    holds!(|| hardware::live(counting(None), |_| {
        let hardware = hardware::hardware();
        let before = dpcs();
        assert_eq!(calls::queue_dpc(&hardware, 1, 1), 1);
        hardware::wait("the DPC", || dpcs() > before);
    }));
}

#[test]
fn r197_breaks_when_a_dpc_is_queued_for_no_cpu() {
    breaks!(197, || hardware::live(counting(None), |_| {
        calls::queue_dpc(&hardware::hardware(), 1, 0);
    }));
}

#[test]
fn r199_holds_when_a_routine_is_synchronized_with_a_message() {
    holds!(|| hardware::live(Plan::default(), |_| {
        assert!(calls::synchronize(&hardware::hardware(), 3));
    }));
}

#[test]
fn r199_breaks_when_the_message_does_not_exist() {
    breaks!(199, || hardware::live(Plan::default(), |_| {
        calls::synchronize(&hardware::hardware(), 4);
    }));
}

#[test]
fn r200_breaks_when_the_interrupt_is_deregistered_while_running() {
    breaks!(200, || hardware::live(Plan::default(), |_| {
        calls::deregister_interrupt(hardware::hardware().interrupt_handle());
    }));
}

#[test]
fn r200_holds_when_the_device_is_silent_at_the_halt() {
    holds!(|| on_line(Plan::default()));
}

#[test]
fn r201_advises_a_driver_whose_dpc_takes_long() {
    holds!(|| hardware::live(
        Plan {
            in_dpc: |_| sched::spend(5_000_000),
            ..Plan::default()
        },
        |_| {
            hardware::card().interrupt(0);
            sched::sleep(20_000_000);
            let advice = verifier::report().advice;
            assert!(advice.iter().any(|advice| advice.rule == 201), "{advice:?}");
        }
    ));
}

#[test]
fn r308_breaks_when_a_dpc_queues_itself_for_ever() {
    breaks!(308, || hardware::live(
        Plan {
            in_dpc: |hardware| {
                sched::spend(1_000_000);
                // An interrupt may come before the driver has its handle.
                if !hardware.interrupt_handle().is_null() {
                    calls::queue_dpc(hardware, 0, 1);
                }
            },
            ..Plan::default()
        },
        |_| {
            calls::queue_dpc(&hardware::hardware(), 0, 1);
            sched::sleep(3 * verifier::SECOND_NS);
        }
    ));
}

#[test]
fn r308_breaks_when_a_dpc_never_returns() {
    breaks!(308, || hardware::live(
        Plan {
            in_dpc: |_| loop {
                sched::spend(100_000);
            },
            ..Plan::default()
        },
        |_| {
            hardware::card().interrupt(0);
            sched::sleep(3 * verifier::SECOND_NS);
        }
    ));
}

#[test]
fn r202_holds_when_interrupts_come_without_need_twice_late_and_elsewhere() {
    holds!(|| {
        disturb::set(Disturbances {
            lost: 0,
            duplicated: 3,
            late: 3,
            delay_ns: 500_000,
            other_cpu: 2,
        });
        for messages in [Some(0), Some(1), None] {
            hardware::live(counting(messages), |device| {
                for vector in 0..12 {
                    hardware::card().interrupt(vector % 2);
                    disturb::interrupt(adapter());
                    sched::sleep(100_000);
                }
                pnp::pause_stack(device);
                disturb::interrupt(adapter());
                sched::sleep(1_000_000);
                pnp::restart_stack(device);
            });
        }
        assert!(dpcs() > 0);
    });
}

#[test]
fn r202_holds_when_a_message_is_lost() {
    holds!(|| hardware::live(counting(None), |_| {
        sched::sleep(1_000_000);
        let before = dpcs();
        disturb::set(Disturbances {
            lost: 1,
            ..Disturbances::default()
        });
        hardware::card().interrupt(0);
        sched::sleep(1_000_000);
        assert_eq!(dpcs(), before, "the message is lost");
    }));
}

#[test]
fn r203_holds_when_table_entries_are_masked_and_moved() {
    holds!(|| hardware::live(counting(None), |_| {
        use ndis_sys::{
            NdisMSIXTableConfigMaskTableEntry as MASK, NdisMSIXTableConfigSetTableEntry as SET,
            NdisMSIXTableConfigUnmaskTableEntry as UNMASK,
        };
        let hardware = hardware::hardware();
        sched::sleep(1_000_000);
        assert_eq!(
            calls::configure_entry(&hardware, MASK, 1, 0),
            NDIS_STATUS_SUCCESS
        );
        let before = dpcs();
        hardware::card().interrupt(1);
        sched::sleep(1_000_000);
        assert_eq!(dpcs(), before, "a masked entry sends nothing");
        assert_eq!(
            calls::configure_entry(&hardware, UNMASK, 1, 0),
            NDIS_STATUS_SUCCESS
        );
        hardware::wait("the message that was pending", || dpcs() > before);
        assert_eq!(
            calls::configure_entry(&hardware, SET, 1, 3),
            NDIS_STATUS_SUCCESS
        );
        let beyond = calls::configure_entry(&hardware, SET, 1, 4);
        assert_eq!(beyond, NDIS_STATUS_INVALID_PARAMETER);
    }));
}

#[test]
fn r044_breaks_when_ports_are_registered_after_the_interrupt() {
    let mut plan = Plan::default();
    plan.steps.retain(|step| *step != Step::Ports);
    plan.steps.push(Step::Ports);
    breaks!(44, || hardware::attempt(plan));
}
