//! Methods that the front door answers itself.

use super::Kind::{Arr, Num, Str};
use super::Need::{Default, Hint, Optional, Required};
use super::Owner::Rpc;
use super::{Method, a, m};

/// Methods of this family.
pub(super) const METHODS: &[Method] = &[
    m(
        "echo",
        "hidden",
        Rpc,
        "Returns its arguments. For tests.\nechojson differs only in that bitcoin-cli converts its arguments from text to JSON.",
        &[
            a("arg0", Str, Optional, "").unchecked(),
            a("arg1", Str, Optional, "").unchecked(),
            a("arg2", Str, Optional, "").unchecked(),
            a("arg3", Str, Optional, "").unchecked(),
            a("arg4", Str, Optional, "").unchecked(),
            a("arg5", Str, Optional, "").unchecked(),
            a("arg6", Str, Optional, "").unchecked(),
            a("arg7", Str, Optional, "").unchecked(),
            a("arg8", Str, Optional, "").unchecked(),
            a("arg9", Str, Optional, "").unchecked(),
        ],
    ),
    m(
        "echoipc",
        "hidden",
        Rpc,
        "Returns its argument after a trip through a process that is started for it. For tests.",
        &[a("arg", Str, Required, "The text")],
    ),
    m(
        "echojson",
        "hidden",
        Rpc,
        "Returns its arguments. For tests.\nechojson differs from echo only in that bitcoin-cli converts its arguments from text to JSON.",
        &[
            a("arg0", Str, Optional, "").unchecked(),
            a("arg1", Str, Optional, "").unchecked(),
            a("arg2", Str, Optional, "").unchecked(),
            a("arg3", Str, Optional, "").unchecked(),
            a("arg4", Str, Optional, "").unchecked(),
            a("arg5", Str, Optional, "").unchecked(),
            a("arg6", Str, Optional, "").unchecked(),
            a("arg7", Str, Optional, "").unchecked(),
            a("arg8", Str, Optional, "").unchecked(),
            a("arg9", Str, Optional, "").unchecked(),
        ],
    ),
    m("generate", "hidden", Rpc, "has been replaced by the -generate cli option. Refer to -help for more information.", &[]),
    m(
        "getmemoryinfo",
        "control",
        Rpc,
        "Returns how memory is used by the front door and how much locked memory key stores hold.",
        &[a("mode", Str, Default("\"stats\""), "The mode")],
    ),
    m("getrpcinfo", "control", Rpc, "Returns the calls that are being executed, and where the log is.", &[]),
    m("getsandboxinfo", "control", Rpc, "Returns every process of this node and how the kernel confines it.", &[]),
    m("getzmqnotifications", "zmq", Rpc, "Returns the ZeroMQ notifications that are active.", &[]),
    m("help", "control", Rpc, "Lists all commands, or describes one.", &[a("command", Str, Hint("all commands"), "What to do")]),
    m(
        "ipcbench",
        "hidden",
        Rpc,
        "Measures the edge between the front door and chain. For `make bench`.",
        &[
            a("calls", Num, Required, "Null calls of each measurement"),
            a("depth", Num, Required, "Null calls in flight together"),
            a("blob", Num, Required, "Bytes of a blob that is sent there and back"),
        ],
    ),
    m(
        "logging",
        "control",
        Rpc,
        "Returns, and optionally changes, which categories are written to the debug log.\nThe change applies to every process of the node.",
        &[
            a("include", Arr, Optional, "Categories to switch on").inner(&[a("include_category", Str, Optional, "A category")]),
            a("exclude", Arr, Optional, "Categories to switch off").inner(&[a("exclude_category", Str, Optional, "A category")]),
        ],
    ),
    m(
        "mockscheduler",
        "hidden",
        Rpc,
        "Moves the scheduler's clock forward. For tests on regtest.",
        &[a("delta_time", Num, Required, "Seconds to move forward")],
    ),
    m(
        "setmocktime",
        "hidden",
        Rpc,
        "Sets the clock of every process to a fixed time. For tests on regtest.",
        &[a("timestamp", Num, Required, "Time in seconds since 1970")],
    ),
    m("stop", "control", Rpc, "Asks the node to shut down.", &[a("wait", Num, Optional, "").hidden()]),
    m("uptime", "control", Rpc, "Returns how many seconds the node has been running.", &[]),
];
