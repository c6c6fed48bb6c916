//! Programs that ask the driver for its adapters, over its control device.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Result, ensure};
use control_device::{
    AdapterRecord, AnswerHeader, Flags, PATH, Path, QUERY_ADAPTERS, Request, WhyNot,
};
use ndis_host::ntoskrnl::io::security::Who;
use ndis_host::ntoskrnl::io::user;
use ndis_host::{pnp, sched};
use ndis_sys::{
    OID_GEN_CURRENT_PACKET_FILTER, STATUS_ACCESS_DENIED, STATUS_BUFFER_OVERFLOW,
    STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS,
};
use neighbours::vf::VfOptions;
use zerocopy::IntoBytes;

use super::steps::{LONG, PATIENCE_NS, linger, start_on_vf, start_on_virtio, start_standby};
use crate::situations::{Situation, bring_about};
use crate::world::{
    AdapterOptions, GUEST_MAC, SECOND_NS, VfPlug, World, ask_with_room, open_driver,
};

/// From start to end of a pair's life, the driver says which way traffic goes, and why not over the
/// VF.
pub(super) fn query_follows_the_path(world: &mut World) -> Result<()> {
    start_standby(world, AdapterOptions::standby())?;
    expect(world, Path::None, WhyNot::NoVf)?;
    let alone = expect(world, Path::Virtio, WhyNot::NoVf)?;
    let up = Flags::STANDBY | Flags::LINK_UP | Flags::VIRTIO_LINK_UP;
    ensure!(alone.flags() == up, "{alone:x?}");

    world.plug_vf(&VfPlug::default())?;
    expect(world, Path::Virtio, WhyNot::Settling)?;
    let carried = expect(world, Path::Vf, WhyNot::Carries)?;
    ensure!(
        carried.flags() == up | Flags::VF_BOUND | Flags::VF_LINK_UP,
        "{carried:x?}"
    );
    let vf = world.primary().and_then(|vf| pnp::adapter(vf.device()));
    let luids = [
        world.adapter().report(),
        vf.and_then(ndis_host::ndis::adapter_report),
    ]
    .map(|report| report.map(|report| report.luid));
    ensure!(
        luids == [Some(carried.luid), Some(carried.vf_luid)] && carried.luid == alone.luid,
        "{luids:x?}: {carried:x?}"
    );
    world.set_vf_link(false)?;
    let down = expect(world, Path::Virtio, WhyNot::LinkDown)?;
    ensure!(down.flags() == up | Flags::VF_BOUND, "{down:x?}");
    world.set_vf_link(true)?;
    expect(world, Path::Virtio, WhyNot::Settling)?;
    expect(world, Path::Vf, WhyNot::Carries)?;

    world.withdraw_vf()?;
    expect(world, Path::Virtio, WhyNot::NoVf)?;
    world.uninstall_vioprot();
    let without = expect(world, Path::None, WhyNot::NotInstalled)?;
    ensure!(!without.flags().contains(Flags::LINK_UP), "{without:x?}");
    Ok(())
}

/// The driver says what is wrong with a VF that stays unused.
pub(super) fn query_tells_reasons(world: &mut World) -> Result<()> {
    let plug = |options| VfPlug {
        options,
        ..VfPlug::default()
    };
    start_on_virtio(world)?;
    let too_small = plug(VfOptions {
        mtu: 1280,
        ..VfOptions::default()
    });
    world.plug_vf(&too_small)?;
    expect(world, Path::Virtio, WhyNot::MtuTooSmall(1280))?;
    world.withdraw_vf()?;

    let oid = OID_GEN_CURRENT_PACKET_FILTER;
    world.plug_vf(&plug(VfOptions {
        refuse_oid: Some(oid),
        ..VfOptions::default()
    }))?;
    expect(world, Path::Virtio, WhyNot::RefusedSetting(oid))?;
    world.withdraw_vf()?;
    // A VF that is gone is not to blame any more.
    expect(world, Path::Virtio, WhyNot::NoVf)?;

    // Of one that VIOPROT did not take nobody says that it goes, but everything is offered anew.
    world.plug_vf(&too_small)?;
    expect(world, Path::Virtio, WhyNot::MtuTooSmall(1280))?;
    world.withdraw_vf()?;
    world.uninstall_vioprot();
    expect(world, Path::None, WhyNot::NotInstalled)?;
    world.install_vioprot()?;
    expect(world, Path::Virtio, WhyNot::NoVf)?;
    Ok(())
}

/// Two adapters of the driver, of which one is no standby.
pub(super) fn query_two_adapters(world: &mut World) -> Result<()> {
    let second = bring_about(world, Situation::TwoAdapters, GUEST_MAC)?;
    expect(world, Path::Vf, WhyNot::Carries)?;
    let file = open_driver()?;
    for room in [0, 1, 2, 3] {
        let (header, records) = ask_with_room(&file, room)?;
        ensure!(header.adapters == 2, "{header:?}");
        if let [_, other, ..] = records[..] {
            ensure!(
                other.why_not() == Some(WhyNot::NotStandby)
                    && other.path() == Some(Path::Virtio)
                    && !other.flags().contains(Flags::STANDBY),
                "{other:x?}"
            );
        }
    }
    file.close();
    second
        .iter()
        .for_each(|second| pnp::remove_device(second.device));
    Ok(())
}

/// Requests that nobody should send: each is refused as documented, and leaves no trace.
pub(super) fn query_bad_requests(world: &mut World) -> Result<()> {
    start_on_vf(world)?;
    let denied = user::open_as(PATH, Who::User).err();
    ensure!(denied == Some(STATUS_ACCESS_DENIED), "{denied:x?}");
    // There is nothing inside the device, by which a user could get round that.
    let inside = user::open_as(&format!(r"{PATH}\x"), Who::User).err();
    ensure!(inside == Some(STATUS_OBJECT_NAME_NOT_FOUND), "{inside:x?}");
    let file = open_driver()?;
    let good = Request::CURRENT;
    let header = size_of::<AnswerHeader>();
    let all = header + size_of::<AdapterRecord>();
    let next = Request {
        version: good.version + 1,
    };
    let cases: [(u32, &[u8], usize, i32, usize); 9] = [
        (QUERY_ADAPTERS, good.as_bytes(), all, STATUS_SUCCESS, all),
        (QUERY_ADAPTERS, good.as_bytes(), 4096, STATUS_SUCCESS, all),
        (
            QUERY_ADAPTERS,
            &[1, 0, 0, 0, 9, 9, 9],
            all,
            STATUS_SUCCESS,
            all,
        ),
        (
            QUERY_ADAPTERS,
            good.as_bytes(),
            all - 1,
            STATUS_BUFFER_OVERFLOW,
            header,
        ),
        (
            QUERY_ADAPTERS,
            good.as_bytes(),
            header - 1,
            STATUS_BUFFER_TOO_SMALL,
            0,
        ),
        (
            QUERY_ADAPTERS,
            good.as_bytes(),
            0,
            STATUS_BUFFER_TOO_SMALL,
            0,
        ),
        (QUERY_ADAPTERS, &[1, 0, 0], all, STATUS_INVALID_PARAMETER, 0),
        (
            QUERY_ADAPTERS,
            next.as_bytes(),
            all,
            STATUS_INVALID_PARAMETER,
            0,
        ),
        (
            QUERY_ADAPTERS + 4,
            good.as_bytes(),
            all,
            STATUS_INVALID_DEVICE_REQUEST,
            0,
        ),
    ];
    for (code, input, room, status, bytes) in cases {
        let (got, output) = file.control(code, input, room);
        // The overflow brings what fits; a warning is no success.
        ensure!(
            got == status && output.len() == bytes,
            "{code:#x} with {input:x?} and room for {room}: {got:#x}, {} bytes",
            output.len()
        );
    }
    // No input and no output at all: there is no buffer then.
    let (got, _) = file.control(QUERY_ADAPTERS, &[], 0);
    ensure!(got == STATUS_INVALID_PARAMETER, "{got:#x}");
    file.close();
    expect(world, Path::Vf, WhyNot::Carries)?;
    Ok(())
}

/// Programs ask all the time while VFs come and go, the adapter is stopped and started, and the
/// driver unloads.
pub(super) fn query_while_it_changes(world: &mut World) -> Result<()> {
    const PROGRAMS: u64 = 2;
    start_on_vf(world)?;
    let ends = Arc::new(AtomicBool::new(false));
    let answers: Arc<AtomicU32> = Arc::default();
    for _ in 0..PROGRAMS {
        let (ends, answers) = (ends.clone(), answers.clone());
        sched::spawn("program", move || {
            // At the end it asks on until the adapter is gone.
            while ask_once(&answers) || !ends.load(Ordering::Acquire) {
                linger(2);
            }
        });
    }
    let traffic = world.start_traffic(LONG);
    for _ in 0..3 {
        world.withdraw_vf()?;
        linger(50);
        world.plug_vf(&VfPlug::default())?;
        world.wait_for_vf()?;
        world.set_vf_link(false)?;
        linger(50);
        world.set_vf_link(true)?;
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    pnp::disable_device(world.adapter().device);
    linger(20);
    world.start_adapter()?;
    world.wait_for_link(10 * SECOND_NS)?;
    ends.store(true, Ordering::Release);
    ensure!(answers.load(Ordering::Acquire) > 0, "nobody was answered");
    Ok(())
}

/// Opens the driver, asks, keeps it open for a while, closes it; whether it was there.
///
/// # Panics
///
/// A driver that is there gives a wrong answer.
fn ask_once(answers: &AtomicU32) -> bool {
    let Ok(file) = open_driver() else {
        return false;
    };
    linger(5);
    let room = sched::random_below(3) as usize;
    ask_with_room(&file, room).expect("whoever has the driver open is answered");
    answers.fetch_add(1, Ordering::AcqRel);
    linger(5);
    file.close();
    true
}

/// The driver comes to say that the adapter's traffic goes this way, for this reason.
fn expect(world: &World, path: Path, why_not: WhyNot) -> Result<AdapterRecord> {
    let record = world.wait_for_path(GUEST_MAC, path, why_not)?;
    ensure!(record.mtu == 1500, "{record:x?}");
    Ok(record)
}
