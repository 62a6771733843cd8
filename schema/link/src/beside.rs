//! What a message carries beside its content: capabilities, ways to them, and where the answer shall go.
//!
//! capnp-rpc copies lists of the first two into memory, as long as they are announced, before anybody of ours sees the call. A list
//! without a body takes no room in the message: 136 bytes cost a process 978 MB and most of a second.

use bulkhead_schema::limits::{MAX_CAPABILITIES, MAX_STEPS};
use capnp::Error;
use capnp_rpc::rpc_capnp::{
    call, cap_descriptor, disembargo, message, message_target, payload, promised_answer, resolve, return_,
};

/// Checks what one message carries. What cannot be read is left to capnp-rpc, which refuses it with the right words.
///
/// # Errors
/// Too many capabilities, too long a way to one, or an answer that is to go elsewhere.
pub(crate) fn check(message: &message::WhichReader<'_>) -> Result<(), Error> {
    match message {
        message::Call(Ok(call)) => {
            // The answer would be kept here and go nowhere.
            if !matches!(call.get_send_results_to().which(), Ok(call::send_results_to::Caller(()))) {
                return Err(Error::failed("it wants its answer elsewhere".into()));
            }
            call.get_target().map_or(Ok(()), check_target)?;
            call.get_params().map_or(Ok(()), check_payload)
        }
        message::Return(Ok(answer)) => match answer.which() {
            Ok(return_::Results(Ok(results))) => check_payload(results),
            _ => Ok(()),
        },
        message::Resolve(Ok(resolve)) => match resolve.which() {
            Ok(resolve::Cap(Ok(descriptor))) => check_descriptor(descriptor),
            _ => Ok(()),
        },
        message::Disembargo(Ok(disembargo)) => check_disembargo(*disembargo),
        _ => Ok(()),
    }
}

/// How many capabilities of its sender an answer hands out.
pub(crate) fn handed_out(answer: return_::Reader<'_>) -> u64 {
    let Ok(return_::Results(Ok(results))) = answer.which() else { return 0 };
    let Ok(table) = results.get_cap_table() else { return 0 };
    let is_ours = |descriptor: &cap_descriptor::Reader<'_>| {
        matches!(descriptor.which(), Ok(cap_descriptor::SenderHosted(_) | cap_descriptor::SenderPromise(_)))
    };
    table.iter().filter(is_ours).count() as u64
}

fn check_disembargo(disembargo: disembargo::Reader<'_>) -> Result<(), Error> {
    disembargo.get_target().map_or(Ok(()), check_target)
}

fn check_target(target: message_target::Reader<'_>) -> Result<(), Error> {
    match target.which() {
        Ok(message_target::PromisedAnswer(Ok(answer))) => check_way(answer),
        _ => Ok(()),
    }
}

fn check_payload(payload: payload::Reader<'_>) -> Result<(), Error> {
    let Ok(table) = payload.get_cap_table() else { return Ok(()) };
    if table.len() > MAX_CAPABILITIES {
        return Err(Error::failed(format!("it brings {} capabilities", table.len())));
    }
    table.iter().try_for_each(check_descriptor)
}

fn check_descriptor(descriptor: cap_descriptor::Reader<'_>) -> Result<(), Error> {
    match descriptor.which() {
        Ok(cap_descriptor::ReceiverAnswer(Ok(answer))) => check_way(answer),
        _ => Ok(()),
    }
}

fn check_way(answer: promised_answer::Reader<'_>) -> Result<(), Error> {
    let steps = answer.get_transform().map_or(0, |steps| steps.len());
    if steps > MAX_STEPS {
        return Err(Error::failed(format!("it takes {steps} steps to a capability")));
    }
    Ok(())
}
