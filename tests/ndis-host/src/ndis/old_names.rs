//! Names that tell a driver of NDIS 5, or one that was built with other headers than the WDK's:
//! rule 307 and the note behind section 3.4 of the rules.

use super::compat;
use crate::verifier;

/// What no header of NDIS 6 declares: an import makes it an NDIS 5 driver, which stops the system
/// (0x7C/15).
const OF_NDIS_5: [&str; 16] = [
    "NdisAllocateBuffer",
    "NdisAllocatePacketPoolEx",
    "NdisCloseAdapter",
    "NdisMIndicateStatus",
    "NdisMInitializeWrapper",
    "NdisMRegisterDevice",
    "NdisMRegisterInterrupt",
    "NdisMRegisterMiniport",
    "NdisMSendComplete",
    "NdisMSetAttributesEx",
    "NdisOpenAdapter",
    "NdisRegisterProtocol",
    "NdisRequest",
    "NdisScheduleWorkItem",
    "NdisSend",
    "NdisTransferData",
];

/// Kernel routines that a miniport has an NDIS routine for, or no business with (HLK,
/// 1c_KernelCalls).
const FROWNED_UPON: [&str; 12] = [
    "ExAllocatePool",
    "HalGetBusDataByOffset",
    "HalSetBusDataByOffset",
    "IoConnectInterrupt",
    "IoConnectInterruptEx",
    "IoGetDmaAdapter",
    "KeSetTimerEx",
    "MmAllocateContiguousMemory",
    "MmAllocateContiguousMemorySpecifyCache",
    "MmMapIoSpace",
    "PoSetPowerState",
    "PsCreateSystemThread",
];

/// Judges the names that an image imports: NDIS 5 ends the run, the others are advised against.
pub(crate) fn judge<'a>(image: &str, imports: impl Iterator<Item = &'a str>) {
    let bodies = compat::compatibility_bodies();
    for name in imports {
        verifier::insist(307, !OF_NDIS_5.contains(&name), || {
            format!("{image} imports {name}, which is of NDIS 5 (0x7C/15)")
        });
        if FROWNED_UPON.contains(&name) {
            verifier::advice(307, format!("{image} imports {name}: prefer what NDIS has"));
        }
        if bodies.contains(&name) {
            verifier::advice(
                307,
                format!("{image} imports {name}, which the headers of NDIS 6 make a macro"),
            );
        }
    }
}
