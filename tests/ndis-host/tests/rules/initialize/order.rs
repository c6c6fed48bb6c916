//! The order of the steps, and what is left of them.

use ndis_host::ndis::faults::{self, Faults};
use ndis_host::{pnp, verifier};
use ndis_sys::{
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES, NDIS_STATUS_FAILURE, NDIS_STATUS_PENDING, Zeroed,
};

use crate::native::hardware::{self, Plan, Step, calls};
use crate::native::{breaks, holds};

/// The default plan with `step` moved to position `at`.
fn with_step_at(step: Step, at: usize) -> Plan {
    let mut plan = Plan::default();
    plan.steps.retain(|other| *other != step);
    plan.steps.insert(at, step);
    plan
}

/// The default plan without `step`.
fn without(step: Step) -> Plan {
    let mut plan = Plan::default();
    plan.steps.retain(|other| *other != step);
    plan
}

#[test]
fn r024_holds_when_every_step_has_its_place() {
    holds!(|| hardware::live(Plan::default(), |_| ()));
}

#[test]
fn r024_breaks_when_hardware_is_claimed_before_the_registration_attributes() {
    breaks!(24, || hardware::attempt(with_step_at(
        Step::MapRegisters,
        0
    )));
}

#[test]
fn r024_breaks_when_attributes_are_set_later() {
    breaks!(24, || hardware::live(Plan::default(), |_| {
        let mut all = NDIS_MINIPORT_ADAPTER_ATTRIBUTES::zeroed();
        let mut oids = hardware::ethernet().supported_oids;
        all.GeneralAttributes = hardware::ethernet().general(&mut oids);
        calls::set_attributes(hardware::hardware().handle(), &mut all);
    }));
}

#[test]
fn r028_holds_when_offload_follows_the_general_attributes() {
    holds!(|| hardware::live(with_step_at(Step::Offload, 2), |_| ()));
}

#[test]
fn r028_breaks_when_offload_comes_before_the_general_attributes() {
    breaks!(28, || hardware::attempt(with_step_at(Step::Offload, 1)));
}

#[test]
fn r028_breaks_when_the_general_attributes_are_missing() {
    breaks!(28, || hardware::attempt(without(Step::General)));
}

#[test]
fn r042_breaks_when_shared_memory_comes_before_dma() {
    breaks!(42, || hardware::attempt(with_step_at(
        Step::SharedMemory,
        2
    )));
}

#[test]
fn r043_breaks_when_registers_are_mapped_after_initialization() {
    breaks!(43, || hardware::live(Plan::default(), |_| {
        let hardware = hardware::hardware();
        let (start, length) = hardware.register_range;
        calls::map(hardware.handle(), start, length);
    }));
}

#[test]
fn r043_holds_when_ports_are_used_that_were_registered() {
    holds!(|| hardware::live(Plan::default(), |_| {
        let port = hardware::hardware().ports as u16;
        hardware::card().interrupt(3);
        hardware::wait("the message", || hardware::message_calls() > 0);
        // The status of the card, by its ports.
        assert_eq!(calls::read_port(port), 1);
        assert_eq!(calls::read_port(port), 0);
    }));
}

#[test]
fn r043_breaks_when_ports_are_used_that_were_not_registered() {
    breaks!(43, || hardware::live(without(Step::Ports), |_| {
        calls::read_port(hardware::hardware().port_range.0 as u16);
    }));
}

#[test]
fn r044_breaks_when_memory_is_shared_after_the_interrupt() {
    let last = Plan::default().steps.len() - 1;
    breaks!(44, || hardware::attempt(with_step_at(
        Step::SharedMemory,
        last
    )));
}

/// A plan that gives up after its last step.
fn failing(forgotten: Vec<Step>) -> Plan {
    Plan {
        forgotten,
        result: NDIS_STATUS_FAILURE,
        ..with_step_at(Step::Timer, 2)
    }
}

#[test]
fn r045_holds_when_a_failing_initialization_undoes_its_steps() {
    holds!(|| hardware::fail(failing(Vec::new())));
}

#[test]
fn r045_breaks_when_the_interrupt_is_left() {
    breaks!(45, || hardware::fail(failing(vec![Step::Interrupt])));
}

#[test]
fn r045_breaks_when_a_timer_is_left_armed() {
    breaks!(45, || hardware::fail(failing(vec![Step::Timer])));
}

#[test]
fn r045_breaks_when_registers_are_left_mapped() {
    breaks!(45, || hardware::fail(failing(vec![Step::MapRegisters])));
}

/// Each allocation of an initialization fails once; the driver copes, and starts in the end.
#[test]
fn r045_holds_when_each_allocation_fails_once() {
    holds!(|| {
        let (driver, device) = hardware::plug(with_step_at(Step::Timer, 2));
        let mut failures = 0;
        loop {
            faults::set(Faults::Nth(failures));
            let started = pnp::start_device(device).is_ok();
            faults::set(Faults::Never);
            if started {
                break;
            }
            failures += 1;
        }
        assert!(failures >= 5, "only {failures} steps can fail");
        pnp::settle();
        pnp::remove_device(device);
        pnp::unload_driver(driver);
    });
}

/// Only advice: it fails nothing.
#[test]
fn r046_advises_a_driver_that_fails_silently() {
    holds!(|| {
        hardware::fail(failing(Vec::new()));
        let advice = verifier::report().advice;
        assert!(advice.iter().any(|advice| advice.rule == 46), "{advice:?}");
    });
}

#[test]
fn r047_holds_when_status_is_indicated_after_the_registration_attributes() {
    holds!(|| hardware::live(with_step_at(Step::Status, 2), |_| ()));
}

#[test]
fn r048_breaks_when_initialization_pends() {
    breaks!(48, || hardware::fail(Plan {
        result: NDIS_STATUS_PENDING,
        ..Plan::default()
    }));
}

#[test]
fn r050_holds_when_the_machine_grants_fewer_messages_or_the_line() {
    holds!(|| {
        for messages in [Some(0), Some(1), Some(3), None] {
            let plan = Plan {
                messages,
                ..Plan::default()
            };
            hardware::live(plan, |_| {
                let granted = hardware::bounds_of_message_table(&hardware::hardware());
                let due = messages.unwrap_or(usize::from(hardware::card::VECTORS));
                assert_eq!(granted.unwrap_or(0) as usize, due);
            });
        }
    });
}
