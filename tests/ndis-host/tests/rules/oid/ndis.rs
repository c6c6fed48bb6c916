//! NDIS's own part: what it answers, merges and injects. Rules 172, 173 and the faults on demand.

use ndis_host::ndis::api::{self, OidRequest};
use ndis_host::ndis::oid_faults::{self, OidChoice, OidFault};
use ndis_host::sched;
use ndis_sys::{
    NDIS_STATUS_FAILURE, NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_MULTICAST_FULL,
    NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_PENDING, NDIS_STATUS_REQUEST_ABORTED,
    NDIS_STATUS_SUCCESS, OID_802_3_MULTICAST_LIST, OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_MAX_LINK_SPEED, OID_GEN_SUPPORTED_LIST, OID_GEN_VENDOR_ID,
};

use super::{query, set};
use crate::bench::ONE_SECOND;
use crate::desk::{Desk, Hooks};
use crate::native::holds;

#[test]
fn r172_holds_since_ndis_answers_queries_of_the_filter() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        let filter = 5u32.to_le_bytes();
        set(desk.binding(), OID_GEN_CURRENT_PACKET_FILTER, &filter);
        let mut answer = [0; 4];
        api::oid_query(desk.binding(), OID_GEN_CURRENT_PACKET_FILTER, &mut answer)
            .expect("NDIS knows");
        assert_eq!(answer, filter);
        let (status, answer) =
            api::query_for_user(desk.adapter(), OID_GEN_CURRENT_PACKET_FILTER, 4);
        assert_eq!((status, answer), (NDIS_STATUS_SUCCESS, filter.to_vec()));
        assert_eq!(
            desk.with(|log| log.requests.clone()),
            [OID_GEN_CURRENT_PACKET_FILTER],
            "the miniport saw the set only"
        );
    });
}

#[test]
fn r173_holds_since_ndis_keeps_the_multicast_lists() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        let binding = desk.binding();
        let address = [1, 0, 0, 0, 0, 7];
        api::set_multicast(binding, &[address, address]).expect("accepted");
        assert_eq!(
            set(binding, OID_802_3_MULTICAST_LIST, &[1; 7]),
            NDIS_STATUS_INVALID_LENGTH
        );
        let many: Vec<[u8; 6]> = (0..33).map(|last| [1, 0, 0, 0, 0, last]).collect();
        assert_eq!(
            api::set_multicast(binding, &many),
            Err(NDIS_STATUS_MULTICAST_FULL)
        );
        let mut answer = [0; 12];
        api::oid_query(binding, OID_802_3_MULTICAST_LIST, &mut answer).expect("NDIS knows");
        assert_eq!(answer, [address, address].as_flattened());
        let to_miniport = desk.with(|log| log.requests.clone());
        assert_eq!(to_miniport, [OID_802_3_MULTICAST_LIST]);
    });
}

#[test]
fn ndis_answers_from_what_the_miniport_declared() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        let (status, list) = api::query_for_user(desk.adapter(), OID_GEN_SUPPORTED_LIST, 1024);
        assert_eq!((status, list.len() % 4), (NDIS_STATUS_SUCCESS, 0));
        let (_, speeds) = api::query_for_user(desk.adapter(), OID_GEN_MAX_LINK_SPEED, 16);
        assert_eq!(&speeds[..8], &speeds[8..]);
        assert!(desk.with(|log| log.requests.is_empty()));
    });
}

#[test]
fn a_request_fails_on_demand() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        let fault = OidFault::Fail(NDIS_STATUS_FAILURE);
        oid_faults::set(desk.adapter(), Some((OidChoice::Nth(1), fault)));
        let statuses: Vec<_> = (0..3)
            .map(|_| query(desk.binding(), OID_GEN_VENDOR_ID, 4))
            .collect();
        let good = NDIS_STATUS_SUCCESS;
        assert_eq!(statuses, [good, NDIS_STATUS_FAILURE, good]);
        assert_eq!(oid_faults::hits(desk.adapter()), 1);
    });
}

#[test]
fn a_request_pends_until_it_is_cancelled() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        let binding = desk.binding();
        let choice = OidChoice::Of(OID_GEN_VENDOR_ID);
        oid_faults::set(desk.adapter(), Some((choice, OidFault::Pend)));
        let mut request = OidRequest::query(OID_GEN_VENDOR_ID, 4);
        let request = request.as_ref();
        assert_eq!(
            api::oid_request_async(binding, request),
            NDIS_STATUS_PENDING
        );
        api::cancel_oid(binding, 0x1234);
        sched::sleep(ONE_SECOND);
        assert!(desk.with(|log| log.completions.is_empty()));
        api::cancel_oid(binding, request.request_id());
        let done = || desk.with(|log| log.completions.len() == 1);
        assert!(sched::wait("the completion", done, Some(ONE_SECOND)));
        let (_, status) = desk.with(|log| log.completions[0]);
        assert_eq!(status, NDIS_STATUS_REQUEST_ABORTED);
    });
}

#[test]
fn a_request_of_an_unknown_type_is_not_ndiss_to_answer() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        let (status, _) = api::query_for_user(desk.adapter(), 0x00ff_0000, 4);
        assert_eq!(status, NDIS_STATUS_NOT_SUPPORTED);
    });
}
