// The help strings, by the number under which netsh finds them in the DLL's string table. `build.rs`
// includes this file, too.

/// Number, text. A long help follows its short one.
pub(crate) const HELP: [(u16, &str); 16] = [
    (1, "Lists the NetKVM devices.\n"),
    (2, "show devices\n\n    Lists the NetKVM devices, each with the index that other commands take.\n"),
    (3, "Lists the parameters of a device.\n"),
    (4, "show parameters [idx=]0-N\n\n    idx   - index of the device, from \"show devices\"\n\n    Examples: show parameters idx=0\n              show parameters 2\n"),
    (5, "Shows what values a parameter can have.\n"),
    (6, "show paraminfo [idx=]0-N [param=]name\n\n    idx   - index of the device, from \"show devices\"\n    param - name of the parameter, from \"show parameters\"\n\n    Examples: show paraminfo idx=0 param=*JumboPacket\n              show paraminfo 2 StandbyGraceMs\n"),
    (7, "Reads a parameter.\n"),
    (8, "getparam [idx=]0-N [param=]name\n\n    idx   - index of the device, from \"show devices\"\n    param - name of the parameter, from \"show parameters\"\n\n    Examples: getparam idx=0 param=*JumboPacket\n              getparam 2 StandbyGraceMs\n"),
    (9, "Changes a parameter.\n"),
    (10, "setparam [idx=]0-N [param=]name [value=]value\n\n    idx   - index of the device, from \"show devices\"\n    param - name of the parameter, from \"show parameters\"\n    value - one that \"show paraminfo\" allows\n\n    The device takes the new value up when it is restarted.\n\n    Examples: setparam idx=0 param=StandbyGraceMs value=5000\n              setparam 2 *JumboPacket 9014\n"),
    (11, "Restarts a device.\n"),
    (12, "restart [idx=]0-N\n\n    idx   - index of the device, from \"show devices\"\n\n    Examples: restart idx=0\n              restart 2\n"),
    (13, "Shows devices and parameters.\n"),
    (14, "Displays a configuration script.\n"),
    (15, "dump\n\n    Writes all parameters of all devices as commands.\n"),
    (16, "NetKVM adapters: devices and parameters.\n"),
];
